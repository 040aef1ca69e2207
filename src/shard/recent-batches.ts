/**
 * Where the last batches of one producer in one queue are: a ring of plain numbers that grows to its bound. A hundred
 * thousand producers have one each, and a busy one changes with every batch, so it makes no objects.
 */
import { DEDUP_BATCHES_MAX } from '../base/limits.ts';

/** One batch as it was stored. */
export type StoredBatch = {
  readonly sequence: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly position: number;
  readonly endPosition: number;
};

/** Places of the numbers of a batch, also in a snapshot. */
export const SEQUENCE = 0;
export const COUNT = 1;
export const BASE_OFFSET = 2;
export const POSITION = 3;
export const END_POSITION = 4;
const BATCH_NUMBERS = 5;
/** Batches that a producer has room for at first: most send one at a time. */
const FIRST_CAPACITY = 4;

export class RecentBatches {
  private ring: Float64Array = new Float64Array(FIRST_CAPACITY * BATCH_NUMBERS);
  private capacity: number = FIRST_CAPACITY;
  /** Place of the oldest. */
  private head = 0;
  count = 0;

  /** Adds the newest; above the bound the oldest goes. */
  push(batch: StoredBatch): void {
    if (this.count === this.capacity) {
      if (this.capacity < DEDUP_BATCHES_MAX) this.grow();
      else this.dropOldest();
    }
    const at = this.place(this.count);
    this.ring[at + SEQUENCE] = batch.sequence;
    this.ring[at + COUNT] = batch.count;
    this.ring[at + BASE_OFFSET] = batch.baseOffset;
    this.ring[at + POSITION] = batch.position;
    this.ring[at + END_POSITION] = batch.endPosition;
    this.count += 1;
  }

  /** A number of the newest batch (`back` 0), the one before it (1), and so on below `count`. */
  number(back: number, which: number): number {
    return this.ring[this.place(this.count - 1 - back) + which] as number;
  }

  clear(): void {
    this.head = 0;
    this.count = 0;
  }

  /** All numbers, the oldest batch first. */
  numbers(): number[] {
    const all: number[] = [];
    for (let index = 0; index < this.count; index += 1) {
      const at = this.place(index);
      all.push(...this.ring.subarray(at, at + BATCH_NUMBERS));
    }
    return all;
  }

  /** Takes over what `numbers` gave. */
  restore(numbers: readonly number[]): void {
    this.clear();
    for (let at = 0; at + BATCH_NUMBERS <= numbers.length; at += BATCH_NUMBERS) {
      const of = (which: number): number => numbers[at + which] as number;
      this.push({
        sequence: of(SEQUENCE),
        count: of(COUNT),
        baseOffset: of(BASE_OFFSET),
        position: of(POSITION),
        endPosition: of(END_POSITION),
      });
    }
  }

  private place(index: number): number {
    return ((this.head + index) % this.capacity) * BATCH_NUMBERS;
  }

  private dropOldest(): void {
    this.head = (this.head + 1) % this.capacity;
    this.count -= 1;
  }

  private grow(): void {
    const larger = new Float64Array(2 * this.capacity * BATCH_NUMBERS);
    for (let index = 0; index < this.count; index += 1) {
      const at = this.place(index);
      larger.set(this.ring.subarray(at, at + BATCH_NUMBERS), index * BATCH_NUMBERS);
    }
    this.ring = larger;
    this.capacity *= 2;
    this.head = 0;
  }
}

if (DEDUP_BATCHES_MAX % FIRST_CAPACITY !== 0 || (DEDUP_BATCHES_MAX & (DEDUP_BATCHES_MAX - 1)) !== 0)
  throw new Error('recent-batches: the capacity doubles up to the bound');
