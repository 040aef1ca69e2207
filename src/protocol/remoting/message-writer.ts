/**
 * Writes records of our batches as RocketMQ's messages, one behind the other, in a buffer that is used again. Key and tag
 * become the properties KEYS and TAGS, and the region of the broker is added; text never becomes a string on the way. Browser-safe.
 */
import type { Crc32 } from '../batch/batch-builder.ts';
import type { BatchReader } from '../batch/batch-reader.ts';
import { ORIGIN_PROPERTY } from '../batch/reserved-property.ts';
import { readText } from '../batch/text-bytes.ts';
import type { FrameSpace } from './frame-space.ts';
import type { HostBytes } from './host-bytes.ts';
import { BORN_HOST_IPV6, STORE_HOST_IPV6 } from './message-flags.ts';
import * as layout from './message-layout.ts';
import { type MessageOrigin, NO_ORIGIN, readOrigin } from './message-origin.ts';
import { DEFAULT_REGION, PROPERTY } from './message-properties.ts';
import { NAME_END, VALUE_END } from './property-text.ts';

/** Where the messages of a batch are. */
export type MessagePlace = {
  /** Name of the topic in UTF-8. */
  readonly topic: Uint8Array;
  readonly queueId: number;
  readonly shard: number;
  /** Log position of the batch. */
  readonly position: number;
  /** Queue offset of its first record. */
  readonly baseOffset: number;
  readonly storedAtMs: number;
  readonly storeHost: HostBytes;
};

const encoder = new TextEncoder();
const KEYS = encoder.encode('KEYS');
const TAGS = encoder.encode('TAGS');
const ORIGIN = encoder.encode(ORIGIN_PROPERTY);
const REGION_NAME = encoder.encode(PROPERTY.MSG_REGION);
const REGION = encoder.encode(DEFAULT_REGION);
/** Bytes of all that a message has beside the properties of its record: names and separators. */
const ADDED_BYTES: number = KEYS.length + TAGS.length + REGION_NAME.length + REGION.length + 6;
const START_BYTES = 4096;
const TWO_POW_32 = 0x1_0000_0000;
/** Shards have the upper sixteen bits of a message's place, positions the others. */
const SHARD_UNIT = 0x1_0000;
/** Up to here a loop beats a view and the platform's copy. */
const LOOP_BYTES_MAX = 48;
const BLANK = 0x20;

export class MessageWriter {
  private bytes = new Uint8Array(START_BYTES);
  private view = new DataView(this.bytes.buffer);
  private end = 0;
  private readonly crc32: Crc32;
  /** The last origin that was read: most messages of a producer have the same. */
  private originText = '';
  private origin: MessageOrigin = NO_ORIGIN;
  /** Where the properties of the record before came to an end in `bytes`. */
  private propertiesEnd = 0;

  constructor(crc32: Crc32) {
    this.crc32 = crc32;
  }

  reset(): void {
    this.end = 0;
  }

  /** Bytes of the messages written. */
  get length(): number {
    return this.end;
  }

  /** The messages, copied to memory that nobody writes to again. */
  take(space: FrameSpace): Uint8Array {
    const at = space.claim(this.end);
    space.bytes.set(this.bytes.subarray(0, this.end), at);
    return space.bytes.subarray(at, space.end);
  }

  /** Writes the reader's current record. */
  write(place: MessagePlace, record: BatchReader): void {
    const { source, keyStart, keyBytes, tagBytes, propertiesBytes, recordEnd } = record;
    const bodyStart = keyStart + keyBytes + tagBytes + propertiesBytes;
    const propertiesStart = keyStart + keyBytes + tagBytes;
    this.origin = this.originIn(source, propertiesStart, bodyStart);
    const { topic, storeHost } = place;
    const hostBytes = this.origin.bornHost.address.length + storeHost.address.length;
    const bodyBytes = recordEnd - bodyStart;
    const textBytes = keyBytes + tagBytes + propertiesBytes + ADDED_BYTES;
    const bodyAt =
      this.end + layout.MESSAGE_BORN_HOST + hostBytes + layout.MESSAGE_BETWEEN_BYTES + 4;
    this.ensure(bodyAt + bodyBytes + 2 + topic.length + 2 + textBytes);
    this.writeHead(place, record.index, record.bornAtMs);
    this.view.setInt32(bodyAt - 4, bodyBytes);
    this.copy(source, bodyStart, recordEnd, bodyAt);
    const crc = this.crc32(this.bytes, bodyAt, bodyAt + bodyBytes) & layout.BODY_CRC_MASK;
    this.view.setInt32(this.end + layout.MESSAGE_BODY_CRC, crc);
    const propertiesAt = this.writeTopic(topic, bodyAt + bodyBytes);
    this.propertiesEnd = propertiesAt + 2;
    this.writeProperty(TAGS, 0, TAGS.length, source, keyStart + keyBytes, propertiesStart);
    this.writeProperty(KEYS, 0, KEYS.length, source, keyStart, keyStart + keyBytes);
    this.writeProperty(REGION_NAME, 0, REGION_NAME.length, REGION, 0, REGION.length);
    this.writeProperties(source, propertiesStart, bodyStart, propertiesAt + 2);
    this.view.setInt16(propertiesAt, this.propertiesEnd - propertiesAt - 2);
    this.view.setInt32(this.end + layout.MESSAGE_BYTES, this.propertiesEnd - this.end);
    this.end = this.propertiesEnd;
  }

