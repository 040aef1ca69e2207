/**
 * From DELIVER records to consumers, in the order in which the shard sent them: what is in memory goes at once, what must
 * be read from a file is read ahead within bounds, and everything behind it waits its turn.
 */
import type { Clock } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import { COLD_QUEUE_MAX, COLD_READS_PER_SUBSCRIPTION_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log-sink.ts';
import { isLostForGood } from '../log/stored-read.ts';
import type { ColdReads } from './cold-reads.ts';
import type { ColdTroubles } from './cold-troubles.ts';
import { HOLD_COLD, HOLD_READER } from './credit-ledger.ts';
import type { Deadlines } from './deadlines.ts';
import type { DeliveryEntry } from './delivery-entry.ts';
import type { HandOver } from './hand-over.ts';
import type { ShardLinks } from './shard-links.ts';
import { checkStored } from './stored-extent.ts';
import { type Subscription, sessionOf } from './subscription.ts';

export type DeliveryParts = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly links: ShardLinks;
  readonly deadlines: Deadlines;
  readonly coldReads: ColdReads;
  readonly handOver: HandOver;
  readonly troubles: ColdTroubles;
};

/** Part of a lease after which what still waits for its file goes back: the shard must hear of it before the lease ends. */
const LATE_PART = 0.75;

export class Deliveries {
  private readonly parts: DeliveryParts;
  private readonly handOver: HandOver;
  /** Subscriptions with a deadline for the first of what waits. */
  private readonly timed = new Set<Subscription>();

  constructor(parts: DeliveryParts) {
    this.parts = parts;
    this.handOver = parts.handOver;
  }

  /** A delivery arrived from a shard; its bytes in the tail are valid until this returns. */
  arrive(subscription: Subscription, entry: DeliveryEntry): void {
    const { ledger, cold } = subscription;
    if (ledger.isHeld || ledger.mustYield(entry.shard)) {
      this.handOver.giveBack(subscription, entry, 0);
      return;
    }
    const { port } = this.parts.links.get(entry.shard);
    // Behind a cold one everything waits its turn, so that the order is kept.
    const isHot = !entry.isCold && cold.length === 0;
    const stored = isHot ? port.tailView(entry.position, entry.batchBytes) : undefined;
    if (stored === undefined) {
      cold.push(entry);
      this.watchLate(subscription);
      if (cold.length >= COLD_QUEUE_MAX) ledger.hold(HOLD_COLD);
      this.readAhead(subscription);
    } else this.handOver.hand(subscription, entry, stored);
  }

  /** Goes on with cold deliveries that had to wait. */
  private resume(subscription: Subscription): void {
    this.handRead(subscription);
    this.readAhead(subscription);
    if (subscription.cold.length < COLD_QUEUE_MAX / 2) subscription.ledger.release(HOLD_COLD);
  }

  /** The shard is gone, and with it the leases of what it delivered. */
  dropShard(subscription: Subscription, shard: number): void {
    const { cold } = subscription;
    for (let index = cold.length - 1; index >= 0; index -= 1)
      if (cold[index]?.shard === shard) this.takeOut(subscription, index);
    this.resume(subscription);
  }

  /** The subscription has ended: its shards end its leases, as attempts. What was not read yet nobody has seen. */
  dropAll(subscription: Subscription): void {
    this.giveBackCold(subscription);
  }

  /** Nothing goes to this subscription for now: what waits here for a file goes back, and its memory is free. */
  hold(subscription: Subscription): void {
    subscription.ledger.hold(HOLD_READER);
    this.giveBackCold(subscription);
  }

  release(subscription: Subscription): void {
    subscription.ledger.release(HOLD_COLD);
    subscription.ledger.release(HOLD_READER);
  }

  giveBackOne(subscription: Subscription, entry: DeliveryEntry, queueOffset: number): void {
    this.handOver.giveBackOne(subscription, entry, queueOffset);
  }

  private giveBackCold(subscription: Subscription): void {
    while (subscription.cold.length > 0) this.giveBackFirst(subscription);
  }

  private giveBackFirst(subscription: Subscription): void {
    const entry = this.takeOut(subscription, 0);
    if (entry !== undefined) this.handOver.giveBack(subscription, entry, 0);
  }

