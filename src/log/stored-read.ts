/**
 * Reads stored batches from segment files: one, several neighbours, or all of a segment. Every batch is checked against
 * its checksums before it is given to anybody. Blocks; side-job threads and tools.
 */
import { SluiceError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { segmentName } from './file-names.ts';
import type { Storage, StorageFile } from './storage.ts';
import { isStoredHeader, isStoredPayload, STORED_BYTES_MAX } from './stored-header.ts';

/** A segment is walked through a window of this size: the largest batch and some. */
const WALK_WINDOW_BYTES: number = 8 * MIB;

/** A segment, and the pieces that no batch crosses. */
export type SegmentShape = {
  readonly segment: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
};

/** Visits the valid batches of a segment; positions that hold none, between others, go to `damage`. */
export function walkSegment(
  storage: Storage,
  shape: SegmentShape,
  visit: (bytes: Uint8Array, view: DataView, at: number, position: number) => void,
  damage: (position: number) => void = () => {},
): void {
  const file = storage.open(segmentName(shape.segment), false);
  try {
    const bytes = new Uint8Array(Math.min(WALK_WINDOW_BYTES, shape.segmentBytes));
    const view = new DataView(bytes.buffer);
    const start = shape.segment * shape.segmentBytes;
    let windowAt = 0;
    let at = 0;
    let isDamaged = false;
    bytes.fill(0, file.read(bytes, 0));
    while (at < shape.segmentBytes) {
      const chunkLeft = shape.chunkBytes - (at % shape.chunkBytes);
      if (chunkLeft < layout.STORED_HEADER_BYTES) {
        at += chunkLeft;
        continue;
      }
      if (at + Math.min(chunkLeft, STORED_BYTES_MAX) > windowAt + bytes.length) {
        windowAt = at;
        bytes.fill(0, file.read(bytes, at));
      }
      const place = at - windowAt;
      const hasHeader = isStoredHeader(bytes, view, place, start + at, chunkLeft);
      if (hasHeader && isStoredPayload(bytes, view, place)) {
        visit(bytes, view, place, start + at);
        isDamaged = false;
        at += view.getUint32(place + layout.STORED_BYTES, true);
        continue;
      }
      if (!isDamaged) damage(start + at);
      isDamaged = true;
      at += hasHeader ? view.getUint32(place + layout.STORED_BYTES, true) : 8;
    }
  } finally {
    file.close();
  }
}

/** Is this the whole stored batch of `position`? @throws RECORD_CORRUPT when header or payload do not match */
export function checkStoredBatch(bytes: Uint8Array, position: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isStoredHeader(bytes, view, 0, position, bytes.length) && isStoredPayload(bytes, view, 0))
    return;
  throw new SluiceError(
    'RECORD_CORRUPT',
    `the batch at position ${position} does not match its checksums`,
  );
}

/**
 * Reads stored batches into `target`, one after another, unchecked; neighbours in one segment with one call.
 *
 * @returns why an extent could not be read, at its index
 */
export function readExtents(
  storage: Storage,
  extents: readonly { readonly position: number; readonly bytes: number }[],
  segmentBytes: number,
  target: Uint8Array,
): (SluiceError | undefined)[] {
  const failures: (SluiceError | undefined)[] = extents.map(() => undefined);
  let file: StorageFile | undefined;
  let fileSegment = -1;
  let at = 0;
  for (let first = 0; first < extents.length; ) {
    const { position } = extents[first] as { position: number };
    const segment = Math.floor(position / segmentBytes);
    let end = first;
    let bytes = 0;
    // A run of batches that follow each other, in order: what a consumer of one queue alone reads.
    while (
      end < extents.length &&
      (extents[end] as { position: number }).position === position + bytes
    ) {
      bytes += (extents[end] as { bytes: number }).bytes;
      end += 1;
    }
    if (fileSegment !== segment) {
      file?.close();
      fileSegment = segment;
      file = storage.exists(segmentName(segment))
        ? storage.open(segmentName(segment), false)
        : undefined;
    }
    if (file === undefined) {
      const text = `the segment of position ${position} was removed by retention`;
      failures.fill(new SluiceError('MESSAGE_NOT_FOUND', text), first, end);
    } else file.read(target.subarray(at, at + bytes), position % segmentBytes);
    at += bytes;
    first = end;
  }
  file?.close();
  return failures;
}

/**
 * Reads one stored batch and checks header and payload.
 *
 * @throws RECORD_CORRUPT when they do not match, MESSAGE_NOT_FOUND when the segment is gone or used anew
 */
export function readStoredBatch(
  storage: Storage,
  position: number,
  length: number,
  segmentBytes: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  const [failure] = readExtents(storage, [{ position, bytes: length }], segmentBytes, bytes);
  if (failure !== undefined) throw failure;
  checkStoredBatch(bytes, position);
  return bytes;
}
