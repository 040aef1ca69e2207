/**
 * Every call with which scripted runs change the disk: the process dies there, the power fails there, before the call and
 * within it. Exhaustive; `npm test -- simulation/boundaries --test-name-pattern='a snapshot'` runs one script.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { boundariesOf, type Harm, harmsOf, runHarmed } from '../../src/testing/boundary-run.ts';
import { SCRIPTS } from '../../src/testing/boundary-scripts.ts';

const CRASHES: ReadonlySet<Harm> = new Set<Harm>([
  ...(['kill', 'kill-within', 'power', 'power-within'] as const),
]);
/** So few would mean that the scripts do not do what they say. */
const SCRIPTS_MIN = 20;

describe('a crash at every change of the disk', () => {
  let boundaryCount = 0;
  let runCount = 0;

  for (const script of SCRIPTS) {
    test(script.name, () => {
      const boundaries = boundariesOf(script);
      boundaryCount += boundaries.length;
      boundaries.forEach(({ operation, file }, k) => {
        for (const harm of harmsOf(operation).filter((one) => CRASHES.has(one))) {
          runCount += 1;
          assert.doesNotThrow(
            () => runHarmed(script, boundaries, k, harm),
            `${harm} at boundary ${k}: ${operation} ${file}`,
          );
        }
      });
    });
  }

  test('in all', (context) => {
    assert.ok(SCRIPTS.length >= SCRIPTS_MIN);
    const counts = `${SCRIPTS.length} scripts, ${boundaryCount} boundaries, ${runCount} crashes`;
    context.diagnostic(counts);
  });
});
