/**
 * Looking for an answer for some microseconds before a thread goes to sleep. A request to another thread is often answered
 * sooner than this thread would fall asleep and be woken again, which takes two system calls and a turn of the event loop. Where
 * that fails it is tried more seldom, so that a slow disk or few cores cost next to nothing. Any thread with an event loop.
 */
import { availableParallelism } from 'node:os';
import type { Clock } from '../base/clock.ts';

/** Milliseconds of one wait: some times what a shard needs for a small write that nobody syncs. */
const WAIT_MS_MAX = 0.08;
const REQUESTS_FEW = 2;
/** Looks between two looks at the clock. */
const LOOKS_AT_ONCE = 16;
/** After so many failures in a row, doubling each time, this power of two of chances is let pass. */
const REST_POWER_MAX = 8;

/** Undefined on one core: the other thread would have to wait for the waiting. */
export function briefWaitOf(clock: Clock): BriefWait | undefined {
  return availableParallelism() > 1 ? new BriefWait(clock) : undefined;
}

export class BriefWait {
  private readonly clock: Clock;
  private failures = 0;
  private rests = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Asked once for each chance to wait. @param requests - that were handed over at once: many take their time */
  isWorthIt(requests: number): boolean {
    if (requests > REQUESTS_FEW) return false;
    if (this.rests === 0) return true;
    this.rests -= 1;
    return false;
  }

  /** @returns whether work came in time */
  run(hasWork: () => boolean): boolean {
    const endMs = this.clock.monotonicMs() + WAIT_MS_MAX;
    do {
      for (let look = 0; look < LOOKS_AT_ONCE; look += 1) if (hasWork()) return this.came();
    } while (this.clock.monotonicMs() < endMs);
    this.failures = Math.min(this.failures + 1, REST_POWER_MAX);
    this.rests = 2 ** this.failures;
    return false;
  }

  private came(): true {
    this.failures = 0;
    return true;
  }
}
