/** The way to a broker as a client goes it: address, TCP, HTTP, WebSocket, hello, topic, rights. Changes nothing there. */
import { lookup } from 'node:dns/promises';
import { connect as connectTcp } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { ApiClient, pathPart } from './api-client.ts';
import { type Finding, finding } from './doctor-check.ts';
import { JsonSession } from './json-session.ts';
import type { Target } from './target.ts';

const TCP_MS_MAX = 5000;
const HTTP_OK = 200;
const HTTP_NOT_READY = 503;

type BrokerFacts = {
  readonly name: string;
  readonly version: string;
  readonly transport: string;
  readonly transportReason?: string;
  readonly flush: string;
  readonly shards: readonly {
    readonly shard: number;
    readonly state: string;
    readonly reason?: string | null;
  }[];
};

/**
 * The checks in order; behind one that fails, those that need it are not tried.
 *
 * @param topic - to look up its route; undefined: the number of topics
 */
export async function* checkNetwork(
  target: Target,
  topic: string | undefined,
): AsyncGenerator<Finding> {
  const url = new URL(target.ws);
  const resolved = await checkName(url.hostname);
  yield resolved;
  if (resolved.state === 'fail') return;
  const tcp = await checkTcp(url);
  yield tcp;
  if (tcp.state === 'fail') return;
  const api = new ApiClient(target);
  const live = await checkLive(api, target);
  yield live;
  if (live.state === 'fail') return;
  yield await checkReady(api);
  const rights = await checkBroker(api);
  yield* rights;
  yield* checkWebSocket(target);
  if (rights.some(({ state }) => state === 'fail'))
    yield finding('topics', 'skip', 'needs the rights first');
  else yield await checkTopic(api, topic);
}

async function timed<Value>(action: () => Promise<Value>): Promise<{ value: Value; ms: number }> {
  const startMs = systemClock.monotonicMs();
  const value = await action();
  return { value, ms: systemClock.monotonicMs() - startMs };
}

async function checkName(hostname: string): Promise<Finding> {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  try {
    const { value, ms } = await timed(() => lookup(host, { all: true }));
    const addresses = value.map(({ address }) => address).join(', ');
    return finding('name', 'ok', `${host} is ${addresses}`, null, ms);
  } catch (error) {
    const { message } = error as Error;
    return finding(
      'name',
      'fail',
      `${host} has no address: ${message}`,
      'Check the name in --url, and the name server of this machine.',
    );
  }
}

async function checkTcp(url: URL): Promise<Finding> {
  const port = Number(url.port === '' ? (url.protocol === 'wss:' ? '443' : '80') : url.port);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  try {
    const { ms } = await timed(() => openTcp(host, port));
    return finding('tcp', 'ok', `port ${port} of ${host} is open`, null, ms);
  } catch (error) {
    const reason = reasonOf(error);
    const next =
      reason === 'ECONNREFUSED'
        ? 'Nothing listens there. Start a broker with "sluice up", or give the port it listens on in --url.'
        : 'Check the address, and whether a firewall or a container network lies between.';
    return finding('tcp', 'fail', `no connection to ${host}:${port}: ${reason}`, next);
  }
}

function openTcp(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, timeout: TCP_MS_MAX });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('timeout', () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
  });
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

async function checkLive(api: ApiClient, target: Target): Promise<Finding> {
  try {
    const { value, ms } = await timed(() => api.raw('GET', '/livez'));
    if (value.status === HTTP_OK) return finding('livez', 'ok', 'the broker is alive', null, ms);
    return finding(
      'livez',
      'fail',
      `HTTP ${value.status} from ${target.http}/livez: ${firstLine(value.text)}`,
      'Another server may listen on this port, or a proxy in between; the broker answers 200 here.',
    );
  } catch (error) {
    const { cause } = toSluiceError(error);
    const reason = cause instanceof Error ? cause.message : String(cause);
    return finding(
      'livez',
      'fail',
      `no HTTP from ${target.http}: ${reason}`,
      'Something that is no SluiceMQ broker listens there; or it speaks TLS and the address should begin with wss://.',
    );
  }
}

async function checkReady(api: ApiClient): Promise<Finding> {
  const { value, ms } = await timed(() => api.raw('GET', '/readyz'));
  if (value.status === HTTP_OK)
    return finding('readyz', 'ok', 'the broker takes requests', null, ms);
  const next =
    value.status === HTTP_NOT_READY
      ? 'Wait if it is starting or draining; else its log names the reason.'
      : 'The broker answers 200 or 503 here: is there a proxy in between?';
  return finding(
    'readyz',
    'fail',
    `not ready (HTTP ${value.status}): ${firstLine(value.text)}`,
    next,
  );
}

function firstLine(text: string): string {
  const line = text.trim().split('\n')[0] ?? '';
  return line.length <= 200 ? line : `${line.slice(0, 200)}…`;
}

