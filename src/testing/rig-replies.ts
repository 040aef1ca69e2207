/**
 * Answers of a shard as the acceptor would read them: ring records to values, extents to the records they point at, from
 * the tail window or, when they are cold, from the segment file.
 */
import { getU64 } from '../base/bytes.ts';
import { type ErrorCode, errorCodeOf } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import type { Storage } from '../log/storage.ts';
import { readStoredBatch } from '../log/stored-read.ts';
import type { TailWindow } from '../log/tail-window.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';

/** An answer of the shard, decoded. */
export type RigReply =
  | {
      readonly kind: 'produced';
      readonly correlation: number;
      readonly queueId: number;
      readonly baseOffset: number;
      readonly count: number;
      readonly isDuplicate: boolean;
      /** It cannot be seen yet: `baseOffset` is the time at which it can. */
      readonly isDeferred: boolean;
      readonly durability: number;
      readonly position: number;
    }
  | {
      readonly kind: 'failed';
      readonly correlation: number;
      readonly code: ErrorCode;
      readonly text: string;
    }
  | { readonly kind: 'settled'; readonly correlation: number }
  | { readonly kind: 'control'; readonly correlation: number; readonly result: unknown }
  | { readonly kind: 'event'; readonly event: ShardEvent }
  | {
      readonly kind: 'fetched';
      readonly correlation: number;
      readonly min: number;
      readonly max: number;
      readonly next: number;
      readonly records: readonly RigRecord[];
      readonly extents: readonly RigExtent[];
    }
  | {
      readonly kind: 'deliver';
      readonly subscription: number;
      readonly topicId: number;
      readonly queueId: number;
      readonly leaseId: number;
      readonly attempt: number;
      readonly records: readonly RigRecord[];
      readonly extents: readonly RigExtent[];
    };

export type RigRecord = {
  readonly offset: number;
  readonly key: string;
  readonly tag: string;
  readonly body: string;
  readonly properties: Readonly<Record<string, string>>;
};

/** A piece of log that a reply points at. */
export type RigExtent = {
  readonly firstOffset: number;
  readonly count: number;
  /** Where its batch ends in the log. */
  readonly end: number;
  /** Why its records could not be read; undefined when they were. */
  readonly unreadable: ErrorCode | undefined;
};

/** Where one extent is, as its reply says. */
type Place = {
  readonly position: number;
  readonly baseOffset: number;
  readonly batchBytes: number;
  readonly firstIndex: number;
  readonly count: number;
  readonly isCold: boolean;
};

export class RigReplies {
  private readonly ring: RingConsumer;
  private readonly tail: TailWindow;
  private readonly storage: Storage;
  private readonly segmentBytes: number;
  private readonly reader = new BatchReader();

  constructor(ring: RingConsumer, tail: TailWindow, storage: Storage, segmentBytes: number) {
    this.ring = ring;
    this.tail = tail;
    this.storage = storage;
    this.segmentBytes = segmentBytes;
  }

  /** The answers that are there. */
  take(): RigReply[] {
    const replies: RigReply[] = [];
    this.ring.read((type, at, length) => {
      replies.push(this.decode(type, at, length));
      return true;
    }, 10_000);
    return replies;
  }

  private decode(type: number, at: number, length: number): RigReply {
    const { view, bytes } = this.ring;
    const correlation = view.getUint32(at + 4, true);
    switch (type) {
      case envelope.REPLY_PRODUCED:
        return {
          kind: 'produced',
          correlation,
          queueId: view.getUint16(at + envelope.PRODUCED_QUEUE_ID, true),
          baseOffset: getU64(view, at + envelope.PRODUCED_BASE_OFFSET),
          count: view.getUint32(at + envelope.PRODUCED_RECORD_COUNT, true),
          isDuplicate:
            (view.getUint8(at + envelope.PRODUCED_FLAGS) & envelope.PRODUCED_FLAG_DUPLICATE) !== 0,
          isDeferred:
            (view.getUint8(at + envelope.PRODUCED_FLAGS) & envelope.PRODUCED_FLAG_DEFERRED) !== 0,
          durability: view.getUint8(at + envelope.PRODUCED_DURABILITY),
          position: getU64(view, at + envelope.PRODUCED_POSITION),
        };
      case envelope.REPLY_FAILED:
        return {
          kind: 'failed',
          correlation,
          code: errorCodeOf(view.getUint16(at + envelope.FAILED_CODE, true)),
          text: readText(bytes, at + envelope.FAILED_TEXT, at + length),
        };
      case envelope.REPLY_SETTLED:
        return { kind: 'settled', correlation };
      case envelope.REPLY_CONTROL: {
        const json = readText(bytes, at + envelope.CONTROL_JSON, at + length);
        return { kind: 'control', correlation, result: JSON.parse(json) };
      }
      case envelope.REPLY_EVENT:
        return { kind: 'event', event: JSON.parse(readText(bytes, at, at + length)) as ShardEvent };
      case envelope.REPLY_FETCHED:
        return this.decodeFetched(view, at, correlation);
      case envelope.REPLY_DELIVER:
        return this.decodeDeliver(view, at);
      default:
        throw new SluiceError('INVARIANT', `unknown reply type ${type}`);
    }
  }

