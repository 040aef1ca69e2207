/**
 * Every byte that is stored, sent in binary or handed between threads is that of its golden file, and what the golden files
 * hold is still read as what it was. UPDATE_GOLDEN=1 writes them anew.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHECKPOINT_NAME, indexName, snapshotName } from '../../src/log/file-names.ts';
import { readCheckpoint } from '../../src/log/checkpoint.ts';
import { readControl } from '../../src/log/control-record.ts';
import { IndexReader } from '../../src/log/index-file.ts';
import { readSnapshot } from '../../src/log/snapshot.ts';
import { isStoredHeader, isStoredPayload } from '../../src/log/stored-header.ts';
import { fnv1a } from '../../src/base/fnv1a.ts';
import { checkBatch } from '../../src/protocol/batch/batch-check.ts';
import { STORED_HEADER_BYTES } from '../../src/protocol/batch/batch-layout.ts';
import { BatchReader } from '../../src/protocol/batch/batch-reader.ts';
import * as binary from '../../src/protocol/web/binary-codec.ts';
import { decodeControl } from '../../src/protocol/web/control-codec.ts';
import { DELIVER_STORED_BATCH, SEND_BATCH } from '../../src/protocol/web/frames-layout.ts';
import * as settle from '../../src/protocol/web/settle-codec.ts';
import { crc32 } from '../../src/base/crc32-native.ts';
import {
  checkGolden,
  describeDifference,
  goldenNames,
  readGolden,
} from '../../src/testing/golden.ts';
import {
  frameSamples,
  ringSamples,
  SAMPLE_DELAY_MS,
  SAMPLE_DELIVERY,
  SAMPLE_RANGES,
  SAMPLE_RECEIPTS,
  SAMPLE_REQUESTS,
} from '../../src/testing/golden-frames.ts';
import {
  emptyStorage,
  logSamples,
  putFile,
  SAMPLE_BORN_AT_MS,
  SAMPLE_PLACE,
  SAMPLE_ROWS,
  SAMPLE_STATE,
  SAMPLE_STORED_AT_MS,
} from '../../src/testing/golden-log.ts';

const samples = { ...logSamples(), ...frameSamples(), ...ringSamples() };

describe('golden bytes', () => {
  for (const [name, bytes] of Object.entries(samples)) {
    test(`${name} is what is written today`, () => checkGolden(name, bytes));
  }

  test('no golden file is without its sample, and none is empty', () => {
    assert.deepEqual([...goldenNames()].sort(), Object.keys(samples).sort());
    for (const name of goldenNames()) assert.ok(readGolden(name).length > 0, name);
  });

  test('a difference is shown by its first byte', () => {
    const golden = Uint8Array.from({ length: 40 }, (_, index) => index);
    const now = golden.slice();
    now[33] = 0xee;
    assert.equal(describeDifference(golden, golden.slice()), undefined);
    assert.match(describeDifference(golden, now) ?? '', /from byte 33 on\n[^]*\[21\][^]*\[ee\]/);
    const cut = describeDifference(golden, golden.subarray(0, 20)) ?? '';
    assert.match(cut, /from byte 20 on, 40 bytes became 20\n[^]*\[end\]/);
  });
});

/** The records of a golden batch. */
function recordsOf(bytes: Uint8Array, at: number): readonly unknown[] {
  const view = binary.viewOf(bytes);
  assert.equal(checkBatch(bytes, view, at, bytes.length - at, crc32), 'ok');
  const reader = new BatchReader().open(bytes, view, at);
  const records: unknown[] = [];
  while (reader.next()) {
    const { key, tag, bodyKind, bodyText, bornAtMs } = reader;
    records.push([key, tag, { ...reader.properties }, bodyKind, bodyText.length, bornAtMs]);
  }
  assert.deepEqual(
    [reader.producerId, reader.producerEpoch, reader.sequence],
    ['tab-1', records.length === 2 && at === SEND_BATCH ? 0 : 2, 40],
  );
  return records;
}

const STORED_RECORDS = [
  ['order-17', 'created', { shop: '7' }, 1, 5, SAMPLE_BORN_AT_MS],
  ['', '', {}, 0, 3, SAMPLE_BORN_AT_MS],
];

