/** Messages stored and handed out, of the broker and of each group and topic: what tools show as rates. Main thread. */
import type { Clock } from '../base/clock.ts';
import { RATES_MAX } from '../base/limits.ts';
import type { Deadlines } from './deadlines.ts';
import { RateWindow } from './rate-window.ts';

/** Milliseconds between the moments at which what was counted is given its time. */
const FOLD_INTERVAL_MS = 5000;

export class MessageRates {
  /** Stored, whichever dialect they came in; those that were there already are not counted. */
  readonly stored: RateWindow;
  /** Handed out, whether a consumer pulled or was sent them. */
  readonly handedOut: RateWindow;
  private readonly clock: Clock;
  private readonly deadlines: Deadlines;
  private readonly byGroup = new Map<string, RateWindow>();

  constructor(clock: Clock, deadlines: Deadlines) {
    this.clock = clock;
    this.deadlines = deadlines;
    this.stored = new RateWindow(clock);
    this.handedOut = new RateWindow(clock);
    this.foldLater();
  }

  /** The window of a group on a topic, to be kept by who hands messages out. */
  windowOf(group: string, topic: string): RateWindow {
    const key = `${topic}@${group}`;
    const known = this.byGroup.get(key);
    if (known !== undefined) return known;
    if (this.byGroup.size >= RATES_MAX) this.forgetIdle();
    const window = new RateWindow(this.clock);
    // One that does not fit counts for nobody to see.
    if (this.byGroup.size < RATES_MAX) this.byGroup.set(key, window);
    return window;
  }

  /** Messages have gone to a member of the group that `window` is of. */
  took(window: RateWindow, count: number): void {
    this.handedOut.add(count);
    window.add(count);
  }

  /** Undefined: nobody of the group has read the topic since the broker started. */
  of(group: string, topic: string): RateWindow | undefined {
    return this.byGroup.get(`${topic}@${group}`);
  }

  private foldLater(): void {
    this.deadlines.add(this.clock.monotonicMs() + FOLD_INTERVAL_MS, () => {
      for (const window of [this.stored, this.handedOut, ...this.byGroup.values()]) window.fold();
      this.foldLater();
    });
  }

  private forgetIdle(): void {
    for (const [key, window] of this.byGroup) if (window.day.count === 0) this.byGroup.delete(key);
  }
}