  private decodeDeliver(view: DataView, at: number): RigReply {
    const records: RigRecord[] = [];
    const extent = this.read(
      {
        position: getU64(view, at + envelope.DELIVER_POSITION),
        baseOffset: getU64(view, at + envelope.DELIVER_BASE_OFFSET),
        batchBytes: view.getUint32(at + envelope.DELIVER_BATCH_BYTES, true),
        firstIndex: view.getUint32(at + envelope.DELIVER_FIRST_INDEX, true),
        count: view.getUint32(at + envelope.DELIVER_COUNT, true),
        isCold: view.getUint16(at + envelope.DELIVER_FLAGS, true) === envelope.EXTENT_COLD,
      },
      records,
    );
    return {
      kind: 'deliver',
      subscription: view.getUint32(at + envelope.DELIVER_SUBSCRIPTION, true),
      topicId: view.getUint32(at + envelope.DELIVER_TOPIC_ID, true),
      queueId: view.getUint16(at + envelope.DELIVER_QUEUE_ID, true),
      leaseId: getU64(view, at + envelope.DELIVER_LEASE),
      attempt: view.getUint32(at + envelope.DELIVER_ATTEMPT, true),
      records,
      extents: [extent],
    };
  }

  private decodeFetched(view: DataView, at: number, correlation: number): RigReply {
    const records: RigRecord[] = [];
    const extents: RigExtent[] = [];
    const count = view.getUint32(at + envelope.FETCHED_EXTENT_COUNT, true);
    for (let index = 0; index < count; index += 1) {
      const place = at + envelope.FETCHED_EXTENTS + index * envelope.EXTENT_BYTES;
      const extent = {
        position: getU64(view, place + envelope.EXTENT_POSITION),
        baseOffset: getU64(view, place + envelope.EXTENT_BASE_OFFSET),
        batchBytes: view.getUint32(place + envelope.EXTENT_BATCH_BYTES, true),
        firstIndex: view.getUint32(place + envelope.EXTENT_FIRST_INDEX, true),
        count: view.getUint32(place + envelope.EXTENT_COUNT, true),
        isCold: view.getUint32(place + envelope.EXTENT_FLAGS, true) === envelope.EXTENT_COLD,
      };
      extents.push(this.read(extent, records));
    }
    return {
      kind: 'fetched',
      correlation,
      min: getU64(view, at + envelope.FETCHED_MIN_OFFSET),
      max: getU64(view, at + envelope.FETCHED_MAX_OFFSET),
      next: getU64(view, at + envelope.FETCHED_NEXT_OFFSET),
      records,
      extents,
    };
  }

  /** Adds the records of an extent to `records`, read as the acceptor reads them. */
  private read(place: Place, records: RigRecord[]): RigExtent {
    const { position, baseOffset, batchBytes, firstIndex, count } = place;
    const extent: RigExtent = {
      firstOffset: baseOffset + firstIndex,
      count,
      end: position + batchBytes,
      unreadable: undefined,
    };
    let bytes: Uint8Array;
    try {
      bytes = place.isCold
        ? readStoredBatch(this.storage, position, batchBytes, this.segmentBytes)
        : this.tail.at(position, batchBytes).slice();
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return { ...extent, unreadable: error.code };
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const reader = this.reader.open(bytes, view, layout.STORED_HEADER_BYTES);
    while (reader.next()) {
      if (reader.index < firstIndex || reader.index >= firstIndex + count) continue;
      records.push({
        offset: baseOffset + reader.index,
        key: reader.key,
        tag: reader.tag,
        body: reader.bodyText,
        properties: reader.properties,
      });
    }
    return extent;
  }
}
