/**
 * What one group has done with one queue: settled through, settled above that, on lease, to be delivered again. Pure state
 * with the rules of at-least-once delivery; time, log and network are its callers'. Offsets are [start, end).
 *
 *   settledThrough          cursor
 *   ───────┬──────────────────┬───────────────▶ queue offset
 *   settled│ leased · retrying│ not delivered yet
 *          │ · settled above  │
 */
import { invariant } from '../base/assert.ts';
import { GROUP_QUEUE_LEASES_MAX, GROUP_QUEUE_WINDOW_MAX } from '../base/limits.ts';
import { RangeSet } from '../base/range-set.ts';
import { type RetryEntry, RetryQueue } from './retry-queue.ts';

/** Messages given to a subscription until a time. */
export type Lease = {
  readonly id: number;
  readonly subscription: number;
  readonly attempt: number;
  deadlineMs: number;
  /** How often in a row the disk did not give these messages, before this delivery. */
  readonly unread: number;
  /** Not settled yet; disjoint, in order, never empty. */
  readonly open: RangeSet;
  openCount: number;
};

/** What to deliver next: at most up to `end`. */
export type NextRange = {
  readonly start: number;
  readonly end: number;
  readonly attempt: number;
  readonly isRetry: boolean;
  /** Why the last delivery failed. */
  readonly reason: string;
  /** How often in a row the disk did not give them. */
  readonly unread: number;
};

export class GroupQueue {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  settledThrough: number;
  /** First offset that was never delivered. */
  cursor: number;
  /** Subscription that the queue is assigned to; 0 for none. Set by `assign`. */
  owner = 0;
  /** One message at a time, and none before those in front of it are settled. Set by `assign`. */
  isOrdered = false;
  /** Number of the owner's last return: told with each delivery, so that it knows which were sent before. */
  returnsKnown = 0;
  /** Leases of subscriptions that had the queue before. */
  private foreignLeases = 0;
  /** Retried runs above the cursor of a state that was rebuilt: not to be delivered a second time as new. */
  private readonly gaps = new RangeSet();
  /** Messages on lease. */
  inFlight = 0;
  readonly settled: RangeSet = new RangeSet();
  readonly retries: RetryQueue = new RetryQueue();
  /** On their way to the dead-letter topic: neither delivered nor settled meanwhile. */
  private readonly takenOut = new RetryQueue();
  private readonly leases = new Map<number, Lease>();
  /** No lease ends before this: a lower bound, so that most looks at the clock cost one comparison. */
  private deadlineMinMs: number = Number.POSITIVE_INFINITY;

  constructor(groupId: number, topicId: number, queueId: number, offset: number) {
    this.groupId = groupId;
    this.topicId = topicId;
    this.queueId = queueId;
    this.settledThrough = offset;
    this.cursor = offset;
  }

  /**
   * What comes next for the owner: a due retry first, else the messages after the cursor. Nothing while messages of a
   * former owner are still out, so that a queue is never worked on in two places. What has used up its attempts needs no
   * owner: nobody will be given it. In an ordered queue nothing passes what is out or waits for its time; of the range that is
   * given only the first message may be leased.
   *
   * @param visibleEnd - one past the last message that may be seen
   */
  next(visibleEnd: number, nowMs: number, attemptsMax: number): NextRange | undefined {
    const due = this.retries.peek(nowMs);
    // After a start it may be known of a message that it comes again, and not yet that it may be seen.
    const retry = due !== undefined && due.start < visibleEnd ? due : undefined;
    const isUsedUp = retry !== undefined && retry.attempt > attemptsMax;
    if (!isUsedUp && (this.owner === 0 || this.foreignLeases > 0)) return undefined;
    const isNewFirst = this.isOrdered && this.firstNew() < (retry?.start ?? 0);
    if (
      this.isOrdered &&
      this.mustWait(isNewFirst || retry === undefined ? this.firstNew() : retry.start)
    )
      return undefined;
    if (retry !== undefined && !isNewFirst)
      return {
        start: retry.start,
        end: Math.min(retry.end, visibleEnd),
        attempt: retry.attempt,
        isRetry: true,
        reason: retry.reason,
        unread: retry.unread ?? 0,
      };
    if (this.isWindowFull) return undefined;
    this.cursor = this.firstNew();
    if (this.cursor >= visibleEnd) return undefined;
    const end = Math.min(
      visibleEnd,
      this.settled.nextStart(this.cursor),
      this.gaps.nextStart(this.cursor),
    );
    return { start: this.cursor, end, attempt: 1, isRetry: false, reason: '', unread: 0 };
  }

