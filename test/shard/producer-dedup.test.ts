/** The dedup table against a model that remembers every batch, and its bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEDUP_BATCHES_MAX, DEDUP_PRODUCERS_MAX } from '../../src/base/limits.ts';
import { dedupKey, ProducerDedup } from '../../src/shard/producer-dedup.ts';

const KEY = dedupKey(1, 0, 'p');

function record(dedup: ProducerDedup, sequence: number, count: number, epoch = 1, key = KEY): void {
  const position = 1000 * sequence;
  const stored = { sequence, count, baseOffset: 7 + sequence, position, endPosition: position + 9 };
  dedup.record(key, epoch, stored);
}

test('the last batches of a producer are found where they are, older ones are known as duplicates', () => {
  const counts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(counts, (sizes) => {
      const dedup = new ProducerDedup();
      let next = 0;
      const starts: number[] = [];
      for (const size of sizes) {
        assert.equal(dedup.check(KEY, 1, next, size).kind, 'new');
        record(dedup, next, size);
        starts.push(next);
        next += size;
      }
      const restored = new ProducerDedup();
      restored.restore(JSON.parse(JSON.stringify(dedup.state())));
      for (const table of [dedup, restored]) {
        for (const [index, start] of starts.entries()) {
          const isRecent = starts.length - index <= DEDUP_BATCHES_MAX;
          const expected = isRecent
            ? { baseOffset: 7 + start, position: 1000 * start, endPosition: 1000 * start + 9 }
            : { baseOffset: -1, position: 0, endPosition: 0 };
          const verdict = table.check(KEY, 1, start, sizes[index] as number);
          assert.deepEqual(verdict, { kind: 'duplicate', ...expected });
        }
        assert.deepEqual(table.check(KEY, 1, next + 1, 1), { kind: 'gap', expected: next });
        assert.deepEqual(table.check(KEY, 0, next, 1), { kind: 'stale', epoch: 1 });
      }
    }),
  );
});

test('a new epoch begins anew and forgets the batches of the old one', () => {
  const dedup = new ProducerDedup();
  record(dedup, 0, 5);
  record(dedup, 40, 2, 2);
  assert.equal(dedup.check(KEY, 2, 40, 2).kind, 'duplicate');
  assert.deepEqual(dedup.check(KEY, 2, 0, 5), { kind: 'gap', expected: 42 });
});

test('the longest unused producer is forgotten first', () => {
  const dedup = new ProducerDedup();
  const keyOf = (n: number): string => dedupKey(1, 0, `p${n}`);
  for (let n = 0; n < DEDUP_PRODUCERS_MAX; n += 1) record(dedup, 0, 1, 1, keyOf(n));
  record(dedup, 1, 1, 1, keyOf(0));
  record(dedup, 0, 1, 1, keyOf(DEDUP_PRODUCERS_MAX));
  assert.equal(dedup.size, DEDUP_PRODUCERS_MAX);
  assert.equal(dedup.check(keyOf(0), 1, 0, 1).kind, 'duplicate');
  assert.equal(dedup.check(keyOf(1), 1, 5, 1).kind, 'new');
});
