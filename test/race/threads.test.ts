/** Real threads hammer one structure; the legal outcomes are listed and any other fails. ROUNDS=… for long runs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { PARK_WORD_BYTES, ParkWord } from '../../src/agent/park-word.ts';
import { getU64 } from '../../src/base/bytes.ts';
import { sleep, systemClock } from '../../src/base/clock.ts';
import { KIB } from '../../src/base/units.ts';
import { SmallWriter } from '../../src/commit/log-writer.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { FileStorage } from '../../src/log/file-storage.ts';
import { LOG_MEMORY_BYTES, LogMemory } from '../../src/log/log-memory.ts';
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
/** Turns of the event loop without anything new, before a nap. */
const IDLE_TURNS_MAX = 50;
/** A wake-up that is lost takes as long; one that is late because the machine stood still, less. */
const PARK_MS = 60_000;
const LATE_MS_MAX = 50_000;

/** Lets the other thread go on. Where both share a processor, one that only looks keeps the other from it. */
async function turn(idleTurns: number): Promise<void> {
  if (idleTurns < IDLE_TURNS_MAX) await new Promise((resolve) => setImmediate(resolve));
  else await sleep(1);
}

/** Reads until there are `count` of them. */
async function readAll(read: () => number, count: number, done: () => number): Promise<void> {
  for (let idle = 0; done() < count; ) {
    idle = read() === 0 ? idle + 1 : 0;
    if (idle > 0) await turn(idle);
  }
}

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
    const read = (): number =>
      consumer.read((type, at, length) => {
        assert.equal(type, next + 1);
        assert.equal(length, raceRecordLength(next));
        assert.equal(consumer.view.getUint32(at, true), next);
        for (let index = at + 4; index < at + length; index += 1) {
          if (consumer.bytes[index] !== (next & 0xff)) assert.fail(`torn record ${next}`);
        }
        next += 1;
        return true;
      }, 50);
    await readAll(read, records, () => next);
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
    while (Atomics.load(work, 0) < round) word.park(PARK_MS, () => Atomics.load(work, 0) >= round);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    Atomics.store(work, 1, round);
    Atomics.notify(work, 1);
  }
  assert.ok(
    longestMs < LATE_MS_MAX,
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
  const read = (): number =>
    consumer.read((_type, at) => {
      assert.equal(getU64(consumer.view, at + envelope.DELIVER_BASE_OFFSET), next);
      const position = getU64(consumer.view, at + envelope.DELIVER_POSITION);
      for (const byte of window.at(position, RACE_BATCH_BYTES))
        if (byte !== (next & 0xff)) assert.fail(`batch ${next} was overwritten by ${byte}`);
      next += 1;
      return true;
    }, 20);
  await readAll(read, rounds, () => next);
  if (worker.threadId !== -1) await once(worker, 'exit');
});

for (const mode of ['SYNC_FLUSH', 'ASYNC_FLUSH'] as const) {
  test(`shard and flusher write one log in turn, and every byte of it, under ${mode}`, async (t) => {
    // In memory where there is such a place: a flusher that waits for a disk is hardly ever in the way.
    const home = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    const directory = mkdtempSync(join(home, 'sluice-race-'));
    const [segmentBytes, segments] = [64 * KIB, 64 * ROUNDS];
    const storage = new FileStorage(directory);
    for (let segment = 0; segment < segments; segment += 1) {
      const file = storage.open(segmentName(segment), true);
      file.write(new Uint8Array(segmentBytes), 0);
      file.close();
    }
    const control = new SharedArrayBuffer(LOG_MEMORY_BYTES);
    const tail = new SharedArrayBuffer(segmentBytes);
    const memory = new LogMemory(control, 0);
    const window = new TailWindow(tail);
    const shard = new SmallWriter({
      ...{ storage, tail: window, memory, segmentBytes, clock: systemClock, mode },
    });
    const worker = start({ kind: 'flush', directory, control, tail, segmentBytes, mode });
    t.after(() => worker.terminate());
    const words = new Uint32Array(tail);
    const end = segments * segmentBytes;
    let [appended, seen, own] = [0, 0, 0];
    for (let idle = 0; seen < end; ) {
      // Never beyond what is written and one window more, nor across its end, as in a log.
      const room = seen + segmentBytes - appended;
      const bytes = Math.min(
        room,
        segmentBytes - (appended % segmentBytes),
        8 + ((own * 56) % 2048),
      );
      for (let at = appended; at < appended + bytes; at += 4)
        words[(at % segmentBytes) / 4] = at ^ 0x5bd1e995;
      appended += Math.min(bytes, end - appended);
      memory.appended.publish(appended);
      if (shard.write()) own += 1;
      const written = memory.written.observe();
      assert.ok(written >= seen && written <= appended, `${seen}, ${written}, ${appended}`);
      idle = written === seen ? idle + 1 : 0;
      seen = written;
      if (idle > 0) await turn(idle);
    }
    assert.equal(shard.failure, undefined);
    assert.ok(own > 0, 'the shard had its turn');
    memory.requestStop();
    if (worker.threadId !== -1) await once(worker, 'exit');
    assert.equal(memory.flushed.observe(), end);
    const bytes = new Uint8Array(segmentBytes);
    for (let segment = 0; segment < segments; segment += 1) {
      storage.open(segmentName(segment), false).read(bytes, 0);
      for (const [index, word] of new Uint32Array(bytes.buffer).entries()) {
        const expected = ((segment * segmentBytes + index * 4) ^ 0x5bd1e995) >>> 0;
        if (word !== expected) assert.fail(`byte ${index * 4} of segment ${segment}`);
      }
    }
    rmSync(directory, { recursive: true });
  });
}
