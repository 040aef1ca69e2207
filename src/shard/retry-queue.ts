/**
 * Messages of one group and queue that wait to be delivered again: those that are due in offset order, the others in a heap
 * by due time. Times are monotonic milliseconds.
 */

/** A run of messages and the number of the delivery to come. */
export type RetryEntry = {
  start: number;
  end: number;
  attempt: number;
  dueAtMs: number;
  /** Why the last delivery failed, for the dead letter; empty after a restart. */
  reason: string;
};

export class RetryQueue {
  private readonly due: RetryEntry[] = [];
  private readonly later: RetryEntry[] = [];
  /** Messages waiting, due or not. */
  messages = 0;

  get isEmpty(): boolean {
    return this.messages === 0;
  }

  push(entry: RetryEntry, nowMs: number): void {
    this.messages += entry.end - entry.start;
    if (entry.dueAtMs <= nowMs) this.insertDue(entry);
    else this.pushLater(entry);
  }

  /** The due entry with the lowest offset, left where it is. */
  peek(nowMs: number): RetryEntry | undefined {
    while (this.later.length > 0 && (this.later[0] as RetryEntry).dueAtMs <= nowMs)
      this.insertDue(this.popLater());
    return this.due[0];
  }

  /** Takes the first `count` messages of the entry that `peek` gave. */
  take(count: number): void {
    const entry = this.due[0];
    if (entry === undefined) return;
    this.messages -= count;
    if (entry.start + count === entry.end) this.due.shift();
    else entry.start += count;
  }

  /** When the next entry becomes due; Infinity when none is waiting for its time. */
  nextDueAtMs(): number {
    return this.later[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** All entries, for the snapshot. */
  entries(): RetryEntry[] {
    return [...this.due, ...this.later];
  }

  /** Forgets the messages from `start` (inclusive) to `end` (exclusive), wherever they wait. */
  remove(start: number, end: number): void {
    if (this.messages === 0) return;
    const entries = this.entries();
    if (!entries.some((entry) => entry.start < end && entry.end > start)) return;
    this.clear();
    for (const entry of entries) {
      if (entry.start < start)
        this.push({ ...entry, end: Math.min(entry.end, start) }, Number.NEGATIVE_INFINITY);
      if (entry.end > end)
        this.push({ ...entry, start: Math.max(entry.start, end) }, Number.NEGATIVE_INFINITY);
    }
  }

  clear(): void {
    this.due.length = 0;
    this.later.length = 0;
    this.messages = 0;
  }

  private insertDue(entry: RetryEntry): void {
    let low = 0;
    let high = this.due.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.due[middle] as RetryEntry).start < entry.start) low = middle + 1;
      else high = middle;
    }
    this.due.splice(low, 0, entry);
  }

  private pushLater(entry: RetryEntry): void {
    const heap = this.later;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if ((heap[parent] as RetryEntry).dueAtMs <= entry.dueAtMs) break;
      heap[at] = heap[parent] as RetryEntry;
      at = parent;
    }
    heap[at] = entry;
  }

  private popLater(): RetryEntry {
    const heap = this.later;
    const top = heap[0] as RetryEntry;
    const last = heap.pop() as RetryEntry;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.dueAtMs < (heap[child] as RetryEntry).dueAtMs) child += 1;
      if ((heap[child] as RetryEntry).dueAtMs >= last.dueAtMs) break;
      heap[at] = heap[child] as RetryEntry;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
