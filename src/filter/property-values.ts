/**
 * The properties that a filter asks for, of one record at a time, found in the record's bytes: names and texts are compared
 * in place, and only what must be read as a number is decoded. Pure.
 *
 * What a filter sees of a message: its properties, and under TAGS and KEYS its tag and its key, as RocketMQ has them.
 */
import type { BatchReader } from '../protocol/batch/batch-reader.ts';
import { readText } from '../protocol/batch/text-bytes.ts';

const TAGS = 'TAGS';
const KEYS = 'KEYS';
const encoder = new TextEncoder();

export class PropertyValues {
  private readonly names: string[] = [];
  private readonly encoded: Uint8Array[] = [];
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private bytes: Uint8Array = new Uint8Array(0);

  /** The slot of a property; each name has one. */
  slotOf(name: string): number {
    const known = this.names.indexOf(name);
    if (known >= 0) return known;
    this.encoded.push(encoder.encode(name));
    this.starts.push(-1);
    this.ends.push(-1);
    return this.names.push(name) - 1;
  }

  /** Looks the properties up in the reader's current record. */
  load(record: BatchReader): void {
    const bytes = record.source;
    this.bytes = bytes;
    this.starts.fill(-1);
    let at = record.propertiesStart;
    const end = record.propertiesEnd;
    while (at < end) {
      const nameEnd = at + 2 + u16(bytes, at);
      const valueEnd = nameEnd + 2 + u16(bytes, nameEnd);
      for (let slot = 0; slot < this.encoded.length; slot += 1) {
        const name = this.encoded[slot] as Uint8Array;
        if (isSame(bytes, at + 2, nameEnd, name)) this.set(slot, nameEnd + 2, valueEnd);
      }
      at = valueEnd;
    }
    this.findTagAndKey(record);
  }

  /** Does the record have the property? */
  has(slot: number): boolean {
    return (this.starts[slot] as number) >= 0;
  }

  /** @param expected - UTF-8 */
  equals(slot: number, expected: Uint8Array): boolean {
    return isSame(this.bytes, this.starts[slot] as number, this.ends[slot] as number, expected);
  }

  text(slot: number): string {
    return readText(this.bytes, this.starts[slot] as number, this.ends[slot] as number);
  }

  private findTagAndKey(record: BatchReader): void {
    for (let slot = 0; slot < this.names.length; slot += 1) {
      const name = this.names[slot];
      if (name === TAGS) this.setUnlessEmpty(slot, record.tagStart, record.tagBytes);
      else if (name === KEYS) this.setUnlessEmpty(slot, record.keyStart, record.keyBytes);
    }
  }

  private setUnlessEmpty(slot: number, start: number, length: number): void {
    if (length === 0) this.starts[slot] = -1;
    else this.set(slot, start, start + length);
  }

  private set(slot: number, start: number, end: number): void {
    this.starts[slot] = start;
    this.ends[slot] = end;
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

/** Are the bytes from `start` to `end` these? */
export function isSame(
  bytes: Uint8Array,
  start: number,
  end: number,
  expected: Uint8Array,
): boolean {
  const length = expected.length;
  if (end - start !== length) return false;
  for (let index = 0; index < length; index += 1)
    if (bytes[start + index] !== expected[index]) return false;
  return true;
}
