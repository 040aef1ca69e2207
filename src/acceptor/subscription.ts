/** One subscription: what it reads, its credit, and where its messages go. */
import type { RecordMatcher } from '../filter/record-matcher.ts';
import type { GroupRecord, StartPoint, TopicRecord } from '../protocol/shard-control.ts';
import type { SubscriptionFilter } from '../protocol/subscription-filter.ts';
import type { CreditLedger } from './credit-ledger.ts';
import type { DeliveryEntry } from './delivery-entry.ts';
import type { RateWindow } from './rate-window.ts';
import type { ReturnedRanges } from './returned-ranges.ts';
import type { Session } from './session.ts';

/** Takes messages as JSON text: an HTTP poll. */
export interface MessageTaker {
  /**
   * One message, with braces; never more than the subscription's credit.
   *
   * @param entry - the delivery it is of, to give it back when the poll ends unheard
   */
  take(json: string, entry: DeliveryEntry, queueOffset: number): void;
}

/** Where messages go: frames of a connection, or polls. */
export type Sink =
  | { readonly kind: 'binary' | 'json'; readonly session: Session }
  | { readonly kind: 'poll'; readonly taker: MessageTaker };

export type Subscription = {
  /** Unique in the broker's life. */
  readonly number: number;
  readonly group: GroupRecord;
  readonly topic: TopicRecord;
  readonly filter: SubscriptionFilter;
  /** The same, compiled; null: all messages. */
  readonly matcher: RecordMatcher | null;
  readonly rate: RateWindow;
  readonly from: StartPoint;
  readonly leaseMs: number;
  readonly ordered: boolean;
  /** As operators see it. */
  readonly member: string;
  readonly sink: Sink;
  readonly ledger: CreditLedger;
  readonly returned: ReturnedRanges;
  /** Shards that have been told of it, by number. */
  readonly attachedTo: Set<number>;
  /** Deliveries that must be read from files, and those behind them, in order. */
  readonly cold: DeliveryEntry[];
  /** Cold reads under way, of the first entries of `cold`. */
  coldReading: number;
  /** Cold reads under way of what has left `cold` meanwhile. */
  coldStray: number;
  /** `active` once it may be given queues; `gone` when it ended. */
  state: 'attaching' | 'active' | 'gone';
};

/** The session that a subscription's frames go to; undefined for polls. */
export function sessionOf(subscription: Subscription): Session | undefined {
  return subscription.sink.kind === 'poll' ? undefined : subscription.sink.session;
}
