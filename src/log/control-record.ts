/**
 * The records that are not messages: metadata, settled messages, retries, positions of groups. Many of one duty cycle
 * share one control batch, whose payload begins with checksum and length like a producer's batch. Shard thread and recovery.
 *
 *   payload:  0 u32 crc   4 u32 bytes   8 records, each aligned to 8
 *   record:   0 u32 bytes with this header   4 u16 type   6 u16 0   8 body
 *   SETTLED:  8 u32 groupId  12 u32 topicId  16 u32 queueId  20 u32 ranges  24 … u64 start, u64 count
 *   RETRY:    8 u32 groupId  12 u32 topicId  16 u32 queueId  20 u32 ranges  24 … u64 start, u32 count, u32 attempt, u64 dueAtMs
 *   POSITION: 8 u32 positions  12 u32 0  16 … u32 groupId, u32 topicId, u32 queueId, u32 0, u64 offset
 *   METADATA: 8 u32 JSON bytes  12 JSON in UTF-8
 *   RELEASE, DROP, CHECK: deferred-record.ts
 */
import { invariant } from '../base/assert.ts';
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { SluiceError } from '../base/errors.ts';
import { alignUp, KIB } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import {
  DEFERRED_ENTRIES_AT,
  DEFERRED_ENTRY_BYTES,
  type DeferredEntry,
  isDeferredRecord,
  readDeferredRecord,
  writeDeferredRecord,
} from './deferred-record.ts';

export const CONTROL_METADATA = 1;
export const CONTROL_SETTLED = 2;
export const CONTROL_RETRY = 3;
export const CONTROL_POSITION = 6;

const PAYLOAD_HEADER_BYTES = 8;
const RECORD_HEADER_BYTES = 8;
const RANGES_AT = 24;
const METADATA_AT = 12;
const SETTLED_RANGE_BYTES = 16;
const RETRY_RANGE_BYTES = 24;
const POSITIONS_AT = 16;
const POSITION_BYTES = 24;
/** The payload of a control batch is closed at this size: small beside a chunk, so that it seldom waits for room. */
export const CONTROL_BATCH_BYTES_MAX: number = 256 * KIB;

/** A run of messages of one queue: `start` to `start + count - 1`. */
export type OffsetRange = { readonly start: number; readonly count: number };
/** A run that is to be delivered again. */
export type RetryRange = OffsetRange & {
  /** Number of the delivery to come. */
  readonly attempt: number;
  readonly dueAtMs: number;
};

/** Where a group stands on a queue: the offset of the next message that it wants. */
export type GroupPosition = {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  readonly offset: number;
};

const encoder = new TextEncoder();

/**
 * Gathers control records in as many payloads as they need, none larger than the log takes; the buffer is reused. What is
 * finished first was added first.
 */
export class ControlWriter {
  private readonly payloadBytesMax: number;
  /** Ranges of one record: longer lists are several records. */
  private readonly rangesMax: number;
  private buffer = new Uint8Array(4 * KIB);
  private view = new DataView(this.buffer.buffer);
  /** Start of the first payload that is not finished; those after it begin where the one before ends. */
  private first = 0;
  private ends: number[] = [];
  /** Start of the payload that grows. */
  private current = 0;
  private cursor: number = PAYLOAD_HEADER_BYTES;
  /** A record among those waiting says what topics and groups there are: data that depends on it must come after it. */
  hasMetadata = false;

  /** @param payloadBytesMax - bytes of the largest payload that the log takes */
  constructor(payloadBytesMax: number = CONTROL_BATCH_BYTES_MAX) {
    this.payloadBytesMax = Math.min(payloadBytesMax, CONTROL_BATCH_BYTES_MAX);
    const rangeRoom = this.payloadBytesMax - PAYLOAD_HEADER_BYTES - RANGES_AT;
    this.rangesMax = Math.floor(rangeRoom / RETRY_RANGE_BYTES);
    invariant(this.rangesMax > 0, 'a control batch holds a record', payloadBytesMax);
  }

  get isEmpty(): boolean {
    return this.bytes === PAYLOAD_HEADER_BYTES;
  }

  /** Bytes of all payloads that wait, as they are now. */
  get bytes(): number {
    return this.cursor - this.first;
  }

