/**
 * Finds the end of a log after any kind of stop (research: reliability 2.3, 2.4). Every position below the highest flushed
 * position that a valid header or the checkpoint names must be valid: if it is not, that is rot, which is reported and kept,
 * never truncated. Above it, the log ends at the first hole: what follows is overwritten, so that nothing cut comes back.
 * Blocks: runs before the shard serves.
 */
import { getU64 } from '../base/bytes.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { OVERWRITING_NAME, segmentName, segmentOfName } from './file-names.ts';
import type { Storage } from './storage.ts';
import { isStoredHeader, isStoredPayload } from './stored-header.ts';

/** A part of the log that is damaged although it was flushed. */
export type RotRange = { readonly from: number; readonly to: number };

export type RecoveredLog = {
  /** End of the log: where the next batch goes. */
  readonly position: number;
  /** Positions below have a prepared segment file. */
  readonly preparedEnd: number;
  readonly rot: readonly RotRange[];
  /** Bytes behind the end that were torn or unflushed, and are overwritten. */
  readonly cutBytes: number;
};

/** Called for each valid batch in log order. @shape `bytes` are borrowed until the call returns */
export type BatchVisitor = (
  bytes: Uint8Array,
  view: DataView,
  at: number,
  position: number,
) => void;

export type RecoveryOptions = {
  readonly storage: Storage;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  /** First position to read: a segment's start. */
  readonly from: number;
  /** Flushed position that the checkpoint names; 0 without one. */
  readonly flushed: number;
  /**
   * Do the flushed positions that headers name tell about this disk? Not in a log that follows a master: they were known to
   * the master, when its disk had those bytes. Default true.
   */
  readonly trustsHeaders?: boolean;
  /** Writes a higher one into the checkpoint, for good. */
  readonly confirm: (flushed: number) => void;
  readonly visit: BatchVisitor;
};

const REWRITE_BYTES: number = MIB;

/** One segment in memory, read when first asked for. */
class SegmentCursor {
  private readonly storage: Storage;
  private readonly segmentBytes: number;
  private segment = -1;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);

  constructor(storage: Storage, segmentBytes: number) {
    this.storage = storage;
    this.segmentBytes = segmentBytes;
  }

  /** Makes `bytes` the segment that holds `position`. A short file reads as zeros. */
  load(position: number): void {
    const segment = Math.floor(position / this.segmentBytes);
    if (segment === this.segment) return;
    if (this.bytes.length === 0) {
      this.bytes = new Uint8Array(this.segmentBytes);
      this.view = new DataView(this.bytes.buffer);
    }
    const file = this.storage.open(segmentName(segment), false);
    try {
      const read = file.read(this.bytes, 0);
      this.bytes.fill(0, read);
    } finally {
      file.close();
    }
    this.segment = segment;
  }
}

/** `after`: end of the valid batch before it. A rest of a chunk may lie in between. */
type Hole = { readonly from: number; readonly to: number; readonly after: number };

class LogScan {
  private readonly options: RecoveryOptions;
  private readonly cursor: SegmentCursor;
  readonly filesEnd: number;
  flushedMax: number;
  readonly holes: Hole[] = [];
  /** End of the last valid batch. */
  validEnd: number;

  constructor(options: RecoveryOptions) {
    this.options = options;
    this.cursor = new SegmentCursor(options.storage, options.segmentBytes);
    this.filesEnd = contiguousEnd(options);
    this.flushedMax = options.flushed;
    this.validEnd = options.from;
  }

  /**
   * Reads from `from` to the end of the files.
   *
   * @param visitUntil - valid batches below are visited
   * @param stopAtHole - visit nothing behind the first hole
   */
  run(from: number, visitUntil: number, stopAtHole: boolean): void {
    let position = from;
    let visiting = true;
    while (position < this.filesEnd) {
      const chunkLeft = this.options.chunkBytes - (position % this.options.chunkBytes);
      if (chunkLeft < layout.STORED_HEADER_BYTES) {
        position += chunkLeft;
        continue;
      }
      const bytes = this.validBatch(position, chunkLeft);
      if (bytes > 0) {
        if (visiting && position < visitUntil) this.visit(position);
        position += bytes;
        this.validEnd = position;
      } else {
        const next = this.nextValid(position);
        this.holes.push({ from: position, to: next, after: this.validEnd });
        if (stopAtHole) visiting = false;
        position = next;
      }
    }
  }

