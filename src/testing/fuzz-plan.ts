/**
 * How long a fuzzer runs and from which seed: few rounds and a fixed seed in `npm test`, so that a red test is red
 * again; many rounds and a fresh seed by `npm run fuzz`. fast-check prints the seed of a failure and the shrunk input.
 */
import { systemPrng } from '../base/prng.ts';

/** Fits `fc.assert(property, fuzzPlan(500))`, and loops of one's own. */
export type FuzzPlan = { readonly numRuns: number; readonly seed: number };

const SEED_EVERY_DAY = 20_260_101;

/**
 * @param rounds - in the small size, some milliseconds' worth
 */
export function fuzzPlan(rounds: number): FuzzPlan {
  const long = process.env['FUZZ_ROUNDS'];
  const given = process.env['SEED'];
  const fresh = long === undefined ? SEED_EVERY_DAY : systemPrng().integer(0x7fff_ffff);
  const plan = { numRuns: Number(long ?? rounds), seed: Number(given ?? fresh) };
  if (!Number.isSafeInteger(plan.numRuns) || !Number.isSafeInteger(plan.seed)) {
    throw new Error(`FUZZ_ROUNDS and SEED are integers, not ${long} and ${given}`);
  }
  return plan;
}
