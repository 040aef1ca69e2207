/**
 * Messages go out to the members of groups: as extents of the log with a lease, never as bytes, and never above the commit
 * position. Shard thread, once per batch and group.
 */

import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { GroupQueue, NextRange } from './group-queue.ts';
import type { GroupTable } from './group-table.ts';
import type { PageLoader } from './page-loader.ts';
import type { ShardContext } from './shard-context.ts';
import type { Extent } from './shard-port.ts';
import type { Subscription } from './subscription.ts';

/** Deliveries of one group queue before the next has its turn. */
const TURN_DELIVERIES = 64;
/** Leases of one run of the broker: their ids begin at boot × this. */
const LEASES_PER_BOOT: number = 2 ** 34;
/** Deliveries used up when a group does not say otherwise is a group that is gone. */
const ATTEMPTS_UNLIMITED: number = Number.MAX_SAFE_INTEGER;

type Step = 'delivered' | 'skipped' | 'nothing' | 'ring-full';

export class DeliverPath {
  private readonly context: ShardContext;
  private readonly groups: GroupTable;
  private readonly deadLetters: DeadLetters;
  private readonly pages: PageLoader;
  private readonly entry: QueueEntry = emptyEntry();
  private readonly extent: Extent = {
    position: 0,
    baseOffset: 0,
    batchBytes: 0,
    firstIndex: 0,
    count: 0,
    isCold: false,
  };
  private nextLeaseId: number;

  constructor(
    context: ShardContext,
    groups: GroupTable,
    deadLetters: DeadLetters,
    pages: PageLoader,
  ) {
    this.context = context;
    this.groups = groups;
    this.deadLetters = deadLetters;
    this.pages = pages;
    this.nextLeaseId = context.state.boot * LEASES_PER_BOOT + 1;
  }

  /** A boot has begun: its leases are numbered anew. */
  beginBoot(): void {
    this.nextLeaseId = this.context.state.boot * LEASES_PER_BOOT + 1;
  }

  /** Without a boot of its own, a slave's leases have numbers of their own. */
  beginLeases(firstLease: number): void {
    this.nextLeaseId = firstLease + 1;
  }

  /** Delivers what is ready. @returns deliveries made */
  doWork(): number {
    // A boot whose number is not safe may be given that number again, and with it the same leases.
    if (this.context.log.flushed < this.context.bootEnd) return 0;
    let delivered = 0;
    for (const one of this.groups.ready) {
      const queue = this.context.state.queue(one.topicId, one.queueId);
      let step: Step = 'nothing';
      for (let turn = 0; turn < TURN_DELIVERIES && queue !== undefined; turn += 1) {
        step = this.deliverNext(one, queue);
        if (step === 'delivered') delivered += 1;
        else if (step !== 'skipped') break;
      }
      if (step === 'ring-full') break;
      // Back to the end of the line when there may be more.
      this.groups.ready.delete(one);
      if (step === 'delivered' || step === 'skipped') this.groups.ready.add(one);
      if (delivered >= TURN_DELIVERIES * 16) break;
    }
    return delivered;
  }

  private deliverNext(one: GroupQueue, queue: ConsumeQueue): Step {
    one.raiseTo(queue.minOffset);
    const attemptsMax =
      this.context.state.groups.get(one.groupId)?.maxAttempts ?? ATTEMPTS_UNLIMITED;
    const range = one.next(queue.visibleEnd, this.context.clock.monotonicMs(), attemptsMax);
    if (range === undefined) return 'nothing';
    if (range.attempt > attemptsMax) {
      // A slave writes no dead letters: it holds them back until there is a master.
      if (this.context.isFollowing) one.takeOut(range, range.end - range.start);
      else this.deadLetters.add(one, range);
      return 'skipped';
    }
    const subscription = this.groups.subscriptions.get(one.owner);
    if (subscription?.canReceive !== true) return 'nothing';
    const found = queue.find(range.start, this.entry, this.pages.loaderFor(queue));
    if (found !== 'found') return 'nothing';
    return this.deliverBatch(one, range, subscription);
  }

  /** Delivers, or passes over, the part of `range` that lies in the batch just found. */
  private deliverBatch(one: GroupQueue, range: NextRange, subscription: Subscription): Step {
    const entry = this.entry;
    if (entry.baseOffset > range.start) {
      // Damage left a hole: these messages are lost and reported; nobody can be given them.
      return this.skip(one, range, Math.min(entry.baseOffset, range.end) - range.start);
    }
    const inBatch = Math.min(range.end, entry.baseOffset + entry.count) - range.start;
    if (!subscription.mayMatch(entry.bloomLow, entry.bloomHigh))
      return this.skip(one, range, inBatch);
    const count = one.isOrdered ? 1 : Math.min(inBatch, subscription.credit);
    const extent = this.extent;
    extent.position = entry.position;
    extent.baseOffset = entry.baseOffset;
    extent.batchBytes = entry.bytes;
    extent.firstIndex = range.start - entry.baseOffset;
    extent.count = count;
    extent.isCold = entry.position < this.context.log.hotStart;
    const lease = {
      id: this.nextLeaseId,
      attempt: range.attempt,
      leaseMs: subscription.leaseMs,
      returnsKnown: one.returnsKnown,
    };
    const port = this.context.ports[subscription.port];
    if (
      port === undefined ||
      !port.deliver(subscription.id, one.topicId, one.queueId, extent, lease)
    )
      return 'ring-full';
    this.nextLeaseId += 1;
    one.lease(lease.id, range, count, this.context.clock.monotonicMs() + lease.leaseMs);
    this.groups.watch(one);
    subscription.credit -= count;
    return 'delivered';
  }

  private skip(one: GroupQueue, range: NextRange, count: number): Step {
    one.skip(range, count);
    this.groups.logSettled(one, range.start, range.start + count);
    return 'skipped';
  }
}
