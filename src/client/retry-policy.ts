/**
 * When to try again: exponential back-off with full jitter, so that a thousand clients that lost the same broker do
 * not come back in the same millisecond. Browser-safe.
 *
 * ```
 * try       1     2     3     4    5    6   ...        minMs 50, maxMs 10,000
 * ceiling   50    100   200   400  800  1,600 ... 10,000
 * delay     uniform between 0 and the ceiling, but at least 1 ms
 * ```
 *
 * @source "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter
 */
import type { Prng } from '../base/prng.ts';

export type RetryPolicy = {
  /** Ceiling of the first delay, milliseconds. */
  readonly minMs: number;
  /** Ceiling of all delays, milliseconds. */
  readonly maxMs: number;
};

/** Reconnecting: quick after a blip, patient through an outage. */
export const RECONNECT_POLICY: RetryPolicy = { minMs: 50, maxMs: 10_000 };
/** A refused batch or subscription when the broker names no time of its own. */
export const REFUSED_POLICY: RetryPolicy = { minMs: 20, maxMs: 2000 };

/**
 * Milliseconds to wait before the next try.
 *
 * @param failures - tries that failed in a row, from 1
 */
export function retryDelayMs(policy: RetryPolicy, failures: number, prng: Prng): number {
  const ceiling = Math.min(policy.maxMs, policy.minMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(1, prng.next() * ceiling);
}