  /** Takes in the flushed positions that the batches of a segment name, wherever it is. */
  lookAt(segment: number): void {
    const { segmentBytes, chunkBytes } = this.options;
    const start = segment * segmentBytes;
    for (let position = start; position < start + segmentBytes; position += 8) {
      this.cursor.load(position);
      if (this.cursor.view.getUint32(position - start, true) !== layout.BATCH_MAGIC) continue;
      this.validBatch(position, chunkBytes - (position % chunkBytes));
    }
  }

  private visit(position: number): void {
    const at = position % this.options.segmentBytes;
    this.options.visit(this.cursor.bytes, this.cursor.view, at, position);
  }

  /**
   * Bytes of the valid batch at `position`; 0 when there is none. Takes in the flushed position that its header names, also where
   * the payload is torn: the header has a checksum of its own, and may be the only one that knows.
   */
  private validBatch(position: number, chunkLeft: number): number {
    this.cursor.load(position);
    const { bytes, view } = this.cursor;
    const at = position % this.options.segmentBytes;
    if (!isStoredHeader(bytes, view, at, position, chunkLeft)) return 0;
    if (this.options.trustsHeaders !== false)
      this.flushedMax = Math.max(this.flushedMax, getU64(view, at + layout.STORED_FLUSHED));
    if (!isStoredPayload(bytes, view, at)) return 0;
    return view.getUint32(at + layout.STORED_BYTES, true);
  }

  /** The next position above that holds a valid batch; the end of the files when there is none. */
  private nextValid(from: number): number {
    let position = from + 8;
    while (position < this.filesEnd) {
      this.cursor.load(position);
      const segmentEnd =
        position - (position % this.options.segmentBytes) + this.options.segmentBytes;
      const { view } = this.cursor;
      for (; position < segmentEnd; position += 8) {
        if (view.getUint32(position % this.options.segmentBytes, true) !== layout.BATCH_MAGIC)
          continue;
        const chunkLeft = this.options.chunkBytes - (position % this.options.chunkBytes);
        if (this.validBatch(position, chunkLeft) > 0) return position;
      }
    }
    return this.filesEnd;
  }
}

/**
 * Reads the log from `from`, decides its end, makes that end durable, and overwrites what is behind it.
 *
 * @throws RECORD_CORRUPT when segments are missing that were flushed: then nothing was changed
 */
export function recoverLog(options: RecoveryOptions): RecoveredLog {
  const scan = new LogScan(options);
  scan.run(options.from, Number.MAX_SAFE_INTEGER, true);
  checkComplete(scan, options);
  // The batch that names the mark may be cut now: without the mark, the next recovery would take rot for a torn write.
  if (scan.flushedMax > options.flushed) options.confirm(scan.flushedMax);
  const { end, rot } = decideEnd(scan);
  const first = rot[0];
  if (first !== undefined) new LogScan(options).run(first.to, end, false);
  const position = Math.max(end, options.from);
  overwriteTail(options, position, scan.filesEnd);
  rewriteUnconfirmed(
    options,
    Math.max(options.from, Math.min(scan.flushedMax, position)),
    position,
  );
  if (position > Math.max(scan.flushedMax, options.flushed)) options.confirm(position);
  return {
    position,
    preparedEnd: preparedEndAfter(options, position),
    rot,
    cutBytes: Math.max(0, scan.validEnd - position),
  };
}

/**
 * Holes below the highest flushed position are rot; the first part of one above it is where the log ends. A rest of a chunk behind
 * the last batch is part of the log only when it was flushed, as on a slave that got it: who counted it besides would seem to
 * have more than a master whose log ends in front of it.
 */
function decideEnd(scan: LogScan): { end: number; rot: RotRange[] } {
  const rot: RotRange[] = [];
  for (const hole of scan.holes) {
    if (hole.from >= scan.flushedMax)
      return { end: hole.after >= scan.flushedMax ? hole.after : hole.from, rot };
    rot.push({ from: hole.from, to: Math.min(hole.to, scan.flushedMax) });
    if (hole.to > scan.flushedMax) return { end: scan.flushedMax, rot };
  }
  return { end: Math.max(scan.validEnd, scan.flushedMax), rot };
}

/** End of the segment files that follow each other without a gap. */
function contiguousEnd(options: RecoveryOptions): number {
  const present = new Set(options.storage.list().map(segmentOfName));
  let segment = Math.floor(options.from / options.segmentBytes);
  while (present.has(segment)) segment += 1;
  return segment * options.segmentBytes;
}

