/**
 * The file in which a slave keeps what consumers have settled with it while its master was away, until the master's log has it.
 * A header, written with the file as a whole, and records of one size behind it, so that one that is damaged does not hide the
 * next. Shard's side jobs and recovery; reads bytes that may be anything.
 *
 *   header:  0 u32 magic   4 u32 crc of 8..96   8 u32 version   12 u32 period   16 u64 commit   24 u32 log id bytes   28 u32 0   32 log id, UTF-8
 *   record:  0 u32 crc of 4..40   4 u16 kind   6 u16 period   8 u32 groupId   12 u32 topicId   16 u32 queueId   20 u32 number   24 u64 start   32 u64 count
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { SETTLED_NAME, TEMPORARY_SUFFIX } from './file-names.ts';
import { writeWholeFile } from './snapshot.ts';
import type { Storage } from './storage.ts';

const MAGIC = 0x4a545153;
const VERSION = 1;
export const SETTLED_HEADER_BYTES = 96;
export const SETTLED_RECORD_BYTES = 40;
const LOG_ID_AT = 32;
const LOG_ID_BYTES_MAX: number = SETTLED_HEADER_BYTES - LOG_ID_AT;
const PERIOD_MASK = 0xffff;
const OFFSET_MAX: number = Number.MAX_SAFE_INTEGER;

/** Messages `start` to `start + count - 1` are done. */
export const SETTLED_RANGE = 1;
/** The group has begun on this queue, at `start`; its log does not say so. */
export const SETTLED_POSITION = 2;

/** One entry. @shape `count` is 0 in a position */
export type SettledRecord = {
  readonly kind: number;
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  readonly start: number;
  readonly count: number;
};

export type SettledHeader = {
  /** Times that this slave has begun to serve its groups: its leases are numbered by it. */
  readonly period: number;
  /** What the master had confirmed of the log when the last of them began. */
  readonly commit: number;
  /** The log that all this is about. */
  readonly logId: string;
};

export type SettledFile = SettledHeader & {
  readonly records: readonly SettledRecord[];
  /** Places behind the last record, or between records, that hold none: a write that a power cut ended, or damage. */
  readonly lostRecords: number;
};

/** Could this be an entry? Whoever reads one from outside asks first. */
export function isSettledRecord(record: SettledRecord): boolean {
  const { kind, start, count } = record;
  if (start < 0 || start > OFFSET_MAX || count < 0 || start + count > OFFSET_MAX) return false;
  return kind === SETTLED_RANGE ? count > 0 : kind === SETTLED_POSITION && count === 0;
}

/** A whole file. */
export function encodeSettled(
  header: SettledHeader,
  records: readonly SettledRecord[],
): Uint8Array {
  const bytes = new Uint8Array(SETTLED_HEADER_BYTES + records.length * SETTLED_RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  const logId = new TextEncoder().encode(header.logId).subarray(0, LOG_ID_BYTES_MAX);
  view.setUint32(0, MAGIC, true);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.period, true);
  setU64(view, 16, header.commit);
  view.setUint32(24, logId.length, true);
  bytes.set(logId, LOG_ID_AT);
  view.setUint32(4, crc32(bytes, 8, SETTLED_HEADER_BYTES), true);
  bytes.set(encodeSettledRecords(records, 0, header.period), SETTLED_HEADER_BYTES);
  return bytes;
}

