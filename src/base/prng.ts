/** Randomness, injected: the same seed gives the same run. The only file that asks the system for randomness. */

/** A source of random numbers. */
export interface Prng {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, below). */
  integer(below: number): number;
  /** True with this probability, 0 to 1. */
  chance(probability: number): boolean;
}

/**
 * A seeded generator (32-bit state, period 2^32): enough for tests and jitter, never for secrets.
 *
 * @source mulberry32, Tommy Ettinger, public domain
 */
export function seededPrng(seed: number): Prng {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    integer: (below) => Math.floor(next() * below),
    chance: (probability) => next() < probability,
  };
}

/** A generator seeded by the system. */
export function systemPrng(): Prng {
  return seededPrng(Math.floor(Math.random() * 4_294_967_296));
}