function preparedEndAfter(options: RecoveryOptions, position: number): number {
  const segmentStart = position - (position % options.segmentBytes);
  return options.storage.exists(segmentName(segmentStart / options.segmentBytes))
    ? segmentStart + options.segmentBytes
    : segmentStart;
}

/**
 * All that was flushed must be in the files that follow each other without a gap. Files behind a gap were removed by a
 * recovery that did not come to its end, unless a batch in them says that what is missing was flushed.
 */
function checkComplete(scan: LogScan, options: RecoveryOptions): void {
  const first = scan.filesEnd / options.segmentBytes;
  for (const name of options.storage.list()) {
    const segment = segmentOfName(name);
    if (segment !== undefined && segment > first) scan.lookAt(segment);
  }
  if (scan.flushedMax <= scan.filesEnd) return;
  throw new SluiceError(
    'RECORD_CORRUPT',
    `${options.storage.location}: the log was flushed to position ${scan.flushedMax}, but the file of segment ${first} is missing`,
    {
      hint: 'Restore the missing file from a backup; without it, acknowledged messages are lost. Nothing was changed.',
    },
  );
}

/** Zeroes the rest of the last segment and removes the files behind it. */
function overwriteTail(options: RecoveryOptions, position: number, filesEnd: number): void {
  const { storage, segmentBytes } = options;
  const segment = Math.floor(position / segmentBytes);
  let isRemoved = false;
  for (const name of storage.list()) {
    const number = segmentOfName(name);
    if (number === undefined || number <= segment) continue;
    storage.remove(name);
    isRemoved = true;
  }
  if (isRemoved) storage.syncDirectory();
  if (position >= filesEnd) return;
  // Zeros that are read may be those of an attempt whose sync failed: then they are only in the page cache.
  let isOverwriting = storage.exists(OVERWRITING_NAME);
  const isUncertain = isOverwriting;
  const file = storage.open(segmentName(segment), false);
  const piece = new Uint8Array(Math.min(REWRITE_BYTES, segmentBytes));
  const zeros = new Uint8Array(piece.length);
  try {
    for (let at = position % segmentBytes; at < segmentBytes; at += piece.length) {
      const length = Math.min(piece.length, segmentBytes - at);
      if (!isUncertain) {
        const read = file.read(piece.subarray(0, length), at);
        if (read === length && isZero(piece, length)) continue;
      }
      if (!isOverwriting) markOverwriting(storage);
      isOverwriting = true;
      file.write(zeros.subarray(0, length), at);
    }
    if (isOverwriting) file.sync();
  } finally {
    file.close();
  }
  if (isOverwriting && storage.exists(OVERWRITING_NAME)) storage.remove(OVERWRITING_NAME);
}

/** Says that the tail is about to be overwritten. A full disk must not keep a shard from opening. */
function markOverwriting(storage: Storage): void {
  try {
    storage.open(OVERWRITING_NAME, true).close();
  } catch (error) {
    if (toSluiceError(error).code !== 'STORAGE_FULL') throw error;
  }
  storage.syncDirectory();
}

function isZero(bytes: Uint8Array, length: number): boolean {
  const words = new Float64Array(bytes.buffer, 0, length >>> 3);
  for (let index = 0; index < words.length; index += 1)
    if (!Object.is(words[index], 0)) return false;
  for (let index = words.length * 8; index < length; index += 1)
    if (bytes[index] !== 0) return false;
  return true;
}

/**
 * Writes the bytes between the last confirmed barrier and the end once more and syncs them: after a failed sync the page
 * cache may show bytes that the disk never got, marked clean.
 */
function rewriteUnconfirmed(options: RecoveryOptions, from: number, to: number): void {
  const { storage, segmentBytes } = options;
  const piece = new Uint8Array(Math.min(REWRITE_BYTES, to - from));
  for (let position = from; position < to; ) {
    const segmentEnd = position - (position % segmentBytes) + segmentBytes;
    const file = storage.open(segmentName(Math.floor(position / segmentBytes)), false);
    try {
      while (position < Math.min(to, segmentEnd)) {
        const length = Math.min(piece.length, Math.min(to, segmentEnd) - position);
        const view = piece.subarray(0, length);
        file.read(view, position % segmentBytes);
        file.write(view, position % segmentBytes);
        position += length;
      }
      file.sync();
    } finally {
      file.close();
    }
  }
}
