/** What the log writes, made by the production encoders from fixed values: one sample of everything that is stored. */
import { crc32 } from '../base/crc32-native.ts';
import { CheckpointWriter } from '../log/checkpoint.ts';
import { ControlWriter } from '../log/control-record.ts';
import {
  CONTROL_CHECK,
  CONTROL_DROP,
  CONTROL_RELEASE,
  DROP_CANCELLED,
  deferredEntry,
} from '../log/deferred-record.ts';
import { CHECKPOINT_NAME, indexName } from '../log/file-names.ts';
import { IndexBuilder } from '../log/index-file.ts';
import { MemoryStorage } from '../log/memory-storage.ts';
import { encodeSnapshot } from '../log/snapshot.ts';
import type { Storage } from '../log/storage.ts';
import { type StoredFields, writeStoredHeader } from '../log/stored-header.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { DeferredTable } from '../shard/deferred-table.ts';
import type { GoldenSamples } from './golden.ts';

const STORAGE_BYTES = 1 << 24;
const BATCH_BYTES_MAX = 1 << 20;
/** When the samples were born and stored, in ms since 1970. */
export const SAMPLE_BORN_AT_MS = 1_700_000_000_000;
export const SAMPLE_STORED_AT_MS = 1_700_000_000_123;

/** Position, queue offset and flushed position of the stored samples: two of them above 32 bits. */
export const SAMPLE_PLACE = {
  position: 0x1_2345_6780,
  baseOffset: 0x2_0000_0007,
  flushed: 0x1_2345_0000,
  epoch: 3,
  topicId: 9,
  queueId: 5,
} as const;

export const SAMPLE_STATE = { topics: [{ topicId: 9, topic: 'orders' }], note: 'grüße' } as const;

/** A delayed batch and a half message that wait. */
export const SAMPLE_ROWS: Uint8Array = sampleRows();

function sampleRows(): Uint8Array {
  const table = new DeferredTable();
  const both = { bytes: 192, payloadCrc: 0x1234_5678, topicId: 9, queueId: 5, count: 2 } as const;
  const due = { dueAtMs: 1_760_000_000_000, keyHash: 0xfedc_ba98 } as const;
  table.add({ ...both, ...due, origin: 4096, position: 8192, isHalf: false, checks: 0 });
  table.add({ ...both, ...due, origin: 2 ** 40, position: 2 ** 40, isHalf: true, checks: 3 });
  return table.image();
}

/** Two messages of a producer: one has everything, one nothing but bytes. */
export function sampleBatch(): Uint8Array {
  const builder = new BatchBuilder(64, 'tab-1', 0, crc32);
  const records: readonly RecordInput[] = [
    {
      body: 'hello',
      bodyKind: layout.BODY_TEXT,
      key: 'order-17',
      tag: 'created',
      properties: { shop: '7' },
    },
    { body: new Uint8Array([0, 1, 255]), bodyKind: layout.BODY_BYTES },
  ];
  for (const record of records)
    builder.append(record, recordBytes(record), BATCH_BYTES_MAX, SAMPLE_BORN_AT_MS);
  return builder.finish(40, 2).slice();
}

/** One record of each kind that is no message. */
export function sampleControl(): Uint8Array {
  const writer = new ControlWriter();
  writer.metadata({ put: 'topic', topic: { topicId: 9, topic: 'orders', queues: 8 } });
  writer.settled(4, 9, 5, [
    { start: 0x2_0000_0007, count: 2 },
    { start: 0x2_0000_0010, count: 1 },
  ]);
  writer.retry(4, 9, 5, [{ start: 12, count: 3, attempt: 2, dueAtMs: SAMPLE_STORED_AT_MS + 1000 }]);
  return writer.finish().slice();
}

/** Where two groups stand. */
export function samplePositions(): Uint8Array {
  const writer = new ControlWriter();
  writer.positions([
    { groupId: 4, topicId: 9, queueId: 5, offset: 0x2_0000_0012 },
    { groupId: 7, topicId: 9, queueId: 0, offset: 3 },
  ]);
  return writer.finish().slice();
}

/** One record of each kind about deferred batches. */
export function sampleReleases(): Uint8Array {
  const writer = new ControlWriter();
  writer.deferred(CONTROL_RELEASE, [deferredEntry(SAMPLE_PLACE.position), deferredEntry(128)]);
  writer.deferred(CONTROL_DROP, [deferredEntry(SAMPLE_PLACE.position, 3, DROP_CANCELLED)]);
  writer.deferred(CONTROL_CHECK, [deferredEntry(128, 2, 0, SAMPLE_STORED_AT_MS + 1000)]);
  return writer.finish().slice();
}

