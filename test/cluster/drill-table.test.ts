/** The promise table as data: what breaks a promise, and what is allowed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHAPES } from '../../src/cluster/cluster-plan.ts';
import {
  brokenPromises,
  type DrillFindings,
  FAULTS,
  promisedOf,
} from '../../src/cluster/drill-table.ts';

const FINE: DrillFindings = {
  acknowledged: 1000,
  acknowledgedInFault: 200,
  acknowledgedJustBefore: 50,
  acknowledgedByStruck: 0,
  lost: 0,
  lostByLagging: 0,
  laggingInFault: 30,
  duplicated: 0,
  movedInDoubt: 0,
  reordered: 0,
  unexpected: 0,
};
const STRICT = { loss: 'none', goesOn: true, readsOn: true, standsStill: true } as const;

test('whoever saw nothing wrong saw the promise kept', () => {
  assert.deepEqual(brokenPromises(STRICT, FINE), []);
});

test('each finding that was not allowed breaks it by itself', () => {
  const wrong: readonly Partial<DrillFindings>[] = [
    ...[{ acknowledged: 0 }, { acknowledgedInFault: 0 }, { lost: 1 }],
    ...[{ duplicated: 1 }, { duplicated: 3, movedInDoubt: 2 }, { reordered: 1 }, { unexpected: 1 }],
    ...[{ acknowledgedByStruck: 1 }, { lostByLagging: 1 }, { laggingInFault: 0 }],
  ];
  for (const part of wrong)
    assert.equal(brokenPromises(STRICT, { ...FINE, ...part }).length, 1, JSON.stringify(part));
});

test('a lost disk may cost what its slave lacked, and a lone master stands still while it is away', () => {
  const lag = promisedOf('2m-2s-async', 'disk-loss');
  assert.deepEqual(brokenPromises(lag, { ...FINE, lost: 50 }), []);
  assert.equal(brokenPromises(lag, { ...FINE, lost: 51 }).length, 1);
  const alone = promisedOf('1m', 'kill-master');
  assert.deepEqual(brokenPromises(alone, { ...FINE, acknowledgedInFault: 0 }), []);
  assert.equal(brokenPromises(alone, { ...FINE, lost: 1 }).length, 1);
});

test('only a synchronous master whose slave is cut off must stand still', () => {
  const still = FAULTS.filter((fault) => promisedOf('2m-2s-sync', fault).standsStill);
  assert.deepEqual(still, ['kill-slave', 'partition', 'slow-slave']);
  assert.ok(FAULTS.every((fault) => !promisedOf('2m-2s-async', fault).standsStill));
});

test('a group that lags reads on from the slave of a master that died', () => {
  for (const shape of SHAPES)
    assert.equal(promisedOf(shape, 'kill-master').readsOn, shape.includes('2s'), shape);
});

test('only that one may lose anything; faults of slaves need slaves', () => {
  for (const shape of SHAPES)
    for (const fault of FAULTS) {
      const isPossible = shape.includes('2s') || ['kill-master', 'kill-namesrv'].includes(fault);
      if (!isPossible) assert.throws(() => promisedOf(shape, fault), /needs a slave/);
      else
        assert.equal(
          promisedOf(shape, fault).loss === 'lag',
          shape === '2m-2s-async' && fault === 'disk-loss',
        );
    }
});
