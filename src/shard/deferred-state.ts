/**
 * What the log says about messages that cannot be seen yet. Changed by the same calls while the shard runs, while recovery
 * replays the log and while a slave follows it. A batch becomes visible by a copy: a RELEASE record announces the copies,
 * the flagged batches behind it are they, in that order. What was announced and not copied when a boot record comes stays
 * pending, so a message becomes visible exactly once wherever the log is cut.
 *
 * @source docs/decisions/0011-deferred-visibility.md
 */
import { getU64 } from '../base/bytes.ts';
import { fnv1aBytes } from '../base/fnv1a.ts';
import {
  CONTROL_CHECK,
  CONTROL_DROP,
  CONTROL_RELEASE,
  type DeferredEntry,
  DROP_ALL,
  DROP_CANCELLED,
  DROP_ROLLED_BACK,
} from '../log/deferred-record.ts';
import { recordsStart } from '../protocol/batch/batch-check.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { decodeNumbers } from './deferred-rows.ts';
import { DeferredTable, NO_ROW } from './deferred-table.ts';

/** Messages that were cancelled lately and are remembered, so that the same request is answered the same way. */
const CANCELLED_MAX = 10_000;
/** Transactions that were ended lately and are remembered, for the same reason. */
const ENDED_MAX = 10_000;

/** As it stands in a snapshot. */
export type DeferredImage = {
  /** In snapshots of version 2; later ones have the rows behind their JSON. */
  readonly rows?: string;
  readonly announced: readonly number[];
  readonly dropped: readonly (readonly [origin: number, indices: readonly number[]])[];
  readonly cancelled: readonly (readonly [place: number, topicId: number, keyHash: number])[];
  readonly ended?: readonly (readonly [origin: number, isCommitted: boolean])[];
};

export class DeferredState {
  readonly table: DeferredTable = new DeferredTable();
  /** Batches whose copies come next, in this order. */
  private announced: number[] = [];
  /** Messages of a batch that were dropped while others of it were not. */
  private readonly dropped = new Map<number, Set<number>>();
  /** Messages that were cancelled, by origin plus index, the oldest first. */
  private readonly cancelled = new Map<number, { topicId: number; keyHash: number }>();
  /** Half messages that were committed or rolled back, the oldest first. */
  private readonly ended = new Map<number, boolean>();
  /** Rows that have left since this state was made: their old places may only be let go once that is on the disk. */
  departures = 0;
  /** Those of them that nobody will see. */
  drops = 0;

  /** Takes in the deferred batch at `at`; for one that was written again, only its new place. */
  addBatch(bytes: Uint8Array, view: DataView, at: number, position: number): void {
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    const payloadCrc = view.getUint32(at + layout.STORED_PAYLOAD_CRC, true);
    const flags = view.getUint16(at + layout.STORED_FLAGS, true);
    const dueAtMs = getU64(view, at + layout.STORED_BASE_OFFSET);
    if ((flags & layout.DEFERRED_FLAG_MOVED) !== 0) {
      const row = this.takeAnnounced(payloadCrc, topicId, queueId);
      if (row === NO_ROW) return;
      this.table.move(row, position);
      this.table.schedule(row, this.table.get(row).dueAtMs);
      this.departures += 1;
      return;
    }
    const batchAt = at + layout.STORED_HEADER_BYTES;
    this.table.add({
      origin: position,
      position,
      payloadCrc,
      dueAtMs,
      topicId,
      queueId,
      checks: 0,
      bytes: view.getUint32(at + layout.STORED_BYTES, true),
      isHalf: (flags & layout.DEFERRED_FLAG_HALF) !== 0,
      count: view.getUint32(batchAt + layout.BATCH_RECORD_COUNT, true),
      keyHash: firstKeyHash(bytes, view, batchAt),
    });
  }

  /** The data batch at `at` is the copy of a deferred one, which has done its duty. */
  addCopy(view: DataView, at: number): void {
    const row = this.takeAnnounced(
      view.getUint32(at + layout.STORED_PAYLOAD_CRC, true),
      view.getUint32(at + layout.STORED_TOPIC_ID, true),
      view.getUint16(at + layout.STORED_QUEUE_ID, true),
    );
    if (row === NO_ROW) return;
    const { origin, isHalf } = this.table.get(row);
    if (isHalf) this.noteEnded(origin, true);
    this.forget(row);
  }

  /** An entry of a RELEASE, DROP or CHECK record. */
  applyEntry(type: number, entry: DeferredEntry): void {
    const row = this.table.rowOf(entry.origin);
    if (row === NO_ROW) return;
    if (type === CONTROL_RELEASE) {
      this.announced.push(entry.origin);
      this.table.unschedule(row);
    } else if (type === CONTROL_DROP) this.drop(row, entry);
    else if (type === CONTROL_CHECK) {
      this.table.setChecks(row, entry.detail);
      this.table.schedule(row, entry.value === 0 ? Number.POSITIVE_INFINITY : entry.value);
    }
  }

  /** A boot or a reign has begun: what was announced before and is not copied never will be by that record. */
  beginBoot(): void {
    for (const origin of this.announced) {
      const row = this.table.rowOf(origin);
      if (row !== NO_ROW) this.table.schedule(row, this.table.get(row).dueAtMs);
    }
    this.announced = [];
  }

  dropTopic(topicId: number): void {
    for (const row of this.table.rowsOf(topicId)) this.forget(row);
    this.drops += 1;
  }

