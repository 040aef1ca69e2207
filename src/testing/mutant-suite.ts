/**
 * Mutants as tests: each must be caught, and what catches it must pass without it. A seed is run again for that; a test file is one
 * of the suite that this is part of, and passes there or the suite fails.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CLUSTER_STEPS_DEFAULT, simulateCluster } from './cluster-run.ts';
import { type WatchResult, watch } from './mutant-run.ts';
import { plantTree } from './mutant-tree.ts';
import type { Mutant } from './mutants.ts';
import { STEPS_DEFAULT, simulate } from './sim-run.ts';
import { projectRoot } from './source-tree.ts';

/** Each is a process that computes: as many as the machines that this is developed on have cores. */
const AT_ONCE = 2;
/** Where `src` and `test` lie compiled: this file is in `src/testing`. */
const COMPILED: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Defines the tests of these mutants. */
export function testMutants(subject: string, mutants: readonly Mutant[]): void {
  describe(`planted bugs of ${subject}`, { concurrency: AT_ONCE }, () => {
    for (const mutant of mutants) {
      it(`caught: ${mutant.name}`, async (t) => {
        const result = await runMutant(mutant);
        assert.ok(result.caughtBy !== undefined, `nothing noticed it\n${result.output}`);
        t.diagnostic(`caught by ${result.caughtBy}: ${result.symptom}`);
        assertControl(mutant, result.caughtBy);
      });
    }
  });
}

async function runMutant({ name, plants, watcher }: Mutant): Promise<WatchResult> {
  const tree = join(projectRoot(), '.build', 'mutants', name.replaceAll(/\W+/g, '-'));
  try {
    plantTree(COMPILED, tree, plants);
    return await watch(tree, watcher);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** The very seed that found the bug finds nothing without it. */
function assertControl({ watcher }: Mutant, caughtBy: string): void {
  if (watcher.kind === 'test') return;
  const seed = Number(caughtBy.replace('seed ', ''));
  const { failure } =
    watcher.kind === 'cluster'
      ? simulateCluster({ seed, steps: CLUSTER_STEPS_DEFAULT })
      : simulate({ seed, sizes: watcher.sizes, flush: watcher.flush, steps: STEPS_DEFAULT });
  assert.equal(failure, undefined, `seed ${seed} fails without the bug as well`);
}
