/**
 * Requests after their dialect was taken off: checked, with the defaults filled in. JSON frames, CONTROL frames and HTTP
 * all decode to these, so that no behaviour lives in a dialect. Types only. Browser-safe.
 */
import type { RecordInput } from '../batch/batch-builder.ts';
import type { StartPoint } from '../shard-control.ts';
import type { SubscriptionFilter } from '../subscription-filter.ts';
import type { RequestId } from './messages.ts';

/** When a message is to be seen: milliseconds from its arrival, or milliseconds since 1970. */
export type Deferral = { readonly delayMs: number } | { readonly deliverAt: number };

/** A message as it is sent; without `deferral` it can be seen as soon as it is safe. */
export type SendRecord = RecordInput & { readonly deferral?: Deferral | undefined };

export type SendCommand = {
  readonly topic: string;
  /** At least one. */
  readonly records: readonly SendRecord[];
  readonly queueId: number | undefined;
  /** Empty: no dedup. */
  readonly producerId: string;
  readonly producerEpoch: number;
  /** Of the first record; 0 without a producer id. */
  readonly sequence: number;
  /** The one message is half of a transaction of this producer group. */
  readonly transactionGroup?: string | undefined;
};

export type SubscribeCommand = {
  readonly topic: string;
  readonly group: string;
  readonly filter: SubscriptionFilter;
  readonly from: StartPoint;
  readonly credit: number;
  /** Undefined: the broker's default. */
  readonly leaseMs: number | undefined;
  /** One message of a queue at a time, the next after its ack. */
  readonly ordered: boolean;
  readonly member: string;
};

export type FetchCommand = {
  readonly topic: string;
  readonly queueId: number;
  readonly offset: number;
  readonly max: number;
  readonly waitMs: number;
};

export type SettleCommand = {
  readonly tokens: readonly string[];
  /** SETTLE_ACK, SETTLE_NACK or SETTLE_EXTEND of envelope-layout.ts. */
  readonly action: number;
  /** Nack: delay in ms or SETTLE_DELAY_DEFAULT; extend: lease in ms; ack: 0. */
  readonly argument: number;
  readonly reason: string;
};

export type SeekCommand = {
  readonly topic: string;
  readonly group: string;
  readonly to: StartPoint;
};

/** One HTTP long poll. */
export type PollCommand = {
  readonly topic: string;
  readonly group: string;
  readonly filter: SubscriptionFilter;
  readonly from: StartPoint;
  readonly max: number;
  readonly waitMs: number;
};

/** Which delayed messages are meant: those with a key, or one by the id of its receipt. */
export type DelayedTarget = { readonly key: string } | { readonly messageId: string };

export type CheckedRequest =
  | { readonly op: 'hello'; readonly token: string | undefined; readonly client: string }
  | { readonly op: 'send'; readonly send: SendCommand }
  | { readonly op: 'topic'; readonly topic: string; readonly create: boolean | undefined }
  | { readonly op: 'subscribe'; readonly subscribe: SubscribeCommand }
  | { readonly op: 'unsubscribe'; readonly subscription: number }
  /** More or less: one of them is 0. */
  | {
      readonly op: 'credit';
      readonly subscription: number;
      readonly more: number;
      readonly less: number;
    }
  | { readonly op: 'ack' | 'nack' | 'extend'; readonly settle: SettleCommand }
  | { readonly op: 'fetch'; readonly fetch: FetchCommand }
  | { readonly op: 'seek'; readonly seek: SeekCommand }
  | {
      readonly op: 'delayed';
      readonly topic: string;
      readonly key: string | undefined;
      readonly max: number;
    }
  | { readonly op: 'cancelDelayed'; readonly topic: string; readonly target: DelayedTarget }
  | { readonly op: 'checkTransactions'; readonly group: string }
  | {
      readonly op: 'endTransaction';
      readonly messageId: string;
      readonly isCommit: boolean;
      readonly group: string | undefined;
    }
  | { readonly op: 'ping' };

/** The id of a request: absent, or as the client chose it; null when it could not be read. */
export type GivenId = RequestId | null | undefined;
