/**
 * Deferred batches as they stand in a snapshot: column after column, as the table has them, because a million of them hold up
 * the shard's thread while they are encoded.
 *
 *   0 u32 rows   4 u32 0   8 columns of that many numbers: float64, then uint32, uint16, uint8, each kind in the order below
 */
import { invariant } from '../base/assert.ts';
import type { DeferredColumns, DeferredFields } from './deferred-columns.ts';

const HEADER_BYTES = 8;
const FLOATS = ['origin', 'position', 'dueAtMs'] as const;
const WORDS = ['bytes', 'payloadCrc', 'topicId', 'count', 'keyHash'] as const;
const HALVES = ['queueId', 'checks'] as const;
const ROW_BYTES: number = FLOATS.length * 8 + WORDS.length * 4 + HALVES.length * 2 + 1;

type Numbers = Float64Array | Uint32Array | Uint16Array | Uint8Array;
type Row = { -readonly [Name in keyof DeferredFields]: DeferredFields[Name] };

/** @param fresh - rows in use, and those between them that are not: their `count` is 0. @param size - rows in use */
export function encodeRows(columns: DeferredColumns, fresh: number, size: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + size * ROW_BYTES);
  new DataView(bytes.buffer).setUint32(0, size, true);
  const live = size === fresh ? undefined : liveRows(columns, fresh, size);
  const targets = columnsOf(bytes, size);
  for (const name of FLOATS) copyRows(columns[name], targets[name], live);
  for (const name of WORDS) copyRows(columns[name], targets[name], live);
  for (const name of HALVES) copyRows(columns[name], targets[name], live);
  copyRows(columns.isHalf, targets.isHalf, live);
  return bytes;
}

export function decodeRows(bytes: Uint8Array, add: (fields: DeferredFields) => void): void {
  if (bytes.length === 0) return;
  // The columns must lie as their numbers want it.
  const own = bytes.slice();
  const size = new DataView(own.buffer).getUint32(0, true);
  const expected = HEADER_BYTES + size * ROW_BYTES;
  invariant(own.length === expected, 'rows have the size that they say', own.length, expected);
  const columns = columnsOf(own, size);
  for (let row = 0; row < size; row += 1) {
    const fields = { isHalf: columns.isHalf[row] === 1 } as Row;
    for (const name of FLOATS) fields[name] = columns[name][row] as number;
    for (const name of WORDS) fields[name] = columns[name][row] as number;
    for (const name of HALVES) fields[name] = columns[name][row] as number;
    add(fields);
  }
}

/** From a snapshot of version 2: 11 float64 a row, in base64. */
export function decodeNumbers(image: string, add: (fields: DeferredFields) => void): void {
  const bytes = Buffer.from(image, 'base64');
  const numbers = new Float64Array(bytes.length / Float64Array.BYTES_PER_ELEMENT);
  new Uint8Array(numbers.buffer).set(bytes);
  for (let at = 0; at + 11 <= numbers.length; at += 11)
    add({
      origin: numbers[at] as number,
      position: numbers[at + 1] as number,
      bytes: numbers[at + 2] as number,
      payloadCrc: numbers[at + 3] as number,
      dueAtMs: numbers[at + 4] as number,
      topicId: numbers[at + 5] as number,
      queueId: numbers[at + 6] as number,
      isHalf: numbers[at + 7] === 1,
      count: numbers[at + 8] as number,
      keyHash: numbers[at + 9] as number,
      checks: numbers[at + 10] as number,
    });
}

type ImageColumns = Pick<
  DeferredColumns,
  (typeof FLOATS | typeof WORDS | typeof HALVES)[number] | 'isHalf'
>;

/** Views of the columns in an image. */
function columnsOf({ buffer }: Uint8Array, size: number): ImageColumns {
  const source = buffer as ArrayBuffer;
  const words = HEADER_BYTES + FLOATS.length * 8 * size;
  const halves = words + WORDS.length * 4 * size;
  const floatsAt = (index: number): Float64Array =>
    new Float64Array(source, HEADER_BYTES + index * 8 * size, size);
  const wordsAt = (index: number): Uint32Array =>
    new Uint32Array(source, words + index * 4 * size, size);
  const halvesAt = (index: number): Uint16Array =>
    new Uint16Array(source, halves + index * 2 * size, size);
  return {
    ...{ origin: floatsAt(0), position: floatsAt(1), dueAtMs: floatsAt(2) },
    ...{ bytes: wordsAt(0), payloadCrc: wordsAt(1), topicId: wordsAt(2) },
    ...{ count: wordsAt(3), keyHash: wordsAt(4), queueId: halvesAt(0), checks: halvesAt(1) },
    isHalf: new Uint8Array(source, halves + HALVES.length * 2 * size, size),
  } as ImageColumns;
}

function liveRows({ count }: DeferredColumns, fresh: number, size: number): Int32Array {
  const rows = new Int32Array(size);
  let found = 0;
  for (let row = 0; row < fresh; row += 1) {
    if (count[row] === 0) continue;
    rows[found] = row;
    found += 1;
  }
  return rows;
}

function copyRows<Column extends Numbers>(
  source: Column,
  target: Column,
  live: Int32Array | undefined,
): void {
  if (live === undefined) {
    target.set(source.subarray(0, target.length));
    return;
  }
  for (let at = 0; at < live.length; at += 1) target[at] = source[live[at] as number] as number;
}
