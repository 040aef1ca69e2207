/**
 * Is this a batch that may be stored? Bytes from outside: every length is checked before it is used, nothing is
 * allocated, nothing throws. Runs on the shard for each batch that arrives, and in recovery and tools. Browser-safe.
 */

import { getU64 } from '../../base/bytes.ts';
import { fnv1aBytes } from '../../base/fnv1a.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_RECORDS_MAX,
  KEY_BYTES_MAX,
  PRODUCER_ID_BYTES_MAX,
  PROPERTIES_BYTES_MAX,
  TAG_BYTES_MAX,
} from '../../base/limits.ts';
import { alignUp } from '../../base/units.ts';
import type { Crc32 } from './batch-builder.ts';
import * as layout from './batch-layout.ts';

/** `ok`, or the first rule that the bytes break. */
export type BatchVerdict =
  | 'ok'
  | 'too-short'
  | 'too-large'
  | 'wrong-length'
  | 'wrong-version'
  | 'unknown-codec'
  | 'reserved-not-zero'
  | 'no-records'
  | 'wrong-checksum'
  | 'wrong-producer'
  | 'wrong-number'
  | 'wrong-record'
  | 'wrong-bloom';

/** Where the first record of the producer's batch at `at` begins. */
export function recordsStart(view: DataView, at: number): number {
  return (
    at +
    layout.BATCH_HEADER_BYTES +
    alignUp(view.getUint16(at + layout.BATCH_PRODUCER_ID_BYTES, true), 8)
  );
}

/**
 * Checks the producer's batch that must fill `bytes` from `at` for `length` bytes, checksum included.
 *
 * @param view - over the same memory as `bytes`, with the same start
 */
export function checkBatch(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  crc32: Crc32,
): BatchVerdict {
  const verdict = checkBatchHeader(view, at, length);
  if (verdict !== 'ok') return verdict;
  if (
    crc32(bytes, at + layout.BATCH_BYTES, at + length) !==
    view.getUint32(at + layout.BATCH_CRC, true)
  )
    return 'wrong-checksum';
  return checkRecords(bytes, view, at, length);
}

function checkBatchHeader(view: DataView, at: number, length: number): BatchVerdict {
  if (length < layout.BATCH_HEADER_BYTES + layout.RECORD_HEADER_BYTES) return 'too-short';
  if (length > BATCH_BYTES_MAX) return 'too-large';
  if (length % 8 !== 0 || view.getUint32(at + layout.BATCH_BYTES, true) !== length)
    return 'wrong-length';
  if (view.getUint16(at + layout.BATCH_VERSION_AT, true) !== layout.BATCH_VERSION)
    return 'wrong-version';
  if (view.getUint8(at + layout.BATCH_CODEC) !== 0) return 'unknown-codec';
  const reserved =
    view.getUint8(at + layout.BATCH_FLAGS) |
    view.getUint16(at + layout.BATCH_RESERVED_38, true) |
    view.getUint32(at + layout.BATCH_RESERVED_52, true);
  if (reserved !== 0) return 'reserved-not-zero';
  const count = view.getUint32(at + layout.BATCH_RECORD_COUNT, true);
  if (count === 0) return 'no-records';
  if (count > BATCH_RECORDS_MAX) return 'too-large';
  const idBytes = view.getUint16(at + layout.BATCH_PRODUCER_ID_BYTES, true);
  if (idBytes > PRODUCER_ID_BYTES_MAX) return 'wrong-producer';
  const sequence = getU64(view, at + layout.BATCH_SEQUENCE);
  if (sequence < 0 || getU64(view, at + layout.BATCH_BORN_AT_MS) < 0) return 'wrong-number';
  if (!Number.isSafeInteger(sequence + count)) return 'wrong-number';
  if (idBytes === 0 && sequence !== 0) return 'wrong-producer';
  const recordsBytes = view.getUint32(at + layout.BATCH_RECORDS_BYTES, true);
  const expected = layout.BATCH_HEADER_BYTES + alignUp(idBytes, 8) + recordsBytes;
  return alignUp(expected, 8) === length ? 'ok' : 'wrong-length';
}

function checkRecords(bytes: Uint8Array, view: DataView, at: number, length: number): BatchVerdict {
  const count = view.getUint32(at + layout.BATCH_RECORD_COUNT, true);
  const start = recordsStart(view, at);
  const end = start + view.getUint32(at + layout.BATCH_RECORDS_BYTES, true);
  const bloomLow = view.getUint32(at + layout.BATCH_BLOOM_LOW, true);
  const bloomHigh = view.getUint32(at + layout.BATCH_BLOOM_HIGH, true);
  let record = start;
  for (let index = 0; index < count; index += 1) {
    if (record + layout.RECORD_HEADER_BYTES > end) return 'wrong-record';
    const size = view.getUint32(record + layout.RECORD_BYTES, true);
    if (size > end - record) return 'wrong-record';
    const keyBytes = view.getUint16(record + layout.RECORD_KEY_BYTES, true);
    const tagBytes = view.getUint16(record + layout.RECORD_TAG_BYTES, true);
    const propertiesBytes = view.getUint16(record + layout.RECORD_PROPERTIES_BYTES, true);
    if (layout.RECORD_HEADER_BYTES + keyBytes + tagBytes + propertiesBytes > size)
      return 'wrong-record';
    if (
      keyBytes > KEY_BYTES_MAX ||
      tagBytes > TAG_BYTES_MAX ||
      propertiesBytes > PROPERTIES_BYTES_MAX
    )
      return 'too-large';
    if (view.getUint16(record + layout.RECORD_BODY_KIND, true) > layout.BODY_JSON)
      return 'wrong-record';
    const tagAt = record + layout.RECORD_HEADER_BYTES + keyBytes;
    if (tagBytes > 0 && !bloomHas(bloomLow, bloomHigh, fnv1aBytes(bytes, tagAt, tagAt + tagBytes)))
      return 'wrong-bloom';
    if (propertiesBytes > 0 && !propertiesFit(view, tagAt + tagBytes, propertiesBytes))
      return 'wrong-record';
    record += size;
  }
  if (record !== end) return 'wrong-record';
  for (; record < at + length; record += 1) if (bytes[record] !== 0) return 'reserved-not-zero';
  return 'ok';
}

function propertiesFit(view: DataView, start: number, length: number): boolean {
  const end = start + length;
  let at = start;
  while (at < end) {
    for (let part = 0; part < 2; part += 1) {
      if (at + 2 > end) return false;
      at += 2 + view.getUint16(at, true);
      if (at > end) return false;
    }
  }
  return true;
}

/** May a batch with this Bloom filter hold a tag with this `fnv1a` hash? */
export function bloomHas(bloomLow: number, bloomHigh: number, hash: number): boolean {
  return (
    bloomBit(bloomLow, bloomHigh, hash & 63) && bloomBit(bloomLow, bloomHigh, (hash >>> 6) & 63)
  );
}

function bloomBit(low: number, high: number, bit: number): boolean {
  return bit < 32 ? (low & (1 << bit)) !== 0 : (high & (1 << (bit - 32))) !== 0;
}