describe('what version 1 wrote is read', () => {
  test('a batch, as it was sent and as it is stored', () => {
    assert.deepEqual(recordsOf(readGolden('batch/batch-v1.bin'), 0), STORED_RECORDS);
    const stored = readGolden('log/stored-data-v1.bin');
    const view = binary.viewOf(stored);
    assert.ok(isStoredHeader(stored, view, 0, SAMPLE_PLACE.position, stored.length));
    assert.ok(isStoredPayload(stored, view, 0));
    assert.deepEqual(recordsOf(stored, STORED_HEADER_BYTES), STORED_RECORDS);
    const padding = readGolden('log/stored-padding-v1.bin');
    const paddingView = binary.viewOf(padding);
    assert.ok(isStoredHeader(padding, paddingView, 0, SAMPLE_PLACE.position, padding.length));
    assert.ok(isStoredPayload(padding, paddingView, 0));
  });

  test('a control batch', () => {
    const bytes = readGolden('log/stored-control-v1.bin');
    const view = binary.viewOf(bytes);
    assert.ok(isStoredHeader(bytes, view, 0, SAMPLE_PLACE.position, bytes.length));
    assert.ok(isStoredPayload(bytes, view, 0));
    const seen: unknown[] = [];
    readControl(bytes, view, STORED_HEADER_BYTES, {
      metadata: (value) => seen.push(value),
      settled: (...fields) => seen.push(['settled', ...fields]),
      retry: (...fields) => seen.push(['retry', ...fields]),
      position: (position) => seen.push(position),
      deferred: (...fields) => seen.push(['deferred', ...fields]),
    });
    assert.deepEqual(seen, [
      { put: 'topic', topic: { topicId: 9, topic: 'orders', queues: 8 } },
      ['settled', 4, 9, 5, { start: 0x2_0000_0007, count: 2 }],
      ['settled', 4, 9, 5, { start: 0x2_0000_0010, count: 1 }],
      ['retry', 4, 9, 5, { start: 12, count: 3, attempt: 2, dueAtMs: SAMPLE_STORED_AT_MS + 1000 }],
    ]);
  });

  test('where groups stand', () => {
    const bytes = readGolden('log/stored-positions-v1.bin');
    const view = binary.viewOf(bytes);
    assert.ok(isStoredHeader(bytes, view, 0, SAMPLE_PLACE.position, bytes.length));
    assert.ok(isStoredPayload(bytes, view, 0));
    const seen: unknown[] = [];
    const none = (): void => assert.fail('a record of another type');
    readControl(bytes, view, STORED_HEADER_BYTES, {
      ...{ metadata: none, settled: none, retry: none, deferred: none },
      position: (position) => seen.push(position),
    });
    assert.deepEqual(seen, [
      { groupId: 4, topicId: 9, queueId: 5, offset: 0x2_0000_0012 },
      { groupId: 7, topicId: 9, queueId: 0, offset: 3 },
    ]);
  });

  test('what is said about deferred batches', () => {
    const stored = readGolden('log/stored-deferred-v1.bin');
    const storedView = binary.viewOf(stored);
    assert.ok(isStoredHeader(stored, storedView, 0, SAMPLE_PLACE.position, stored.length));
    assert.ok(isStoredPayload(stored, storedView, 0));
    assert.equal(recordsOf(stored, STORED_HEADER_BYTES).length, 2);
    const bytes = readGolden('log/stored-releases-v1.bin');
    const seen: unknown[] = [];
    const none = (): void => assert.fail('a record of another type');
    readControl(bytes, binary.viewOf(bytes), STORED_HEADER_BYTES, {
      ...{ metadata: none, settled: none, retry: none, position: none },
      deferred: (type, entry) => seen.push({ type, ...entry }),
    });
    const { position: origin } = SAMPLE_PLACE;
    const entry = { detail: 0, reason: 0, value: 0 };
    assert.deepEqual(seen, [
      { type: 4, origin, ...entry },
      { type: 4, origin: 128, ...entry },
      { type: 5, origin, detail: 3, reason: 1, value: 0 },
      { type: 7, origin: 128, detail: 2, reason: 0, value: SAMPLE_STORED_AT_MS + 1000 },
    ]);
  });

  test('a snapshot, a checkpoint and an index', () => {
    const storage = emptyStorage();
    putFile(storage, snapshotName(SAMPLE_PLACE.position), readGolden('log/snapshot-v2.bin'));
    putFile(storage, CHECKPOINT_NAME, readGolden('log/checkpoint-v1.bin'));
    const { position, epoch, topicId, queueId, baseOffset } = SAMPLE_PLACE;
    const sample = { position, state: SAMPLE_STATE };
    assert.deepEqual(readSnapshot(storage), { ...sample, rows: new Uint8Array(0) });
    putFile(storage, snapshotName(SAMPLE_PLACE.position), readGolden('log/snapshot-v3.bin'));
    assert.deepEqual(readSnapshot(storage), { ...sample, rows: SAMPLE_ROWS });
    const isClean = false;
    assert.deepEqual(readCheckpoint(storage), { flushed: position, number: 2, epoch, isClean });
    for (const version of ['log/index-v1.bin', 'log/index-v2.bin', 'log/index-v3.bin']) {
      putFile(storage, indexName(3), readGolden(version));
      const index = IndexReader.open(storage, 3);
      assert.ok(index !== undefined && index.verify());
      assert.deepEqual([...(index.page(topicId, queueId, 0, 10) ?? [])].slice(0, 4), [
        ...[baseOffset, 2, position, readGolden('log/stored-data-v1.bin').length],
      ]);
      assert.deepEqual(index.findKey(topicId, fnv1a('order-17')), [position]);
      index.close();
    }
  });

  test('frames of messages', () => {
    const send = readGolden('frames/send-batch-v1.bin');
    const sent = binary.newSendBatchHeader();
    assert.equal(binary.decodeSendBatchHeader(binary.viewOf(send), sent), 'ok');
    assert.deepEqual(sent, {
      ...{ queueId: 5, correlationId: 0xffff_fffe, topicId: 9, delayMs: -1, deliverAt: -1 },
      batchAt: SEND_BATCH,
    });
    const later = readGolden('frames/send-batch-delayed-v1.bin');
    assert.equal(binary.decodeSendBatchHeader(binary.viewOf(later), sent), 'ok');
    assert.equal(sent.delayMs, SAMPLE_DELAY_MS);
    const delayed = new BatchReader().open(later, binary.viewOf(later), sent.batchAt);
    assert.equal(delayed.recordCount, 2);
    assert.equal(recordsOf(send, SEND_BATCH).length, 2);
    const receipts = binary.viewOf(readGolden('frames/receipts-v1.bin'));
    assert.equal(binary.checkReceipts(receipts), 'ok');
    const entries = SAMPLE_RECEIPTS.map((_, index) => {
      const entry = binary.newReceiptEntry();
      binary.decodeReceipt(receipts, index, entry);
      return entry;
    });
    assert.deepEqual(entries, SAMPLE_RECEIPTS);
    const deliver = readGolden('frames/deliver-v1.bin');
    const delivered = binary.newDeliverHeader();
    assert.equal(binary.decodeDeliverHeader(binary.viewOf(deliver), delivered), 'ok');
    assert.deepEqual(delivered, SAMPLE_DELIVERY);
    const selected = readGolden('frames/deliver-selection-v1.bin');
    assert.equal(binary.decodeDeliverHeader(binary.viewOf(selected), delivered), 'ok');
    assert.deepEqual(delivered, { ...SAMPLE_DELIVERY, hasSelection: true });
    assert.ok(binary.isSelected(selected, selected.length - 1, 0));
    const batchAt = DELIVER_STORED_BATCH + STORED_HEADER_BYTES;
    assert.deepEqual(recordsOf(deliver, batchAt), STORED_RECORDS);
  });

  test('frames that settle, and CONTROL frames', () => {
    for (const [action, argument, reason] of [
      ['ack', 0, ''],
      ['nack', 0xffff_ffff, 'größer'],
      ['extend', 60_000, ''],
    ] as const) {
      const frame = readGolden(`frames/settle-${action}-v1.bin`);
      const header = settle.newSettleHeader();
      assert.equal(settle.decodeSettleHeader(binary.viewOf(frame), header), 'ok');
      assert.equal(header.argument, argument);
      assert.equal(settle.decodeSettleReason(frame, header), reason);
      const ranges = SAMPLE_RANGES.map((_, index) => {
        const range = settle.newSettleRange();
        settle.decodeSettleRange(binary.viewOf(frame), index, range);
        return range;
      });
      assert.deepEqual(ranges, SAMPLE_RANGES);
    }
    for (const [name, request] of Object.entries(SAMPLE_REQUESTS)) {
      const decoded = decodeControl(readGolden(`frames/control-${name}-v1.bin`));
      assert.deepEqual(decoded, { verdict: 'ok', value: request });
    }
  });
});
