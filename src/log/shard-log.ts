/**
 * A shard's log from the writer's side: places batches one after another in the tail window and says when there is no
 * room. Runs on the shard's thread; never blocks and touches no file: the flusher writes what `publish` has shown it.
 */
import { invariant } from '../base/assert.ts';
import { crc32 } from '../base/crc32-native.ts';
import { ALIGNMENT } from '../base/limits.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import type { LogMemory } from './log-memory.ts';
import {
  STORED_BYTES_MAX,
  type StoredFields,
  type StoredKind,
  writeStoredHeader,
} from './stored-header.ts';
import type { TailWindow } from './tail-window.ts';

/** Why there is no room now: memory not yet written or still being read, or no segment prepared on the disk. */
export type NoRoom = 'window-full' | 'segment-missing';

/** Do readers outside still need a part of the tail window? */
export type TailLeases = {
  /** Nobody reads bytes of this slot any more. */
  isFree(slot: number): boolean;
};

/** What the log needs to know about a batch beside its bytes. */
export type AppendFields = {
  readonly kind: StoredKind;
  readonly baseOffset: number;
  readonly topicId: number;
  readonly queueId: number;
  /** Default 0. */
  readonly flags?: number;
};

export class ShardLog {
  /** End of the log, in memory. */
  appended: number;
  /** Written position as last observed. */
  written: number;
  /** Flushed position as last observed; named in every header. */
  flushed: number;
  /** Positions below this have a segment file. */
  preparedEnd: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  /**
   * Bytes of the largest stored batch. It may have to wait for the next chunk, so the window must hold a padding of nearly
   * its size, the batch, and the slot that is half written: a larger one would wait for ever.
   */
  readonly batchBytesMax: number;
  private readonly tail: TailWindow;
  private readonly memory: LogMemory;
  private readonly leases: TailLeases;
  /** Position of the newest batch header; -1 before there is one. */
  lastHeaderAt: number;
  /** The epoch that new batches name. */
  private readonly epoch: number;
  /** Positions below this may be overwritten by bytes one window later: looked up once a slot. */
  private checkedEnd: number;
  /** The window holds nothing from before this run. */
  private readonly loadedFrom: number;
  private readonly fields: StoredFields;

  constructor(options: {
    tail: TailWindow;
    memory: LogMemory;
    leases: TailLeases;
    segmentBytes: number;
    /** End of the recovered log, a multiple of 8. */
    position: number;
    preparedEnd: number;
    epoch: number;
    /** Position of the recovered log's last header; -1 without one. */
    lastHeaderAt?: number;
  }) {
    this.tail = options.tail;
    this.memory = options.memory;
    this.leases = options.leases;
    this.segmentBytes = options.segmentBytes;
    this.chunkBytes = Math.min(options.segmentBytes, options.tail.windowBytes);
    const besideSlot = options.tail.windowBytes - options.tail.slotBytes;
    this.batchBytesMax = Math.min(this.chunkBytes, STORED_BYTES_MAX, alignDown(besideSlot / 2));
    this.appended = options.position;
    this.written = options.position;
    this.flushed = options.position;
    this.preparedEnd = options.preparedEnd;
    this.epoch = options.epoch;
    this.lastHeaderAt = options.lastHeaderAt ?? -1;
    this.loadedFrom = options.position;
    // A recovered log starts with an empty window: everything in the current slot is free.
    this.checkedEnd =
      options.position - (options.position % this.tail.slotBytes) + this.tail.slotBytes;
    this.memory.hotStart.publish(this.hotStart);
    this.fields = {
      kind: layout.KIND_DATA,
      bytes: 0,
      position: 0,
      baseOffset: 0,
      storedAtMs: 0,
      flushed: 0,
      epoch: options.epoch,
      topicId: 0,
      queueId: 0,
      flags: 0,
      payloadCrc: 0,
    };
  }

  /** First position that is still in the tail window, whatever happens next: below it reads are cold. */
  get hotStart(): number {
    return Math.max(this.loadedFrom, this.checkedEnd - this.tail.windowBytes);
  }

  /** Takes over what the flusher has published. */
  observe(): void {
    this.written = this.memory.written.observe();
    this.flushed = this.memory.flushed.observe();
  }

  /**
   * Is there room for a payload of this size, padding before it included?
   *
   * @returns undefined when there is
   */
  noRoomFor(payloadBytes: number): NoRoom | undefined {
    const bytes = layout.STORED_HEADER_BYTES + payloadBytes;
    invariant(bytes <= this.batchBytesMax, 'a batch fits', bytes, this.batchBytesMax);
    const start = this.chunkLeft() < bytes ? this.appended + this.chunkLeft() : this.appended;
    return this.noRoomUntil(start + bytes);
  }