  /** Bytes of the payload that `finish` gives. */
  get nextBytes(): number {
    return (this.ends[0] ?? this.cursor) - this.first;
  }

  metadata(value: unknown): void {
    const json = encoder.encode(JSON.stringify(value));
    const at = this.start(CONTROL_METADATA, 12 + json.length);
    this.view.setUint32(at + 8, json.length, true);
    this.buffer.set(json, at + 12);
    this.hasMetadata = true;
  }

  settled(groupId: number, topicId: number, queueId: number, ranges: readonly OffsetRange[]): void {
    for (let from = 0; from < ranges.length; from += this.rangesMax) {
      const part = ranges.slice(from, from + this.rangesMax);
      let at = this.startRanges(
        ...([CONTROL_SETTLED, groupId, topicId, queueId] as const),
        ...([part.length, SETTLED_RANGE_BYTES] as const),
      );
      for (const range of part) {
        setU64(this.view, at, range.start);
        setU64(this.view, at + 8, range.count);
        at += SETTLED_RANGE_BYTES;
      }
    }
  }

  retry(groupId: number, topicId: number, queueId: number, ranges: readonly RetryRange[]): void {
    for (let from = 0; from < ranges.length; from += this.rangesMax) {
      const part = ranges.slice(from, from + this.rangesMax);
      let at = this.startRanges(
        ...([CONTROL_RETRY, groupId, topicId, queueId] as const),
        ...([part.length, RETRY_RANGE_BYTES] as const),
      );
      for (const range of part) {
        setU64(this.view, at, range.start);
        this.view.setUint32(at + 8, range.count, true);
        this.view.setUint32(at + 12, range.attempt, true);
        setU64(this.view, at + 16, range.dueAtMs);
        at += RETRY_RANGE_BYTES;
      }
    }
  }

  positions(positions: readonly GroupPosition[]): void {
    for (let from = 0; from < positions.length; from += this.rangesMax) {
      const part = positions.slice(from, from + this.rangesMax);
      const record = this.start(CONTROL_POSITION, POSITIONS_AT + part.length * POSITION_BYTES);
      this.view.setUint32(record + 8, part.length, true);
      part.forEach(({ groupId, topicId, queueId, offset }, index) => {
        const at = record + POSITIONS_AT + index * POSITION_BYTES;
        this.view.setUint32(at, groupId, true);
        this.view.setUint32(at + 4, topicId, true);
        this.view.setUint32(at + 8, queueId, true);
        setU64(this.view, at + 16, offset);
      });
    }
  }

  /** A record that changes nothing: behind it the log has another end, and a snapshot another position. */
  mark(): void {
    const record = this.start(CONTROL_POSITION, POSITIONS_AT);
    this.view.setUint32(record + 8, 0, true);
  }

  /** Records about deferred batches (deferred-record.ts), as many as the entries need. */
  deferred(type: number, entries: readonly DeferredEntry[]): void {
    const max = Math.floor(
      (this.payloadBytesMax - PAYLOAD_HEADER_BYTES - DEFERRED_ENTRIES_AT) / DEFERRED_ENTRY_BYTES,
    );
    for (let from = 0; from < entries.length; from += max) {
      const part = entries.slice(from, from + max);
      const bytes = DEFERRED_ENTRIES_AT + part.length * DEFERRED_ENTRY_BYTES;
      const at = this.start(type, bytes);
      writeDeferredRecord(this.view, at, part);
    }
  }

  /** Completes the payload that was begun first. @shape a view, valid until the next record is added */
  finish(): Uint8Array {
    const { first } = this;
    const bytes = this.nextBytes;
    this.view.setUint32(first + layout.BATCH_BYTES, bytes, true);
    const crc = crc32(this.buffer, first + layout.BATCH_BYTES, first + bytes);
    this.view.setUint32(first + layout.BATCH_CRC, crc, true);
    if (this.ends.length === 0) this.clear();
    else this.first = this.ends.shift() as number;
    return this.buffer.subarray(first, first + bytes);
  }

