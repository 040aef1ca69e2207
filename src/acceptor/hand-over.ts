/**
 * One delivery to its consumer: as much as the credit allows goes out, what the filter leaves out is settled, and the rest
 * goes back to the shard as if it had not been sent. Main thread, within a duty cycle or when a file was read.
 */
import type { Clock } from '../base/clock.ts';
import { KIB } from '../base/units.ts';
import type { RecordMatcher } from '../filter/record-matcher.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import {
  SETTLE_ACK,
  SETTLE_DELAY_DEFAULT,
  SETTLE_NACK,
  SETTLE_RELEASE,
  SETTLE_UNREAD,
} from '../protocol/envelope-layout.ts';
import { isSqlFilter } from '../protocol/subscription-filter.ts';
import { selectionBytes, viewOf } from '../protocol/web/binary-codec.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import type { DeliveryEntry } from './delivery-entry.ts';
import type { MessageFrames } from './message-frames.ts';
import type { MessageRates } from './message-rates.ts';
import type { Session } from './session.ts';
import type { ShardLinks } from './shard-links.ts';
import type { SettleRange } from './shard-requests.ts';
import { openAt, storedAtMs } from './stored-extent.ts';
import type { Subscription } from './subscription.ts';

export type HandOverParts = {
  readonly clock: Clock;
  readonly links: ShardLinks;
  readonly frames: MessageFrames;
  readonly counters: AcceptorCounters;
  readonly rates: MessageRates;
  /** Told the session that was written to, and how much. */
  readonly wrote: (session: Session, bytes: number) => void;
};

const COPY_RECORDS_MIN = 4;
const COPY_BYTES: number = 64 * KIB;
const encoder = new TextEncoder();

export class HandOver {
  private readonly parts: HandOverParts;
  private readonly reader = new BatchReader();
  /** Records that the filter leaves out, of the delivery being handed over. */
  private skipped: SettleRange[] = [];
  private copy: Uint8Array = new Uint8Array(0);
  /** A bit for each record of the delivery being handed over: is it wanted? */
  private selection: Uint8Array = new Uint8Array(0);

  constructor(parts: HandOverParts) {
    this.parts = parts;
  }

  /** @param stored - the stored batch, valid until this returns */
  hand(subscription: Subscription, entry: DeliveryEntry, stored: Uint8Array): void {
    const { ledger } = subscription;
    const waitedMs = this.parts.clock.monotonicMs() - entry.arrivedAtMs;
    const leaseMs = Math.floor(entry.leaseMs - waitedMs);
    ledger.arrived(entry.shard, entry.count);
    if (leaseMs <= 0) {
      // The shard has ended the lease by itself; what it counts as credit is set anew.
      ledger.refuse(entry.shard);
      return;
    }
    const start = entry.baseOffset + entry.firstIndex;
    if (subscription.returned.mustFollow(entry.queueId, start, entry.returnsKnown)) {
      this.giveBack(subscription, entry, 0);
      return;
    }
    this.skipped = [];
    const records =
      subscription.sink.kind === 'binary'
        ? this.handFrame(subscription, entry, stored, leaseMs)
        : this.handMessages(subscription, entry, stored);
    this.settleSkipped(subscription, entry);
    subscription.returned.seen(entry.queueId, start, start + records);
    if (records < entry.count) this.giveBack(subscription, entry, records);
    ledger.balance(entry.shard);
  }

  /** The records of a delivery from number `handed` on go back to the shard. */
  giveBack(subscription: Subscription, entry: DeliveryEntry, handed: number): void {
    const first = entry.baseOffset + entry.firstIndex + handed;
    const count = entry.count - handed;
    this.parts.counters.messagesReleased += count;
    // Stopped first: what is given back must not come again at once.
    subscription.ledger.refuse(entry.shard);
    this.release(subscription, entry, first, count);
  }

  /** One message that had been handed over goes back. */
  giveBackOne(subscription: Subscription, entry: DeliveryEntry, queueOffset: number): void {
    this.parts.counters.messagesReleased += 1;
    this.release(subscription, entry, queueOffset, 1);
  }

  private release(
    subscription: Subscription,
    entry: DeliveryEntry,
    first: number,
    count: number,
  ): void {
    const number = subscription.returned.add(entry.queueId, first, first + count);
    this.settle(subscription, entry, {
      action: SETTLE_RELEASE,
      ranges: [rangeOf(entry, first, count)],
      argument: number,
    });
  }

  /** None of a delivery can ever be read: counts as a failed attempt, so that the group gets past it. */
  fail(subscription: Subscription, entry: DeliveryEntry, reason: string): void {
    this.refuse(subscription, entry, {
      action: SETTLE_NACK,
      argument: SETTLE_DELAY_DEFAULT,
      reason,
    });
  }

  /** The disk did not give a delivery: it comes again, later from time to time, and no attempt is counted. */
  postpone(subscription: Subscription, entry: DeliveryEntry): void {
    this.refuse(subscription, entry, { action: SETTLE_UNREAD, argument: 0 });
  }

  private refuse(
    subscription: Subscription,
    entry: DeliveryEntry,
    what: { readonly action: number; readonly argument: number; readonly reason?: string },
  ): void {
    const ranges = [rangeOf(entry, entry.baseOffset + entry.firstIndex, entry.count)];
    subscription.ledger.arrived(entry.shard, entry.count);
    subscription.ledger.refuse(entry.shard);
    this.settle(subscription, entry, { ...what, ranges });
  }

