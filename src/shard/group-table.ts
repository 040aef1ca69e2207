/**
 * The groups at work on this shard: subscriptions, which queues they have, what is ready to be delivered, what was settled
 * in this duty cycle and must go into the log. Deliveries themselves are `deliver-path.ts`. Shard thread only.
 */
import { RangeSet } from '../base/range-set.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type { GroupPosition, OffsetRange } from '../log/control-record.ts';
import type { GroupQueue, Lease } from './group-queue.ts';
import { readAgainMs } from './read-again.ts';
import type { ShardContext } from './shard-context.ts';
import type { Subscription } from './subscription.ts';

/** Delay that a group gives by itself: its back-off list. */
export const DELAY_OF_GROUP = -1;

/** Settled runs that are gathered before they become control records. */
const UNLOGGED_MAX = 4096;

export class GroupTable {
  readonly subscriptions: Map<number, Subscription> = new Map();
  /** Group queues that may have something to deliver. */
  readonly ready: Set<GroupQueue> = new Set();
  /** Group queues with a lease or a retry: looked at when time passes. */
  private readonly timed = new Set<GroupQueue>();
  /** Settled in this duty cycle and not in the log yet. */
  private readonly unlogged = new Map<GroupQueue, RangeSet>();
  private unloggedCount = 0;
  private readonly context: ShardContext;

  constructor(context: ShardContext) {
    this.context = context;
    this.watchAll();
  }

  /** Group queues with retries are looked at when time passes: those that the log has brought. */
  watchAll(): void {
    for (const one of this.context.state.allGroupQueues())
      if (!one.retries.isEmpty) this.timed.add(one);
  }

  /** Messages of a queue have become visible. */
  wake(queue: ConsumeQueue): void {
    for (const one of this.context.state.groupQueuesOn(queue))
      if (one.owner !== 0) this.ready.add(one);
  }

  wakeSubscription(subscription: Subscription): void {
    for (const one of subscription.queues) this.ready.add(one);
  }

  /** Something with a time was added to this group queue. */
  watch(one: GroupQueue): void {
    this.timed.add(one);
  }

  attach(subscription: Subscription): void {
    this.subscriptions.set(subscription.id, subscription);
  }

