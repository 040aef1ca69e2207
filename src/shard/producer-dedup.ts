/**
 * What each producer has stored in each queue: epoch, next sequence, and where its last batches are. Derived from the
 * batches themselves, so it survives restarts; bounded, the longest unused producer is forgotten first.
 */
import { DEDUP_BATCHES_MAX, DEDUP_PRODUCERS_MAX } from '../base/limits.ts';

/** What to do with a batch that carries a producer id. */
export type DedupVerdict =
  | { readonly kind: 'new' }
  /** Stored before; `baseOffset` -1 when it is too long ago to know where. */
  | {
      readonly kind: 'duplicate';
      readonly baseOffset: number;
      readonly position: number;
      readonly endPosition: number;
    }
  | { readonly kind: 'gap'; readonly expected: number }
  | { readonly kind: 'overlap'; readonly expected: number }
  | { readonly kind: 'stale'; readonly epoch: number };

/** One producer as it stands in a snapshot: key, epoch, first and next sequence, then batches. */
export type DedupState = readonly [
  key: string,
  epoch: number,
  first: number,
  next: number,
  batches: readonly number[],
];

/** Numbers of one remembered batch: sequence, count, base offset, position, end position. */
const BATCH_NUMBERS = 5;
const NEW: DedupVerdict = { kind: 'new' };

/** `first`: the first sequence of this epoch, so far as is known. */
type Producer = { epoch: number; first: number; next: number; batches: number[] };

export class ProducerDedup {
  private readonly producers = new Map<string, Producer>();

  get size(): number {
    return this.producers.size;
  }

  /** @param key - producer id and queue, as `dedupKey` makes it */
  check(key: string, epoch: number, sequence: number, count: number): DedupVerdict {
    const producer = this.producers.get(key);
    if (producer === undefined || epoch > producer.epoch) return NEW;
    if (epoch < producer.epoch) return { kind: 'stale', epoch: producer.epoch };
    if (sequence === producer.next) return NEW;
    // What came before the first was never stored, as far as is known: to call it a duplicate would be an ack for nothing.
    if (sequence > producer.next || sequence < producer.first)
      return { kind: 'gap', expected: producer.next };
    if (sequence + count > producer.next) return { kind: 'overlap', expected: producer.next };
    return findBatch(producer, sequence, count);
  }

  /** A batch was appended, or found by recovery. */
  record(
    key: string,
    epoch: number,
    batch: {
      sequence: number;
      count: number;
      baseOffset: number;
      position: number;
      endPosition: number;
    },
  ): void {
    let producer = this.producers.get(key);
    if (producer === undefined) {
      producer = { epoch, first: batch.sequence, next: 0, batches: [] };
      this.forgetOldest();
    } else this.producers.delete(key);
    // Last in insertion order is last used.
    this.producers.set(key, producer);
    if (producer.epoch !== epoch) {
      producer.batches.length = 0;
      producer.first = batch.sequence;
    }
    producer.epoch = epoch;
    producer.next = batch.sequence + batch.count;
    producer.batches.push(
      batch.sequence,
      batch.count,
      batch.baseOffset,
      batch.position,
      batch.endPosition,
    );
    if (producer.batches.length > DEDUP_BATCHES_MAX * BATCH_NUMBERS)
      producer.batches.splice(0, BATCH_NUMBERS);
  }

  /** Forgets the producers of a topic that was deleted. */
  dropTopic(topicId: number): void {
    const prefix = `${topicId}.`;
    for (const key of this.producers.keys()) if (key.startsWith(prefix)) this.producers.delete(key);
  }

  state(): DedupState[] {
    return [...this.producers].map(([key, { epoch, first, next, batches }]) => [
      key,
      epoch,
      first,
      next,
      batches,
    ]);
  }

  restore(state: readonly DedupState[]): void {
    for (const [key, epoch, first, next, batches] of state)
      this.producers.set(key, { epoch, first, next, batches: [...batches] });
  }

  private forgetOldest(): void {
    if (this.producers.size < DEDUP_PRODUCERS_MAX) return;
    const oldest = this.producers.keys().next();
    if (oldest.done !== true) this.producers.delete(oldest.value);
  }
}

/** The dedup scope: a producer's sequence counts per topic and queue. */
export function dedupKey(topicId: number, queueId: number, producerId: string): string {
  return `${topicId}.${queueId}.${producerId}`;
}

/** Where a batch whose sequences are below the next one was stored. */
function findBatch({ batches, next }: Producer, sequence: number, count: number): DedupVerdict {
  let end = sequence + count;
  for (let at = batches.length - BATCH_NUMBERS; at >= 0 && sequence < end; at -= BATCH_NUMBERS) {
    const first = batches[at] as number;
    const past = first + (batches[at + 1] as number);
    if (sequence >= first && sequence + count <= past) {
      return {
        kind: 'duplicate',
        baseOffset: (batches[at + 2] as number) + (sequence - first),
        position: batches[at + 3] as number,
        endPosition: batches[at + 4] as number,
      };
    }
    // Between two batches that are remembered something is missing: damage has taken it, and it must not be acknowledged.
    if (past < end) return { kind: 'gap', expected: next };
    end = Math.min(end, first);
  }
  return { kind: 'duplicate', baseOffset: -1, position: 0, endPosition: 0 };
}
