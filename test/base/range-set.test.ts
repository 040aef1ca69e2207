import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RangeSet } from '../../src/base/range-set.ts';

const SPACE = 40;

test('a range set behaves as a set of numbers', () => {
  const step = fc.record({
    kind: fc.constantFrom('add' as const, 'remove' as const, 'absorb' as const),
    start: fc.integer({ min: 0, max: SPACE }),
    length: fc.integer({ min: 0, max: 12 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const set = new RangeSet();
      const model = new Set<number>();
      for (const { kind, start, length } of steps) {
        const end = start + length;
        if (kind === 'add') {
          set.add(start, end);
          for (let value = start; value < end; value += 1) model.add(value);
        } else if (kind === 'remove') {
          const before = model.size;
          for (let value = start; value < end; value += 1) model.delete(value);
          assert.equal(set.remove(start, end), before - model.size);
        } else {
          let mark = start;
          while (model.has(mark)) mark += 1;
          assert.equal(set.absorb(start), mark);
          for (const value of model) if (value < mark) model.delete(value);
        }
        const within = set.within(start, end).flatMap(([from, to]) => numbers(from, to));
        assert.deepEqual(
          within,
          numbers(start, end).filter((value) => model.has(value)),
        );
        check(set, model);
      }
    }),
  );
});

function numbers(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

function check(set: RangeSet, model: ReadonlySet<number>): void {
  const listed = set
    .runs()
    .flatMap(([start, end]) => Array.from({ length: end - start }, (_, index) => start + index));
  assert.deepEqual(
    listed,
    [...model].sort((left, right) => left - right),
  );
  const runs = set.runs();
  for (const [index, [start]] of runs.entries()) {
    assert.ok(index === 0 || start > (runs[index - 1]?.[1] ?? 0), 'runs never touch');
  }
  for (let value = 0; value <= SPACE + 14; value += 1) {
    assert.equal(set.has(value), model.has(value));
    let missing = value;
    while (model.has(missing)) missing += 1;
    assert.equal(set.firstMissing(value), missing);
    const starts = runs.map(([start]) => start).filter((start) => start > value);
    assert.equal(set.nextStart(value), starts[0] ?? Number.POSITIVE_INFINITY);
  }
}