/** Rights, transport, shards: what the broker tells of itself to those who may ask. */
async function checkBroker(api: ApiClient): Promise<Finding[]> {
  let facts: BrokerFacts;
  try {
    facts = await api.get<BrokerFacts>('/api/broker');
  } catch (error) {
    const { code, message, hint } = toSluiceError(error);
    return [
      finding(
        'permission',
        'fail',
        `${code}  ${message}`,
        code === 'UNAUTHENTICATED' ? 'Give the token with --token or in SLUICE_TOKEN.' : hint,
      ),
    ];
  }
  const { name, version, transport, transportReason, flush, shards } = facts;
  const replication = await replicationOf(api);
  // A slave's shards take nothing, as it should be.
  const isFine = (state: string): boolean =>
    state === 'running' || (state === 'read-only' && replication?.role === 'slave');
  return [
    finding('permission', 'ok', 'requests are allowed from here'),
    finding('broker', 'ok', `${name}, version ${version}, flush ${flush}`),
    finding('transport', 'ok', `${transport}: ${transportReason ?? ''}`),
    ...(replication === undefined ? [] : [replicationFinding(replication)]),
    ...shards.map(({ shard, state, reason }) =>
      isFine(state)
        ? finding(`shard ${shard}`, 'ok', state)
        : finding(
            `shard ${shard}`,
            'fail',
            `${state}: ${reason ?? 'no reason given'}`,
            'Its queues take no messages. The log of the broker says more; read its files with: sluice inspect --verify DIR',
          ),
    ),
  ];
}

type Replication = {
  readonly role: string;
  readonly epoch: number;
  readonly master: string | null;
  readonly shards: readonly {
    readonly state?: string;
    readonly refusal?: string;
    readonly slaves?: readonly unknown[];
  }[];
};

/** @returns undefined for a broker of one */
async function replicationOf(api: ApiClient): Promise<Replication | undefined> {
  try {
    return await api.get<Replication>('/api/replication');
  } catch {
    return undefined;
  }
}

function replicationFinding({ role, epoch, master, shards }: Replication): Finding {
  const refusal = shards.map((shard) => shard.refusal ?? '').find((text) => text !== '');
  if (refusal !== undefined)
    return finding('replication', 'warn', refusal, 'More about it: sluice admin brokerStatus');
  if (role === 'master') {
    const slaves = Math.min(...shards.map((shard) => shard.slaves?.length ?? 0));
    return finding('replication', 'ok', `master, epoch ${epoch}, ${slaves} slaves connected`);
  }
  const isFollowing = shards.every(({ state }) => state === 'streaming');
  const text = `slave, epoch ${epoch}, of ${master ?? 'a master that is not known'}`;
  if (isFollowing) return finding('replication', 'ok', `${text}, and follows`);
  return finding(
    'replication',
    'warn',
    `${text}; it does not follow now`,
    'Is the master there, and its HA port reachable? If it is gone for good: sluice admin promote',
  );
}

async function* checkWebSocket(target: Target): AsyncGenerator<Finding> {
  let session: JsonSession;
  try {
    const opened = await timed(() => JsonSession.open(target));
    session = opened.value;
    yield finding('websocket', 'ok', 'upgraded and welcomed', null, opened.ms);
  } catch (error) {
    yield finding('websocket', 'fail', ...socketFailure(toSluiceError(error)));
    return;
  }
  const { authenticated, limits } = session.welcome;
  yield authenticated
    ? finding('hello', 'ok', `welcome, frames up to ${limits.frameBytes} bytes`)
    : finding(
        'hello',
        'fail',
        'welcome, but nothing is allowed without a token',
        'Give the token with --token or in SLUICE_TOKEN.',
      );
  const ping = await timed(() => session.request({ op: 'ping' }));
  yield finding('round trip', 'ok', 'ping was answered', null, ping.ms);
  await session.close();
}

function socketFailure({ code, message, hint, cause }: SluiceError): [string, string] {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  const next =
    code === 'DISCONNECTED'
      ? 'HTTP gets through and WebSocket does not: a proxy in between must pass on Upgrade and Connection.'
      : hint;
  return [`${code}  ${message}${reason}`, next];
}

async function checkTopic(api: ApiClient, topic: string | undefined): Promise<Finding> {
  try {
    if (topic === undefined) {
      const { topics } = await api.get<{ topics: unknown[] }>('/api/topics');
      return finding('topics', 'ok', `there are ${topics.length}; look at one with --topic NAME`);
    }
    const found = await api.get<{ queues: unknown[]; messages: number }>(
      `/api/topics/${pathPart(topic)}`,
    );
    return finding(
      'topic',
      'ok',
      `${topic} has ${found.queues.length} queues and ${found.messages} messages`,
    );
  } catch (error) {
    const { code, message, hint } = toSluiceError(error);
    return finding(topic === undefined ? 'topics' : 'topic', 'fail', `${code}  ${message}`, hint);
  }
}
