/**
 * Properties of one record in the form of the batch, put together name by name in a buffer that is used again: for dialects
 * that carry properties as text and need no object of them. Browser-safe.
 */
import { PROPERTIES_BYTES_MAX } from '../../base/limits.ts';
import { textBytes, writeText } from './text-bytes.ts';

const LENGTH_BYTES = 2;
const START_BYTES = 512;

export class PropertyBytes {
  private bytes = new Uint8Array(START_BYTES);
  /** Bytes of what was added. */
  length = 0;
  /** Properties that were added. */
  count = 0;

  reset(): void {
    this.length = 0;
    this.count = 0;
  }

  /** @shape a view of a reused buffer, valid until the next `reset` or `add` */
  get encoded(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** @returns false when all of them together would be larger than the properties of a record may be; nothing was added */
  add(name: string, value: string): boolean {
    const nameBytes = textBytes(name);
    const valueBytes = textBytes(value);
    const end = this.length + 2 * LENGTH_BYTES + nameBytes + valueBytes;
    if (end > PROPERTIES_BYTES_MAX) return false;
    if (end > this.bytes.length) this.grow(end);
    const valueAt = this.write(this.length, name, nameBytes);
    this.length = this.write(valueAt, value, valueBytes);
    this.count += 1;
    return true;
  }

  private write(at: number, text: string, bytes: number): number {
    this.bytes[at] = bytes & 0xff;
    this.bytes[at + 1] = bytes >>> 8;
    writeText(this.bytes, at + LENGTH_BYTES, text);
    return at + LENGTH_BYTES + bytes;
  }

  private grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, this.bytes.length * 2));
    grown.set(this.bytes);
    this.bytes = grown;
  }
}