  /** Everything before the length of the body, but the checksum and the length of all. */
  private writeHead(place: MessagePlace, index: number, bornAtMs: number): void {
    const { view, end: at, origin } = this;
    const { topic, storeHost } = place;
    const isLong = topic.length > layout.TOPIC_BYTES_V1_MAX;
    view.setInt32(at + layout.MESSAGE_MAGIC, isLong ? layout.MAGIC_V2 : layout.MAGIC_V1);
    view.setInt32(at + layout.MESSAGE_QUEUE_ID, place.queueId);
    view.setInt32(at + layout.MESSAGE_FLAG, origin.flag);
    this.writeI64(at + layout.MESSAGE_QUEUE_OFFSET, place.baseOffset + index);
    this.writePlace(at + layout.MESSAGE_PLACE, place.shard, place.position + index);
    const hostBits =
      (origin.bornHost.address.length > 4 ? BORN_HOST_IPV6 : 0) |
      (storeHost.address.length > 4 ? STORE_HOST_IPV6 : 0);
    // What the producer says of the hosts does not count: clients would read all that follows at the wrong place.
    const sysFlag = origin.sysFlag & ~(BORN_HOST_IPV6 | STORE_HOST_IPV6);
    view.setInt32(at + layout.MESSAGE_SYS_FLAG, sysFlag | hostBits);
    this.writeI64(at + layout.MESSAGE_BORN_AT_MS, bornAtMs);
    const storedAt = this.writeHost(at + layout.MESSAGE_BORN_HOST, origin.bornHost);
    this.writeI64(storedAt, place.storedAtMs);
    const tailAt = this.writeHost(storedAt + 8, storeHost);
    view.setInt32(tailAt, origin.reconsumeTimes);
    this.writeI64(tailAt + 4, origin.preparedTransactionOffset);
  }

  private writeI64(at: number, value: number): void {
    const high = Math.floor(value / TWO_POW_32);
    this.view.setInt32(at, high);
    this.view.setUint32(at + 4, value - high * TWO_POW_32);
  }

  private writePlace(at: number, shard: number, place: number): void {
    const high = Math.floor(place / TWO_POW_32);
    this.view.setInt32(at, shard * SHARD_UNIT + high);
    this.view.setUint32(at + 4, place - high * TWO_POW_32);
  }

  private writeHost(at: number, { address, port }: HostBytes): number {
    this.bytes.set(address, at);
    this.view.setInt32(at + address.length, port);
    return at + address.length + 4;
  }

  private writeTopic(topic: Uint8Array, at: number): number {
    const lengthBytes = topic.length > layout.TOPIC_BYTES_V1_MAX ? 2 : 1;
    if (lengthBytes === 2) this.view.setInt16(at, topic.length);
    else this.view.setUint8(at, topic.length);
    this.bytes.set(topic, at + lengthBytes);
    return at + lengthBytes + topic.length;
  }

  /** The record's properties but the origin, as far as they fit: what is added goes before them. */
  private writeProperties(source: Uint8Array, start: number, end: number, from: number): void {
    let at = start;
    while (at < end) {
      const nameStart = at + 2;
      const nameEnd = nameStart + u16(source, at);
      const valueStart = nameEnd + 2;
      const valueEnd = valueStart + u16(source, nameEnd);
      at = valueEnd;
      const length =
        this.propertiesEnd - from + (nameEnd - nameStart) + (valueEnd - valueStart) + 2;
      if (length > layout.MESSAGE_PROPERTIES_BYTES_MAX) continue;
      if (isOrigin(source, nameStart, nameEnd)) continue;
      this.writeProperty(source, nameStart, nameEnd, source, valueStart, valueEnd);
    }
  }

  private writeProperty(
    nameSource: Uint8Array,
    nameStart: number,
    nameEnd: number,
    valueSource: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    // Java drops what has no name or no value; a client that does not would read it wrongly.
    if (nameStart === nameEnd || valueStart === valueEnd) return;
    const valueAt = this.copyText(nameSource, nameStart, nameEnd, this.propertiesEnd);
    this.bytes[valueAt] = NAME_END;
    const end = this.copyText(valueSource, valueStart, valueEnd, valueAt + 1);
    this.bytes[end] = VALUE_END;
    this.propertiesEnd = end + 1;
  }

  /** A name or value with a separator in it, which other dialects allow, gets a blank there. */
  private copyText(source: Uint8Array, start: number, end: number, at: number): number {
    const { bytes } = this;
    for (let from = start, to = at; from < end; from += 1, to += 1) {
      const byte = source[from] as number;
      bytes[to] = byte === NAME_END || byte === VALUE_END ? BLANK : byte;
    }
    return at + end - start;
  }

  private copy(source: Uint8Array, start: number, end: number, at: number): void {
    if (end - start > LOOP_BYTES_MAX) {
      this.bytes.set(source.subarray(start, end), at);
      return;
    }
    const { bytes } = this;
    for (let from = start, to = at; from < end; from += 1, to += 1)
      bytes[to] = source[from] as number;
  }

  private originIn(source: Uint8Array, start: number, end: number): MessageOrigin {
    let at = start;
    while (at < end) {
      const nameStart = at + 2;
      const nameEnd = nameStart + u16(source, at);
      const valueEnd = nameEnd + 2 + u16(source, nameEnd);
      at = valueEnd;
      if (!isOrigin(source, nameStart, nameEnd)) continue;
      const text = readText(source, nameEnd + 2, valueEnd);
      if (text === this.originText) return this.origin;
      this.originText = text;
      return readOrigin(text);
    }
    this.originText = '';
    return NO_ORIGIN;
  }

  private ensure(bytes: number): void {
    if (bytes <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(bytes, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.end));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function isOrigin(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== ORIGIN.length) return false;
  for (let index = 0; index < ORIGIN.length; index += 1)
    if (bytes[start + index] !== ORIGIN[index]) return false;
  return true;
}
