import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { Fifo } from '../../src/client/fifo.ts';

it('a queue gives back what it was given, in order, like an array', () => {
  const steps = fc.array(fc.oneof(fc.constant('shift' as const), fc.nat()), { maxLength: 600 });
  fc.assert(
    fc.property(steps, (list) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const step of list) {
        if (step === 'shift') assert.equal(fifo.shift(), model.shift());
        else {
          fifo.push(step);
          model.push(step);
        }
        assert.equal(fifo.length, model.length);
        assert.equal(fifo.peek(), model[0]);
      }
      assert.deepEqual([...fifo], model);
      assert.deepEqual(fifo.clear(), model);
      assert.equal(fifo.length, 0);
    }),
  );
});

it('a queue lets go of what was taken', () => {
  const fifo = new Fifo<number>();
  for (let index = 0; index < 10_000; index += 1) {
    fifo.push(index);
    if (index >= 10) assert.equal(fifo.shift(), index - 10);
  }
  assert.deepEqual(
    [...fifo],
    Array.from({ length: 10 }, (_, index) => 9990 + index),
  );
});
