/**
 * The simulated runs of `npm test`: seeds in four files, so that both cores and the runner's time are used well. Even seeds
 * have messages of one size, odd ones of all sizes; each seed decides between SYNC_FLUSH and ASYNC_FLUSH by itself.
 *
 *   SEEDS=50000 FIRST=10001 npm test -- simulation/seeds --test-timeout=36000000        a long run
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reproduce, STEPS_DEFAULT, simulate } from './sim-run.ts';

const FIRST = Number(process.env['FIRST'] ?? 1);
const SEEDS = Number(process.env['SEEDS'] ?? 2000);
/** Files that divide the seeds among them. */
const FILES = 4;
/** Seeds of one test: small enough to end well within the runner's time. */
const PART = 125;

/** Registers the tests of one file. @param file - 0 to 3 */
export function testSeeds(file: number): void {
  const from = FIRST + Math.floor((SEEDS * file) / FILES);
  const to = FIRST + Math.floor((SEEDS * (file + 1)) / FILES);
  for (let first = from; first < to; first += PART) {
    const last = Math.min(first + PART, to) - 1;
    test(`seeds ${first} to ${last}: nothing acknowledged is lost, order is kept, nothing cut comes back`, (context) => {
      const sums = { lives: 0, kills: 0, powerLosses: 0, crashesInRecovery: 0 };
      for (let seed = first; seed <= last; seed += 1) {
        const { lives, counts } = simulateOne(seed);
        sums.lives += lives;
        sums.kills += counts.kills;
        sums.powerLosses += counts.powerLosses;
        sums.crashesInRecovery += counts.crashesInRecovery;
      }
      assert.ok(sums.lives > last - first, 'shards were crashed and recovered');
      context.diagnostic(JSON.stringify(sums));
    });
  }
}

function simulateOne(seed: number): ReturnType<typeof simulate> {
  const sizes = seed % 2 === 0 ? 'fixed' : 'random';
  const result = simulate({ seed, sizes, flush: 'mixed', steps: STEPS_DEFAULT });
  const { options, failure } = result;
  assert.equal(failure, undefined, `${reproduce(options)}\n${failure ?? ''}`);
  return result;
}
