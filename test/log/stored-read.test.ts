/** Batches read from segment files: neighbours together, in whatever files they are. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MIB } from '../../src/base/units.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { findKey, locate } from '../../src/log/find-messages.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { runSideJob } from '../../src/log/run-side-job.ts';
import { writeStoredHeader } from '../../src/log/stored-header.ts';
import { isStoredBatch, readExtents } from '../../src/log/stored-read.ts';
import { BatchBuilder, recordBytes } from '../../src/protocol/batch/batch-builder.ts';
import * as layout from '../../src/protocol/batch/batch-layout.ts';
import { FILLED_BATCH_BYTES, filledBatch } from '../../src/testing/stored-batches.ts';

const BATCHES_PER_SEGMENT = 4;
const SEGMENT_BYTES = BATCHES_PER_SEGMENT * FILLED_BATCH_BYTES;

/** Two segments without a gap: a batch ends where the first of them does. */
function twoSegments(): { storage: MemoryStorage; positions: number[] } {
  const storage = new MemoryStorage(MIB);
  const positions: number[] = [];
  for (let index = 0; index < 2 * BATCHES_PER_SEGMENT; index += 1) {
    const position = index * FILLED_BATCH_BYTES;
    const bytes = filledBatch({ position, baseOffset: index, id: index + 1, flushed: 0 });
    const name = segmentName(Math.floor(position / SEGMENT_BYTES));
    const file = storage.open(name, !storage.exists(name));
    file.write(bytes, position % SEGMENT_BYTES);
    file.close();
    positions.push(position);
  }
  return { storage, positions };
}

describe('batches read together', () => {
  test('are whole on both sides of the end of a segment', () => {
    const { storage, positions } = twoSegments();
    const extents = positions.map((position) => ({ position, bytes: FILLED_BATCH_BYTES }));
    const target = new Uint8Array(extents.length * FILLED_BATCH_BYTES);
    const failures = readExtents(storage, extents, SEGMENT_BYTES, target);
    assert.deepEqual(failures, Array(extents.length).fill(undefined));
    for (const [index, position] of positions.entries()) {
      const at = index * FILLED_BATCH_BYTES;
      const bytes = target.slice(at, at + FILLED_BATCH_BYTES);
      assert.ok(isStoredBatch(bytes, position), `the batch at ${position}`);
    }
    const job = { job: 1, kind: 'read-batches', extents, segmentBytes: SEGMENT_BYTES } as const;
    assert.deepEqual(runSideJob(storage, job).damaged, []);
  });

  test('say which of them are gone with their segment', () => {
    const { storage, positions } = twoSegments();
    storage.remove(segmentName(0));
    const extents = positions.map((position) => ({ position, bytes: FILLED_BATCH_BYTES }));
    const target = new Uint8Array(extents.length * FILLED_BATCH_BYTES);
    const failures = readExtents(storage, extents, SEGMENT_BYTES, target);
    const codes = failures.map((failure) => failure?.code);
    const half = BATCHES_PER_SEGMENT;
    assert.deepEqual(codes, [
      ...Array<string>(half).fill('MESSAGE_NOT_FOUND'),
      ...Array(half).fill(undefined),
    ]);
  });
});

type Stored = { readonly position: number; readonly bytes: number };
const TOPIC = 3;
const SMALL_SEGMENT = 4096;

/** A segment of batches of two messages; the keys are `<index>-a` and `<index>-b`. */
function keyedSegment(count: number, topicOf = (_index: number): number => TOPIC) {
  const storage = new MemoryStorage(MIB);
  const file = storage.open(segmentName(0), true);
  file.write(new Uint8Array(SMALL_SEGMENT), 0);
  const stored: Stored[] = [];
  let position = 0;
  for (let index = 0; index < count; index += 1) {
    const builder = new BatchBuilder(512);
    for (const letter of ['a', 'b']) {
      // The body names the key of the one before: bytes that are there, and no key.
      const record = {
        body: `${index - 1}-a`,
        bodyKind: layout.BODY_TEXT,
        key: `${index}-${letter}`,
      } as const;
      builder.append(record, recordBytes(record), 512, 1);
    }
    const batch = builder.finish(0, 0);
    const bytes = new Uint8Array(layout.STORED_HEADER_BYTES + batch.length);
    bytes.set(batch, layout.STORED_HEADER_BYTES);
    const view = new DataView(bytes.buffer);
    writeStoredHeader(bytes, view, 0, {
      ...{
        kind: layout.KIND_DATA,
        bytes: bytes.length,
        position,
        baseOffset: 2 * index,
        flushed: 0,
      },
      ...{ storedAtMs: 1, epoch: 1, topicId: topicOf(index), queueId: 0, flags: 0 },
      payloadCrc: view.getUint32(layout.STORED_HEADER_BYTES + layout.BATCH_CRC, true),
    });
    file.write(bytes, position);
    stored.push({ position, bytes: bytes.length });
    position += bytes.length;
  }
  file.close();
  return { storage, stored, end: position };
}

function keyed(storage: MemoryStorage, key: string, committed: number): number[] {
  const shape = { job: 1, segmentBytes: SMALL_SEGMENT, chunkBytes: SMALL_SEGMENT } as const;
  const job = { ...shape, kind: 'find-key', topicId: TOPIC, key, max: 64 } as const;
  const found = findKey(storage, { ...job, sealed: [], open: [0], committed });
  return found.map(({ baseOffset, index }) => baseOffset + index);
}

describe('messages in a segment without an index', () => {
  test('are found by their keys and by nothing that looks like one', () => {
    const { storage, end } = keyedSegment(12);
    assert.deepEqual(keyed(storage, '7-a', end), [14]);
    assert.deepEqual(keyed(storage, '7-b', end), [15]);
    assert.deepEqual(keyed(storage, '0-a', end), [0]);
    assert.deepEqual(keyed(storage, '11-b', end), [23]);
    // A part of a key, and what only a body has.
    assert.deepEqual(keyed(storage, '-a', end), []);
    assert.deepEqual(keyed(storage, '-1-a', end), []);
    assert.deepEqual(keyed(storage, 'nobody', end), []);
  });

  test('are not found above the commit position, nor in another topic, nor where they are damaged', () => {
    const { storage, stored, end } = keyedSegment(12, (index) => (index === 4 ? 9 : TOPIC));
    assert.deepEqual(keyed(storage, '11-a', stored[11]?.position ?? 0), []);
    assert.deepEqual(keyed(storage, '4-a', end), []);
    const file = storage.open(segmentName(0), false);
    const { position = 0, bytes = 0 } = stored[7] ?? {};
    file.write(Uint8Array.of(1), position + bytes - 1);
    file.close();
    assert.deepEqual(keyed(storage, '7-a', end), []);
    assert.deepEqual(keyed(storage, '8-a', end), [16]);
  });

  test('are found by what a message id says', () => {
    const { storage, stored } = keyedSegment(12);
    const shape = { job: 1, segmentBytes: SMALL_SEGMENT, chunkBytes: SMALL_SEGMENT } as const;
    const at = (value: number): number[] =>
      locate(storage, { ...shape, kind: 'locate', value }).map(
        ({ baseOffset, index }) => baseOffset + index,
      );
    for (const [index, { position }] of stored.entries()) {
      assert.deepEqual(at(position), [2 * index]);
      assert.deepEqual(at(position + 1), [2 * index + 1]);
      assert.deepEqual(at(position + 2), []);
    }
  });
});