  /** The same for bytes that are taken over as they are. */
  noRoomForRun(bytes: number): NoRoom | undefined {
    return this.noRoomUntil(this.appended + bytes);
  }

  private noRoomUntil(end: number): NoRoom | undefined {
    if (end > this.preparedEnd) return 'segment-missing';
    while (this.checkedEnd < end) {
      if (!this.isSlotFree(this.checkedEnd)) return 'window-full';
      this.checkedEnd += this.tail.slotBytes;
      // Publishes: whoever copied bytes below must throw the copy away. Before any of them is overwritten.
      this.memory.hotStart.publish(this.hotStart);
    }
    return undefined;
  }

  /**
   * Takes over bytes of another log at the same position, unchanged: whole batches, padding, the rest of a chunk. There must
   * be room, and they end within the chunk.
   */
  appendRun(source: Uint8Array, at: number, length: number): void {
    invariant(length <= this.chunkLeft(), 'a run ends within its chunk', length, this.chunkLeft());
    invariant(this.appended + length <= this.checkedEnd, 'room was checked', this.appended, length);
    this.tail.bytes.set(source.subarray(at, at + length), this.tail.place(this.appended));
    this.appended += length;
  }

  /**
   * Appends a payload that begins with its checksum and length, as a producer's batch does. There must be room.
   *
   * @param payload - copied
   * @returns position of the stored batch
   */
  append(
    fields: AppendFields,
    payload: Uint8Array,
    at: number,
    length: number,
    storedAtMs: number,
  ): number {
    if (this.chunkLeft() < layout.STORED_HEADER_BYTES + length) this.pad(storedAtMs);
    const position = this.appended;
    const bytes = layout.STORED_HEADER_BYTES + length;
    const place = this.tail.place(position);
    invariant(length % 8 === 0, 'a payload is aligned', length);
    invariant(position + bytes <= this.checkedEnd, 'room was checked', position, this.checkedEnd);
    this.tail.bytes.set(payload.subarray(at, at + length), place + layout.STORED_HEADER_BYTES);
    const header = this.fields;
    header.payloadCrc = this.tail.view.getUint32(
      place + layout.STORED_HEADER_BYTES + layout.BATCH_CRC,
      true,
    );
    this.writeHeader(place, fields, bytes, storedAtMs);
    this.appended = position + bytes;
    return position;
  }

  /** Shows everything appended to the flusher. Publishes: batch bytes before the appended position. */
  publish(): void {
    this.memory.appended.publish(this.appended);
  }

  /** Bytes to the end of the chunk that is written. */
  chunkLeft(): number {
    return this.chunkBytes - (this.appended % this.chunkBytes);
  }

  /** Fills the rest of the chunk; a rest that cannot hold a header is skipped, which readers know. */
  private pad(storedAtMs: number): void {
    const left = this.chunkLeft();
    const place = this.tail.place(this.appended);
    if (left >= layout.STORED_HEADER_BYTES) {
      this.fields.payloadCrc = 0;
      const padding = { kind: layout.KIND_PADDING, baseOffset: 0, topicId: 0, queueId: 0 } as const;
      this.writeHeader(place, padding, left, storedAtMs);
    }
    // No header says who passed over it: two masters in turn may, and the one that is cut to where the other began keeps its own.
    else this.tail.bytes.fill(0, place, place + left);
    this.appended += left;
  }

  private writeHeader(place: number, from: AppendFields, bytes: number, storedAtMs: number): void {
    const header = this.fields;
    header.kind = from.kind;
    header.bytes = bytes;
    header.position = this.appended;
    this.lastHeaderAt = this.appended;
    header.baseOffset = from.baseOffset;
    header.storedAtMs = storedAtMs;
    header.flushed = this.flushed;
    header.epoch = this.epoch;
    header.topicId = from.topicId;
    header.queueId = from.queueId;
    header.flags = from.flags ?? 0;
    writeStoredHeader(this.tail.bytes, this.tail.view, place, header);
  }

  /** May the slot that begins at `position` be overwritten? Its old bytes are one window earlier. */
  private isSlotFree(position: number): boolean {
    const oldEnd = position - this.tail.windowBytes + this.tail.slotBytes;
    if (oldEnd > this.written) return false;
    return oldEnd <= 0 || this.leases.isFree(this.tail.slotOf(position));
  }
}

/** To whole batches' alignment. */
function alignDown(bytes: number): number {
  return bytes - (bytes % ALIGNMENT);
}

/** Completes a control payload in place: length, then checksum. */
export function sealPayload(bytes: Uint8Array, view: DataView, length: number): void {
  view.setUint32(layout.BATCH_BYTES, length, true);
  view.setUint32(layout.BATCH_CRC, crc32(bytes, layout.BATCH_BYTES, length), true);
}
