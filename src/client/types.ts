/** What users of the client give and get: options, messages, events. Types only. Browser-safe. */
import type { SluiceError } from '../base/errors.ts';
import type { SqlFilter } from '../protocol/subscription-filter.ts';
import type { JsonValue, StartFrom } from '../protocol/web/messages.ts';
import type { Outbox } from './outbox.ts';
import type { BatchReceipt } from './receipt.ts';

export type { Durability, JsonValue, SeekTo, StartFrom } from '../protocol/web/messages.ts';

/** How to stop waiting. */
export type WaitOptions = {
  /** Stops the wait; the promise rejects with the signal's reason. What was sent already may still be carried out. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until the promise rejects with TIMEOUT. */
  readonly timeoutMs?: number | undefined;
};

/** What happens to the connection, for logs and dashboards. */
export type StatusEvent =
  | { readonly type: 'connected'; readonly server: string; readonly broker: string }
  | { readonly type: 'disconnected'; readonly server: string; readonly error: SluiceError }
  | {
      readonly type: 'reconnecting';
      readonly server: string;
      /** Tries that failed in a row. */
      readonly failures: number;
      readonly delayMs: number;
    }
  /** A queue refused a batch for now; it is sent again after `delayMs`. */
  | {
      readonly type: 'held-back';
      readonly topic: string;
      readonly queueId: number;
      readonly delayMs: number;
      readonly error: SluiceError;
    }
  /** The broker does not have what it had acknowledged to this producer: it lost data, or is another broker. */
  | {
      readonly type: 'sequence-lost';
      readonly topic: string;
      readonly queueId: number;
      readonly error: SluiceError;
    }
  /** Messages went from a broker that is away or refuses to others; in doubt: their broker may have stored them, too. */
  | {
      readonly type: 'moved';
      readonly topic: string;
      readonly server: string;
      readonly messageCount: number;
      readonly inDoubt: boolean;
    }
  /** No NameServer gives a route; what is known goes on to be used. */
  | { readonly type: 'route-failed'; readonly error: SluiceError }
  /** Acks, nacks or extensions that were refused and that nobody waited for. */
  | { readonly type: 'settle-failed'; readonly topic: string; readonly error: SluiceError }
  /** A delivered batch whose checksum or form is wrong; it was given back. */
  | {
      readonly type: 'corrupt-delivery';
      readonly topic: string;
      readonly queueId: number;
      readonly queueOffset: number;
      readonly error: SluiceError;
    }
  /** The broker sent something that this client does not understand. */
  | { readonly type: 'protocol-error'; readonly error: SluiceError }
  /** The `check` of a transaction producer threw, or its answer could not be sent: the broker asks again. */
  | { readonly type: 'check-failed'; readonly error: SluiceError }
  /**
   * The outbox is full, cannot be opened or cannot be changed; `error` tells which. Messages that it could not take
   * fail besides; what it could not forget is sent again later, and not stored twice.
   */
  | { readonly type: 'outbox-failed'; readonly error: SluiceError }
  | { readonly type: 'closed'; readonly error: SluiceError | undefined };

/** Which brokers to connect to, and how patiently. */
export type ConnectOptions = {
  /** Addresses of one broker, tried in turn: `ws://host:8880`, `wss://…`, or `host:8880`. Either these or `nameServers`. */
  readonly servers?: string | readonly string[] | undefined;
  /** Addresses of NameServers, any of which knows the brokers of the cluster: `host:9876`, `http(s)://…`. */
  readonly nameServers?: string | readonly string[] | undefined;
  /** Milliseconds between two looks at the routes; default 30,000. After an error they are looked at at once. */
  readonly routeRefreshMs?: number | undefined;
  /** The broker's `authToken`. */
  readonly token?: string | undefined;
  /** Name of this client, shown to operators. */
  readonly name?: string | undefined;
  /** Milliseconds until one server must have answered; default 5000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Milliseconds until a request must be answered, reconnects included; default 10,000. */
  readonly requestTimeoutMs?: number | undefined;
  /** Milliseconds of silence after which the broker is asked whether it is there; default 10,000. */
  readonly pingIntervalMs?: number | undefined;
  /** Milliseconds until it must have answered that; default 5000. */
  readonly pingTimeoutMs?: number | undefined;
  /** Ceiling of the first delay before a reconnect, milliseconds; default 50. It doubles, with jitter. */
  readonly reconnectMinMs?: number | undefined;
  /** Ceiling of all delays before a reconnect, milliseconds; default 10,000. */
  readonly reconnectMaxMs?: number | undefined;
  /** False: `connect` returns at once and the client connects when it can (a page that starts offline); default true. */
  readonly waitForConnection?: boolean | undefined;
  /** Told of every status event; must not throw. */
  readonly onStatus?: ((event: StatusEvent) => void) | undefined;
  /** Gives up connecting; has no effect afterwards. */
  readonly signal?: AbortSignal | undefined;
};

