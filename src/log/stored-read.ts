/**
 * Reads stored batches from segment files: one, several neighbours, or all of a segment. Every batch is checked against
 * its checksums before it is given to anybody. Blocks; side-job threads and tools.
 */
import type { ErrorCode } from '../base/error-codes.ts';
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

/** Told of a batch at `at` of `bytes`, which hold it whole until the visit returns. */
export type BatchVisit = (bytes: Uint8Array, view: DataView, at: number, position: number) => void;

/** Visits the valid batches of a segment; positions that hold none, between others, go to `damage`. */
export function walkSegment(
  storage: Storage,
  shape: SegmentShape,
  visit: BatchVisit,
  damage: (position: number) => void = () => {},
): void {
  let isDamaged = false;
  const broken = (position: number): void => {
    if (!isDamaged) damage(position);
    isDamaged = true;
  };
  const checked: BatchVisit = (bytes, view, at, position) => {
    if (!isStoredPayload(bytes, view, at)) {
      broken(position);
      return;
    }
    isDamaged = false;
    visit(bytes, view, at, position);
  };
  walkHeaders(storage, shape, shape.segmentBytes, checked, broken);
}

/**
 * Visits whatever has a valid header: the same batches as `walkSegment`, and those whose payload is damaged. What a payload
 * holds may be believed only after `isStoredPayload`.
 *
 * @param endAt - bytes of the segment after which no batch is visited
 * @param noHeader - told of each position where a header should be and is none
 */
export function walkHeaders(
  storage: Storage,
  shape: SegmentShape,
  endAt: number,
  visit: BatchVisit,
  noHeader: (position: number) => void = () => {},
): void {
  const file = storage.open(segmentName(shape.segment), false);
  try {
    const bytes = new Uint8Array(Math.min(WALK_WINDOW_BYTES, shape.segmentBytes));
    const view = new DataView(bytes.buffer);
    const start = shape.segment * shape.segmentBytes;
    let windowAt = 0;
    let at = 0;
    bytes.fill(0, file.read(bytes, 0));
    while (at < Math.min(endAt, shape.segmentBytes)) {
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
      if (isStoredHeader(bytes, view, place, start + at, chunkLeft)) {
        visit(bytes, view, place, start + at);
        at += view.getUint32(place + layout.STORED_BYTES, true);
      } else {
        noHeader(start + at);
        at += 8;
      }
    }
  } finally {
    file.close();
  }
}

/** Is this the whole stored batch of `position`? */
export function isStoredBatch(bytes: Uint8Array, position: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isStoredHeader(bytes, view, 0, position, bytes.length) && isStoredPayload(bytes, view, 0);
}

/** The same. @throws RECORD_CORRUPT when header or payload do not match */
export function checkStoredBatch(bytes: Uint8Array, position: number): void {
  if (isStoredBatch(bytes, position)) return;
  throw new SluiceError(
    'RECORD_CORRUPT',
    `the batch at position ${position} does not match its checksums`,
  );
}

/**
 * Will these bytes never come? What is damaged or gone is so for ever; everything else is the disk's mood (an error of the
 * device, no file to be opened, no thread to read), and no reason to lose a message.
 */
export function isLostForGood(code: ErrorCode): boolean {
  return code === 'RECORD_CORRUPT' || code === 'MESSAGE_NOT_FOUND';
}

/** Where a stored batch is. */
type Extent = { readonly position: number; readonly bytes: number };

/**
 * Reads stored batches into `target`, one after another, unchecked; neighbours in one segment with one call.
 *
 * @returns why an extent could not be read, at its index
 */
export function readExtents(
  storage: Storage,
  extents: readonly Extent[],
  segmentBytes: number,
  target: Uint8Array,
): (SluiceError | undefined)[] {
  const failures: (SluiceError | undefined)[] = extents.map(() => undefined);
  let file: StorageFile | undefined;
  let fileSegment = -1;
  let at = 0;
  try {
    for (let first = 0; first < extents.length; ) {
      const { position } = extents[first] as Extent;
      const segment = Math.floor(position / segmentBytes);
      const { end, bytes } = neighbours(extents, first, (segment + 1) * segmentBytes);
      if (fileSegment !== segment) {
        file?.close();
        file = undefined;
        fileSegment = segment;
        const name = segmentName(segment);
        if (storage.exists(name)) file = storage.open(name, false);
      }
      if (file === undefined) {
        const text = `the segment of position ${position} was removed by retention`;
        failures.fill(new SluiceError('MESSAGE_NOT_FOUND', text), first, end);
      } else file.read(target.subarray(at, at + bytes), position % segmentBytes);
      at += bytes;
      first = end;
    }
  } finally {
    file?.close();
  }
  return failures;
}

/** A run of batches that follow each other, in order and in one segment: what a consumer of one queue alone reads. */
function neighbours(
  extents: readonly Extent[],
  first: number,
  segmentEnd: number,
): { end: number; bytes: number } {
  let end = first;
  let next = (extents[first] as Extent).position;
  while (end < extents.length && next < segmentEnd) {
    const { position, bytes } = extents[end] as Extent;
    if (position !== next) break;
    next += bytes;
    end += 1;
  }
  return { end, bytes: next - (extents[first] as Extent).position };
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
