/**
 * Batches that cannot be seen yet: a row of plain numbers each, found by origin, ordered by due time. A million of them take
 * some 70 MB and no objects. Rows are used again; a row number is good until its row is removed. Shard thread and recovery.
 */
import { invariant } from '../base/assert.ts';
import { ALIGNMENT, BATCH_RECORDS_MAX } from '../base/limits.ts';
import { type DeferredColumns, type DeferredFields, deferredColumns } from './deferred-columns.ts';
import { DeferredKeys } from './deferred-keys.ts';
import { decodeRows, encodeRows } from './deferred-rows.ts';

/** A row that exists nowhere. */
export const NO_ROW = -1;
const CAPACITY_FIRST = 64;
const NOT_IN_HEAP = -1;
const EMPTY_SLOT = -1;
/** Stands for the key of a batch of several messages; a key may have the same hash. */
const SEVERAL = 0xffff_ffff;

export class DeferredTable {
  /** Batches in it. */
  size = 0;
  /** Messages in them. */
  messages = 0;
  /** Bytes of them, as stored. */
  bytes = 0;
  private capacity = CAPACITY_FIRST;
  private columns = deferredColumns(CAPACITY_FIRST);
  /** Rows from here on were never used; below, those in `free` are not used now. */
  private fresh = 0;
  private free: number[] = [];
  private scheduled = 0;
  /** Rows by origin, open addressing; twice as many slots as rows at least. */
  private slots = new Int32Array(2 * CAPACITY_FIRST).fill(EMPTY_SLOT);
  private keys = new DeferredKeys(CAPACITY_FIRST);
  /** Rows that came, went or moved. */
  private changes = 0;
  private counted = { changes: -1, bytes: new Map<number, number>() };

  /** @returns its row, waiting for its time */
  add(fields: DeferredFields): number {
    invariant(this.rowOf(fields.origin) === NO_ROW, 'an origin is stored once', fields.origin);
    if (this.size === this.capacity) this.grow();
    const row = this.free.pop() ?? this.fresh++;
    const { columns } = this;
    columns.origin[row] = fields.origin;
    columns.position[row] = fields.position;
    columns.dueAtMs[row] = fields.dueAtMs;
    columns.bytes[row] = fields.bytes;
    columns.payloadCrc[row] = fields.payloadCrc;
    columns.topicId[row] = fields.topicId;
    columns.queueId[row] = fields.queueId;
    columns.isHalf[row] = fields.isHalf ? 1 : 0;
    columns.count[row] = fields.count;
    columns.keyHash[row] = fields.keyHash;
    columns.checks[row] = fields.checks;
    columns.place[row] = NOT_IN_HEAP;
    this.size += 1;
    this.messages += fields.count;
    this.bytes += fields.bytes;
    this.changes += 1;
    this.insertSlot(row);
    this.keys.link(row, fields.topicId, this.keyOf(row));
    this.schedule(row, fields.dueAtMs);
    return row;
  }

  /** @returns NO_ROW when there is none */
  rowOf(origin: number): number {
    const slot = this.slotOf(origin);
    return this.slots[slot] as number;
  }

  get(row: number): DeferredFields {
    const { columns } = this;
    return {
      origin: columns.origin[row] as number,
      position: columns.position[row] as number,
      bytes: columns.bytes[row] as number,
      payloadCrc: columns.payloadCrc[row] as number,
      dueAtMs: columns.dueAtMs[row] as number,
      topicId: columns.topicId[row] as number,
      queueId: columns.queueId[row] as number,
      isHalf: columns.isHalf[row] === 1,
      count: columns.count[row] as number,
      keyHash: columns.keyHash[row] as number,
      checks: columns.checks[row] as number,
    };
  }

  remove(row: number): void {
    const { columns } = this;
    this.unschedule(row);
    this.removeSlot(columns.origin[row] as number);
    this.keys.unlink(row, columns.topicId[row] as number, this.keyOf(row));
    this.changes += 1;
    this.size -= 1;
    this.messages -= columns.count[row] as number;
    this.bytes -= columns.bytes[row] as number;
    columns.count[row] = 0;
    this.free.push(row);
  }

