/** How much happened within the last minute, hour and day: counts in slots of time that are used again. Main thread. */
import type { Clock } from '../base/clock.ts';

type Span = { readonly slotMs: number; readonly slots: number };

const MINUTE: Span = { slotMs: 10_000, slots: 6 };
const HOUR: Span = { slotMs: 300_000, slots: 12 };
const DAY: Span = { slotMs: 3_600_000, slots: 24 };

/** Messages within a span, and how many that is a second. */
export type Rate = { readonly count: number; readonly perSecond: number };

/** One span: a slot counts when any part of it lies within. */
class SpanCounts {
  private readonly span: Span;
  private readonly counts: Float64Array;
  /** Number of the newest slot since the clock began. */
  private newest = -1;

  constructor(span: Span) {
    this.span = span;
    // One more than the span: the newest is not full.
    this.counts = new Float64Array(span.slots + 1);
  }

  add(count: number, nowMs: number): void {
    const slot = this.turnTo(nowMs);
    this.counts[slot] = (this.counts[slot] as number) + count;
  }

  /** @param slots - whole slots looked back, beside the one that is being filled */
  rate(nowMs: number, slots: number = this.span.slots): Rate {
    this.turnTo(nowMs);
    const { counts, newest, span } = this;
    let count = 0;
    for (let back = 0; back <= slots && back <= newest; back += 1)
      count += counts[(newest - back) % counts.length] as number;
    const elapsedMs = slots * span.slotMs + (nowMs % span.slotMs);
    return { count, perSecond: (count * 1000) / Math.max(elapsedMs, span.slotMs) };
  }

  private turnTo(nowMs: number): number {
    const { counts } = this;
    const now = Math.floor(nowMs / this.span.slotMs);
    const from = Math.max(this.newest + 1, now - counts.length + 1);
    for (let slot = from; slot <= now; slot += 1) counts[slot % counts.length] = 0;
    this.newest = Math.max(this.newest, now);
    return this.newest % counts.length;
  }
}

export class RateWindow {
  /** Since the window was made. */
  total = 0;
  private pending = 0;
  private readonly clock: Clock;
  private readonly minutes = new SpanCounts(MINUTE);
  private readonly hours = new SpanCounts(HOUR);
  private readonly days = new SpanCounts(DAY);

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** On the message path: counted into its slots by the next `fold`. */
  add(count: number): void {
    this.total += count;
    this.pending += count;
  }

  /** Puts what was added into the slots of now. Called every few seconds, and before each look. */
  fold(): void {
    if (this.pending === 0) return;
    const nowMs = this.clock.monotonicMs();
    for (const span of [this.minutes, this.hours, this.days]) span.add(this.pending, nowMs);
    this.pending = 0;
  }

  /** The last ten seconds or a little more. */
  get tenSeconds(): Rate {
    this.fold();
    return this.minutes.rate(this.clock.monotonicMs(), 1);
  }

  get minute(): Rate {
    this.fold();
    return this.minutes.rate(this.clock.monotonicMs());
  }

  get tenMinutes(): Rate {
    this.fold();
    return this.hours.rate(this.clock.monotonicMs(), 2);
  }

  get hour(): Rate {
    this.fold();
    return this.hours.rate(this.clock.monotonicMs());
  }

  get day(): Rate {
    this.fold();
    return this.days.rate(this.clock.monotonicMs());
  }
}
