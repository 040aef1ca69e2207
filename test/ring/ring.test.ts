/** The ring against a plain array: what goes in comes out, in order, whole, or not at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RingConsumer } from '../../src/ring/ring-consumer.ts';
import { ringBytes, ringPayloadMax } from '../../src/ring/ring-layout.ts';
import { RING_FULL, RingProducer } from '../../src/ring/ring-producer.ts';

const CAPACITY = 512;

function makeRing(startIndex = 0): { producer: RingProducer; consumer: RingConsumer } {
  const memory = new SharedArrayBuffer(ringBytes(CAPACITY));
  new Int32Array(memory, 0, 1)[0] = startIndex;
  new Int32Array(memory, 128, 1)[0] = startIndex;
  return {
    producer: new RingProducer(memory, 0, CAPACITY),
    consumer: new RingConsumer(memory, 0, CAPACITY),
  };
}

function put(producer: RingProducer, type: number, length: number, fill: number): boolean {
  const at = producer.claim(type, length);
  if (at === RING_FULL) return false;
  producer.bytes.fill(fill, at, at + length);
  return true;
}

test('records of any size come out as they went in, over many wraps of ring and index', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      length: fc.integer({ min: 0, max: ringPayloadMax(CAPACITY) }),
    }),
    fc.record({ kind: fc.constant('publish' as const) }),
    fc.record({ kind: fc.constant('abort' as const), length: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ kind: fc.constant('read' as const), limit: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('refuse' as const) }),
  );
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.constantFrom(0, 8, 504, 2 ** 31 - 64, -64),
      (steps, start) => {
        const { producer, consumer } = makeRing(start | 0);
        const claimed: { type: number; length: number }[] = [];
        const visible: { type: number; length: number }[] = [];
        let next = 1;
        for (const one of steps) {
          if (one.kind === 'put') {
            if (put(producer, next, one.length, next & 0xff))
              claimed.push({ type: next, length: one.length });
            next += 1;
          } else if (one.kind === 'abort') {
            if (put(producer, 999, one.length, 9)) producer.abort();
          } else if (one.kind === 'publish') {
            producer.publish();
            visible.push(...claimed.splice(0));
          } else if (one.kind === 'refuse') {
            assert.equal(
              consumer.read(() => false, 3),
              0,
            );
          } else {
            consumer.read((type, at, length) => {
              const expected = visible.shift();
              assert.deepEqual({ type, length }, expected);
              for (let index = at; index < at + length; index += 1)
                assert.equal(consumer.bytes[index], type & 0xff);
              return true;
            }, one.limit);
          }
          assert.ok(producer.usedBytes() <= CAPACITY);
        }
        producer.publish();
        visible.push(...claimed);
        consumer.read(() => visible.shift() !== undefined, 10_000);
        assert.equal(visible.length, 0);
        assert.equal(producer.usedBytes(), 0);
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 2000) },
  );
});

test('a full ring refuses, keeps what it has, and takes more after a read', () => {
  const { producer, consumer } = makeRing();
  let taken = 0;
  while (put(producer, 1, 24, taken)) taken += 1;
  assert.equal(taken, CAPACITY / 32);
  producer.publish();
  assert.equal(producer.claim(1, 24), RING_FULL);
  const seen: number[] = [];
  consumer.read((_type, at) => {
    seen.push(consumer.bytes[at] as number);
    return true;
  }, 2);
  assert.deepEqual(seen, [0, 1]);
  assert.notEqual(producer.claim(1, 24), RING_FULL);
});

test('the largest record fits an empty ring wherever the indices stand', () => {
  for (let start = 0; start < CAPACITY; start += 8) {
    const { producer, consumer } = makeRing(start);
    assert.ok(put(producer, 1, ringPayloadMax(CAPACITY), 7), `at ${start}`);
    producer.publish();
    assert.equal(
      consumer.read((_type, _at, length) => length === ringPayloadMax(CAPACITY), 1),
      1,
    );
  }
});

test('a handler that throws leaves its record for the next read', () => {
  const { producer, consumer } = makeRing();
  put(producer, 1, 8, 1);
  put(producer, 2, 8, 2);
  producer.publish();
  let calls = 0;
  assert.throws(() =>
    consumer.read((type) => {
      calls += 1;
      if (type === 2) throw new Error('planted');
      return true;
    }, 5),
  );
  assert.equal(calls, 2);
  assert.equal(
    consumer.read((type) => type === 2, 5),
    1,
  );
});

test('a consumed sequence is told from one that is still read', () => {
  const { producer, consumer } = makeRing(2 ** 31 - 16);
  put(producer, 1, 8, 1);
  const sequence = producer.sequence;
  producer.publish();
  assert.equal(producer.consumedPast(sequence), false);
  consumer.read(() => true, 1);
  assert.equal(producer.consumedPast(sequence), true);
});