  /** The batch stands elsewhere now. */
  move(row: number, position: number): void {
    this.columns.position[row] = position;
    this.changes += 1;
  }

  /** A half message was asked about once more. */
  setChecks(row: number, checks: number): void {
    this.columns.checks[row] = checks;
  }

  /** Waits for this time. */
  schedule(row: number, dueAtMs: number): void {
    const { columns } = this;
    this.unschedule(row);
    columns.dueAtMs[row] = dueAtMs;
    columns.place[row] = this.scheduled;
    columns.heap[this.scheduled] = row;
    this.scheduled += 1;
    this.siftUp(this.scheduled - 1);
  }

  /** Time does nothing to it any more. */
  unschedule(row: number): void {
    const { columns } = this;
    const place = columns.place[row] as number;
    if (place === NOT_IN_HEAP) return;
    columns.place[row] = NOT_IN_HEAP;
    this.scheduled -= 1;
    if (place === this.scheduled) return;
    const last = columns.heap[this.scheduled] as number;
    columns.heap[place] = last;
    columns.place[last] = place;
    this.siftUp(place);
    this.siftDown(columns.place[last] as number);
  }

  /** Does it wait for its time? */
  isScheduled(row: number): boolean {
    return this.columns.place[row] !== NOT_IN_HEAP;
  }

  /** The row that is due first; NO_ROW when none waits. */
  first(): number {
    return this.scheduled === 0 ? NO_ROW : (this.columns.heap[0] as number);
  }

  /** Infinity when none waits. */
  firstDueAtMs(): number {
    const row = this.first();
    return row === NO_ROW ? Number.POSITIVE_INFINITY : (this.columns.dueAtMs[row] as number);
  }

  /** Rows of a topic, in no order. */
  rowsOf(topicId: number): number[] {
    const rows: number[] = [];
    const { count, topicId: topics } = this.columns;
    for (let row = 0; row < this.fresh; row += 1)
      if (count[row] !== 0 && topics[row] === topicId) rows.push(row);
    return rows;
  }

  /** Rows of a topic that may have a message whose key has this hash, in no order. */
  rowsWithKey(topicId: number, keyHash: number): number[] {
    const { columns } = this;
    const isWanted = (row: number): boolean =>
      columns.topicId[row] === topicId &&
      ((columns.count[row] as number) > 1 || columns.keyHash[row] === keyHash);
    const rows = [...this.keys.rows(topicId, keyHash), ...this.keys.rows(topicId, SEVERAL)];
    return [...new Set(rows)].filter(isWanted);
  }

  /** Bytes that stand in each segment where there are some. */
  bytesBySegment(segmentBytes: number): ReadonlyMap<number, number> {
    if (this.counted.changes === this.changes) return this.counted.bytes;
    const { position, bytes, count } = this.columns;
    const found = new Map<number, number>();
    for (let row = 0; row < this.fresh; ) {
      const segment = Math.floor((position[row] as number) / segmentBytes);
      const from = segment * segmentBytes;
      let sum = 0;
      // Neighbours stand in one segment mostly.
      for (; row < this.fresh; row += 1) {
        const inSegment = (position[row] as number) - from;
        if (inSegment < 0 || inSegment >= segmentBytes) break;
        if (count[row] !== 0) sum += bytes[row] as number;
      }
      if (sum > 0) found.set(segment, (found.get(segment) ?? 0) + sum);
    }
    this.counted = { changes: this.changes, bytes: found };
    return found;
  }

  /** The origin of the batch in which `place` is the position of the batch and the index of a message; undefined without one. */
  originOf(place: number): number | undefined {
    for (let origin = place - (place % ALIGNMENT); origin >= 0; origin -= ALIGNMENT) {
      if (place - origin >= BATCH_RECORDS_MAX) return undefined;
      const row = this.rowOf(origin);
      if (row !== NO_ROW)
        return place - origin < (this.columns.count[row] as number) ? origin : undefined;
    }
    return undefined;
  }

