/**
 * Builds a producer's batch in one buffer that is reused: record by record, then the header and the checksum. Used by
 * the client and, for JSON and HTTP, by the acceptor. Never blocks; allocates only its buffer. Browser-safe.
 */

import { setU64 } from '../../base/bytes.ts';
import { crc32 as crc32Portable } from '../../base/crc32.ts';
import { SluiceError } from '../../base/errors.ts';
import { fnv1a } from '../../base/fnv1a.ts';
import {
  BATCH_BYTES_MAX,
  BATCH_RECORDS_MAX,
  BODY_BYTES_MAX,
  KEY_BYTES_MAX,
  PRODUCER_ID_BYTES_MAX,
  PROPERTIES_BYTES_MAX,
  PROPERTIES_COUNT_MAX,
  TAG_BYTES_MAX,
} from '../../base/limits.ts';
import { alignUp } from '../../base/units.ts';
import * as layout from './batch-layout.ts';
import type { PropertyBytes } from './property-bytes.ts';
import { textBytes, writeText } from './text-bytes.ts';

/** One record as it goes into a batch. Strings for `body` are written as UTF-8. */
export type RecordInput = {
  readonly body: Uint8Array | string;
  readonly bodyKind: layout.BodyKind;
  readonly key?: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** The same, encoded already, for those who do not make an object of them; then `properties` is not looked at. */
  readonly propertyBytes?: PropertyBytes | undefined;
};

/** A checksum over part of a buffer; Node's native one where it is faster. */
export type Crc32 = (bytes: Uint8Array, start: number, end: number) => number;

const textOf = (value: string | undefined): string => value ?? '';

/** Bytes that `record` takes in a batch. @throws MESSAGE_TOO_LARGE, INVALID_ARGUMENT */
export function recordBytes(record: RecordInput): number {
  const keyBytes = textBytes(textOf(record.key));
  const tagBytes = textBytes(textOf(record.tag));
  const propertiesBytes = propertiesBytesOf(record);
  const bodyBytes = typeof record.body === 'string' ? textBytes(record.body) : record.body.length;
  checkSize('key', keyBytes, KEY_BYTES_MAX);
  checkSize('tag', tagBytes, TAG_BYTES_MAX);
  checkSize('properties', propertiesBytes, PROPERTIES_BYTES_MAX);
  checkSize('body', bodyBytes, BODY_BYTES_MAX);
  return layout.RECORD_HEADER_BYTES + keyBytes + tagBytes + propertiesBytes + bodyBytes;
}

function propertiesBytesOf({ properties, propertyBytes }: RecordInput): number {
  if (propertyBytes !== undefined) {
    checkCount(propertyBytes.count);
    return propertyBytes.length;
  }
  return properties === undefined ? 0 : measureProperties(properties);
}

function checkSize(what: string, bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) {
    throw new SluiceError(
      'MESSAGE_TOO_LARGE',
      `the ${what} has ${bytes} bytes; at most ${bytesMax} are allowed`,
    );
  }
}

function measureProperties(properties: Readonly<Record<string, string>>): number {
  const names = Object.keys(properties);
  checkCount(names.length);
  let bytes = 0;
  for (const name of names) bytes += 4 + textBytes(name) + textBytes(properties[name] as string);
  return bytes;
}

