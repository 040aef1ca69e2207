/**
 * From DELIVER records to consumers, in the order in which the shard sent them: what is in memory goes at once, what must
 * be read from a file is read ahead within bounds, and everything behind it waits its turn.
 */
import { toSluiceError } from '../base/errors.ts';
import { COLD_QUEUE_MAX, COLD_READS_PER_SUBSCRIPTION_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log-sink.ts';
import { isLostForGood } from '../log/stored-read.ts';
import type { ColdReads } from './cold-reads.ts';
import type { ColdTroubles } from './cold-troubles.ts';
import { HOLD_COLD, HOLD_READER } from './credit-ledger.ts';
import type { DeliveryEntry } from './delivery-entry.ts';
import type { HandOver } from './hand-over.ts';
import type { ShardLinks } from './shard-links.ts';
import { checkStored } from './stored-extent.ts';
import { type Subscription, sessionOf } from './subscription.ts';

export class Deliveries {
  private readonly log: Logger;
  private readonly links: ShardLinks;
  private readonly coldReads: ColdReads;
  private readonly handOver: HandOver;
  private readonly troubles: ColdTroubles;

  constructor(
    log: Logger,
    links: ShardLinks,
    coldReads: ColdReads,
    handOver: HandOver,
    troubles: ColdTroubles,
  ) {
    this.log = log;
    this.links = links;
    this.coldReads = coldReads;
    this.handOver = handOver;
    this.troubles = troubles;
  }

  /** A delivery arrived from a shard; its bytes in the tail are valid until this returns. */
  arrive(subscription: Subscription, entry: DeliveryEntry): void {
    const { ledger, cold } = subscription;
    if (ledger.isHeld || ledger.mustYield(entry.shard)) {
      this.handOver.giveBack(subscription, entry, 0);
      return;
    }
    const { port } = this.links.get(entry.shard);
    // Behind a cold one everything waits its turn, so that the order is kept.
    const isHot = !entry.isCold && cold.length === 0;
    const stored = isHot ? port.tailView(entry.position, entry.batchBytes) : undefined;
    if (stored === undefined) {
      cold.push(entry);
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
    const reading = cold.slice(0, subscription.coldReading);
    subscription.coldReading = reading.filter((entry) => entry.shard !== shard).length;
    for (const entry of cold.splice(0)) {
      if (entry.shard === shard) this.drop(entry);
      else cold.push(entry);
    }
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
    subscription.coldReading = 0;
    for (const entry of subscription.cold.splice(0)) {
      this.drop(entry);
      this.handOver.giveBack(subscription, entry, 0);
    }
  }

  private readAhead(subscription: Subscription): void {
    const { cold, ledger } = subscription;
    while (
      !ledger.isReaderHeld &&
      subscription.state !== 'gone' &&
      subscription.coldReading < Math.min(cold.length, COLD_READS_PER_SUBSCRIPTION_MAX)
    ) {
      const entry = cold[subscription.coldReading] as DeliveryEntry;
      subscription.coldReading += 1;
      this.coldReads.readAhead(entry.shard, entry.position, entry.batchBytes).then(
        (stored) => this.arrived(subscription, entry, stored),
        (error: unknown) => this.unreadable(subscription, entry, error),
      );
    }
  }

  private arrived(subscription: Subscription, entry: DeliveryEntry, stored: Uint8Array): void {
    entry.stored = stored;
    if (!subscription.cold.includes(entry)) {
      this.drop(entry);
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
    this.coldReads.done(entry.batchBytes);
  }

  private unreadable(subscription: Subscription, entry: DeliveryEntry, error: unknown): void {
    const index = subscription.cold.indexOf(entry);
    if (index < 0) return;
    subscription.cold.splice(index, 1);
    subscription.coldReading -= 1;
    const failure = toSluiceError(error, 'STORAGE_IO');
    const { shard, position } = entry;
    if (isLostForGood(failure.code)) {
      this.log.error('cold-read-failed', { shard, position, error: failure });
      this.handOver.fail(subscription, entry, failure.code);
    } else {
      this.troubles.failed(shard, position, failure);
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
