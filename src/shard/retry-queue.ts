/**
 * Messages of one group and queue that wait to be delivered again: those that are due in offset order, the others by due time.
 * Times are monotonic milliseconds. A group may have tens of thousands, each with a time of its own, and every one of them is
 * taken out again one by one, by recovery and by slaves too: nothing here looks at all of them.
 */
import { heapPop, heapPush, heapSink, type IsBefore } from '../base/heap.ts';
import { RunList } from '../base/run-list.ts';

/** A run of messages and the number of the delivery to come. */
export type RetryEntry = {
  readonly start: number;
  readonly end: number;
  readonly attempt: number;
  readonly dueAtMs: number;
  /** Why the last delivery failed, for the dead letter; empty after a restart. */
  readonly reason: string;
  /** How often in a row the disk did not give them; absent: it did. */
  readonly unread?: number;
};

/** `isGone`: taken out, and passed over in its heap. */
type Waiting = RetryEntry & { start: number; isDue: boolean; isGone: boolean };

/** Entries that are gone are swept out of a heap when they are more than the others, and than this. */
const SWEEP_MIN = 64;

export class RetryQueue {
  /** All that wait. */
  private readonly runs = new RunList<Waiting>();
  /** Heaps: by offset, by due time. */
  private due: Waiting[] = [];
  private later: Waiting[] = [];
  /** Messages waiting, due or not. */
  messages = 0;

  get isEmpty(): boolean {
    return this.messages === 0;
  }

  push(entry: RetryEntry, nowMs: number): void {
    this.add(entry, entry.dueAtMs <= nowMs);
  }

  /** The due entry with the lowest offset, left where it is. */
  peek(nowMs: number): RetryEntry | undefined {
    for (let next = this.later[0]; next !== undefined; next = this.later[0]) {
      if (!next.isGone && next.dueAtMs > nowMs) break;
      heapPop(this.later, isEarlier);
      if (next.isGone) continue;
      next.isDue = true;
      heapPush(this.due, next, isLower);
    }
    while (this.due[0]?.isGone === true) heapPop(this.due, isLower);
    return this.due[0];
  }

  /** Takes the first `count` messages of the entry that `peek` gave. */
  take(count: number): void {
    const entry = this.due[0];
    if (entry === undefined) return;
    this.messages -= count;
    if (entry.start + count === entry.end) {
      heapPop(this.due, isLower);
      this.runs.delete(entry);
      return;
    }
    entry.start += count;
    heapSink(this.due, isLower);
  }

  /** When the next entry becomes due; Infinity when none is waiting for its time. */
  nextDueAtMs(): number {
    while (this.later[0]?.isGone === true) heapPop(this.later, isEarlier);
    return this.later[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** The lowest offset that waits, due or not; Infinity when nothing does. */
  firstStart(): number {
    return this.runs.first()?.start ?? Number.POSITIVE_INFINITY;
  }

  /** All entries in offset order, for the snapshot. */
  entries(): RetryEntry[] {
    return this.runs.all();
  }

  /** Forgets the messages from `start` (inclusive) to `end` (exclusive), wherever they wait. */
  remove(start: number, end: number): void {
    if (this.messages === 0) return;
    for (const entry of this.runs.within(start, end)) {
      this.runs.delete(entry);
      this.messages -= entry.end - entry.start;
      entry.isGone = true;
      if (entry.start < start) this.add({ ...entry, end: start }, entry.isDue);
      if (entry.end > end) this.add({ ...entry, start: end }, entry.isDue);
    }
    this.sweep();
  }

  clear(): void {
    this.runs.clear();
    this.due = [];
    this.later = [];
    this.messages = 0;
  }

  private add(
    { start, end, attempt, dueAtMs, reason, unread = 0 }: RetryEntry,
    isDue: boolean,
  ): void {
    const entry = { start, end, attempt, dueAtMs, reason, unread, isDue, isGone: false };
    this.messages += end - start;
    this.runs.add(entry);
    if (isDue) heapPush(this.due, entry, isLower);
    else heapPush(this.later, entry, isEarlier);
  }

  private sweep(): void {
    if (this.due.length + this.later.length <= 2 * this.runs.size + SWEEP_MIN) return;
    // In order, an array is a heap.
    this.due = this.due
      .filter(({ isGone }) => !isGone)
      .sort((one, other) => one.start - other.start);
    this.later = this.later
      .filter(({ isGone }) => !isGone)
      .sort((one, other) => one.dueAtMs - other.dueAtMs);
  }
}

const isLower: IsBefore<Waiting> = (one, other) => one.start < other.start;
const isEarlier: IsBefore<Waiting> = (one, other) => one.dueAtMs < other.dueAtMs;
