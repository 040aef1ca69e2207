/**
 * Requests after their dialect was taken off: checked, with the defaults filled in. JSON frames, CONTROL frames and HTTP
 * all decode to these, so that no behaviour lives in a dialect. Types only. Browser-safe.
 */
import type { RecordInput } from '../batch/batch-builder.ts';
import type { StartPoint } from '../shard-control.ts';
import type { RequestId } from './messages.ts';

export type SendCommand = {
  readonly topic: string;
  /** At least one. */
  readonly records: readonly RecordInput[];
  readonly queueId: number | undefined;
  /** Empty: no dedup. */
  readonly producerId: string;
  readonly producerEpoch: number;
  /** Of the first record; 0 without a producer id. */
  readonly sequence: number;
};

export type SubscribeCommand = {
  readonly topic: string;
  readonly group: string;
  /** Tags in ascending order, or null for all messages. */
  readonly filter: readonly string[] | null;
  readonly from: StartPoint;
  readonly credit: number;
  /** Undefined: the broker's default. */
  readonly leaseMs: number | undefined;
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
  readonly filter: readonly string[] | null;
  readonly from: StartPoint;
  readonly max: number;
  readonly waitMs: number;
};

export type CheckedRequest =
  | { readonly op: 'hello'; readonly token: string | undefined; readonly client: string }
  | { readonly op: 'send'; readonly send: SendCommand }
  | { readonly op: 'topic'; readonly topic: string; readonly create: boolean | undefined }
  | { readonly op: 'subscribe'; readonly subscribe: SubscribeCommand }
  | { readonly op: 'unsubscribe'; readonly subscription: number }
  | { readonly op: 'credit'; readonly subscription: number; readonly more: number }
  | { readonly op: 'ack' | 'nack' | 'extend'; readonly settle: SettleCommand }
  | { readonly op: 'fetch'; readonly fetch: FetchCommand }
  | { readonly op: 'seek'; readonly seek: SeekCommand }
  | { readonly op: 'ping' };

/** The id of a request: absent, or as the client chose it; null when it could not be read. */
export type GivenId = RequestId | null | undefined;