  /** A member is gone: what it had on lease goes to others at once, and counts as an attempt. */
  detach(id: number): void {
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) return;
    this.subscriptions.delete(id);
    for (const one of this.context.state.allGroupQueues()) {
      if (one.groupId !== subscription.groupId || one.topicId !== subscription.topicId) continue;
      this.giveBack(one, one.endLeases(Number.NEGATIVE_INFINITY, id), 0, 'the consumer went away');
      if (one.owner === id) one.assign(0);
      this.ready.add(one);
    }
  }

  /** Gives each queue of a group and topic to the subscription named, and the others to nobody. */
  assign(groupId: number, topicId: number, owners: ReadonlyMap<number, number>): void {
    for (const queue of this.context.state.queuesOf(topicId)) {
      const one = this.context.state.groupQueue(groupId, topicId, queue.queueId);
      if (one === undefined) continue;
      this.subscriptions.get(one.owner)?.queues.delete(one);
      const owner = this.subscriptions.get(owners.get(queue.queueId) ?? 0);
      one.assign(owner?.id ?? 0, owner?.isOrdered === true);
      owner?.queues.add(one);
      this.ready.add(one);
    }
  }

  /** Makes sure that the group has a position on a queue; a new one is logged. */
  ensurePosition(groupId: number, queue: ConsumeQueue, offset: () => number): void {
    if (this.context.state.groupQueue(groupId, queue.topicId, queue.queueId) !== undefined) return;
    this.setPosition(groupId, queue, offset());
  }

  /** Sets the group's position on a queue, now and in the log. */
  setPosition(groupId: number, queue: ConsumeQueue, offset: number): void {
    const { topicId, queueId } = queue;
    this.setPositions([{ groupId, topicId, queueId, offset }]);
  }

  /** The same for several, in one record. */
  setPositions(positions: readonly GroupPosition[]): void {
    const { state, groupLog } = this.context;
    for (const { groupId, topicId, queueId, offset } of positions) {
      const before = state.groupQueue(groupId, topicId, queueId);
      if (before !== undefined) this.unlogged.delete(before);
      this.ready.add(state.setPosition(groupId, topicId, queueId, offset));
    }
    groupLog.positions(positions);
  }

  /** [start, end) is done for good; logged at the end of the duty cycle. */
  settle(one: GroupQueue, start: number, end: number): void {
    one.settle(start, end);
    this.logSettled(one, start, end);
    if (one.owner !== 0) this.ready.add(one);
  }

  /** The same for what was settled at another broker, whatever is on lease or waits here. */
  settleElsewhere(one: GroupQueue, start: number, end: number): void {
    one.forget(start, end);
    this.settle(one, start, end);
  }

  /** Nobody is served any more: what is out comes again, and no attempt is counted. */
  leaveAll(): void {
    const nowMs = this.context.clock.monotonicMs();
    for (const one of this.context.state.allGroupQueues()) {
      for (const lease of one.endLeases(Number.POSITIVE_INFINITY))
        this.release(one, lease.open.runs(), lease.attempt);
      one.returnTakenOut(nowMs);
      one.assign(0);
    }
    this.subscriptions.clear();
    this.ready.clear();
  }

  /** Remembers that [start, end), which is settled already, must go into the log. */
  logSettled(one: GroupQueue, start: number, end: number): void {
    let ranges = this.unlogged.get(one);
    if (ranges === undefined) {
      ranges = new RangeSet();
      this.unlogged.set(one, ranges);
    }
    ranges.add(start, end);
    this.unloggedCount += 1;
    // Not only at the end of the cycle: what waits is bounded by the bytes of the control records.
    if (this.unloggedCount >= UNLOGGED_MAX) this.writeSettled();
  }

  /**
   * Runs that were delivered and not settled come again.
   *
   * @param delayMs - milliseconds, or DELAY_OF_GROUP
   */
  retry(
    one: GroupQueue,
    runs: readonly [number, number][],
    attempt: number,
    delayMs: number,
    reason: string,
  ): void {
    if (runs.length === 0) return;
    const { clock, groupLog, state, steadyEpochMs } = this.context;
    const nowMs = clock.monotonicMs();
    const delay =
      delayMs === DELAY_OF_GROUP
        ? backoffMs(state.groups.get(one.groupId)?.retryBackoffMs ?? [], attempt)
        : delayMs;
    const dueAtMs = nowMs + delay;
    for (const [start, end] of runs)
      one.retry({ start, end, attempt: attempt + 1, dueAtMs, reason }, nowMs);
    const dueAtEpochMs = Math.round(steadyEpochMs() + delay);
    groupLog.retry(
      one.groupId,
      one.topicId,
      one.queueId,
      runs.map(([start, end]) => ({
        start,
        count: end - start,
        attempt: attempt + 1,
        dueAtMs: dueAtEpochMs,
      })),
    );
    this.timed.add(one);
    this.ready.add(one);
  }

  /** A delivery that did not happen: it comes again at once, and no attempt is counted. */
  release(one: GroupQueue, runs: readonly [number, number][], attempt: number): void {
    const nowMs = this.context.clock.monotonicMs();
    for (const [start, end] of runs)
      one.retry({ start, end, attempt, dueAtMs: nowMs, reason: '' }, nowMs);
    if (one.owner !== 0) this.ready.add(one);
  }

  /**
   * A delivery whose bytes the disk did not give: it comes again after a pause, and no attempt is counted. Nobody saw it, so
   * neither a start nor a slave need know.
   *
   * @param unread - how often in a row it was not given before
   */
  postpone(
    one: GroupQueue,
    runs: readonly [number, number][],
    attempt: number,
    unread: number,
  ): void {
    const nowMs = this.context.clock.monotonicMs();
    const dueAtMs = nowMs + readAgainMs(unread + 1);
    for (const [start, end] of runs)
      one.retry({ start, end, attempt, dueAtMs, reason: '', unread: unread + 1 }, nowMs);
    this.timed.add(one);
    this.ready.add(one);
  }

  /** Ends leases whose time is over and wakes retries that are due. */
  onTime(nowMs: number): void {
    for (const one of this.timed) {
      const next = one.nextTimerMs();
      // What is due waits for an owner from here on, not for time: without this the thread would never sleep.
      one.retries.peek(nowMs);
      if (next > nowMs) {
        if (next === Number.POSITIVE_INFINITY) this.timed.delete(one);
        continue;
      }
      this.giveBack(one, one.endLeases(nowMs), 0, 'the lease ended without an answer');
      this.ready.add(one);
    }
  }

  /** When `onTime` should be called next, at the latest. */
  nextTimerMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const one of this.timed) next = Math.min(next, one.nextTimerMs());
    return next;
  }

  /** Puts what was settled into the control records. */
  writeSettled(): void {
    const { groupLog } = this.context;
    for (const [one, ranges] of this.unlogged) {
      const runs: OffsetRange[] = ranges
        .runs()
        .map(([start, end]) => ({ start, count: end - start }));
      groupLog.settled(one.groupId, one.topicId, one.queueId, runs);
    }
    this.unlogged.clear();
    this.unloggedCount = 0;
  }

  /** Forgets a group queue whose topic or group is gone. */
  forget(isGone: (one: GroupQueue) => boolean): void {
    for (const set of [this.ready, this.timed])
      for (const one of set) if (isGone(one)) set.delete(one);
    for (const one of this.unlogged.keys()) if (isGone(one)) this.unlogged.delete(one);
    for (const subscription of this.subscriptions.values()) {
      for (const one of subscription.queues) if (isGone(one)) subscription.queues.delete(one);
    }
  }

  private giveBack(
    one: GroupQueue,
    leases: readonly Lease[],
    delayMs: number,
    reason: string,
  ): void {
    for (const lease of leases) this.retry(one, lease.open.runs(), lease.attempt, delayMs, reason);
  }
}

/** Milliseconds before delivery `attempt + 1`: the list's entry, the last one repeating. */
function backoffMs(list: readonly number[], attempt: number): number {
  return list[Math.min(attempt, list.length) - 1] ?? 0;
}