/** A message as it is sent. */
export type OutgoingMessage = {
  readonly topic: string;
  /** Messages of one key go to one queue, in order. At most 1024 bytes. */
  readonly key?: string | undefined;
  /** What consumers filter by. At most 255 bytes. */
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** Bytes and strings as they are, anything else as JSON; at most 4 MiB. */
  readonly body: Uint8Array | JsonValue;
  /** Milliseconds after which it can be seen, counted from when the broker has it. Default: at once. */
  readonly delayMs?: number | undefined;
  /** Instead: the time, as a date or in milliseconds since 1970. The broker's clock decides. */
  readonly deliverAt?: Date | number | undefined;
};

/** How a producer batches, how much it holds, and who it is. */
export type ProducerOptions = {
  /** Milliseconds that a message may wait for others to share its batch; default 2. 0: until the end of this turn. */
  readonly lingerMs?: number | undefined;
  /** Bytes of a batch; a larger message makes a batch of its own. Default 16,384, range 1024 to the broker's limit. */
  readonly batchBytes?: number | undefined;
  /** Unanswered batches per queue; default 64, range 1 to 64 (what the broker remembers for dedup). */
  readonly maxInFlight?: number | undefined;
  /** Bytes of batches, unsent and unanswered; `send` waits above it. Default 32 MiB. */
  readonly bufferBytes?: number | undefined;
  /** Milliseconds until a send that is not answered rejects with TIMEOUT; default 30,000. 0: never. */
  readonly sendTimeoutMs?: number | undefined;
  /** Identity for dedup; default: a new random one. At most 64 bytes. */
  readonly producerId?: string | undefined;
  /**
   * Generation of the producer id; a higher one shuts older instances out. Default: 0 for a random id, and the
   * seconds since 1970 for an id of yours, so that a restarted process does not take up its old sequences.
   */
  readonly producerEpoch?: number | undefined;
  /**
   * In a cluster, while the broker of a key's queue is away: `kept` (default) waits for it, because only its queue keeps the
   * order of the key; `available` sends to another broker, and the key's messages may be consumed in another order.
   */
  readonly keyOrder?: 'kept' | 'available' | undefined;
  /**
   * In a cluster: milliseconds after which messages that were sent and not answered when their broker went away are sent to
   * another one; default 5000. If the first has them, they are stored twice. Infinity: they wait for their broker.
   */
  readonly moveInDoubtMs?: number | undefined;
  /** Keeps what is not acknowledged over reloads of the page: `indexedDbOutbox(…)`. */
  readonly outbox?: Outbox | undefined;
  /** Told of every stored batch, whichever way its messages came; must not throw. */
  readonly onReceipt?: ((receipt: BatchReceipt) => void) | undefined;
  /** Told of messages given to `push` that were refused for good; without it `flush` and `close` reject. Must not throw. */
  readonly onFailure?: ((failure: PushFailure) => void) | undefined;
};

/** Messages given to `push` that were not stored, or not certainly. */
export type PushFailure = {
  readonly error: SluiceError;
  readonly topic: string;
  readonly messageCount: number;
};

/** Which messages of which topic, as a member of which group. */
export type ConsumerOptions = {
  readonly topic: string;
  readonly group: string;
  /**
   * `a || b`: messages with one of these tags; or `{ sql: "price > 10.0 AND region = 'eu'" }`: messages whose properties
   * fulfil it. Members of a group must agree. Default: all.
   */
  readonly filter?: string | SqlFilter | undefined;
  /** Where the group begins if it has no position yet; default `latest`. */
  readonly from?: StartFrom | undefined;
  /** Messages that may be here unsettled; default 1000. */
  readonly credit?: number | undefined;
  /** Milliseconds until an unsettled message is given to another member; default 30,000. */
  readonly leaseMs?: number | undefined;
  /**
   * One message of a queue at a time, the next when it is acked: a nack holds its queue until the message has been delivered
   * again and acked, or is a dead letter. Members of a group must agree. Default false.
   */
  readonly ordered?: boolean | undefined;
  /** Name of this member, shown to operators; default: the client's name. */
  readonly member?: string | undefined;
  /** Milliseconds that acks wait for others to share their frame; default 1. */
  readonly ackLingerMs?: number | undefined;
};

/** How `Consumer.run` calls its handler. */
export type RunOptions = {
  /** Handlers at the same time; default 1, which keeps the order of each queue. */
  readonly concurrency?: number | undefined;
  /** Extends the lease of a message while its handler works; default true. */
  readonly autoExtend?: boolean | undefined;
  /** Stops the run as `close` does, but leaves the consumer open. */
  readonly signal?: AbortSignal | undefined;
};

/** When a message is delivered again, and why it failed. */
export type NackOptions = {
  /** Milliseconds until it is delivered again; default: the group's back-off. */
  readonly delayMs?: number | undefined;
  /** Why; kept with the message if it goes to the dead-letter topic. At most 1024 bytes are kept. */
  readonly reason?: string | undefined;
};

/** Which messages of a queue to read. */
export type FetchOptions = {
  readonly topic: string;
  readonly queueId: number;
  /** Name of the broker whose queue it is; needed where several have the topic. */
  readonly broker?: string | undefined;
  /** First message wanted. */
  readonly offset: number;
  /** Messages at most; default 32. */
  readonly max?: number | undefined;
  /** Milliseconds to wait for a first message; default 0. */
  readonly waitMs?: number | undefined;
} & WaitOptions;
