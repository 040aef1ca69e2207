import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KIB, MIB } from '../../src/base/units.ts';
import { readCheckpoint } from '../../src/log/checkpoint.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { type InspectedItem, LogWalk, type LogWalkOptions } from '../../src/log/log-inspect.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import type { Storage } from '../../src/log/storage.ts';
import type { RecordInput } from '../../src/protocol/batch/batch-builder.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { RIG_CONFIG, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const T = 1;
const SEGMENT_BYTES = RIG_CONFIG.segmentBytes;
const CHUNK_BYTES = RIG_CONFIG.tailBytes;

/** A log with a topic and `batches` batches of two messages and about a kilobyte, by one producer. */
function written(batches: number): MemoryStorage {
  const storage = new MemoryStorage(16 * MIB);
  const clock = new SimClock();
  const rig = new ShardRig(storage, clock);
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
  rig.settle();
  for (let index = 0; index < batches; index += 1) {
    const record: RecordInput = {
      body: 'x'.repeat(480),
      bodyKind: BODY_TEXT,
      key: `k-${index}`,
    };
    const producer = { id: 'till-1', epoch: 3, sequence: index * 2 };
    rig.produce(T, 0, [record, record], producer);
    rig.settle();
  }
  rig.flusher.close();
  return storage;
}

function walk(
  storage: Storage,
  options: Partial<LogWalkOptions> = {},
): { items: InspectedItem[]; verdict: ReturnType<LogWalk['verdict']> } {
  const log = new LogWalk({
    storage,
    segmentBytes: SEGMENT_BYTES,
    chunkBytes: CHUNK_BYTES,
    flushed: readCheckpoint(storage)?.flushed ?? 0,
    completeFrom: 0,
    ...options,
  });
  const items = [...log.items()];
  return { items, verdict: log.verdict() };
}

const batchesOf = (items: readonly InspectedItem[]) =>
  items.flatMap((item) => (item.type === 'batch' ? [item.batch] : []));

function overwrite(storage: Storage, position: number, bytes: Uint8Array): void {
  const file = storage.open(segmentName(Math.floor(position / SEGMENT_BYTES)), false);
  file.write(bytes, position % SEGMENT_BYTES);
  file.close();
}

/** Bytes of all files, to see that nothing was written. */
function contentOf(storage: Storage): Map<string, string> {
  return new Map(
    storage.list().map((name) => {
      const file = storage.open(name, false);
      const bytes = new Uint8Array(file.size());
      file.read(bytes, 0);
      file.close();
      return [name, Buffer.from(bytes).toString('base64')];
    }),
  );
}

describe('a whole log', () => {
  test('gives every batch with what it says, and no damage', () => {
    const { items, verdict } = walk(written(3));
    const data = batchesOf(items).filter(({ kind }) => kind === 'data');
    assert.deepEqual(
      data.map(({ baseOffset, recordCount, producer, isIntact, topicId }) => ({
        baseOffset,
        recordCount,
        producer,
        isIntact,
        topicId,
      })),
      [0, 1, 2].map((index) => ({
        baseOffset: index * 2,
        recordCount: 2,
        producer: { id: 'till-1', epoch: 3, sequence: index * 2 },
        isIntact: true,
        topicId: T,
      })),
    );
    assert.equal(verdict.end, (data[2]?.position ?? 0) + (data[2]?.bytes ?? 0));
    assert.deepEqual([verdict.damage, verdict.unconfirmed], [[], []]);
  });

  test('tells what control records say', () => {
    const { items } = walk(written(0));
    const records = batchesOf(items).flatMap((batch) => batch.records);
    const topic = records.find(
      (record) => record.type === 'metadata' && (record.value as { put: string }).put === 'topic',
    );
    assert.deepEqual(topic, {
      type: 'metadata',
      value: { put: 'topic', topic: rigTopic(T, 'orders', 1) },
    });
  });

  test('spans segments, padding included, and ends in room for what comes', () => {
    const { items, verdict } = walk(written(200));
    const data = batchesOf(items).filter(({ kind }) => kind === 'data');
    assert.equal(data.length, 200);
    assert.ok(verdict.end > 2 * SEGMENT_BYTES);
    assert.ok(batchesOf(items).some(({ kind }) => kind === 'padding'));
    const holes = items.filter(({ type }) => type !== 'batch');
    assert.deepEqual(holes.length, 1);
    assert.deepEqual(items.at(-1), holes[0]);
    assert.deepEqual([verdict.damage, verdict.unconfirmed], [[], []]);
  });

  test('can be entered in the middle of a batch, and left before its end', () => {
    const storage = written(20);
    const all = batchesOf(walk(storage).items);
    const fifth = all[5];
    assert.ok(fifth !== undefined);
    const { items } = walk(storage, { from: fifth.position - 8, to: fifth.position + 8 });
    assert.deepEqual(batchesOf(items), [fifth]);
    const log = new LogWalk({
      storage,
      segmentBytes: SEGMENT_BYTES,
      chunkBytes: CHUNK_BYTES,
      flushed: 0,
      completeFrom: 0,
    });
    for (const item of log.items()) {
      assert.equal(item.type, 'batch');
      break;
    }
  });

  test('is left as it was', () => {
    const storage = written(80);
    const before = contentOf(storage);
    walk(storage);
    assert.deepEqual(contentOf(storage), before);
  });

  test('without the size of its chunks shows the same batches', () => {
    const storage = written(200);
    const { items, verdict } = walk(storage, { chunkBytes: undefined });
    assert.deepEqual(batchesOf(items), batchesOf(walk(storage).items));
    assert.deepEqual(verdict.damage, []);
  });
});

