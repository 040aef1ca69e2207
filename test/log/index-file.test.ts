/** The index of a segment: what a look-up by key, or of a queue's entries, reads of it, and what damage does to that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setU64 } from '../../src/base/bytes.ts';
import { fnv1a } from '../../src/base/fnv1a.ts';
import { MIB } from '../../src/base/units.ts';
import { indexName } from '../../src/log/file-names.ts';
import { IndexBuilder, IndexReader } from '../../src/log/index-file.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { runSideJob } from '../../src/log/run-side-job.ts';
import type { Storage } from '../../src/log/storage.ts';
import { storageIoError } from '../../src/log/storage-rules.ts';
import {
  BatchBuilder,
  type RecordInput,
  recordBytes,
} from '../../src/protocol/batch/batch-builder.ts';
import * as layout from '../../src/protocol/batch/batch-layout.ts';

const SEGMENT = 3;
const TOPIC = 7;
const BATCHES = 400;
const RECORDS = 20;
const BATCH_STEP = 4096;

/** Batches with keys of their own, and one key that every batch has. */
function built(): Storage {
  const storage = new MemoryStorage(64 * MIB);
  const builder = new IndexBuilder();
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const keys = Array.from({ length: RECORDS }, (_, index) => keyOf(batch, index));
    const stored = storedBatch(batch * BATCH_STEP, [...keys, 'everywhere']);
    builder.add(stored, new DataView(stored.buffer), 0);
  }
  builder.write(storage, SEGMENT);
  return storage;
}

const keyOf = (batch: number, index: number): string => `order-${batch}-${index}`;

function storedBatch(position: number, keys: readonly string[]): Uint8Array {
  const builder = new BatchBuilder(4096, '');
  for (const key of keys) {
    const record: RecordInput = { body: 'x', bodyKind: layout.BODY_TEXT, key };
    builder.append(record, recordBytes(record), MIB, 1000);
  }
  const batch = builder.finish(0, 0);
  const stored = new Uint8Array(layout.STORED_HEADER_BYTES + batch.length);
  stored.set(batch, layout.STORED_HEADER_BYTES);
  const view = new DataView(stored.buffer);
  view.setUint16(layout.STORED_KIND, layout.KIND_DATA, true);
  view.setUint32(layout.STORED_TOPIC_ID, TOPIC, true);
  view.setUint32(layout.STORED_BYTES, stored.length, true);
  setU64(view, layout.STORED_POSITION, position);
  return stored;
}

