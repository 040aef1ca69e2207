/**
 * The records that are not messages: metadata, settled messages, retries. Many of one duty cycle share one control
 * batch, whose payload begins with checksum and length like a producer's batch. Shard thread and recovery.
 *
 *   payload:  0 u32 crc   4 u32 bytes   8 records, each aligned to 8
 *   record:   0 u32 bytes with this header   4 u16 type   6 u16 0   8 body
 *   SETTLED:  8 u32 groupId  12 u32 topicId  16 u32 queueId  20 u32 ranges  24 … u64 start, u64 count
 *   RETRY:    8 u32 groupId  12 u32 topicId  16 u32 queueId  20 u32 ranges  24 … u64 start, u32 count, u32 attempt, u64 dueAtMs
 *   METADATA: 8 u32 JSON bytes  12 JSON in UTF-8
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { alignUp, KIB } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { readText } from '../protocol/batch/text-bytes.ts';

export const CONTROL_METADATA = 1;
export const CONTROL_SETTLED = 2;
export const CONTROL_RETRY = 3;

const PAYLOAD_HEADER_BYTES = 8;
const RECORD_HEADER_BYTES = 8;
const RANGES_AT = 24;
const SETTLED_RANGE_BYTES = 16;
const RETRY_RANGE_BYTES = 24;
/** A control batch is closed at this size, so that it fits anywhere. */
export const CONTROL_BATCH_BYTES_MAX: number = 256 * KIB;

/** A run of messages of one queue: `start` to `start + count - 1`. */
export type OffsetRange = { readonly start: number; readonly count: number };
/** A run that is to be delivered again. */
export type RetryRange = OffsetRange & {
  /** Number of the delivery to come. */
  readonly attempt: number;
  readonly dueAtMs: number;
};

const encoder = new TextEncoder();

/** Gathers control records; the buffer is reused. */
export class ControlWriter {
  private buffer = new Uint8Array(4 * KIB);
  private view = new DataView(this.buffer.buffer);
  private cursor: number = PAYLOAD_HEADER_BYTES;

  get isEmpty(): boolean {
    return this.cursor === PAYLOAD_HEADER_BYTES;
  }

  /** Bytes of the payload if it were finished now. */
  get bytes(): number {
    return this.cursor;
  }

  /** May a record of this many ranges be added without passing the limit? */
  hasRoom(ranges: number): boolean {
    return this.cursor + RANGES_AT + ranges * RETRY_RANGE_BYTES <= CONTROL_BATCH_BYTES_MAX;
  }

  metadata(value: unknown): void {
    const json = encoder.encode(JSON.stringify(value));
    const at = this.start(CONTROL_METADATA, 12 + json.length);
    this.view.setUint32(at + 8, json.length, true);
    this.buffer.set(json, at + 12);
  }

  settled(groupId: number, topicId: number, queueId: number, ranges: readonly OffsetRange[]): void {
    let at = this.startRanges(
      CONTROL_SETTLED,
      groupId,
      topicId,
      queueId,
      ranges.length,
      SETTLED_RANGE_BYTES,
    );
    for (const range of ranges) {
      setU64(this.view, at, range.start);
      setU64(this.view, at + 8, range.count);
      at += SETTLED_RANGE_BYTES;
    }
  }

  retry(groupId: number, topicId: number, queueId: number, ranges: readonly RetryRange[]): void {
    let at = this.startRanges(
      CONTROL_RETRY,
      groupId,
      topicId,
      queueId,
      ranges.length,
      RETRY_RANGE_BYTES,
    );
    for (const range of ranges) {
      setU64(this.view, at, range.start);
      this.view.setUint32(at + 8, range.count, true);
      this.view.setUint32(at + 12, range.attempt, true);
      setU64(this.view, at + 16, range.dueAtMs);
      at += RETRY_RANGE_BYTES;
    }
  }

  /** Completes the payload and starts the next one. @shape a view, valid until the next record is added */
  finish(): Uint8Array {
    const bytes = this.cursor;
    this.view.setUint32(layout.BATCH_BYTES, bytes, true);
    this.view.setUint32(layout.BATCH_CRC, crc32(this.buffer, layout.BATCH_BYTES, bytes), true);
    this.cursor = PAYLOAD_HEADER_BYTES;
    return this.buffer.subarray(0, bytes);
  }

  private startRanges(
    type: number,
    groupId: number,
    topicId: number,
    queueId: number,
    ranges: number,
    rangeBytes: number,
  ): number {
    const at = this.start(type, RANGES_AT + ranges * rangeBytes);
    this.view.setUint32(at + 8, groupId, true);
    this.view.setUint32(at + 12, topicId, true);
    this.view.setUint32(at + 16, queueId, true);
    this.view.setUint32(at + 20, ranges, true);
    return at + RANGES_AT;
  }

  private start(type: number, bytes: number): number {
    const at = this.cursor;
    const aligned = alignUp(bytes, 8);
    if (at + aligned > this.buffer.length) this.grow(at + aligned);
    this.buffer.fill(0, at, at + aligned);
    this.view.setUint32(at, aligned, true);
    this.view.setUint16(at + 4, type, true);
    this.cursor = at + aligned;
    return at;
  }

  private grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, this.buffer.length * 2));
    grown.set(this.buffer);
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** What a reader of control records does with each kind. */
export type ControlVisitor = {
  metadata(value: unknown): void;
  settled(groupId: number, topicId: number, queueId: number, range: OffsetRange): void;
  retry(groupId: number, topicId: number, queueId: number, range: RetryRange): void;
};

/** Walks a control payload whose checksum was verified; stops at what it does not understand. */
export function readControl(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  visitor: ControlVisitor,
): void {
  const end = at + view.getUint32(at + layout.BATCH_BYTES, true);
  let record = at + PAYLOAD_HEADER_BYTES;
  while (record + RECORD_HEADER_BYTES <= end) {
    const length = view.getUint32(record, true);
    const type = view.getUint16(record + 4, true);
    if (length < RECORD_HEADER_BYTES || record + length > end) return;
    if (type === CONTROL_METADATA) {
      visitor.metadata(
        JSON.parse(readText(bytes, record + 12, record + 12 + view.getUint32(record + 8, true))),
      );
    } else readRanges(view, record, type, visitor);
    record += length;
  }
}

function readRanges(view: DataView, record: number, type: number, visitor: ControlVisitor): void {
  const groupId = view.getUint32(record + 8, true);
  const topicId = view.getUint32(record + 12, true);
  const queueId = view.getUint32(record + 16, true);
  const ranges = view.getUint32(record + 20, true);
  for (let index = 0; index < ranges; index += 1) {
    if (type === CONTROL_SETTLED) {
      const at = record + RANGES_AT + index * SETTLED_RANGE_BYTES;
      visitor.settled(groupId, topicId, queueId, {
        start: getU64(view, at),
        count: getU64(view, at + 8),
      });
    } else if (type === CONTROL_RETRY) {
      const at = record + RANGES_AT + index * RETRY_RANGE_BYTES;
      visitor.retry(groupId, topicId, queueId, {
        start: getU64(view, at),
        count: view.getUint32(at + 8, true),
        attempt: view.getUint32(at + 12, true),
        dueAtMs: getU64(view, at + 16),
      });
    }
  }
}
