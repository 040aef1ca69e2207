/**
 * Every call with which scripted runs change the disk fails once: an error of the device, a full disk. And every change of
 * the disk that a recovery makes is cut by a second power failure.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  boundariesOf,
  type Harm,
  harmsOf,
  runHarmed,
  runHarmedTwice,
} from '../../src/testing/boundary-run.ts';
import { SCRIPTS } from '../../src/testing/boundary-scripts.ts';

const ERRORS: ReadonlySet<Harm> = new Set<Harm>(['error', 'error-old', 'full']);
/** Scripts whose crashes leave all kinds of things for a recovery to do. */
const RECOVERED: readonly string[] = [
  'a restart between sending and sending again',
  'a segment is full and the next begins',
  'a snapshot',
  'whole batches behind a lost one are cut and do not come back',
];
/** Changes that a recovery makes at most. */
const RECOVERY_MAX = 40;

describe('an error at every change of the disk', () => {
  let runCount = 0;

  for (const script of SCRIPTS) {
    test(script.name, () => {
      const boundaries = boundariesOf(script);
      boundaries.forEach(({ operation, file }, k) => {
        for (const harm of harmsOf(operation).filter((one) => ERRORS.has(one))) {
          runCount += 1;
          assert.doesNotThrow(
            () => runHarmed(script, boundaries, k, harm),
            `${harm} at boundary ${k}: ${operation} ${file}`,
          );
        }
      });
    });
  }

  test('in all', (context) => context.diagnostic(`${SCRIPTS.length} scripts, ${runCount} errors`));
});

describe('a crash at every change of the disk that a recovery makes', () => {
  let runCount = 0;

  for (const script of SCRIPTS.filter(({ name }) => RECOVERED.includes(name))) {
    test(script.name, () => {
      const boundaries = boundariesOf(script);
      boundaries.forEach(({ operation, file }, k) => {
        for (let j = 0, isCut = true; isCut; j += 1) {
          assert.ok(j < RECOVERY_MAX, 'a recovery comes to its end');
          runCount += 1;
          assert.doesNotThrow(() => {
            isCut = runHarmedTwice(script, boundaries, k, 'power-within', j);
          }, `recovery cut at ${j} after boundary ${k}: ${operation} ${file}`);
        }
      });
    });
  }

  test('in all', (context) => {
    assert.equal(SCRIPTS.filter(({ name }) => RECOVERED.includes(name)).length, RECOVERED.length);
    context.diagnostic(`${RECOVERED.length} scripts, ${runCount} recoveries that were cut`);
  });
});
