import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '../../src/testing/sim-clock.ts';

test('advancing moves both clocks by the same', () => {
  const clock = new SimClock(1000);
  assert.equal(clock.monotonicMs(), 0);
  assert.equal(clock.epochMs(), 1000);
  clock.advance(0.5);
  clock.advance(1.25);
  assert.equal(clock.monotonicMs(), 1.75);
  assert.equal(clock.epochMs(), 1001);
  assert.throws(() => clock.advance(-1), /time goes forward/);
  assert.throws(() => clock.advance(Number.NaN), /time goes forward/);
});

test('wall time jumps, forward and back, and monotonic time does not notice', () => {
  const clock = new SimClock(10_000);
  clock.advance(5);
  clock.jumpEpoch(3_600_000);
  assert.equal(clock.epochMs(), 3_610_005);
  clock.jumpEpoch(-3_605_000);
  assert.equal(clock.epochMs(), 5005);
  assert.equal(clock.monotonicMs(), 5);
});
