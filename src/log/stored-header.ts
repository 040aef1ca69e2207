/**
 * The broker's 64-byte header of a stored batch: written at append, checked at recovery, on every cold read and in tools.
 * Reads bytes that may be anything: nothing throws, no length is used before it is checked.
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32.ts';
import { crc32 as crc32Fast } from '../base/crc32-native.ts';
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import * as layout from '../protocol/batch/batch-layout.ts';

/** Largest stored batch: the producer's and the header. Padding may be longer. */
export const STORED_BYTES_MAX: number = BATCH_BYTES_MAX + layout.STORED_HEADER_BYTES;

export type StoredKind =
  | typeof layout.KIND_DATA
  | typeof layout.KIND_CONTROL
  | typeof layout.KIND_PADDING
  | typeof layout.KIND_DEFERRED;

/** The fields of a header that the broker chooses. */
export type StoredFields = {
  kind: StoredKind;
  bytes: number;
  position: number;
  baseOffset: number;
  storedAtMs: number;
  flushed: number;
  epoch: number;
  topicId: number;
  queueId: number;
  flags: number;
  payloadCrc: number;
};

/** Writes a header at `at`, checksum included. */
export function writeStoredHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  fields: StoredFields,
): void {
  view.setUint32(at + layout.STORED_MAGIC, layout.BATCH_MAGIC, true);
  view.setUint32(at + layout.STORED_BYTES, fields.bytes, true);
  view.setUint16(at + layout.STORED_VERSION, layout.BATCH_VERSION, true);
  view.setUint16(at + layout.STORED_KIND, fields.kind, true);
  setU64(view, at + layout.STORED_POSITION, fields.position);
  setU64(view, at + layout.STORED_BASE_OFFSET, fields.baseOffset);
  setU64(view, at + layout.STORED_AT_MS, fields.storedAtMs);
  setU64(view, at + layout.STORED_FLUSHED, fields.flushed);
  view.setUint32(at + layout.STORED_EPOCH, fields.epoch, true);
  view.setUint32(at + layout.STORED_TOPIC_ID, fields.topicId, true);
  view.setUint16(at + layout.STORED_QUEUE_ID, fields.queueId, true);
  view.setUint16(at + layout.STORED_FLAGS, fields.flags, true);
  view.setUint32(at + layout.STORED_PAYLOAD_CRC, fields.payloadCrc, true);
  view.setUint32(
    at + layout.STORED_CRC,
    crc32(bytes, at + layout.STORED_CRC_FROM, at + layout.STORED_HEADER_BYTES),
    true,
  );
}

/**
 * Is there a valid header for `position` at `at`?
 *
 * @param bytesLeft - bytes from `at` to the end of the chunk
 */
export function isStoredHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  position: number,
  bytesLeft: number,
): boolean {
  if (bytesLeft < layout.STORED_HEADER_BYTES) return false;
  if (view.getUint32(at + layout.STORED_MAGIC, true) !== layout.BATCH_MAGIC) return false;
  if (getU64(view, at + layout.STORED_POSITION) !== position) return false;
  if (view.getUint16(at + layout.STORED_VERSION, true) !== layout.BATCH_VERSION) return false;
  const kind = view.getUint16(at + layout.STORED_KIND, true);
  if (kind < layout.KIND_DATA || kind > layout.KIND_DEFERRED) return false;
  const length = view.getUint32(at + layout.STORED_BYTES, true);
  if (length < layout.STORED_HEADER_BYTES || length > bytesLeft || length % 8 !== 0) return false;
  if (kind !== layout.KIND_PADDING && length > STORED_BYTES_MAX) return false;
  const crc = crc32(bytes, at + layout.STORED_CRC_FROM, at + layout.STORED_HEADER_BYTES);
  return crc === view.getUint32(at + layout.STORED_CRC, true);
}

/** Does the payload match the checksum in the header? True for padding, which has none. */
export function isStoredPayload(bytes: Uint8Array, view: DataView, at: number): boolean {
  if (view.getUint16(at + layout.STORED_KIND, true) === layout.KIND_PADDING) return true;
  const length = view.getUint32(at + layout.STORED_BYTES, true);
  const payloadAt = at + layout.STORED_HEADER_BYTES;
  const expected = view.getUint32(at + layout.STORED_PAYLOAD_CRC, true);
  if (length < layout.STORED_HEADER_BYTES + 8) return false;
  if (view.getUint32(payloadAt + layout.BATCH_CRC, true) !== expected) return false;
  if (view.getUint32(payloadAt + layout.BATCH_BYTES, true) !== length - layout.STORED_HEADER_BYTES)
    return false;
  return crc32Fast(bytes, payloadAt + layout.BATCH_BYTES, at + length) === expected;
}