/** Counts what is read. */
function counting(storage: Storage): { readonly storage: Storage; bytes: number } {
  const counted = {
    bytes: 0,
    storage: new Proxy(storage, {
      get: (target, name) => {
        if (name !== 'open') {
          const value = Reflect.get(target, name) as unknown;
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return (file: string, create: boolean) => {
          const opened = target.open(file, create);
          const read = opened.read.bind(opened);
          opened.read = (into, at) => {
            const bytes = read(into, at);
            counted.bytes += bytes;
            return bytes;
          };
          return opened;
        };
      },
    }),
  };
  return counted;
}

function found(storage: Storage, key: string, topicId: number = TOPIC): number[] | undefined {
  const reader = IndexReader.open(storage, SEGMENT);
  assert.ok(reader !== undefined);
  try {
    return reader.findKey(topicId, fnv1a(key));
  } finally {
    reader.close();
  }
}

test('every key is found, and what is not there is not', () => {
  const storage = built();
  for (let batch = 0; batch < BATCHES; batch += 7)
    for (const index of [0, 9, RECORDS - 1])
      assert.deepEqual(found(storage, keyOf(batch, index)), [batch * BATCH_STEP]);
  for (let number = 0; number < 200; number += 1)
    assert.deepEqual(found(storage, `other-${number}`), []);
  assert.deepEqual(found(storage, keyOf(3, 3), TOPIC + 1), []);
  // One key in more batches than a page holds keys of.
  assert.deepEqual(
    found(storage, 'everywhere'),
    Array.from({ length: BATCHES }, (_, batch) => (BATCHES - 1 - batch) * BATCH_STEP),
  );
});

test('a look-up reads a page or two, not the index', () => {
  const counted = counting(built());
  const file = counted.storage.open(indexName(SEGMENT), false);
  const whole = file.size();
  file.close();
  for (let number = 0; number < 50; number += 1) {
    counted.bytes = 0;
    found(counted.storage, keyOf(number, 1));
    assert.ok(counted.bytes < 20_000, `${counted.bytes} of ${whole} bytes`);
  }
  assert.ok(whole > 100_000);
});

/** Many queues; every seventh batch of each is missing, as damage leaves it. */
const QUEUES = 5;
const QUEUE_BATCHES = 1500;

function ofQueues(): { storage: Storage; entries: Map<number, number[]> } {
  const storage = new MemoryStorage(64 * MIB);
  const builder = new IndexBuilder();
  const entries = new Map<number, number[]>();
  let position = 0;
  for (let batch = 0; batch < QUEUE_BATCHES; batch += 1)
    for (let queueId = 0; queueId < QUEUES; queueId += 1) {
      const stored = storedBatch(position, ['k', 'l']);
      const view = new DataView(stored.buffer);
      view.setUint16(layout.STORED_QUEUE_ID, queueId, true);
      setU64(view, layout.STORED_BASE_OFFSET, 2 * batch);
      position += BATCH_STEP;
      if (batch % 7 === 6) continue;
      builder.add(stored, view, 0);
      entries.set(queueId, [...(entries.get(queueId) ?? []), 2 * batch]);
    }
  builder.write(storage, SEGMENT);
  return { storage, entries };
}

function pageOf(storage: Storage, queueId: number, offset: number, max: number) {
  const reader = IndexReader.open(storage, SEGMENT);
  try {
    return reader?.page(TOPIC, queueId, offset, max);
  } finally {
    reader?.close();
  }
}

/** Base offsets of a page. */
function offsetsOf(page: Float64Array | undefined): number[] | undefined {
  return page === undefined
    ? undefined
    : Array.from({ length: page.length / 7 }, (_, index) => page[7 * index] as number);
}

test('a page begins with the entry that holds the offset, or follows it, and ends with its queue', () => {
  const { storage, entries } = ofQueues();
  for (const max of [1, 100, 2048])
    for (let queueId = 0; queueId < QUEUES; queueId += 1) {
      const all = entries.get(queueId) ?? [];
      for (let offset = 0; offset <= 2 * QUEUE_BATCHES; offset += max === 1 ? 1 : 37) {
        const first = all.findIndex((base) => base + 2 > offset);
        const expected = first < 0 ? [] : all.slice(first, first + max);
        assert.deepEqual(offsetsOf(pageOf(storage, queueId, offset, max)), expected);
      }
    }
  assert.deepEqual(offsetsOf(pageOf(storage, QUEUES, 0, 10)), []);
});

test('a page of entries reads its part of the index, not the index', () => {
  const { storage } = ofQueues();
  const counted = counting(storage);
  const file = storage.open(indexName(SEGMENT), false);
  const whole = file.size();
  file.close();
  for (let offset = 0; offset < 2 * QUEUE_BATCHES; offset += 200) {
    counted.bytes = 0;
    pageOf(counted.storage, 2, offset, 100);
    // At most three pages of 512 entries, and the page table.
    assert.ok(counted.bytes < 95_000, `${counted.bytes} of ${whole} bytes`);
  }
  assert.ok(whole > 400_000);
});

test('damage in a page of entries is found whenever it comes, and elsewhere it is none of its business', () => {
  const { storage, entries } = ofQueues();
  const file = storage.open(indexName(SEGMENT), false);
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  const expected = (entries.get(3) ?? []).slice(0, 50);
  let damaged = 0;
  for (let at = 100; at < bytes.length; at += 997) {
    assert.deepEqual(offsetsOf(pageOf(storage, 3, 0, 50)), expected);
    file.write(Uint8Array.of((bytes[at] as number) ^ 1), at);
    const found = offsetsOf(pageOf(storage, 3, 0, 50));
    if (found === undefined) damaged += 1;
    else assert.deepEqual(found, expected);
    file.write(Uint8Array.of(bytes[at] as number), at);
  }
  assert.ok(damaged > 10);
  file.close();
});

test('an index that the disk does not give leaves no file open', () => {
  const { storage } = ofQueues();
  const open = storage.open.bind(storage);
  let opened = 0;
  let calls = 0;
  for (let failing = 0; failing < 5; failing += 1) {
    storage.open = (name, create) => {
      const file = open(name, create);
      const [read, close] = [file.read.bind(file), file.close.bind(file)];
      opened += 1;
      file.close = (): void => {
        opened -= 1;
        close();
      };
      file.read = (into, at) => {
        calls += 1;
        if (calls > failing) throw storageIoError('read', name, 'EIO');
        return read(into, at);
      };
      return file;
    };
    calls = 0;
    const shape = { segment: SEGMENT, segmentBytes: MIB, chunkBytes: MIB } as const;
    const page = { ...shape, kind: 'load-page', topicId: TOPIC, queueId: 3, offset: 0 } as const;
    const { error } = runSideJob(storage, { job: 1, ...page });
    assert.equal(error?.code, failing < 4 ? 'STORAGE_IO' : undefined, `${failing} reads`);
    assert.equal(opened, 0);
  }
});

test('damage where a look-up reads is found, and elsewhere it is none of its business', () => {
  const storage = built();
  const file = storage.open(indexName(SEGMENT), false);
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  let damaged = 0;
  for (let at = 100; at < bytes.length; at += 1009) {
    file.write(Uint8Array.of((bytes[at] as number) ^ 1), at);
    const positions = found(storage, keyOf(5, 5));
    if (positions === undefined) damaged += 1;
    else assert.deepEqual(positions, [5 * BATCH_STEP]);
    file.write(Uint8Array.of(bytes[at] as number), at);
  }
  assert.ok(damaged > 0);
  file.close();
});
