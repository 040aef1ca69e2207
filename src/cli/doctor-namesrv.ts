/** The way of a client that knows NameServers: each of them, the route, and every address of every broker in it. */
import { systemClock } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import { NameServers } from '../client/name-servers.ts';
import { nodeRuntime } from '../client/node.ts';
import type { RouteBroker } from '../client/route-answer.ts';
import { reachableAddresses } from '../client/servers.ts';
import { type Finding, finding } from './doctor-check.ts';
import { checkNetwork } from './doctor-network.ts';
import { type NamesrvTargetOptions, namesrvUrls, targetOfMember } from './namesrv-target.ts';

const ANSWER_MS_MAX = 5000;

/** As `/v1/cluster` of a NameServer names them. */
type RefusedBroker = {
  readonly brokerName: string;
  readonly brokerId: number;
  readonly brokerAddr: string;
  readonly holderAddr: string;
};

/** @param topic - to look up; undefined: all brokers */
export async function* checkNamesrv(
  options: NamesrvTargetOptions,
  topic: string | undefined,
): AsyncGenerator<Finding> {
  const urls = namesrvUrls(options);
  const answers = new Map<string, readonly RouteBroker[]>();
  for (const url of urls) yield await checkOne(url, answers);
  const [first] = answers;
  if (first === undefined) return;
  yield checkSame(answers);
  for (const url of answers.keys()) yield* await checkRefused(url);
  const [url, all] = first;
  let brokers = all;
  if (topic !== undefined) {
    const servers = new NameServers(nodeRuntime(), [...answers.keys()], ANSWER_MS_MAX);
    try {
      brokers = (await servers.route(topic)).value;
      const queues = brokers.reduce((sum, broker) => sum + broker.queues, 0);
      const text = `${topic} is on ${brokers.map(({ brokerName }) => brokerName).join(', ')}, ${queues} queues`;
      yield finding('route', 'ok', text);
      yield* brokers.filter(({ mayWrite }) => !mayWrite).map(notWritable);
    } catch (error) {
      const { message, hint } = toSluiceError(error);
      yield finding('route', 'fail', message, hint ?? null);
      return;
    }
  }
  for (const broker of brokers) yield* checkBroker(broker, url, options, topic);
}

async function checkOne(
  url: string,
  answers: Map<string, readonly RouteBroker[]>,
): Promise<Finding> {
  const servers = new NameServers(nodeRuntime(), [url], ANSWER_MS_MAX);
  const startMs = systemClock.monotonicMs();
  try {
    const { value } = await servers.cluster();
    answers.set(url, value);
    const names = value.map(({ brokerName }) => brokerName).join(', ');
    const ms = systemClock.monotonicMs() - startMs;
    if (value.length > 0) return finding('namesrv', 'ok', `${url} knows ${names}`, null, ms);
    const next =
      'Start brokers with this NameServer in their namesrvAddr; see their /readyz for what keeps them.';
    return finding('namesrv', 'warn', `${url} knows no broker`, next, ms);
  } catch (error) {
    const next =
      'Start it with "sluice namesrv", or check address and firewall. Any other one is enough for clients.';
    return finding('namesrv', 'fail', toSluiceError(error).message, next);
  }
}

/** NameServers do not talk to each other: one that lacks a broker is one that the broker does not reach. */
function checkSame(answers: ReadonlyMap<string, readonly RouteBroker[]>): Finding {
  const all = new Set([...answers.values()].flat().map(({ brokerName }) => brokerName));
  for (const [url, brokers] of answers) {
    const names = new Set(brokers.map(({ brokerName }) => brokerName));
    const missing = [...all].filter((name) => !names.has(name));
    if (missing.length > 0)
      return finding(
        'namesrv',
        'warn',
        `${url} does not know ${missing.join(', ')}, which another one knows`,
        'Name all NameServers in the namesrvAddr of every broker.',
      );
  }
  return finding('namesrv', 'ok', `all that answer know the same brokers`);
}

/** Brokers that it does not take, because another one has their name and id, or their address. */
async function checkRefused(url: string): Promise<readonly Finding[]> {
  const { text } = await nodeRuntime().httpGet(`${url}/v1/cluster`, ANSWER_MS_MAX);
  const { refused = [] } = JSON.parse(text) as { readonly refused?: readonly RefusedBroker[] };
  return refused.map(({ brokerName, brokerId, brokerAddr, holderAddr }) =>
    brokerAddr === holderAddr
      ? finding(
          'duplicate',
          'fail',
          `two processes say that they are at ${brokerAddr}; ${url} does not take ${brokerName}, id ${brokerId}`,
          'Give each an address of its own (brokerIP1, frontDoorPort), or end one of them.',
        )
      : finding(
          'duplicate',
          'fail',
          `two brokers are ${brokerName}, id ${brokerId}: ${url} knows the one at ${holderAddr} and does not take the one at ${brokerAddr}`,
          'Give one of them another brokerName, or another brokerId, or end it.',
        ),
  );
}

function notWritable({ brokerName }: RouteBroker): Finding {
  const next =
    'Its master is away, or an operator took the right to write (mqadmin wipeWritePerm).';
  return finding('permission', 'warn', `${brokerName} takes no messages of it now`, next);
}

async function* checkBroker(
  broker: RouteBroker,
  nameServer: string,
  options: NamesrvTargetOptions,
  topic: string | undefined,
): AsyncGenerator<Finding> {
  for (const member of broker.members) {
    const who = `${broker.brokerName}, id ${member.brokerId}`;
    const addresses = reachableAddresses(member.webSocketAddrs, nameServer);
    if (addresses.length === 0)
      yield finding('address', 'skip', `${who} has no WebSocket: ${member.brokerAddr}`);
    for (const address of addresses) {
      const only = { ...member, webSocketAddrs: [new URL(address).host] };
      const target = targetOfMember(only, nameServer, options);
      if (target === undefined) continue;
      yield finding('address', 'ok', `${who} is at ${address}`);
      yield* checkNetwork(target, topic);
    }
  }
}