/** Records to be put behind the `first` that are there. A write that comes late, to a newer file, is none of its records. */
export function encodeSettledRecords(
  records: readonly SettledRecord[],
  first: number,
  period: number,
): Uint8Array {
  const bytes = new Uint8Array(records.length * SETTLED_RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  records.forEach((record, index) => {
    const at = index * SETTLED_RECORD_BYTES;
    view.setUint16(at + 4, record.kind, true);
    view.setUint16(at + 6, period & PERIOD_MASK, true);
    view.setUint32(at + 8, record.groupId, true);
    view.setUint32(at + 12, record.topicId, true);
    view.setUint32(at + 16, record.queueId, true);
    view.setUint32(at + 20, first + index, true);
    setU64(view, at + 24, record.start);
    setU64(view, at + 32, record.count);
    view.setUint32(at, crc32(bytes, at + 4, at + SETTLED_RECORD_BYTES), true);
  });
  return bytes;
}

/** @returns undefined when these bytes are no journal, or its header is damaged */
export function decodeSettled(bytes: Uint8Array): SettledFile | undefined {
  if (bytes.length < SETTLED_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(8, true) !== VERSION) return undefined;
  if (view.getUint32(4, true) !== crc32(bytes, 8, SETTLED_HEADER_BYTES)) return undefined;
  const logIdBytes = view.getUint32(24, true);
  const period = view.getUint32(12, true);
  const commit = getU64(view, 16);
  if (logIdBytes > LOG_ID_BYTES_MAX || commit < 0) return undefined;
  const records: SettledRecord[] = [];
  const places = Math.ceil((bytes.length - SETTLED_HEADER_BYTES) / SETTLED_RECORD_BYTES);
  for (let number = 0; number < places; number += 1) {
    const record = recordAt(bytes, view, number, period);
    if (record !== undefined) records.push(record);
  }
  return {
    period,
    commit,
    logId: new TextDecoder().decode(bytes.subarray(LOG_ID_AT, LOG_ID_AT + logIdBytes)),
    records,
    lostRecords: places - records.length,
  };
}

function recordAt(
  bytes: Uint8Array,
  view: DataView,
  number: number,
  period: number,
): SettledRecord | undefined {
  const at = SETTLED_HEADER_BYTES + number * SETTLED_RECORD_BYTES;
  if (at + SETTLED_RECORD_BYTES > bytes.length) return undefined;
  const crc = crc32(bytes, at + 4, at + SETTLED_RECORD_BYTES);
  if (view.getUint32(at, true) !== crc || view.getUint32(at + 20, true) !== number)
    return undefined;
  if (view.getUint16(at + 6, true) !== (period & PERIOD_MASK)) return undefined;
  const record = {
    kind: view.getUint16(at + 4, true),
    groupId: view.getUint32(at + 8, true),
    topicId: view.getUint32(at + 12, true),
    queueId: view.getUint32(at + 16, true),
    start: getU64(view, at + 24),
    count: getU64(view, at + 32),
  };
  return isSettledRecord(record) ? record : undefined;
}

/** @returns `damaged` when there is a file that is no journal; undefined when there is none @throws STORAGE_IO */
export function readSettled(storage: Storage): SettledFile | 'damaged' | undefined {
  if (!storage.exists(SETTLED_NAME)) return undefined;
  const file = storage.open(SETTLED_NAME, false);
  try {
    const bytes = new Uint8Array(file.size());
    const length = file.read(bytes, 0);
    return decodeSettled(bytes.subarray(0, length)) ?? 'damaged';
  } finally {
    file.close();
  }
}

/** Puts a whole file in the place of the one that is there. @throws STORAGE_IO, STORAGE_FULL: the old one stays */
export function writeSettled(storage: Storage, bytes: Uint8Array): void {
  const temporary = `${SETTLED_NAME}${TEMPORARY_SUFFIX}`;
  writeWholeFile(storage, temporary, bytes);
  storage.rename(temporary, SETTLED_NAME);
  storage.syncDirectory();
}

/** Puts records behind those that are there, on the disk when it returns. @throws STORAGE_IO, STORAGE_FULL */
export function appendSettled(storage: Storage, byteOffset: number, bytes: Uint8Array): void {
  const file = storage.open(SETTLED_NAME, false);
  try {
    file.write(bytes, byteOffset);
    file.sync();
  } finally {
    file.close();
  }
}

/** Takes it away: what it says is not to be believed, and nothing else can be written. @throws STORAGE_IO */
export function removeSettled(storage: Storage): void {
  storage.remove(SETTLED_NAME);
  storage.syncDirectory();
}
