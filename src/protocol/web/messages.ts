/**
 * The requests and answers of docs/PROTOCOL.md, section 1, as types: what travels in JSON text frames and, as msgpack,
 * in CONTROL frames. Types and one table only; the acceptor checks what comes from outside. Browser-safe.
 */
import type { ErrorBody } from '../../base/errors.ts';
import type { SqlFilter } from '../subscription-filter.ts';

/** Any JSON value. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** A body of bytes in a JSON frame: base64. */
export type BytesBody = { readonly $bytes: string };

/** Chosen by the client; comes back in the answer. */
export type RequestId = string | number;

/** Where a group begins: an end of the queues, or a time (milliseconds since 1970, or ISO 8601). */
export type StartFrom = 'earliest' | 'latest' | (string & {}) | number;

/** Where `seek` sets a group: a start, or an offset per queue id. */
export type SeekTo = StartFrom | Readonly<Record<string, number>>;

/** `memory`: with the operating system; `disk`: synced; `replicated`: on a slave too. */
export type Durability = 'memory' | 'disk' | 'replicated';

/** One message of a `send`. */
export type SendMessage = {
  readonly body: JsonValue | BytesBody;
  readonly key?: string | null;
  readonly tag?: string | null;
  readonly properties?: Readonly<Record<string, string>>;
  /** Milliseconds after which it can be seen, counted from its arrival. */
  readonly delayMs?: number;
  /** Instead: the time, in milliseconds since 1970 by the broker's clock. */
  readonly deliverAt?: number;
};

type Request<Op extends string> = { readonly op: Op; readonly id?: RequestId };

export type HelloRequest = Request<'hello'> & { readonly token?: string; readonly client?: string };
export type SendRequest = Request<'send'> & {
  readonly topic: string;
  readonly queueId?: number;
  readonly producerId?: string;
  readonly producerEpoch?: number;
  readonly sequence?: number;
  /** The message is half of a transaction of this producer group: seen when it is committed. One message only. */
  readonly transactionGroup?: string;
} & (SendMessage | { readonly messages: readonly SendMessage[] });
export type TopicRequest = Request<'topic'> & {
  readonly topic: string;
  readonly create?: boolean;
};
export type SubscribeRequest = Request<'subscribe'> & {
  readonly topic: string;
  readonly group: string;
  readonly filter?: string | SqlFilter;
  readonly from?: StartFrom;
  readonly credit?: number;
  readonly leaseMs?: number;
  readonly ordered?: boolean;
  readonly member?: string;
};
export type UnsubscribeRequest = Request<'unsubscribe'> & { readonly subscription: number };
export type CreditRequest = Request<'credit'> & { readonly subscription: number } & (
    | { readonly more: number }
    | { readonly less: number }
  );
export type AckRequest = Request<'ack'> & { readonly tokens: readonly string[] };
export type NackRequest = Request<'nack'> & {
  readonly tokens: readonly string[];
  readonly delayMs?: number;
  readonly reason?: string;
};
export type ExtendRequest = Request<'extend'> & {
  readonly tokens: readonly string[];
  readonly leaseMs: number;
};
export type FetchRequest = Request<'fetch'> & {
  readonly topic: string;
  readonly queueId: number;
  readonly offset: number;
  readonly max?: number;
  readonly waitMs?: number;
};
export type SeekRequest = Request<'seek'> & {
  readonly topic: string;
  readonly group: string;
  readonly to: SeekTo;
};
export type DelayedRequest = Request<'delayed'> & {
  readonly topic: string;
  readonly key?: string;
  readonly max?: number;
};
export type CancelDelayedRequest = Request<'cancelDelayed'> & {
  readonly topic: string;
  readonly key?: string;
  readonly messageId?: string;
};
export type CheckTransactionsRequest = Request<'checkTransactions'> & { readonly group: string };
export type EndTransactionRequest = Request<'endTransaction'> & {
  readonly messageId: string;
  readonly decision: 'commit' | 'rollback';
  readonly group?: string;
};
export type PingRequest = Request<'ping'>;

/** Everything a client may ask. */
export type ClientRequest =
  | HelloRequest
  | SendRequest
  | TopicRequest
  | SubscribeRequest
  | UnsubscribeRequest
  | CreditRequest
  | AckRequest
  | NackRequest
  | ExtendRequest
  | FetchRequest
  | SeekRequest
  | DelayedRequest
  | CancelDelayedRequest
  | CheckTransactionsRequest
  | EndTransactionRequest
  | PingRequest;

export type RequestOp = ClientRequest['op'];

/** The fields of each op beside `op` and `id`; any other is refused, so that a typing error shows. */
export const REQUEST_FIELDS: Readonly<Record<RequestOp, readonly string[]>> = {
  hello: ['token', 'client'],
  send: [
    'topic',
    'body',
    'key',
    'tag',
    'properties',
    'messages',
    'queueId',
    'producerId',
    'producerEpoch',
    'sequence',
    'delayMs',
    'deliverAt',
    'transactionGroup',
  ],
  topic: ['topic', 'create'],
  subscribe: ['topic', 'group', 'filter', 'from', 'credit', 'leaseMs', 'ordered', 'member'],
  unsubscribe: ['subscription'],
  credit: ['subscription', 'more', 'less'],
  ack: ['tokens'],
  nack: ['tokens', 'delayMs', 'reason'],
  extend: ['tokens', 'leaseMs'],
  fetch: ['topic', 'queueId', 'offset', 'max', 'waitMs'],
  seek: ['topic', 'group', 'to'],
  delayed: ['topic', 'key', 'max'],
  cancelDelayed: ['topic', 'key', 'messageId'],
  checkTransactions: ['group'],
  endTransaction: ['messageId', 'decision', 'group'],
  ping: [],
};