  /** Out of the line. Its read, if it is under way, goes on and has nobody to go to. */
  private takeOut(subscription: Subscription, index: number): DeliveryEntry | undefined {
    const [entry] = subscription.cold.splice(index, 1);
    if (entry === undefined || index >= subscription.coldReading) return entry;
    subscription.coldReading -= 1;
    if (entry.stored === undefined) subscription.coldStray += 1;
    this.drop(entry);
    return entry;
  }

  /** Nobody has seen what a slow disk has not given before the lease ended: it must not count as an attempt. */
  private watchLate(subscription: Subscription): void {
    const [first] = subscription.cold;
    if (first === undefined || this.timed.has(subscription)) return;
    this.timed.add(subscription);
    this.parts.deadlines.add(lateAtMs(first), () => {
      this.timed.delete(subscription);
      if (subscription.state === 'gone') return;
      const nowMs = this.parts.clock.monotonicMs();
      for (let late = subscription.cold[0]; late !== undefined; late = subscription.cold[0]) {
        if (lateAtMs(late) > nowMs) break;
        this.giveBackFirst(subscription);
      }
      this.resume(subscription);
      this.watchLate(subscription);
    });
  }

  private readAhead(subscription: Subscription): void {
    const { cold, ledger } = subscription;
    while (
      !ledger.isReaderHeld &&
      subscription.state !== 'gone' &&
      subscription.coldReading < cold.length &&
      subscription.coldReading + subscription.coldStray < COLD_READS_PER_SUBSCRIPTION_MAX
    ) {
      const entry = cold[subscription.coldReading] as DeliveryEntry;
      subscription.coldReading += 1;
      this.parts.coldReads.readAhead(entry.shard, entry.position, entry.batchBytes).then(
        (stored) => this.arrived(subscription, entry, stored),
        (error: unknown) => this.unreadable(subscription, entry, error),
      );
    }
  }

  private arrived(subscription: Subscription, entry: DeliveryEntry, stored: Uint8Array): void {
    entry.stored = stored;
    if (!subscription.cold.includes(entry)) {
      this.drop(entry);
      this.strayEnded(subscription);
      return;
    }
    try {
      checkStored(stored, entry.position, entry.batchBytes);
    } catch (error) {
      this.drop(entry);
      this.unreadable(subscription, entry, error);
      return;
    }
    this.resume(subscription);
  }

  /** Gives the memory of what was read back to the budget; what is still being read is dropped when it arrives. */
  private drop(entry: DeliveryEntry): void {
    if (entry.stored === undefined) return;
    entry.stored = undefined;
    this.parts.coldReads.done(entry.batchBytes);
  }

  private strayEnded(subscription: Subscription): void {
    subscription.coldStray -= 1;
    this.readAhead(subscription);
  }

  private unreadable(subscription: Subscription, entry: DeliveryEntry, error: unknown): void {
    const index = subscription.cold.indexOf(entry);
    if (index < 0) {
      this.strayEnded(subscription);
      return;
    }
    subscription.cold.splice(index, 1);
    subscription.coldReading -= 1;
    const failure = toSluiceError(error, 'STORAGE_IO');
    const { shard, position } = entry;
    if (isLostForGood(failure.code)) {
      this.parts.log.error('cold-read-failed', { shard, position, error: failure });
      this.handOver.fail(subscription, entry, failure.code);
    } else {
      this.parts.troubles.failed(shard, position, failure);
      // It only waited behind what must be read, and the shard may have it in memory still.
      if (entry.isCold) this.handOver.postpone(subscription, entry);
      else this.handOver.giveBack(subscription, entry, 0);
    }
    this.resume(subscription);
  }

  /** Hands over the entries at the front that have been read. */
  private handRead(subscription: Subscription): void {
    if (subscription.cold[0]?.stored === undefined) return;
    const session = sessionOf(subscription);
    if (session === undefined) this.handReadNow(subscription);
    else session.connection.cork(() => this.handReadNow(subscription));
  }

  private handReadNow(subscription: Subscription): void {
    const { cold, ledger } = subscription;
    while (!ledger.isReaderHeld && subscription.state !== 'gone') {
      const entry = cold[0];
      if (entry?.stored === undefined) return;
      cold.shift();
      subscription.coldReading -= 1;
      this.handOver.hand(subscription, entry, entry.stored);
      this.drop(entry);
    }
  }
}

/** Monotonic time at which a delivery is given back, unless it was read. */
function lateAtMs({ arrivedAtMs, leaseMs }: DeliveryEntry): number {
  return arrivedAtMs + leaseMs * LATE_PART;
}
