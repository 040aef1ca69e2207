/**
 * One production shard under seeded clients, crashes, power cuts and disk faults, and what clients saw against the
 * promises. SEEDS=N for more, FIRST=N to begin elsewhere; a failure prints the line that repeats it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reproduce, STEPS_DEFAULT, simulate } from '../../src/testing/sim-run.ts';

const FIRST = Number(process.env['FIRST'] ?? 601);
const SEEDS = Number(process.env['SEEDS'] ?? 650);
/** Seeds of one test: small enough to end well within the runner's time. */
const PART = 250;
const MODES = [
  { sizes: 'fixed', flush: 'mixed' },
  { sizes: 'random', flush: 'mixed' },
] as const;

for (let first = FIRST; first < FIRST + SEEDS; first += PART) {
  const last = Math.min(first + PART, FIRST + SEEDS) - 1;
  test(`seeds ${first} to ${last}: nothing acknowledged is lost, order is kept, nothing cut comes back`, () => {
    let lives = 0;
    for (let seed = first; seed <= last; seed += 1) {
      const mode = MODES[seed % MODES.length] as (typeof MODES)[number];
      const result = simulate({ ...mode, steps: STEPS_DEFAULT, seed });
      assert.equal(
        result.failure,
        undefined,
        `${reproduce(result.options)}\n${result.failure ?? ''}`,
      );
      lives += result.lives;
    }
    assert.ok(lives > last - first, 'shards were crashed and recovered');
  });
}