/** The fields of one message of a `send`. */
export const MESSAGE_FIELDS: readonly string[] = [
  ...['body', 'key', 'tag', 'properties', 'delayMs', 'deliverAt'],
];

type Answer<Op extends string> = { readonly op: Op; readonly id?: RequestId | null };

/** What a connection may use; requests above are refused. */
export type WelcomeLimits = {
  readonly frameBytes: number;
  readonly batchBytes: number;
  readonly bodyBytes: number;
  /** Unanswered requests of one connection. */
  readonly inFlight: number;
  readonly credit: number;
  /** Unanswered batches per producer and queue. */
  readonly producerBatches: number;
};

/** Which broker answered: what message ids begin with. */
export type BrokerIdentity = {
  readonly name: string;
  /** IPv4 address. */
  readonly address: string;
  readonly port: number;
};

export type WelcomeAnswer = Answer<'welcome'> & {
  readonly version: number;
  readonly broker: BrokerIdentity;
  readonly limits: WelcomeLimits;
  readonly authenticated: boolean;
};

/** One stored message of a `send`. */
export type WireReceipt = {
  readonly queueId: number;
  /** -1: a duplicate too old to know, or a message that cannot be seen yet. */
  readonly queueOffset: number;
  readonly messageId: string;
  readonly durability: Durability;
  readonly duplicate: boolean;
  /** Only of a delayed message: when it can be seen; null: a duplicate of one that does not wait any more. */
  readonly deliverAt?: number | null;
  /** Only of a half message: it can be seen when its transaction is committed. */
  readonly half?: true;
};
/** A message that waits for its time. */
export type DelayedMessage = {
  readonly messageId: string;
  readonly queueId: number;
  readonly key: string | null;
  readonly tag: string | null;
  /** Milliseconds since 1970. */
  readonly deliverAt: number;
  readonly bornAt: number;
};
export type DelayedAnswer = Answer<'delayed'> & {
  /** What is due first, first. */
  readonly messages: readonly DelayedMessage[];
  /** Messages of the topic that wait, whatever their key. */
  readonly waiting: number;
};
/** A half message that waits for the end of its transaction. */
export type WireHalf = {
  readonly messageId: string;
  readonly topic: string;
  readonly queueId: number;
  /** Producer group. */
  readonly group: string;
  readonly key: string | null;
  readonly tag: string | null;
  readonly bornAt: number;
  /** How often a producer of the group was asked. */
  readonly checks: number;
  /** Milliseconds since 1970; null: nobody is asked any more. */
  readonly nextCheckAt: number | null;
};
export type EndTransactionAnswer = Answer<'endTransaction'> & {
  /** What holds, whichever request decided it. */
  readonly outcome: 'committed' | 'rolledBack' | 'notFound';
};
/** A question to a producer of a group: what became of this transaction? Not an answer. */
export type CheckEvent = WireMessage & {
  readonly op: 'check';
  readonly group: string;
  readonly checks: number;
};
/** `cancelled`: it will not be delivered; `delivered`: it can be seen already; `notFound`: nothing of the kind is known. */
export type CancelOutcome = 'cancelled' | 'delivered' | 'notFound';
export type CancelDelayedAnswer = Answer<'cancelDelayed'> & {
  readonly outcome: CancelOutcome;
  /** Those that were cancelled by this request. */
  readonly messageIds: readonly string[];
};
export type SentAnswer = Answer<'sent'> & { readonly receipts: readonly WireReceipt[] };
export type TopicAnswer = Answer<'topic'> & {
  readonly topic: string;
  readonly topicId: number;
  /** Number of queues. */
  readonly queues: number;
};
export type SubscribedAnswer = Answer<'subscribed'> & {
  readonly subscription: number;
  readonly group: string;
  readonly topic: string;
};
export type OkAnswer = Answer<'ok'>;
export type PongAnswer = Answer<'pong'>;

/** A message as JSON. */
export type WireMessage = {
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly messageId: string;
  readonly key: string | null;
  readonly tag: string | null;
  readonly properties: Readonly<Record<string, string>>;
  readonly body: JsonValue | BytesBody;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
};
export type FetchedAnswer = Answer<'fetched'> & {
  readonly messages: readonly WireMessage[];
  readonly nextOffset: number;
  readonly minOffset: number;
  /** One past the last message. */
  readonly maxOffset: number;
};
/** A delivery to a JSON subscription; not an answer. */
export type MessageEvent = WireMessage & {
  readonly op: 'message';
  readonly subscription: number;
  readonly attempt: number;
  readonly token: string;
  /** With `ordered`: rises with each delivery of a queue, whoever gets it. */
  readonly fence?: number;
};
export type ErrorAnswer = Answer<'error'> & ErrorBody;

/** Everything a broker may send in a JSON or CONTROL frame. */
export type BrokerAnswer =
  | WelcomeAnswer
  | SentAnswer
  | TopicAnswer
  | SubscribedAnswer
  | OkAnswer
  | PongAnswer
  | FetchedAnswer
  | DelayedAnswer
  | CancelDelayedAnswer
  | EndTransactionAnswer
  | CheckEvent
  | MessageEvent
  | ErrorAnswer;
