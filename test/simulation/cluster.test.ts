/**
 * A master and its slaves under seeded clients, crashes, power cuts, failing and destroyed disks, partitions and promotions, and
 * what clients were told against the promises. CLUSTER_SEEDS=N for more, FIRST=N to begin elsewhere; a failure prints the line
 * that repeats it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CLUSTER_STEPS_DEFAULT,
  reproduceCluster,
  simulateCluster,
} from '../../src/testing/cluster-run.ts';

const FIRST = Number(process.env['FIRST'] ?? 1);
const SEEDS = Number(process.env['CLUSTER_SEEDS'] ?? 500);
/** Seeds of one test: small enough to end well within the runner's time. */
const PART = 125;

for (let first = FIRST; first < FIRST + SEEDS; first += PART) {
  const last = Math.min(first + PART, FIRST + SEEDS) - 1;
  test(`clusters ${first} to ${last}: nothing acknowledged is lost, slaves are prefixes, one writes at a time`, () => {
    let opens = 0;
    for (let seed = first; seed <= last; seed += 1) {
      const result = simulateCluster({ seed, steps: CLUSTER_STEPS_DEFAULT });
      assert.equal(
        result.failure,
        undefined,
        `${reproduceCluster(result.options)}\n${result.failure ?? ''}`,
      );
      opens += result.counts.opens;
    }
    assert.ok(opens > 2 * (last - first), 'brokers were stopped and started');
  });
}