  /** Gives the queue to a subscription, or to nobody (0). */
  assign(subscription: number, isOrdered = false): void {
    this.isOrdered = isOrdered;
    if (this.owner !== subscription) this.returnsKnown = 0;
    this.owner = subscription;
    this.foreignLeases = 0;
    for (const lease of this.leases.values())
      if (lease.subscription !== subscription) this.foreignLeases += 1;
  }

  /** Puts the first `count` messages of `range` on lease. */
  lease(id: number, range: NextRange, count: number, deadlineMs: number): void {
    invariant(
      count > 0 && range.start + count <= range.end,
      'a lease covers a part of what is next',
      count,
    );
    invariant(
      !this.isOrdered || (count === 1 && this.inFlight === 0),
      'an ordered queue has one message out',
      ...([count, this.inFlight] as const),
    );
    this.leaveQueue(range, count);
    const open = new RangeSet();
    open.add(range.start, range.start + count);
    this.leases.set(id, {
      id,
      subscription: this.owner,
      attempt: range.attempt,
      deadlineMs,
      unread: range.unread,
      open,
      openCount: count,
    });
    this.inFlight += count;
    this.deadlineMinMs = Math.min(this.deadlineMinMs, deadlineMs);
  }

  /** Takes the first `count` messages of `range` out, for whoever settles them later. */
  takeOut(range: NextRange, count: number): void {
    this.leaveQueue(range, count);
    const { start, attempt, reason } = range;
    this.takenOut.push({ start, end: start + count, attempt, dueAtMs: 0, reason }, 0);
  }

  /** What was taken out is back where it was. */
  returnTakenOut(nowMs: number): void {
    const entries = this.takenOut.entries();
    this.takenOut.clear();
    for (const entry of entries) this.retry(entry, nowMs);
  }

  /** Nothing is known here of [start, end) any more but that somebody settles it: neither leases nor retries. */
  forget(start: number, end: number): void {
    for (const lease of [...this.leases.values()]) {
      const removed = lease.open.remove(start, end);
      lease.openCount -= removed;
      this.inFlight -= removed;
      if (lease.openCount === 0) this.endLease(lease);
    }
    this.retries.remove(start, end);
  }

  /** Settles the first `count` messages of `range` without delivering them (filtered out, damaged, expired). */
  skip(range: NextRange, count: number): void {
    this.leaveQueue(range, count);
    this.settle(range.start, range.start + count);
  }

  /**
   * Takes [start, end) out of a lease.
   *
   * @returns the parts that were open, in order; empty when the lease has ended or does not cover them
   */
  close(
    leaseId: number,
    start: number,
    end: number,
  ): { parts: [start: number, end: number][]; attempt: number; unread: number } {
    const lease = this.leases.get(leaseId);
    if (lease === undefined) return { parts: [], attempt: 0, unread: 0 };
    const parts = lease.open.within(start, end);
    for (const [partStart, partEnd] of parts) {
      lease.openCount -= lease.open.remove(partStart, partEnd);
      this.inFlight -= partEnd - partStart;
    }
    if (lease.openCount === 0) this.endLease(lease);
    return { parts, attempt: lease.attempt, unread: lease.unread };
  }

  /** The owner gives back what is on this lease; others' returns have numbers of their own. */
  noteReturn(leaseId: number, number: number): void {
    if (this.leases.get(leaseId)?.subscription === this.owner) this.returnsKnown = number;
  }

  /** Marks [start, end) as done for good. */
  settle(start: number, end: number): void {
    this.takenOut.remove(start, end);
    if (end <= this.settledThrough) return;
    if (start <= this.settledThrough) {
      this.settledThrough = this.settled.size === 0 ? end : this.settled.absorb(end);
    } else {
      this.settled.add(start, end);
    }
    if (this.cursor < this.settledThrough) this.cursor = this.settledThrough;
    // A slave's cursor never goes that far by itself: without this it would remember every message that was ever retried.
    if (this.gaps.size > 0) this.gaps.remove(0, this.settledThrough);
  }

  /** @returns false when the lease has ended or does not cover all of it */
  extend(leaseId: number, start: number, end: number, deadlineMs: number): boolean {
    const lease = this.leases.get(leaseId);
    if (lease === undefined || !lease.open.has(start) || lease.open.firstMissing(start) < end)
      return false;
    lease.deadlineMs = deadlineMs;
    this.deadlineMinMs = Math.min(this.deadlineMinMs, deadlineMs);
    return true;
  }