  /**
   * What is announced first is not copied now. The log need not be told: a batch that is not there when the copy of another
   * one comes waits on.
   */
  passOver(untilMs: number): void {
    const origin = this.announced.shift();
    const row = origin === undefined ? NO_ROW : this.table.rowOf(origin);
    if (row !== NO_ROW) this.table.schedule(row, untilMs);
  }

  /** The batch whose copy comes next; undefined when none is announced. */
  get nextAnnounced(): number | undefined {
    while (this.announced.length > 0) {
      const origin = this.announced[0] as number;
      if (this.table.rowOf(origin) !== NO_ROW) return origin;
      this.announced.shift();
    }
    return undefined;
  }

  get announcedOrigins(): readonly number[] {
    return this.announced;
  }

  /** Indices of messages of a batch that were dropped; undefined when it is whole. */
  droppedOf(origin: number): ReadonlySet<number> | undefined {
    return this.dropped.get(origin);
  }

  /** @param place - origin of the batch, and the index of the message in it */
  wasCancelled(place: number): boolean {
    return this.cancelled.has(place);
  }

  /** How a transaction was ended; undefined: it was not, or that was too long ago. */
  wasCommitted(origin: number): boolean | undefined {
    return this.ended.get(origin);
  }

  /** Was a message of a topic whose key has this hash cancelled lately? */
  wasKeyCancelled(topicId: number, keyHash: number): boolean {
    for (const one of this.cancelled.values())
      if (one.topicId === topicId && one.keyHash === keyHash) return true;
    return false;
  }

  image(): DeferredImage {
    return {
      announced: this.announced,
      dropped: [...this.dropped].map(([origin, indices]) => [origin, [...indices]]),
      cancelled: [...this.cancelled].map(([place, one]) => [place, one.topicId, one.keyHash]),
      ended: [...this.ended],
    };
  }

  /** @param rows - what the table gave for the same snapshot */
  restore(image: DeferredImage, rows: Uint8Array): void {
    if (image.rows === undefined) this.table.restore(rows);
    else decodeNumbers(image.rows, (fields) => this.table.add(fields));
    for (const origin of image.announced) {
      this.announced.push(origin);
      const row = this.table.rowOf(origin);
      if (row !== NO_ROW) this.table.unschedule(row);
    }
    for (const [origin, indices] of image.dropped) this.dropped.set(origin, new Set(indices));
    for (const [place, topicId, keyHash] of image.cancelled)
      this.cancelled.set(place, { topicId, keyHash });
    for (const [origin, isCommitted] of image.ended ?? []) this.ended.set(origin, isCommitted);
  }

  /**
   * Takes the announced batch whose copy this is. Where damage has taken a copy, the checksum tells: what is passed over
   * stays pending, and its message becomes visible another time.
   */
  private takeAnnounced(payloadCrc: number, topicId: number, queueId: number): number {
    const placeWhere = (isIts: (origin: number, crc: number) => boolean): number =>
      this.announced.findIndex((origin) => {
        const row = this.table.rowOf(origin);
        if (row === NO_ROW) return false;
        const one = this.table.get(row);
        if (one.topicId !== topicId || one.queueId !== queueId) return false;
        return isIts(origin, one.payloadCrc);
      });
    let place = placeWhere((_, crc) => crc === payloadCrc);
    // The copy of one that lost messages has a checksum that nobody knows.
    if (place < 0) place = placeWhere((origin) => this.dropped.has(origin));
    if (place < 0) return NO_ROW;
    const row = this.table.rowOf(this.announced[place] as number);
    for (const origin of this.announced.splice(0, place + 1).slice(0, -1)) {
      const passed = this.table.rowOf(origin);
      if (passed !== NO_ROW) this.table.schedule(passed, this.table.get(passed).dueAtMs);
    }
    return row;
  }

  private drop(row: number, { origin, detail, reason, value }: DeferredEntry): void {
    const { count, topicId } = this.table.get(row);
    if (reason === DROP_CANCELLED) this.noteCancelled(origin + detail, topicId, value);
    if (reason === DROP_ROLLED_BACK) this.noteEnded(origin, false);
    if (detail !== DROP_ALL && count > 1) {
      const indices = this.dropped.get(origin) ?? new Set();
      indices.add(detail);
      this.dropped.set(origin, indices);
      if (indices.size < count) return;
    }
    this.drops += 1;
    this.forget(row);
  }

  private noteCancelled(place: number, topicId: number, keyHash: number): void {
    this.cancelled.set(place, { topicId, keyHash });
    const [oldest] = this.cancelled.keys();
    if (this.cancelled.size > CANCELLED_MAX && oldest !== undefined) this.cancelled.delete(oldest);
  }

  private noteEnded(origin: number, isCommitted: boolean): void {
    this.ended.set(origin, isCommitted);
    const [oldest] = this.ended.keys();
    if (this.ended.size > ENDED_MAX && oldest !== undefined) this.ended.delete(oldest);
  }

  private forget(row: number): void {
    this.dropped.delete(this.table.get(row).origin);
    this.table.remove(row);
    this.departures += 1;
  }
}

function firstKeyHash(bytes: Uint8Array, view: DataView, batchAt: number): number {
  const record = recordsStart(view, batchAt);
  const keyBytes = view.getUint16(record + layout.RECORD_KEY_BYTES, true);
  const keyAt = record + layout.RECORD_HEADER_BYTES;
  return keyBytes === 0 ? 0 : fnv1aBytes(bytes, keyAt, keyAt + keyBytes);
}
