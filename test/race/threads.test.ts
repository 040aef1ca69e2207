/** Real threads hammer one structure; the legal outcomes are listed and any other fails. ROUNDS=… for long runs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { PARK_WORD_BYTES, ParkWord } from '../../src/agent/park-word.ts';
import { getU64 } from '../../src/base/bytes.ts';
import { TailWindow } from '../../src/log/tail-window.ts';
import { CELL_BYTES, PositionCell } from '../../src/memory/position-cell.ts';
import * as envelope from '../../src/protocol/envelope-layout.ts';
import { RingConsumer } from '../../src/ring/ring-consumer.ts';
import { ringBytes } from '../../src/ring/ring-layout.ts';
import {
  RACE_BATCH_BYTES,
  type RaceTask,
  raceRecordLength,
} from '../../src/testing/race-worker.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 1);

function start(task: RaceTask): Worker {
  return new Worker(new URL('../../src/testing/race-worker.js', import.meta.url), {
    workerData: task,
  });
}

for (const publishEvery of [1, 3, 64]) {
  test(`a ring between threads loses, repeats and tears nothing (publish every ${publishEvery})`, async () => {
    const capacity = 1024;
    const records = 200_000 * ROUNDS;
    const ring = new SharedArrayBuffer(ringBytes(capacity));
    const consumer = new RingConsumer(ring, 0, capacity);
    const worker = start({ kind: 'produce', ring, capacity, records, publishEvery });
    let next = 0;
    while (next < records) {
      const handled = consumer.read((type, at, length) => {
        assert.equal(type, next + 1);
        assert.equal(length, raceRecordLength(next));
        assert.equal(consumer.view.getUint32(at, true), next);
        for (let index = at + 4; index < at + length; index += 1) {
          if (consumer.bytes[index] !== (next & 0xff)) assert.fail(`torn record ${next}`);
        }
        next += 1;
        return true;
      }, 50);
      if (handled === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (worker.threadId !== -1) await once(worker, 'exit');
  });
}

test('who sees a position sees what was written before it', async () => {
  const memory = new SharedArrayBuffer(CELL_BYTES);
  const data = new SharedArrayBuffer(4 * 1024);
  const words = new Uint32Array(data);
  const cell = new PositionCell(memory, 0);
  const rounds = 300_000 * ROUNDS;
  const worker = start({ kind: 'positions', memory, data, rounds });
  let last = 0;
  while (last < rounds) {
    const seen = cell.observe();
    assert.ok(seen >= last, `fell from ${last} to ${seen}`);
    // The writer may be ahead and have written this word again, but never behind.
    if (seen > 0)
      assert.ok((words[seen % words.length] as number) >= seen, `position ${seen} before its data`);
    if (seen === last) await new Promise((resolve) => setImmediate(resolve));
    last = seen;
  }
  if (worker.threadId !== -1) await once(worker, 'exit');
});

test('no wake-up is lost between looking for work and going to sleep', async () => {
  const memory = new SharedArrayBuffer(PARK_WORD_BYTES);
  const shared = new SharedArrayBuffer(8);
  const work = new Int32Array(shared);
  const word = new ParkWord(memory, 0);
  const rounds = 20_000 * ROUNDS;
  const worker = start({ kind: 'wake', memory, work: shared, rounds });
  let longestMs = 0;
  for (let round = 1; round <= rounds; round += 1) {
    const startedAt = performance.now();
    while (Atomics.load(work, 0) < round) word.park(5000, () => Atomics.load(work, 0) >= round);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    Atomics.store(work, 1, round);
    Atomics.notify(work, 1);
  }
  assert.ok(
    longestMs < 4000,
    `a wake-up took ${longestMs} ms: it was lost and the timeout saved it`,
  );
  if (worker.threadId !== -1) await once(worker, 'exit');
});

test('a slot of the tail is not written anew while somebody reads it', async () => {
  const capacity = 4096;
  const rounds = 15_000 * ROUNDS;
  const ring = new SharedArrayBuffer(ringBytes(capacity));
  const tail = new SharedArrayBuffer(32 * RACE_BATCH_BYTES);
  const window = new TailWindow(tail);
  const consumer = new RingConsumer(ring, 0, capacity);
  const worker = start({ kind: 'leases', ring, capacity, tail, rounds });
  let next = 0;
  while (next < rounds) {
    const handled = consumer.read((_type, at) => {
      assert.equal(getU64(consumer.view, at + envelope.DELIVER_BASE_OFFSET), next);
      const position = getU64(consumer.view, at + envelope.DELIVER_POSITION);
      for (const byte of window.at(position, RACE_BATCH_BYTES))
        if (byte !== (next & 0xff)) assert.fail(`batch ${next} was overwritten by ${byte}`);
      next += 1;
      return true;
    }, 20);
    if (handled === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  if (worker.threadId !== -1) await once(worker, 'exit');
});
