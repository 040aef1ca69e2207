/**
 * Cuts the end off a log that went another way than its master's: what is cut goes into quarantine first, where a person
 * finds it. Every step can be repeated, and a start finishes what was begun, so a crash at any point leaves a log that is
 * whole: uncut, or cut. Blocks: the shard is closed.
 *
 *   cutting:     JSON {"position":n}
 *   quarantine:  0 u32 magic   4 u32 0   8 u64 from   16 u64 to   24 the bytes of the log
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { MIB } from '../base/units.ts';
import { CheckpointWriter, readCheckpoint } from './checkpoint.ts';
import {
  CUTTING_NAME,
  FOLLOWING_NAME,
  indexName,
  positionOfSnapshotName,
  quarantineName,
  REPLACING_NAME,
  segmentName,
  segmentOfIndexName,
  segmentOfName,
  segmentOfReleasedName,
  TEMPORARY_SUFFIX,
} from './file-names.ts';
import { writeWholeFile } from './snapshot.ts';
import type { Storage, StorageFile } from './storage.ts';

const MAGIC = 0x54435153;
const HEADER_BYTES = 24;
const PIECE_BYTES: number = MIB;
/** Quarantine files of one position: more than that, and somebody has to look first. */
const ATTEMPTS_MAX = 1000;

/** Where a log is to end, and where it ends now. */
export type LogCut = {
  readonly position: number;
  readonly end: number;
  readonly segmentBytes: number;
};

/**
 * Moves everything behind `position` into quarantine and ends the log there. When nothing that is kept could be read without
 * what is cut (its snapshots are all newer), the log ends at 0 and comes anew from the master.
 *
 * @returns where the log ends now
 * @throws STORAGE_IO, STORAGE_FULL; the next start finishes a cut that was begun
 */
export function cutTail(storage: Storage, cut: LogCut): number {
  quarantine(storage, cut);
  const position = isReadable(storage, cut) ? cut.position : 0;
  writeDurably(storage, CUTTING_NAME, JSON.stringify({ position }));
  finishCut(storage, cut.segmentBytes);
  return position;
}

/** Finishes a cut that a crash interrupted; does nothing when there is none. Before recovery. @throws STORAGE_IO */
export function finishCut(storage: Storage, segmentBytes: number): void {
  if (!storage.exists(CUTTING_NAME)) return;
  const { position } = JSON.parse(readText(storage, CUTTING_NAME)) as { position: number };
  const segment = Math.floor(position / segmentBytes);
  // Only then may bytes go that it names: a start in between would miss them.
  lowerCheckpoint(storage, position);
  for (const name of storage.list()) {
    const snapshot = positionOfSnapshotName(name);
    const index = segmentOfIndexName(name);
    const log = segmentOfName(name);
    const isBehind =
      (snapshot !== undefined && snapshot > position) ||
      (index !== undefined && index >= segment) ||
      (log !== undefined && log > segment) ||
      (log !== undefined && position === 0);
    if (isBehind) storage.remove(name);
  }
  storage.syncDirectory();
  zeroRest(storage, segment, position % segmentBytes, segmentBytes);
  storage.remove(CUTTING_NAME);
  storage.syncDirectory();
}

/** Throws away a log that a replacement has begun to overwrite: it comes anew. Before recovery. @throws STORAGE_IO */
export function dropHalfReplaced(storage: Storage): void {
  if (!storage.exists(REPLACING_NAME)) return;
  emptyLog(storage);
  storage.remove(REPLACING_NAME);
  storage.syncDirectory();
}

/** From now on the log is replaced: until `endReplacing`, a start finds nothing. @throws STORAGE_IO, STORAGE_FULL */
export function beginReplacing(storage: Storage): void {
  writeDurably(storage, REPLACING_NAME, '{}');
  emptyLog(storage);
}

/** The new files are on the disk, down to their names. @throws STORAGE_IO */
export function endReplacing(storage: Storage, flushed: number): void {
  storage.syncDirectory();
  lowerCheckpoint(storage, flushed);
  storage.remove(REPLACING_NAME);
  storage.syncDirectory();
}

/** Does this log follow a master's? */
export function isFollowing(storage: Storage): boolean {
  return storage.exists(FOLLOWING_NAME);
}

/** Says on the disk that this log follows, or that it does not any more. @throws STORAGE_IO, STORAGE_FULL */
export function setFollowing(storage: Storage, follows: boolean): void {
  if (follows === storage.exists(FOLLOWING_NAME)) return;
  if (follows) writeDurably(storage, FOLLOWING_NAME, '{}');
  else {
    storage.remove(FOLLOWING_NAME);
    storage.syncDirectory();
  }
}

