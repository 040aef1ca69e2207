/**
 * Answers that wait for the commit position, first in first out: positions only grow, so the head is always the next to
 * go. Bounded: full means that the shard takes no more requests. Shard thread only; an entry is made when its place is
 * first used, and used again for ever after.
 */
import { invariant } from '../base/assert.ts';
import { isPowerOfTwo } from '../base/units.ts';

/** One answer; `kind` and `subject` mean what its owner says. */
export type PendingReply<Subject> = {
  /** It may go when the commit position has reached this. */
  position: number;
  kind: number;
  /** Acceptor that asked. */
  port: number;
  session: number;
  correlation: number;
  baseOffset: number;
  batchPosition: number;
  count: number;
  subject: Subject | undefined;
};

export class PendingReplies<Subject> {
  private readonly entries: PendingReply<Subject>[] = [];
  private readonly capacity: number;
  private readonly mask: number;
  private head = 0;
  private tail = 0;

  constructor(capacity: number) {
    invariant(isPowerOfTwo(capacity), 'capacity is a power of two', capacity);
    this.capacity = capacity;
    this.mask = capacity - 1;
  }

  get length(): number {
    return this.tail - this.head;
  }

  /** Places left. */
  get room(): number {
    return this.capacity - this.length;
  }

  /** The entry to fill; it counts from now on. There must be room. */
  push(position: number): PendingReply<Subject> {
    invariant(this.room > 0, 'there is room for one more answer');
    const place = this.tail & this.mask;
    if (place === this.entries.length) this.entries.push(emptyReply());
    const entry = this.entries[place] as PendingReply<Subject>;
    entry.position = position;
    this.tail += 1;
    return entry;
  }

  /** The oldest entry that may go at this commit position; undefined when none may. */
  peek(commit: number): PendingReply<Subject> | undefined {
    if (this.head === this.tail) return undefined;
    const entry = this.entries[this.head & this.mask] as PendingReply<Subject>;
    return entry.position <= commit ? entry : undefined;
  }

  /** The entry `index` places behind the head, below `length`. */
  at(index: number): PendingReply<Subject> {
    return this.entries[(this.head + index) & this.mask] as PendingReply<Subject>;
  }

  /** Removes what `peek` gave. */
  shift(): void {
    (this.entries[this.head & this.mask] as PendingReply<Subject>).subject = undefined;
    this.head += 1;
  }
}

function emptyReply<Subject>(): PendingReply<Subject> {
  return {
    position: 0,
    kind: 0,
    port: 0,
    session: 0,
    correlation: 0,
    baseOffset: 0,
    batchPosition: 0,
    count: 0,
    subject: undefined,
  };
}