  /** Rows that stand in [from, to). */
  rowsIn(from: number, to: number): number[] {
    const rows: number[] = [];
    const { position, count } = this.columns;
    for (let row = 0; row < this.fresh; row += 1) {
      const at = position[row] as number;
      if (at >= from && at < to && count[row] !== 0) rows.push(row);
    }
    return rows;
  }

  /** All rows, in no order. */
  *rows(): Generator<number> {
    for (let row = 0; row < this.fresh; row += 1) if (this.columns.count[row] !== 0) yield row;
  }

  /** For a snapshot; empty when nothing waits. */
  image(): Uint8Array {
    return this.size === 0 ? new Uint8Array(0) : encodeRows(this.columns, this.fresh, this.size);
  }

  /** Takes over what `image` gave. */
  restore(image: Uint8Array): void {
    decodeRows(image, (fields) => this.add(fields));
  }

  /** Earlier time first; of one time, what was stored first. */
  private isBefore(left: number, right: number): boolean {
    const { dueAtMs, origin } = this.columns;
    const difference = (dueAtMs[left] as number) - (dueAtMs[right] as number);
    return (
      difference < 0 || (difference === 0 && (origin[left] as number) < (origin[right] as number))
    );
  }

  private siftUp(from: number): void {
    const { heap, place } = this.columns;
    const row = heap[from] as number;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as number;
      if (!this.isBefore(row, above)) break;
      heap[at] = above;
      place[above] = at;
      at = parent;
    }
    heap[at] = row;
    place[row] = at;
  }

  private siftDown(from: number): void {
    const { heap, place } = this.columns;
    const row = heap[from] as number;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.scheduled) break;
      if (
        child + 1 < this.scheduled &&
        this.isBefore(heap[child + 1] as number, heap[child] as number)
      )
        child += 1;
      const below = heap[child] as number;
      if (!this.isBefore(below, row)) break;
      heap[at] = below;
      place[below] = at;
      at = child;
    }
    heap[at] = row;
    place[row] = at;
  }

  /** The slot of an origin, or the empty one where it would be. */
  private slotOf(origin: number): number {
    const mask = this.slots.length - 1;
    let slot = hashOf(origin) & mask;
    for (;;) {
      const row = this.slots[slot] as number;
      if (row === EMPTY_SLOT || this.columns.origin[row] === origin) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private insertSlot(row: number): void {
    this.slots[this.slotOf(this.columns.origin[row] as number)] = row;
  }

  /** Closes the gap, so that a search never stops before what it looks for. */
  private removeSlot(origin: number): void {
    const mask = this.slots.length - 1;
    let gap = this.slotOf(origin);
    this.slots[gap] = EMPTY_SLOT;
    for (let slot = (gap + 1) & mask; this.slots[slot] !== EMPTY_SLOT; slot = (slot + 1) & mask) {
      const row = this.slots[slot] as number;
      const home = hashOf(this.columns.origin[row] as number) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      this.slots[gap] = row;
      this.slots[slot] = EMPTY_SLOT;
      gap = slot;
    }
  }

  private grow(): void {
    const larger = deferredColumns(2 * this.capacity);
    for (const name of Object.keys(larger) as (keyof DeferredColumns)[])
      larger[name].set(this.columns[name] as never);
    this.columns = larger;
    this.capacity *= 2;
    this.slots = new Int32Array(2 * this.capacity).fill(EMPTY_SLOT);
    this.keys = new DeferredKeys(this.capacity);
    for (const row of this.rows()) {
      this.insertSlot(row);
      this.keys.link(row, this.columns.topicId[row] as number, this.keyOf(row));
    }
  }

  /** Of several messages in one batch no key is known: they are all under one. */
  private keyOf(row: number): number {
    return this.columns.count[row] === 1 ? (this.columns.keyHash[row] as number) : SEVERAL;
  }
}

/** Positions are multiples of 8, often of the same distance: mixed, so that they spread over the slots. */
function hashOf(origin: number): number {
  const low = (origin % 2 ** 32) | 0;
  const high = Math.floor(origin / 2 ** 32) | 0;
  let hash = Math.imul(low ^ Math.imul(high, 0x9e37_79b1), 0x85eb_ca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0xc2b2_ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}
