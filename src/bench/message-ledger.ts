/**
 * Who was promised what, and what came back: a bit per message for "acknowledged" and one for "read back", and the order
 * within each queue. Exact, not a sample; the memory is a quarter of a byte a message.
 */
import { PagedBitmap } from './paged-bitmap.ts';

/** What the comparison of both sides says. */
export type LedgerReport = {
  /** Messages acknowledged. */
  readonly acked: number;
  /** Acknowledged and not read back. */
  readonly lost: number;
  /** Stored more than once: read back at two offsets. */
  readonly duplicated: number;
  /** Read back after a later one of the same producer and queue. */
  readonly reordered: number;
  /** Read back, and sent by nobody: a stamp that this run did not write. */
  readonly unexpected: number;
};

/** A message by its stamp. */
export type LostMessage = { readonly producer: number; readonly sequence: number };

/** What one producer was promised; a plain object, so that it can come from another thread. */
export type AckedPart = {
  readonly producer: number;
  readonly pages: (Uint32Array | undefined)[];
  /** Messages that were acknowledged, but not which of those in doubt (a client that was refused some). */
  readonly uncertain: number;
};

/** Queues of all topics are numbered through; a producer and a queue make one key. */
const QUEUES_MAX = 1_048_576;

export class MessageLedger {
  /** Records of a batch: what makes a sequence of batch and index. */
  readonly recordsPerBatch: number;
  private readonly acked: PagedBitmap[];
  private readonly seen: PagedBitmap[];
  private readonly uncertain: number[];
  private readonly lastOf = new Map<number, number>();
  private duplicated = 0;
  private reordered = 0;
  private unexpected = 0;

  constructor(producers: number, recordsPerBatch: number) {
    this.recordsPerBatch = recordsPerBatch;
    this.acked = Array.from({ length: producers }, () => new PagedBitmap());
    this.seen = Array.from({ length: producers }, () => new PagedBitmap());
    this.uncertain = Array.from({ length: producers }, () => 0);
  }

  /** Messages `sequence` to `sequence + count - 1` of a producer were acknowledged. */
  ack(producer: number, sequence: number, count: number): void {
    this.acked[producer]?.addRange(sequence, count);
  }

  /** Takes over what another thread was promised. */
  merge(part: AckedPart): void {
    this.acked[part.producer] = new PagedBitmap(part.pages);
    this.uncertain[part.producer] = part.uncertain;
  }

  /** What was acknowledged to a producer, to be sent to another thread. */
  partOf(producer: number): AckedPart {
    const pages = this.acked[producer]?.pages ?? [];
    return { producer, pages, uncertain: this.uncertain[producer] ?? 0 };
  }

  /** `count` messages of a producer were acknowledged, of those that are not marked already. */
  ackSome(producer: number, count: number): void {
    this.uncertain[producer] = (this.uncertain[producer] ?? 0) + count;
  }

  /**
   * Messages with sequences one after the other were read back, one after the other in a queue.
   *
   * @param queue - running number of the queue over all topics
   */
  see(producer: number, queue: number, sequence: number, count: number): void {
    const seen = this.seen[producer];
    if (seen === undefined) {
      this.unexpected += count;
      return;
    }
    for (let each = sequence; each < sequence + count; each += 1)
      if (!seen.add(each)) this.duplicated += 1;
    const key = producer * QUEUES_MAX + queue;
    const last = this.lastOf.get(key) ?? -1;
    if (sequence <= last) this.reordered += 1;
    this.lastOf.set(key, Math.max(last, sequence + count - 1));
  }

  /** Messages read back whose stamp makes no sense. */
  seeForeign(count: number): void {
    this.unexpected += count;
  }

  /** Messages acknowledged so far. */
  get ackedCount(): number {
    return sum(this.acked.map(({ count }) => count)) + sum(this.uncertain);
  }

  /** Different messages read back so far. */
  get seenCount(): number {
    return sum(this.seen.map(({ count }) => count));
  }

  /** The first messages that were acknowledged and did not come back, for whoever looks for the reason. */
  lostExamples(max: number): readonly LostMessage[] {
    const examples: LostMessage[] = [];
    for (const [producer, acked] of this.acked.entries()) {
      for (const sequence of acked.missingIn(this.seen[producer] as PagedBitmap)) {
        if (examples.length >= max) return examples;
        examples.push({ producer, sequence });
      }
    }
    return examples;
  }

  report(): LedgerReport {
    let lost = 0;
    for (const [producer, acked] of this.acked.entries()) {
      const seen = this.seen[producer] as PagedBitmap;
      const missing = acked.countMissingIn(seen);
      const others = seen.count - (acked.count - missing);
      lost += missing + Math.max(0, (this.uncertain[producer] ?? 0) - others);
    }
    const { duplicated, reordered, unexpected } = this;
    return { acked: this.ackedCount, lost, duplicated, reordered, unexpected };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
