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

/** One producer as it stands in a snapshot: key, epoch, next sequence, then batches. */
export type DedupState = readonly [
  key: string,
  epoch: number,
  next: number,
  batches: readonly number[],
];

/** Numbers of one remembered batch: sequence, count, base offset, position, end position. */
const BATCH_NUMBERS = 5;
const NEW: DedupVerdict = { kind: 'new' };

type Producer = { epoch: number; next: number; batches: number[] };

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
    if (sequence > producer.next) return { kind: 'gap', expected: producer.next };
    if (sequence + count > producer.next) return { kind: 'overlap', expected: producer.next };
    return findBatch(producer.batches, sequence, count);
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
      producer = { epoch, next: 0, batches: [] };
      this.forgetOldest();
    } else this.producers.delete(key);
    // Last in insertion order is last used.
    this.producers.set(key, producer);
    if (producer.epoch !== epoch) producer.batches.length = 0;
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
    return [...this.producers].map(([key, { epoch, next, batches }]) => [
      key,
      epoch,
      next,
      batches,
    ]);
  }

  restore(state: readonly DedupState[]): void {
    for (const [key, epoch, next, batches] of state)
      this.producers.set(key, { epoch, next, batches: [...batches] });
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

function findBatch(batches: readonly number[], sequence: number, count: number): DedupVerdict {
  for (let at = batches.length - BATCH_NUMBERS; at >= 0; at -= BATCH_NUMBERS) {
    const first = batches[at] as number;
    if (sequence < first) continue;
    if (sequence + count > first + (batches[at + 1] as number)) break;
    return {
      kind: 'duplicate',
      baseOffset: (batches[at + 2] as number) + (sequence - first),
      position: batches[at + 3] as number,
      endPosition: batches[at + 4] as number,
    };
  }
  return { kind: 'duplicate', baseOffset: -1, position: 0, endPosition: 0 };
}
