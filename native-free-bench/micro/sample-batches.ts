/** Batches as producers send them, made from a seed: the input of the batch, log and dialect benchmarks. */
import { crc32 } from '../../src/base/crc32-native.ts';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import {
  BatchBuilder,
  type RecordInput,
  recordBytes,
} from '../../src/protocol/batch/batch-builder.ts';
import { BODY_BYTES } from '../../src/protocol/batch/batch-layout.ts';

/** What a producer of 16 KiB batches sends, and the capacity that holds it. */
export const BATCH_BYTES = 16_384;
const BORN_AT_MS = 1_760_000_000_000;

/** `bare`: a body and nothing else; `full`: key, tag and two properties as well. */
export type RecordShape = 'bare' | 'full';

export function sampleRecords(
  shape: RecordShape,
  count: number,
  bodyBytes: number,
  seed: number,
): readonly RecordInput[] {
  const prng = seededPrng(seed);
  return Array.from({ length: count }, () => sampleRecord(shape, bodyBytes, prng));
}

function sampleRecord(shape: RecordShape, bodyBytes: number, prng: Prng): RecordInput {
  const body = Uint8Array.from({ length: bodyBytes }, () => prng.integer(256));
  if (shape === 'bare') return { body, bodyKind: BODY_BYTES };
  return {
    body,
    bodyKind: BODY_BYTES,
    key: `order-${prng.integer(100_000)}`,
    tag: ['created', 'paid', 'shipped'][prng.integer(3)],
    properties: { shop: String(prng.integer(100)), source: 'web' },
  };
}

/** Builds a batch of all records; the bytes are the builder's own until its next batch. */
export function buildBatch(builder: BatchBuilder, records: readonly RecordInput[]): Uint8Array {
  builder.reset('bench-producer');
  for (const record of records)
    builder.append(record, recordBytes(record), BATCH_BYTES * 4, BORN_AT_MS);
  return builder.finish(1, 0);
}

/** A batch of `count` records, as a copy; by default as many as fit 16 KiB. */
export function sampleBatch(
  shape: RecordShape,
  bodyBytes: number,
  seed: number,
  count: number = recordsPerBatch(shape, bodyBytes, seed),
): Uint8Array {
  const builder = new BatchBuilder(BATCH_BYTES, 'bench-producer', 0, crc32);
  return buildBatch(builder, sampleRecords(shape, count, bodyBytes, seed)).slice();
}

/** Room for header and producer id, and a little for properties of different lengths. */
function recordsPerBatch(shape: RecordShape, bodyBytes: number, seed: number): number {
  const [record] = sampleRecords(shape, 1, bodyBytes, seed);
  const bytes = record === undefined ? 0 : recordBytes(record);
  return Math.max(1, Math.floor((BATCH_BYTES - 128) / (bytes + 4)));
}
