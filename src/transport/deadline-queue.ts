/**
 * Things that end after the same time, in the order in which they began: one timer for all of them instead of one each.
 * Adding, removing and expiring cost the same however many wait. Event-loop thread of the front door.
 */
import { type CancelTimer, type Clock, startInterval } from '../base/clock.ts';

/** Ticks within one deadline: a deadline is late by at most this part of it. */
const TICKS_PER_DEADLINE = 8;
const TICK_MS_MIN = 10;
const TICK_MS_MAX = 500;

export class DeadlineQueue<Item> {
  /** Item → its deadline. A Map keeps the order of insertion, which is the order of deadlines. */
  private readonly deadlines: Map<Item, number> = new Map();
  private readonly clock: Clock;
  private readonly delayMs: number;
  private readonly cancel: CancelTimer;

  /** @param expire - called once for each item that was not removed in time */
  constructor(clock: Clock, delayMs: number, expire: (item: Item) => void) {
    this.clock = clock;
    this.delayMs = delayMs;
    const tickMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, delayMs / TICKS_PER_DEADLINE));
    this.cancel = startInterval(tickMs, () => this.tick(expire));
  }

  /** Starts the time of an item; from the beginning when it is already there. */
  add(item: Item): void {
    this.deadlines.delete(item);
    this.deadlines.set(item, this.clock.monotonicMs() + this.delayMs);
  }

  has(item: Item): boolean {
    return this.deadlines.has(item);
  }

  delete(item: Item): void {
    this.deadlines.delete(item);
  }

  stop(): void {
    this.cancel();
    this.deadlines.clear();
  }

  private tick(expire: (item: Item) => void): void {
    const now = this.clock.monotonicMs();
    for (const [item, deadlineMs] of this.deadlines) {
      if (deadlineMs > now) return;
      this.deadlines.delete(item);
      expire(item);
    }
  }
}
