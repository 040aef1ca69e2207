/**
 * Consume-queue entries in memory, a column per field: one entry a batch, in offset order, added at the end and dropped
 * at the start. Shard thread only.
 */
import { invariant } from '../base/assert.ts';

/** One entry of a consume queue: where a batch is and what it holds. */
export type QueueEntry = {
  baseOffset: number;
  count: number;
  position: number;
  /** Bytes of the stored batch, header included. */
  bytes: number;
  bloomLow: number;
  bloomHigh: number;
  storedAtMs: number;
};

/** An entry to be filled by look-ups, so that they allocate nothing. */
export function emptyEntry(): QueueEntry {
  return {
    baseOffset: 0,
    count: 0,
    position: 0,
    bytes: 0,
    bloomLow: 0,
    bloomHigh: 0,
    storedAtMs: 0,
  };
}

/** Numbers of one entry when entries travel as a flat array. */
export const ENTRY_NUMBERS = 7;
const CAPACITY_FIRST = 16;

export class EntryTable {
  private numbers = new Float64Array(CAPACITY_FIRST * ENTRY_NUMBERS);
  private start = 0;
  private end = 0;

  get length(): number {
    return this.end - this.start;
  }

  push(entry: QueueEntry): void {
    if (this.end * ENTRY_NUMBERS === this.numbers.length) this.makeRoom();
    const at = this.end * ENTRY_NUMBERS;
    this.numbers[at] = entry.baseOffset;
    this.numbers[at + 1] = entry.count;
    this.numbers[at + 2] = entry.position;
    this.numbers[at + 3] = entry.bytes;
    this.numbers[at + 4] = entry.bloomLow;
    this.numbers[at + 5] = entry.bloomHigh;
    this.numbers[at + 6] = entry.storedAtMs;
    this.end += 1;
  }

  /** Fills `out` from entry `index`, counted from the first that is left. */
  read(index: number, out: QueueEntry): void {
    invariant(index >= 0 && index < this.length, 'an entry exists', index, this.length);
    readEntry(this.numbers, this.start + index, out);
  }

  /** Index of the first entry that ends above `offset`; `length` when there is none. */
  findOffset(offset: number): number {
    return this.search((at) => this.number(at) + this.number(at + 1) > offset);
  }

  /** Index of the first entry stored at or after `epochMs`; `length` when there is none. Store times do not fall. */
  findTime(epochMs: number): number {
    return this.search((at) => this.number(at + 6) >= epochMs);
  }

  /** Index of the first entry at or above a log position; `length` when there is none. */
  findPosition(position: number): number {
    return this.search((at) => this.number(at + 2) >= position);
  }

  /** Forgets the first `count` entries. */
  dropFirst(count: number): void {
    this.start += count;
    invariant(this.start <= this.end, 'only entries that exist are dropped', this.start, this.end);
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
      if (this.numbers.length > CAPACITY_FIRST * ENTRY_NUMBERS) {
        this.numbers = new Float64Array(CAPACITY_FIRST * ENTRY_NUMBERS);
      }
    }
  }

  private search(isAtOrAfter: (at: number) => boolean): number {
    let low = this.start;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isAtOrAfter(middle * ENTRY_NUMBERS)) high = middle;
      else low = middle + 1;
    }
    return low - this.start;
  }

  private number(at: number): number {
    return this.numbers[at] as number;
  }

  /** Moves the entries to the front when half is free, else doubles. */
  private makeRoom(): void {
    const used = this.numbers.subarray(this.start * ENTRY_NUMBERS, this.end * ENTRY_NUMBERS);
    const target =
      this.start * 2 >= this.end ? this.numbers : new Float64Array(this.numbers.length * 2);
    target.set(used);
    this.numbers = target;
    this.end -= this.start;
    this.start = 0;
  }
}

/** Fills `out` from entry `index` of a flat array. */
export function readEntry(numbers: Float64Array, index: number, out: QueueEntry): void {
  const at = index * ENTRY_NUMBERS;
  out.baseOffset = numbers[at] as number;
  out.count = numbers[at + 1] as number;
  out.position = numbers[at + 2] as number;
  out.bytes = numbers[at + 3] as number;
  out.bloomLow = numbers[at + 4] as number;
  out.bloomHigh = numbers[at + 5] as number;
  out.storedAtMs = numbers[at + 6] as number;
}
