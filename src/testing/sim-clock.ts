/**
 * Time that moves when it is told. Wall time and monotonic time are apart, because on a real machine the first jumps
 * and the second does not, and no promise may depend on the first.
 */
import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';

/** 2024-01-01T00:00:00Z: a plausible date, so that anything which prints or packs one is exercised. */
const EPOCH_MS_START = 1_704_067_200_000;

/** A clock for simulations and tests. */
export class SimClock implements Clock {
  private elapsedMs: number;
  private wallMs: number;

  constructor(epochMsStart: number = EPOCH_MS_START) {
    this.elapsedMs = 0;
    this.wallMs = epochMsStart;
  }

  epochMs(): number {
    return Math.floor(this.wallMs);
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  /** Time passes: both clocks go forward. @param ms - 0 or more, fractions allowed */
  advance(ms: number): void {
    invariant(ms >= 0, 'time goes forward', ms);
    this.elapsedMs += ms;
    this.wallMs += ms;
  }

  /** Somebody sets the wall clock: forward or, when negative, back. Monotonic time does not notice. */
  jumpEpoch(ms: number): void {
    this.wallMs += ms;
  }
}
