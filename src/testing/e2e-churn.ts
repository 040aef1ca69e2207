/**
 * Clients that come and go in every way there is: politely, by force, half open, without a token or with a wrong one, in the
 * middle of a frame, with messages in their hands. What they leave behind in a broker is what a test looks for.
 */
import { systemClock } from '../base/clock.ts';
import { KIB } from '../base/units.ts';
import { sendBatchFrame } from './batch-frames.ts';
import type { BrokerProcess } from './e2e-broker.ts';
import { until } from './e2e-broker.ts';
import { frameHeader, RawClient } from './e2e-raw-client.ts';
import { RawSession } from './e2e-session.ts';

/** Loopback addresses that strangers come from: wrong tokens are counted per address, and shut it out. */
const ADDRESSES = 200;
const BODY = 'x'.repeat(128);
const BATCH_MESSAGES = 100;
const WINDOW = 16;

export type ChurnTarget = {
  readonly broker: BrokerProcess;
  readonly token: string;
  readonly topic: string;
};

type Way = (target: ChurnTarget, number: number) => Promise<void>;

function addressOf(number: number): string {
  return `127.0.1.${1 + (number % ADDRESSES)}`;
}

async function member(target: ChurnTarget, number: number): Promise<RawSession> {
  const { broker, token, topic } = target;
  const session = await RawSession.open(broker.ws, addressOf(number));
  await session.ask({ op: 'hello', token, client: `c${number}` });
  await session.ask({ op: 'subscribe', topic, group: `g${number % 8}`, credit: 3 });
  return session;
}

function http(target: ChurnTarget, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${target.token}`, 'content-type': 'application/json' };
  return fetch(`${target.broker.http}${path}`, { ...init, headers });
}

/** Each with the number of the client, which makes its names and its address. */
const WAYS: Readonly<Record<string, Way>> = {
  'a member that leaves': async (target, number) => {
    const session = await member(target, number);
    const send = { op: 'send', topic: target.topic, body: BODY, producerId: `p${number}` };
    await session.ask({ ...send, sequence: 0 });
    session.socket.close();
    await session.closed;
  },
  'a member that is cut off with requests and messages': async (target, number) => {
    const session = await member(target, number);
    void session.ask({ op: 'send', topic: target.topic, body: BODY });
    void session.ask({ op: 'fetch', topic: target.topic, queueId: 0, offset: 1e9, waitMs: 50_000 });
    session.close();
    await session.closed;
  },
  'somebody without a token': async ({ broker }, number) => {
    const session = await RawSession.open(broker.ws, addressOf(number));
    await session.ask({ op: 'topic', topic: `t${number}` });
    session.close();
    await session.closed;
  },
  'somebody with a wrong token': async ({ broker }, number) => {
    const session = await RawSession.open(broker.ws, addressOf(number)).catch(() => undefined);
    await session?.ask({ op: 'hello', token: `wrong-${number}` });
    session?.close();
  },
  'a socket that says nothing': async ({ broker }, number) => {
    const client = await RawClient.open(broker.http, addressOf(number));
    client.close();
  },
  'half a head': async ({ broker }, number) => {
    const client = await RawClient.open(broker.http, addressOf(number));
    client.write('GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgr');
    client.close();
  },
  'half a frame': async ({ broker }, number) => {
    const client = await RawClient.open(broker.http, addressOf(number));
    await client.upgrade().catch(() => {});
    client.write(frameHeader(2, 32 * KIB));
    client.write(Buffer.alloc(16 * KIB));
    client.close();
  },
  'a group that comes and goes': async (target, number) => {
    const group = `short-${number}`;
    await http(target, '/api/groups', { method: 'POST', body: JSON.stringify({ group }) });
    await http(target, `/api/groups/${group}`, { method: 'DELETE' });
  },
};

/** Leave a member of their group behind for a minute, as they should: only for those who have the time. */
const POLLS: Readonly<Record<string, Way>> = {
  'a poll that is given up': async (target, number) => {
    const query = `group=polls-${number % 4}&waitMs=50000&max=1&from=latest`;
    const signal = AbortSignal.timeout(500);
    await http(target, `/v1/topics/${target.topic}/messages?${query}`, { signal }).then(
      (response) => response.text(),
      () => undefined,
    );
  },
};

/** Lets so many clients come and go, a few at once, each way in turn. */
export async function churn(
  target: ChurnTarget,
  clients: number,
  hasPolls: boolean,
  atOnce = 8,
): Promise<void> {
  const ways = Object.values(hasPolls ? { ...WAYS, ...POLLS } : WAYS);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < clients) {
      const number = next;
      next += 1;
      await ways[number % ways.length]?.(target, number);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/**
 * Sends batches as fast as they are taken, for so long.
 *
 * @returns messages that were stored
 */
export async function ingest(
  target: ChurnTarget,
  seconds: number,
  connections = 2,
): Promise<number> {
  const end = systemClock.monotonicMs() + seconds * 1000;
  const messages = Array.from({ length: BATCH_MESSAGES }, () => BODY);
  const one = async (): Promise<number> => {
    const session = await RawSession.open(target.broker.ws);
    await session.ask({ op: 'hello', token: target.token });
    const { topicId } = await session.ask({ op: 'topic', topic: target.topic });
    let sent = 0;
    while (systemClock.monotonicMs() < end) {
      for (; sent - answered(session) < WINDOW; sent += 1) {
        const place = { topicId: Number(topicId), queueId: sent % 4, correlationId: sent + 1 };
        session.socket.send(sendBatchFrame({ ...place, messages }));
      }
      const floor = sent - WINDOW;
      await until('a batch is answered', () => answered(session) > floor);
    }
    await until('all batches are answered', () => answered(session) === sent);
    session.socket.close();
    await session.closed;
    return session.stored.length * BATCH_MESSAGES;
  };
  const stored = await Promise.all(Array.from({ length: connections }, one));
  return stored.reduce((sum, count) => sum + count, 0);
}

function answered(session: RawSession): number {
  return session.stored.length + session.frames.filter(({ op }) => op === 'error').length;
}
