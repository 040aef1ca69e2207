import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startSlicedTimer } from '../../src/client/sliced-timer.ts';

it('a limit in slices is over after all of them, and after none once it is cancelled', () => {
  const waiting: { readonly ms: number; readonly fire: () => void }[] = [];
  const startTimer = (ms: number, fire: () => void): (() => void) => {
    const one = { ms, fire };
    waiting.push(one);
    return () => waiting.splice(waiting.indexOf(one), 1);
  };
  const fireNext = (): void => waiting.shift()?.fire();
  let fired = 0;
  startSlicedTimer(startTimer, 5000, () => {
    fired += 1;
  });
  for (let slice = 0; slice < 4; slice += 1) {
    assert.deepEqual(
      waiting.map(({ ms }) => ms),
      [1000],
    );
    fireNext();
    assert.equal(fired, 0, 'one that is late costs one');
  }
  fireNext();
  assert.equal(fired, 1);
  assert.equal(waiting.length, 0);
  const cancel = startSlicedTimer(startTimer, 5000, () => assert.fail('it was cancelled'));
  fireNext();
  cancel();
  assert.equal(waiting.length, 0);
});