function emptyLog(storage: Storage): void {
  lowerCheckpoint(storage, 0);
  for (const name of storage.list()) {
    const belongs = [
      positionOfSnapshotName,
      segmentOfIndexName,
      segmentOfName,
      segmentOfReleasedName,
    ].some((numberOf) => numberOf(name) !== undefined);
    if (belongs) storage.remove(name);
  }
  storage.syncDirectory();
}

/** Can the log be opened when it ends at the cut? */
function isReadable(storage: Storage, { position, segmentBytes }: LogCut): boolean {
  const names = storage.list();
  const last = Math.floor(position / segmentBytes);
  const present = new Set(names);
  if (!present.has(segmentName(last))) return false;
  // The first alone says nothing: a segment that was let go is there until its file is used again.
  const isWhole = Array.from({ length: last }, (_, segment) => segmentName(segment)).every((name) =>
    present.has(name),
  );
  if (isWhole) return true;
  return names.some(
    (name) => (positionOfSnapshotName(name) ?? Number.POSITIVE_INFINITY) <= position,
  );
}

function lowerCheckpoint(storage: Storage, position: number): void {
  if (readCheckpoint(storage)?.flushed === position) return;
  const checkpoint = new CheckpointWriter(storage, readCheckpoint(storage)?.epoch ?? 0);
  checkpoint.write(position);
  checkpoint.close();
}

function quarantine(storage: Storage, cut: LogCut): void {
  if (cut.end <= cut.position) return;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    const name = quarantineName(cut.position, attempt);
    if (storage.exists(name)) {
      // The attempt before may have come this far.
      if (isSameTail(storage, name, cut)) return;
      continue;
    }
    const temporary = `${name}${TEMPORARY_SUFFIX}`;
    const file = storage.open(temporary, true);
    try {
      file.write(headerOf(cut), 0);
      eachPiece(storage, cut, (bytes, at) => file.write(bytes, HEADER_BYTES + at));
      file.sync();
    } finally {
      file.close();
    }
    storage.rename(temporary, name);
    storage.syncDirectory();
    return;
  }
}

function headerOf({ position, end }: LogCut): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  setU64(view, 8, position);
  setU64(view, 16, end);
  return bytes;
}

function isSameTail(storage: Storage, name: string, cut: LogCut): boolean {
  const file = storage.open(name, false);
  try {
    const header = new Uint8Array(HEADER_BYTES);
    if (file.read(header, 0) < HEADER_BYTES) return false;
    if (getU64(new DataView(header.buffer), 16) !== cut.end) return false;
    let isSame = true;
    eachPiece(storage, cut, (bytes, at) => {
      const kept = new Uint8Array(bytes.length);
      file.read(kept, HEADER_BYTES + at);
      isSame &&= Buffer.compare(kept, bytes) === 0;
    });
    return isSame;
  } finally {
    file.close();
  }
}

/** The bytes behind the cut, piece by piece. @param visit - `at` counts from the cut */
function eachPiece(
  storage: Storage,
  { position, end, segmentBytes }: LogCut,
  visit: (bytes: Uint8Array, at: number) => void,
): void {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, segmentBytes));
  for (let from = position; from < end; ) {
    const inSegment = from % segmentBytes;
    const length = Math.min(piece.length, segmentBytes - inSegment, end - from);
    const name = segmentName(Math.floor(from / segmentBytes));
    if (!storage.exists(name)) {
      // Retention has let it go.
      from += length;
      continue;
    }
    const file: StorageFile = storage.open(name, false);
    try {
      file.read(piece.subarray(0, length), inSegment);
    } finally {
      file.close();
    }
    visit(piece.subarray(0, length), from - position);
    from += length;
  }
}

/** Overwrites the rest of a segment, all of it: what reads as zeros may be zeros of the page cache only. */
function zeroRest(storage: Storage, segment: number, from: number, segmentBytes: number): void {
  if (!storage.exists(segmentName(segment))) return;
  const file = storage.open(segmentName(segment), false);
  try {
    const zeros = new Uint8Array(Math.min(PIECE_BYTES, segmentBytes));
    for (let at = from; at < segmentBytes; at += zeros.length)
      file.write(zeros.subarray(0, Math.min(zeros.length, segmentBytes - at)), at);
    file.sync();
  } finally {
    file.close();
  }
  if (storage.exists(indexName(segment))) storage.remove(indexName(segment));
}

function writeDurably(storage: Storage, name: string, text: string): void {
  const temporary = `${name}${TEMPORARY_SUFFIX}`;
  writeWholeFile(storage, temporary, new TextEncoder().encode(text));
  storage.rename(temporary, name);
  storage.syncDirectory();
}

function readText(storage: Storage, name: string): string {
  const file = storage.open(name, false);
  try {
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    return new TextDecoder().decode(bytes);
  } finally {
    file.close();
  }
}
