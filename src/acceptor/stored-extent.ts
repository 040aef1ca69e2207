/**
 * A stored batch as it is read out to consumers, from the tail in memory or from a segment file. What is in it was checked
 * by whoever wrote the one and read the other; here only that it is the batch that was asked for.
 */
import { getU64 } from '../base/bytes.ts';
import { SluiceError } from '../base/errors.ts';
import * as batch from '../protocol/batch/batch-layout.ts';
import type { BatchReader } from '../protocol/batch/batch-reader.ts';

/** @throws RECORD_CORRUPT when the bytes are not the batch that was asked for */
export function checkStored(stored: Uint8Array, position: number, bytes: number): void {
  const isLong = stored.length === bytes && bytes > batch.STORED_HEADER_BYTES;
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  const isThisBatch =
    isLong &&
    view.getUint32(batch.STORED_MAGIC, true) === batch.BATCH_MAGIC &&
    view.getUint32(batch.STORED_BYTES, true) === bytes &&
    getU64(view, batch.STORED_POSITION) === position &&
    view.getUint16(batch.STORED_KIND, true) === batch.KIND_DATA;
  if (isThisBatch) return;
  throw new SluiceError('RECORD_CORRUPT', `position ${position} does not hold the stored batch`, {
    facts: { position },
  });
}

/** Milliseconds since 1970 at which the batch was stored. */
export function storedAtMs(view: DataView): number {
  return getU64(view, batch.STORED_AT_MS);
}

/** Puts `reader` before record `firstIndex` of a stored batch; `next` then reads that one. */
export function openAt(
  reader: BatchReader,
  stored: Uint8Array,
  view: DataView,
  firstIndex: number,
): void {
  reader.open(stored, view, batch.STORED_HEADER_BYTES);
  for (let index = 0; index < firstIndex; index += 1) reader.next();
}