describe('a damaged log', () => {
  test('with a flipped payload: the batch is shown as such, the next ones are whole', () => {
    const storage = written(10);
    const victim = batchesOf(walk(storage).items)[4];
    assert.ok(victim !== undefined);
    overwrite(storage, victim.position + 200, new Uint8Array([0xff, 0xfe]));
    const { items, verdict } = walk(storage);
    const batches = batchesOf(items);
    assert.deepEqual(
      batches.filter(({ isIntact }) => !isIntact).map(({ position }) => position),
      [victim.position],
    );
    assert.equal(batches.length, 12);
    assert.deepEqual(verdict.damage, [
      { from: victim.position, to: victim.position + victim.bytes },
    ]);
  });

  test('with a destroyed header: a hole up to the next batch', () => {
    const storage = written(10);
    const victim = batchesOf(walk(storage).items)[4];
    assert.ok(victim !== undefined);
    overwrite(storage, victim.position, new Uint8Array(64));
    const { items, verdict } = walk(storage);
    const hole = { from: victim.position, to: victim.position + victim.bytes };
    assert.deepEqual(items.filter(({ type }) => type === 'hole').at(0), { type: 'hole', ...hole });
    assert.equal(batchesOf(items).length, 11);
    assert.deepEqual(verdict.damage, [hole]);
  });

  test('with its flushed end wiped out: known from the checkpoint', () => {
    const storage = written(10);
    const last = batchesOf(walk(storage).items).at(-1);
    assert.ok(last !== undefined);
    overwrite(storage, last.position, new Uint8Array(last.bytes));
    const { verdict } = walk(storage);
    assert.equal(verdict.end, last.position);
    assert.deepEqual(verdict.damage, [{ from: last.position, to: last.position + last.bytes }]);
  });

  test('with a torn end that nothing says was flushed: not damage', () => {
    const storage = written(10);
    const [torn, last] = batchesOf(walk(storage).items).slice(-2);
    assert.ok(torn !== undefined && last !== undefined);
    // What an older write of the flusher would have said, and the header of the last batch with it.
    const flushed = torn.position;
    overwrite(storage, torn.position, new Uint8Array(64));
    const { verdict } = walk(storage, { flushed, to: last.position });
    assert.deepEqual([verdict.damage, verdict.unconfirmed], [[], []]);
    assert.equal(verdict.end, torn.position);
  });

  test('with a segment missing: damage where all must be there, a gap where retention may have been', () => {
    const storage = written(200);
    storage.remove(segmentName(1));
    const lost = walk(storage);
    const range = { from: SEGMENT_BYTES, to: 2 * SEGMENT_BYTES };
    assert.deepEqual(lost.verdict.damage, [range]);
    assert.ok(lost.items.some((item) => item.type === 'gap' && item.from === range.from));
    const kept = walk(storage, { completeFrom: 2 * SEGMENT_BYTES });
    assert.deepEqual(kept.verdict.damage, []);
  });

  test('with its last segment missing: damage up to the flushed position', () => {
    const storage = written(200);
    const { flushed } = walk(storage).verdict;
    const last = Math.floor(flushed / SEGMENT_BYTES);
    for (const segment of [last, last + 1])
      if (storage.exists(segmentName(segment))) storage.remove(segmentName(segment));
    const { verdict } = walk(storage);
    assert.deepEqual(verdict.damage, [{ from: last * SEGMENT_BYTES, to: flushed }]);
  });

  test('with random bytes everywhere: no throw, and nothing invented', () => {
    const storage = new MemoryStorage(4 * MIB);
    const file = storage.open(segmentName(0), true);
    const bytes = new Uint8Array(SEGMENT_BYTES);
    for (let index = 0; index < bytes.length; index += 1)
      bytes[index] = (index * 2654435761) >>> 13;
    file.write(bytes, 0);
    file.close();
    const { items } = walk(storage);
    assert.deepEqual(items, [{ type: 'hole', from: 0, to: SEGMENT_BYTES }]);
  });

  test('cut short: the rest reads as nothing', () => {
    const storage = written(3);
    const whole = batchesOf(walk(storage).items);
    const file = storage.open(segmentName(0), false);
    const bytes = new Uint8Array(KIB);
    file.read(bytes, 0);
    file.close();
    const short = new MemoryStorage(MIB);
    const target = short.open(segmentName(0), true);
    target.write(bytes, 0);
    target.close();
    const { items } = walk(short);
    const fitting = whole.filter(({ position, bytes: length }) => position + length <= KIB);
    assert.deepEqual(
      batchesOf(items).filter(({ isIntact }) => isIntact),
      fitting,
    );
  });
});

test('what a running broker wrote after the walk had passed is not called damage', () => {
  const storage = written(20);
  const all = batchesOf(walk(storage).items);
  const late = all[10];
  assert.ok(late !== undefined);
  const bytes = new Uint8Array(late.bytes);
  const file = storage.open(segmentName(0), false);
  file.read(bytes, late.position);
  file.close();
  overwrite(storage, late.position, new Uint8Array(late.bytes));
  const log = new LogWalk({
    storage,
    segmentBytes: SEGMENT_BYTES,
    chunkBytes: CHUNK_BYTES,
    flushed: 0,
    completeFrom: 0,
  });
  const items = [...log.items()];
  assert.equal(batchesOf(items).length, all.length - 1);
  overwrite(storage, late.position, bytes);
  assert.deepEqual(log.verdict().damage, []);
});