  /** Ends the leases whose time is over, or all of one subscription; gives them back in offset order. */
  endLeases(nowMs: number, subscription = 0): Lease[] {
    if (subscription === 0 && nowMs < this.deadlineMinMs) return [];
    const ended: Lease[] = [];
    this.deadlineMinMs = Number.POSITIVE_INFINITY;
    for (const lease of this.leases.values()) {
      if (lease.deadlineMs <= nowMs || lease.subscription === subscription) {
        this.endLease(lease);
        this.inFlight -= lease.openCount;
        ended.push(lease);
      } else this.deadlineMinMs = Math.min(this.deadlineMinMs, lease.deadlineMs);
    }
    return ended;
  }

  /** When something here needs a look: a lease ends or a retry becomes due. */
  nextTimerMs(): number {
    return Math.min(
      this.leases.size === 0 ? Number.POSITIVE_INFINITY : this.deadlineMinMs,
      this.retries.nextDueAtMs(),
    );
  }

  /** Messages that come again; what retention has taken meanwhile does not. */
  retry(entry: RetryEntry, nowMs: number): void {
    const start = Math.max(entry.start, this.settledThrough);
    if (start >= entry.end) return;
    this.retries.push({ ...entry, start }, nowMs);
    if (entry.end > this.cursor) this.gaps.add(start, entry.end);
  }

  /**
   * All that is to come again, if nothing more were heard of what is out: for a snapshot. What was never refused is left to
   * the cursor, so that it comes in order.
   */
  retriesAfterRestart(nowMs: number): RetryEntry[] {
    const found = [...this.retries.entries(), ...this.takenOut.entries()];
    for (const { attempt, open } of this.leases.values()) {
      for (const [start, end] of open.runs())
        found.push({ start, end, attempt, dueAtMs: nowMs, reason: '' });
    }
    return found.filter(({ attempt, end }) => attempt > 1 && end > this.settledThrough);
  }

  /** Sets the group to `offset`: everything on lease or retrying is forgotten. */
  seek(offset: number): void {
    this.leases.clear();
    this.foreignLeases = 0;
    this.gaps.clear();
    this.inFlight = 0;
    this.deadlineMinMs = Number.POSITIVE_INFINITY;
    this.retries.clear();
    this.takenOut.clear();
    this.settled.clear();
    this.settledThrough = offset;
    this.cursor = offset;
  }

  /** Retention has removed everything below `minOffset`. */
  raiseTo(minOffset: number): void {
    if (minOffset <= this.settledThrough) return;
    this.retries.remove(0, minOffset);
    this.settle(0, minOffset);
  }

  /** Messages below `end` that are not settled. */
  lag(end: number): number {
    const above = this.settled
      .runs()
      .reduce((sum, [start, stop]) => sum + (Math.min(stop, end) - Math.min(start, end)), 0);
    return Math.max(0, end - this.settledThrough) - above;
  }

  /** The messages from `from` to below `end` that are not settled: runs with `max` messages in all. */
  unsettledRuns(from: number, end: number, max: number): [start: number, end: number][] {
    const runs: [number, number][] = [];
    let left = max;
    for (let start = this.settled.firstMissing(from); start < end && left > 0; ) {
      const stop = Math.min(this.settled.nextStart(start), end, start + left);
      runs.push([start, stop]);
      left -= stop - start;
      start = this.settled.firstMissing(stop);
    }
    return runs;
  }

  /** May nothing new be delivered until something is settled? Bounds memory, not the distance that acks may lie apart. */
  get isWindowFull(): boolean {
    if (this.leases.size >= GROUP_QUEUE_LEASES_MAX) return true;
    const tracked = this.inFlight + this.retries.messages + this.takenOut.messages;
    return tracked >= GROUP_QUEUE_WINDOW_MAX || this.settled.size >= GROUP_QUEUE_WINDOW_MAX;
  }

  /** Is something out, or waiting, that stands before `offset` in an ordered queue? */
  private mustWait(offset: number): boolean {
    if (this.inFlight > 0 || !this.takenOut.isEmpty) return true;
    return this.retries.firstStart() < offset;
  }

  /** The first offset that was never delivered and may be. */
  private firstNew(): number {
    return this.nextNew(Math.max(this.cursor, this.settledThrough));
  }

  /** The next offset at or after `from` that is neither settled nor waiting for a retry. */
  private nextNew(from: number): number {
    let offset = from;
    for (;;) {
      const next = this.gaps.firstMissing(this.settled.firstMissing(offset));
      if (next === offset) return offset;
      offset = next;
    }
  }

  /** The messages leave the place where `next` found them. */
  private leaveQueue(range: NextRange, count: number): void {
    if (range.isRetry) this.retries.take(count);
    else this.cursor = range.start + count;
  }

  private endLease(lease: Lease): void {
    this.leases.delete(lease.id);
    if (lease.subscription !== this.owner) this.foreignLeases -= 1;
  }
}