function checkCount(count: number): void {
  if (count > PROPERTIES_COUNT_MAX) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${count} properties; at most ${PROPERTIES_COUNT_MAX} are allowed`,
    );
  }
}

export class BatchBuilder {
  /** Bytes kept free before the batch, for a frame header. */
  readonly headroomBytes: number;
  private buffer: Uint8Array;
  private view: DataView;
  private readonly crc32: Crc32;
  private idBytes = 0;
  private cursor = 0;
  private bornAtMs = 0;
  private bloomLow = 0;
  private bloomHigh = 0;
  private lastTag = '';
  /** Records in the batch now. */
  recordCount = 0;

  /**
   * @param capacityBytes - bytes of the batch to start with; one large message makes the buffer grow, up to BATCH_BYTES_MAX
   * @param producerId - dedup identity, at most 64 bytes; empty for none
   */
  constructor(
    capacityBytes: number,
    producerId = '',
    headroomBytes = 0,
    crc32: Crc32 = crc32Portable,
  ) {
    this.headroomBytes = headroomBytes;
    this.crc32 = crc32;
    this.buffer = new Uint8Array(headroomBytes + Math.max(capacityBytes, 1024));
    this.view = new DataView(this.buffer.buffer);
    this.reset(producerId);
  }

  /** Empties the batch for the next one. */
  reset(producerId: string): void {
    const bytes = textBytes(producerId);
    checkSize('producerId', bytes, PRODUCER_ID_BYTES_MAX);
    const start = this.headroomBytes + layout.BATCH_HEADER_BYTES;
    this.buffer.fill(0, this.headroomBytes, start + alignUp(bytes, 8));
    writeText(this.buffer, start, producerId);
    this.idBytes = bytes;
    this.cursor = start + alignUp(bytes, 8);
    this.recordCount = 0;
    this.bloomLow = 0;
    this.bloomHigh = 0;
    this.lastTag = '';
  }

  /** Bytes of the batch if it were finished now, without padding. */
  get bytes(): number {
    return this.cursor - this.headroomBytes;
  }

  /**
   * Adds one record.
   *
   * @param size - `recordBytes(record)`, which also checked it
   * @param bytesMax - the batch may grow to this many bytes
   * @returns false when it does not fit any more and nothing was added
   */
  append(record: RecordInput, size: number, bytesMax: number, bornAtMs: number): boolean {
    if (this.recordCount >= BATCH_RECORDS_MAX || alignUp(this.bytes + size, 8) > bytesMax)
      return false;
    this.ensure(this.cursor + size + 8);
    const at = this.cursor;
    if (this.recordCount === 0) this.bornAtMs = bornAtMs;
    const { buffer, view } = this;
    let end = at + layout.RECORD_HEADER_BYTES;
    const keyBytes = record.key === undefined ? 0 : writeText(buffer, end, record.key);
    end += keyBytes;
    const tagBytes = record.tag === undefined ? 0 : writeText(buffer, end, record.tag);
    end += tagBytes;
    if (tagBytes > 0) this.addTag(textOf(record.tag));
    const propertiesBytes = this.writePropertiesOf(end, record);
    end += propertiesBytes;
    if (typeof record.body === 'string') end += writeText(buffer, end, record.body);
    else {
      buffer.set(record.body, end);
      end += record.body.length;
    }
    view.setUint32(at + layout.RECORD_BYTES, end - at, true);
    view.setUint32(at + layout.RECORD_BORN_DELTA, Math.max(0, bornAtMs - this.bornAtMs), true);
    view.setUint16(at + layout.RECORD_KEY_BYTES, keyBytes, true);
    view.setUint16(at + layout.RECORD_TAG_BYTES, tagBytes, true);
    view.setUint16(at + layout.RECORD_PROPERTIES_BYTES, propertiesBytes, true);
    view.setUint16(at + layout.RECORD_BODY_KIND, record.bodyKind, true);
    this.cursor = end;
    this.recordCount += 1;
    return true;
  }

  /**
   * Completes header and checksum.
   *
   * @returns headroom and batch; a view of the builder's buffer, valid until the next `reset` or `append`
   */
  finish(sequence: number, producerEpoch: number): Uint8Array {
    const at = this.headroomBytes;
    const recordsAt = at + layout.BATCH_HEADER_BYTES + alignUp(this.idBytes, 8);
    const end = at + alignUp(this.bytes, 8);
    this.ensure(end);
    this.buffer.fill(0, this.cursor, end);
    const { view } = this;
    view.setUint32(at + layout.BATCH_BYTES, end - at, true);
    view.setUint16(at + layout.BATCH_VERSION_AT, layout.BATCH_VERSION, true);
    view.setUint16(at + layout.BATCH_CODEC, 0, true);
    view.setUint32(at + layout.BATCH_RECORD_COUNT, this.recordCount, true);
    setU64(view, at + layout.BATCH_BORN_AT_MS, this.bornAtMs);
    setU64(view, at + layout.BATCH_SEQUENCE, sequence);
    view.setUint32(at + layout.BATCH_PRODUCER_EPOCH, producerEpoch, true);
    view.setUint16(at + layout.BATCH_PRODUCER_ID_BYTES, this.idBytes, true);
    view.setUint32(at + layout.BATCH_BLOOM_LOW, this.bloomLow, true);
    view.setUint32(at + layout.BATCH_BLOOM_HIGH, this.bloomHigh, true);
    view.setUint32(at + layout.BATCH_RECORDS_BYTES, this.cursor - recordsAt, true);
    view.setUint32(
      at + layout.BATCH_CRC,
      this.crc32(this.buffer, at + layout.BATCH_BYTES, end),
      true,
    );
    return this.buffer.subarray(0, end);
  }

  private addTag(tag: string): void {
    if (tag === this.lastTag) return;
    this.lastTag = tag;
    const hash = fnv1a(tag);
    this.setBloomBit(hash & 63);
    this.setBloomBit((hash >>> 6) & 63);
  }

  private setBloomBit(bit: number): void {
    if (bit < 32) this.bloomLow |= 1 << bit;
    else this.bloomHigh |= 1 << (bit - 32);
  }

  private writePropertiesOf(start: number, { properties, propertyBytes }: RecordInput): number {
    if (propertyBytes === undefined)
      return properties === undefined ? 0 : this.writeProperties(start, properties);
    this.buffer.set(propertyBytes.encoded, start);
    return propertyBytes.length;
  }

  private writeProperties(start: number, properties: Readonly<Record<string, string>>): number {
    let at = start;
    for (const name of Object.keys(properties)) {
      at = this.writeSized(at, name);
      at = this.writeSized(at, properties[name] as string);
    }
    return at - start;
  }

  private writeSized(at: number, text: string): number {
    const bytes = writeText(this.buffer, at + 2, text);
    this.view.setUint16(at, bytes, true);
    return at + 2 + bytes;
  }

  private ensure(bytes: number): void {
    if (bytes <= this.buffer.length) return;
    const grown = new Uint8Array(
      Math.min(Math.max(bytes, this.buffer.length * 2), this.headroomBytes + BATCH_BYTES_MAX + 16),
    );
    grown.set(this.buffer.subarray(0, this.cursor));
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }
}