  /** @returns records dealt with, those that the filter leaves out included */
  private handFrame(
    subscription: Subscription,
    entry: DeliveryEntry,
    stored: Uint8Array,
    leaseMs: number,
  ): number {
    const { ledger, matcher, sink } = subscription;
    if (sink.kind !== 'binary') return 0;
    let records = Math.min(entry.count, ledger.credit);
    let taken = records;
    if (matcher !== null) {
      taken = 0;
      const selection = this.emptySelection(entry.count);
      openAt(this.reader, stored, viewOf(stored), entry.firstIndex);
      for (records = 0; records < entry.count && this.reader.next(); records += 1) {
        if (!this.isWanted(matcher)) {
          this.skip(entry, entry.baseOffset + this.reader.index);
          continue;
        }
        if (taken === ledger.credit) break;
        taken += 1;
        selection[records >>> 3] = (selection[records >>> 3] as number) | (1 << (records & 7));
      }
    }
    if (taken === 0) return records;
    ledger.take(taken);
    this.delivered(subscription, taken);
    // Which tags are wanted the client knows; what an SQL filter chose it is told.
    const selection = isSqlFilter(subscription.filter) ? this.selection : null;
    const frame = this.parts.frames.binary(entry, stored, { count: records, leaseMs, selection });
    sink.session.connection.sendBinary(frame);
    this.parts.wrote(sink.session, frame.length);
    return records;
  }

  private handMessages(
    subscription: Subscription,
    entry: DeliveryEntry,
    inPlace: Uint8Array,
  ): number {
    const { ledger, matcher, sink } = subscription;
    const stored = this.readable(inPlace, entry.count);
    const view = viewOf(stored);
    const storedAt = storedAtMs(view);
    let records = 0;
    openAt(this.reader, stored, view, entry.firstIndex);
    for (; records < entry.count && this.reader.next(); records += 1) {
      const queueOffset = entry.baseOffset + this.reader.index;
      if (matcher !== null && !this.isWanted(matcher)) {
        this.skip(entry, queueOffset);
        continue;
      }
      if (ledger.credit === 0 || subscription.state === 'gone') break;
      ledger.take(1);
      this.delivered(subscription, 1);
      const fields = this.parts.frames.json(subscription, entry, this.reader, storedAt);
      if (sink.kind === 'poll') sink.taker.take(`{${fields}}`, entry, queueOffset);
      else {
        const text = `{"op":"message","subscription":${subscription.number},${fields}}`;
        sink.session.connection.sendText(text);
        this.parts.wrote(sink.session, text.length);
      }
    }
    return records;
  }

  /**
   * The platform decodes no text from shared memory, so each would be copied by itself: with several records one copy of
   * the batch is cheaper.
   */
  private readable(stored: Uint8Array, records: number): Uint8Array {
    if (stored.buffer instanceof ArrayBuffer || records < COPY_RECORDS_MIN) return stored;
    if (this.copy.length < stored.length)
      this.copy = new Uint8Array(Math.max(COPY_BYTES, 2 ** Math.ceil(Math.log2(stored.length))));
    const copy = this.copy.subarray(0, stored.length);
    copy.set(stored);
    return copy;
  }

  private delivered(subscription: Subscription, count: number): void {
    this.parts.counters.messagesDelivered += count;
    this.parts.rates.took(subscription.rate, count);
  }

  private isWanted(matcher: RecordMatcher): boolean {
    const failures = matcher.failures;
    const isWanted = matcher.matches(this.reader);
    this.parts.counters.filterFailures += matcher.failures - failures;
    return isWanted;
  }

  private emptySelection(count: number): Uint8Array {
    const bytes = selectionBytes(count);
    if (this.selection.length < bytes) this.selection = new Uint8Array(2 * bytes);
    this.selection.fill(0, 0, bytes);
    return this.selection;
  }

  private skip(entry: DeliveryEntry, queueOffset: number): void {
    const last = this.skipped.at(-1);
    if (last !== undefined && last.queueOffset + last.count === queueOffset) last.count += 1;
    else this.skipped.push(rangeOf(entry, queueOffset, 1));
  }

  private settleSkipped(subscription: Subscription, entry: DeliveryEntry): void {
    if (this.skipped.length === 0) return;
    this.settle(subscription, entry, { action: SETTLE_ACK, ranges: this.skipped, argument: 0 });
  }

  /** Tells the shard without asking for an answer. */
  private settle(
    subscription: Subscription,
    entry: DeliveryEntry,
    what: {
      readonly action: number;
      readonly ranges: readonly SettleRange[];
      readonly argument: number;
      readonly reason?: string;
    },
  ): void {
    const { action, ranges, argument, reason = '' } = what;
    const link = this.parts.links.get(entry.shard);
    const rangesMax = link.settleRangesMax;
    for (let from = 0; from < ranges.length; from += rangesMax) {
      link.settle({
        session: 0,
        correlation: 0,
        groupId: subscription.group.groupId,
        topicId: entry.topicId,
        action,
        argument,
        ranges: ranges.slice(from, from + rangesMax),
        reason: encoder.encode(reason),
      });
    }
  }
}

function rangeOf(entry: DeliveryEntry, queueOffset: number, count: number): SettleRange {
  return { queueId: entry.queueId, queueOffset, count, leaseId: entry.leaseId };
}
