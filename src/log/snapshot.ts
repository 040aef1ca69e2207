/**
 * The derived state of a shard at one position, in a file of its own, so that recovery reads the log from there and not
 * from its beginning. Two are kept; a damaged one is ignored. Written by a side job: temp file, sync, rename, sync directory.
 *
 *   0 u32 magic   4 u32 crc of 8..end   8 u64 position   16 u32 JSON bytes   20 u32 version   24 JSON in UTF-8
 *   and in version 3, behind the JSON, plain bytes: what a million times is too much for JSON
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { positionOfSnapshotName, snapshotName, TEMPORARY_SUFFIX } from './file-names.ts';
import type { Storage } from './storage.ts';

const MAGIC = 0x4e535153;
const HEADER_BYTES = 24;
const VERSION = 2;
const VERSION_WITH_ROWS = 3;
/** A damaged snapshot is no loss as long as there is the one before. */
export const SNAPSHOTS_KEPT = 2;

/** A snapshot as it was read. */
export type Snapshot = {
  readonly position: number;
  readonly state: unknown;
  /** What stands behind the JSON; empty in version 2. */
  readonly rows: Uint8Array;
};

/** Encodes a state; the bytes can be handed to another thread. */
export function encodeSnapshot(
  position: number,
  state: unknown,
  rows: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(state));
  const bytes = new Uint8Array(HEADER_BYTES + json.length + rows.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  setU64(view, 8, position);
  view.setUint32(16, json.length, true);
  view.setUint32(20, rows.length === 0 ? VERSION : VERSION_WITH_ROWS, true);
  bytes.set(json, HEADER_BYTES);
  bytes.set(rows, HEADER_BYTES + json.length);
  view.setUint32(4, crc32(bytes, 8, bytes.length), true);
  return bytes;
}

/** Writes an encoded snapshot and removes those that are too old. @throws STORAGE_IO, STORAGE_FULL */
export function writeSnapshot(storage: Storage, position: number, bytes: Uint8Array): void {
  const name = snapshotName(position);
  const temporary = `${name}${TEMPORARY_SUFFIX}`;
  writeWholeFile(storage, temporary, bytes);
  storage.rename(temporary, name);
  storage.syncDirectory();
  for (const old of snapshotPositions(storage).slice(SNAPSHOTS_KEPT))
    storage.remove(snapshotName(old));
}

/** Makes a file with these bytes, on the disk but not yet its name. On an error nothing of it stays behind. */
export function writeWholeFile(storage: Storage, name: string, bytes: Uint8Array): void {
  const file = storage.open(name, true);
  try {
    file.write(bytes, 0);
    file.sync();
  } catch (error) {
    file.close();
    storage.remove(name);
    throw error;
  }
  file.close();
}

/** The newest snapshot that is whole; undefined when there is none. */
export function readSnapshot(storage: Storage): Snapshot | undefined {
  for (const position of snapshotPositions(storage)) {
    const found = readOne(storage, position);
    if (found?.state !== undefined) return found;
  }
  return undefined;
}

/** Positions of the snapshots in a directory, newest first. */
export function snapshotPositions(storage: Storage): number[] {
  return storage
    .list()
    .map(positionOfSnapshotName)
    .filter((position) => position !== undefined)
    .sort((left, right) => right - left);
}

function readOne(storage: Storage, position: number): Snapshot | undefined {
  const file = storage.open(snapshotName(position), false);
  try {
    const bytes = new Uint8Array(file.size());
    const view = new DataView(bytes.buffer);
    if (file.read(bytes, 0) < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) return undefined;
    if (view.getUint32(4, true) !== crc32(bytes, 8, bytes.length)) return undefined;
    const version = view.getUint32(20, true);
    if (version !== VERSION && version !== VERSION_WITH_ROWS) return undefined;
    const jsonEnd = HEADER_BYTES + view.getUint32(16, true);
    const isRight = version === VERSION ? jsonEnd === bytes.length : jsonEnd < bytes.length;
    if (getU64(view, 8) !== position || !isRight) return undefined;
    const state = parseState(new TextDecoder().decode(bytes.subarray(HEADER_BYTES, jsonEnd)));
    return { position, state, rows: bytes.subarray(jsonEnd) };
  } finally {
    file.close();
  }
}

/** Undefined when it is not JSON although its checksum is right: as good as damaged, and the log has it all. */
function parseState(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