  /** Forgets everything that waits. */
  clear(): void {
    this.first = 0;
    this.ends = [];
    this.current = 0;
    this.cursor = PAYLOAD_HEADER_BYTES;
    this.hasMetadata = false;
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
    const aligned = alignUp(bytes, 8);
    invariant(
      PAYLOAD_HEADER_BYTES + aligned <= this.payloadBytesMax,
      'a control record fits a batch',
      aligned,
    );
    if (this.cursor + aligned - this.current > this.payloadBytesMax) {
      this.ends.push(this.cursor);
      this.current = this.cursor;
      this.cursor += PAYLOAD_HEADER_BYTES;
    }
    if (this.cursor + aligned > this.buffer.length) this.makeRoom(aligned);
    const at = this.cursor;
    this.buffer.fill(0, at, at + aligned);
    this.view.setUint32(at, aligned, true);
    this.view.setUint16(at + 4, type, true);
    this.cursor = at + aligned;
    return at;
  }

  /** Moves what waits to the front of the buffer, which grows when that is not enough. */
  private makeRoom(bytes: number): void {
    const needed = this.cursor - this.first + bytes;
    const isEnough = needed <= this.buffer.length;
    const target = isEnough
      ? this.buffer
      : new Uint8Array(Math.max(needed, this.buffer.length * 2));
    target.set(this.buffer.subarray(this.first, this.cursor));
    this.buffer = target;
    this.view = new DataView(target.buffer);
    this.ends = this.ends.map((end) => end - this.first);
    this.current -= this.first;
    this.cursor -= this.first;
    this.first = 0;
  }
}

/** What a reader of control records does with each kind. */
export type ControlVisitor = {
  metadata(value: unknown): void;
  settled(groupId: number, topicId: number, queueId: number, range: OffsetRange): void;
  retry(groupId: number, topicId: number, queueId: number, range: RetryRange): void;
  position(position: GroupPosition): void;
  /** An entry of a RELEASE, DROP or CHECK record. */
  deferred(type: number, entry: DeferredEntry): void;
};

/**
 * Walks a control payload whose checksum was verified; passes over types that it does not know, stops at what does not fit.
 *
 * @throws RECORD_CORRUPT when a record of metadata is not JSON: then what wrote it was wrong, and to pass it over would
 * lose topics or groups
 */
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
      if (length < METADATA_AT) return;
      const jsonBytes = view.getUint32(record + 8, true);
      if (jsonBytes > length - METADATA_AT) return;
      const jsonAt = record + METADATA_AT;
      visitor.metadata(parseMetadata(readText(bytes, jsonAt, jsonAt + jsonBytes)));
    } else if (type === CONTROL_POSITION) {
      if (!readPositions(view, record, length, visitor)) return;
    } else if (isDeferredRecord(type)) {
      if (!readDeferredRecord(view, record, length, (entry) => visitor.deferred(type, entry)))
        return;
    } else if (type === CONTROL_SETTLED || type === CONTROL_RETRY) {
      if (!readRanges(view, record, length, type, visitor)) return;
    }
    record += length;
  }
}

function parseMetadata(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new SluiceError('RECORD_CORRUPT', 'a control record holds metadata that is not JSON', {
      cause,
    });
  }
}

/** @returns false when the positions do not fit the record */
function readPositions(
  view: DataView,
  record: number,
  length: number,
  visitor: ControlVisitor,
): boolean {
  if (length < POSITIONS_AT) return false;
  const count = view.getUint32(record + 8, true);
  if (count * POSITION_BYTES > length - POSITIONS_AT) return false;
  for (let index = 0; index < count; index += 1) {
    const at = record + POSITIONS_AT + index * POSITION_BYTES;
    visitor.position({
      groupId: view.getUint32(at, true),
      topicId: view.getUint32(at + 4, true),
      queueId: view.getUint32(at + 8, true),
      offset: getU64(view, at + 16),
    });
  }
  return true;
}

/** @returns false when the ranges do not fit the record */
function readRanges(
  view: DataView,
  record: number,
  length: number,
  type: number,
  visitor: ControlVisitor,
): boolean {
  const rangeBytes = type === CONTROL_SETTLED ? SETTLED_RANGE_BYTES : RETRY_RANGE_BYTES;
  if (length < RANGES_AT || view.getUint32(record + 20, true) * rangeBytes > length - RANGES_AT)
    return false;
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
  return true;
}