/** A payload behind the broker's header, as it stands in a segment. */
export function storedBatch(
  kind: StoredFields['kind'],
  payload: Uint8Array,
  place: Partial<StoredFields> = {},
): Uint8Array {
  const bytes = new Uint8Array(layout.STORED_HEADER_BYTES + payload.length);
  bytes.set(payload, layout.STORED_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  const isPadding = kind === layout.KIND_PADDING;
  writeStoredHeader(bytes, view, 0, {
    ...SAMPLE_PLACE,
    kind,
    bytes: bytes.length,
    storedAtMs: SAMPLE_STORED_AT_MS,
    flags: 0,
    payloadCrc: isPadding ? 0 : new DataView(payload.buffer).getUint32(layout.BATCH_CRC, true),
    ...place,
  });
  return bytes;
}

/** The bytes of one file. */
export function fileBytes(storage: Storage, name: string): Uint8Array {
  const file = storage.open(name, false);
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  file.close();
  return bytes;
}

export function emptyStorage(): Storage {
  return new MemoryStorage(STORAGE_BYTES);
}

/** A file with these bytes, whatever was there. */
export function putFile(storage: Storage, name: string, bytes: Uint8Array): void {
  if (storage.exists(name)) storage.remove(name);
  const file = storage.open(name, true);
  file.write(bytes, 0);
  file.close();
}

function checkpointFile(): Uint8Array {
  const storage = emptyStorage();
  const writer = new CheckpointWriter(storage, SAMPLE_PLACE.epoch);
  writer.write(SAMPLE_PLACE.flushed);
  writer.write(SAMPLE_PLACE.position);
  writer.close();
  return fileBytes(storage, CHECKPOINT_NAME);
}

function indexFile(): Uint8Array {
  const storage = emptyStorage();
  const builder = new IndexBuilder();
  const stored = storedBatch(layout.KIND_DATA, sampleBatch());
  builder.add(stored, new DataView(stored.buffer), 0);
  builder.write(storage, 3);
  return fileBytes(storage, indexName(3));
}

/** As versions before wrote it, with pages of keys only, or none at all: their files are still read. */
function indexWithoutPages(hasKeyPages: boolean): Uint8Array {
  const bytes = indexFile();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const queuesEnd = 32 + view.getUint32(12, true) * 16;
  const entryPages = Math.ceil(view.getUint32(16, true) / 512);
  const keyPages = Math.ceil(view.getUint32(20, true) / 512);
  const end = bytes.length - entryPages * 16;
  const tableAt = end - 8 - keyPages * 8;
  view.setUint32(28, hasKeyPages ? keyPages : 0, true);
  view.setUint32(4, crc32(bytes, 8, queuesEnd), true);
  view.setUint32(tableAt, crc32(bytes, tableAt + 4, end), true);
  return bytes.slice(0, hasKeyPages ? end : tableAt);
}

/** All of them, by the names of their golden files. */
export function logSamples(): GoldenSamples {
  return {
    'batch/batch-v1.bin': sampleBatch(),
    'log/stored-data-v1.bin': storedBatch(layout.KIND_DATA, sampleBatch()),
    'log/stored-control-v1.bin': storedBatch(layout.KIND_CONTROL, sampleControl()),
    'log/stored-positions-v1.bin': storedBatch(layout.KIND_CONTROL, samplePositions()),
    'log/stored-deferred-v1.bin': storedBatch(layout.KIND_DEFERRED, sampleBatch(), {
      baseOffset: SAMPLE_STORED_AT_MS + 1000,
      flags: layout.DEFERRED_FLAG_HALF | layout.DEFERRED_FLAG_MOVED,
    }),
    'log/stored-releases-v1.bin': storedBatch(layout.KIND_CONTROL, sampleReleases()),
    'log/stored-padding-v1.bin': storedBatch(layout.KIND_PADDING, new Uint8Array(64)),
    'log/snapshot-v2.bin': encodeSnapshot(SAMPLE_PLACE.position, SAMPLE_STATE),
    'log/snapshot-v3.bin': encodeSnapshot(SAMPLE_PLACE.position, SAMPLE_STATE, SAMPLE_ROWS),
    'log/checkpoint-v1.bin': checkpointFile(),
    'log/index-v1.bin': indexWithoutPages(false),
    'log/index-v2.bin': indexWithoutPages(true),
    'log/index-v3.bin': indexFile(),
  };
}
