/**
 * What NameServers answer about routes, read with care: they may be of another version, or not NameServers at all. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 9
 */
import { SluiceError } from '../base/errors.ts';

/** One broker process of a name. */
export type RouteMember = {
  /** 0: the master. */
  readonly brokerId: number;
  /** `host:port` by which RocketMQ's clients find it. */
  readonly brokerAddr: string;
  readonly position: number | undefined;
  readonly role: string | undefined;
  readonly epoch: number;
  /** `host:port`; empty for a broker that has no WebSocket. */
  readonly webSocketAddrs: readonly string[];
};

/** The brokers of one name; `queues` and `mayWrite` of the topic that was asked for. */
export type RouteBroker = {
  readonly brokerName: string;
  readonly cluster: string;
  /** In order of their ids. */
  readonly members: readonly RouteMember[];
  /** Those that are written. */
  readonly queues: number;
  readonly readQueues: number;
  readonly mayRead: boolean;
  readonly mayWrite: boolean;
};

const PERM_WRITE = 2;
const PERM_READ = 4;
const BROKERS_MAX = 4096;
const MEMBERS_MAX = 256;
const ADDRESSES_MAX = 8;
const QUEUES_MAX = 65_536;
const ADDRESS = /^(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9._-]*):\d{1,5}$/i;

type Fields = Readonly<Record<string, unknown>>;

function wrong(what: string): SluiceError {
  return new SluiceError('BAD_FRAME', `the NameServer's answer is wrong at ${what}`, {
    hint: 'Is this the port of a NameServer of SluiceMQ?',
  });
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(what);
  return value as Fields;
}

function listOf(value: unknown, max: number, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > max) throw wrong(what);
  return value;
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '' || value.length > 255) throw wrong(what);
  return value;
}

function integerOf(value: unknown, max: number, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max)
    throw wrong(what);
  return value;
}

function memberOf(value: unknown): RouteMember {
  const fields = fieldsOf(value, 'members');
  const addresses = listOf(fields['webSocketAddrs'], ADDRESSES_MAX, 'webSocketAddrs');
  const { role, position } = fields as { readonly role?: unknown; readonly position?: unknown };
  return {
    brokerAddr: textOf(fields['brokerAddr'], 'brokerAddr'),
    position: typeof position === 'number' ? position : undefined,
    brokerId: integerOf(fields['brokerId'], Number.MAX_SAFE_INTEGER, 'brokerId'),
    role: typeof role === 'string' ? role : undefined,
    epoch: integerOf(fields['epoch'], Number.MAX_SAFE_INTEGER, 'epoch'),
    webSocketAddrs: addresses.map((address) => {
      const text = textOf(address, 'webSocketAddrs');
      if (!ADDRESS.test(text) || !URL.canParse(`ws://${text}`)) throw wrong('webSocketAddrs');
      return text;
    }),
  };
}

/** @param hasTopic - queues and rights are asked for too */
function brokerOf(value: unknown, hasTopic: boolean): RouteBroker {
  const fields = fieldsOf(value, 'brokers');
  const perm = hasTopic ? integerOf(fields['perm'], 0xffff, 'perm') : PERM_READ | PERM_WRITE;
  const queues = hasTopic ? integerOf(fields['writeQueueNums'], QUEUES_MAX, 'writeQueueNums') : 0;
  const readQueues = hasTopic ? integerOf(fields['readQueueNums'], QUEUES_MAX, 'readQueueNums') : 0;
  const members = listOf(fields['members'], MEMBERS_MAX, 'members').map(memberOf);
  return {
    brokerName: textOf(fields['brokerName'], 'brokerName'),
    cluster: textOf(fields['cluster'], 'cluster'),
    members: members.sort((one, other) => one.brokerId - other.brokerId),
    queues,
    readQueues,
    mayRead: (perm & PERM_READ) !== 0,
    mayWrite: (perm & PERM_WRITE) !== 0 && (queues > 0 || !hasTopic),
  };
}

function readBrokers(text: string, hasTopic: boolean): readonly RouteBroker[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong('its beginning: it is not JSON');
  }
  const list = listOf(fieldsOf(value, 'the object')['brokers'], BROKERS_MAX, 'brokers');
  const brokers = list.map((one) => brokerOf(one, hasTopic));
  // The same for every client: keys are spread over them in this order.
  return brokers.sort((one, other) => (one.brokerName < other.brokerName ? -1 : 1));
}

/** The brokers of a topic. @throws BAD_FRAME */
export function readRoute(text: string): readonly RouteBroker[] {
  return readBrokers(text, true);
}

/** All brokers. @throws BAD_FRAME */
export function readCluster(text: string): readonly RouteBroker[] {
  return readBrokers(text, false);
}

/** The error in a refusal; undefined when it is none of ours. */
export function readRefusal(text: string): SluiceError | undefined {
  try {
    const error = fieldsOf(fieldsOf(JSON.parse(text), 'the object')['error'], 'error');
    return SluiceError.fromBody(error as Parameters<typeof SluiceError.fromBody>[0]);
  } catch {
    return undefined;
  }
}
