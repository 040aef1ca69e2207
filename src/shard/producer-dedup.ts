/**
 * What each producer has stored in each queue: epoch, next sequence, and where its last batches are. Derived from the
 * batches themselves, so it survives restarts; bounded, the longest unused producer is forgotten first.
 */
import { DEDUP_PRODUCERS_MAX } from '../base/limits.ts';
import {
  BASE_OFFSET,
  COUNT,
  END_POSITION,
  POSITION,
  RecentBatches,
  SEQUENCE,
  type StoredBatch,
} from './recent-batches.ts';

/** What to do with a batch that carries a producer id. */
export type DedupVerdict =
  | { readonly kind: 'new' }
  /** Stored before; `baseOffset` -1 when it is too long ago to know where, or (with a position) when it was deferred. */
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

/** Instead of a base offset: the batch has none yet, because it cannot be seen before its time. */
export const OFFSET_NONE = -1;

/** A producer that was used within so many batches keeps its place in the order of use: moving it costs more than it tells. */
const MOVE_INTERVAL = 1024;
const NEW: DedupVerdict = { kind: 'new' };

/** `first`: the first sequence of this epoch, so far as is known. `movedAt`: when it was last put at the end of the order. */
type Producer = {
  epoch: number;
  first: number;
  next: number;
  movedAt: number;
  readonly batches: RecentBatches;
};

export class ProducerDedup {
  /** By use, the longest unused first. */
  private readonly producers = new Map<string, Producer>();
  /** Batches recorded: the clock of the order. */
  private uses = 0;

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
  record(key: string, epoch: number, batch: StoredBatch): void {
    this.uses += 1;
    let producer = this.producers.get(key);
    if (producer === undefined) {
      this.forgetOldest();
      producer = newProducer(epoch, batch.sequence, this.uses);
      this.producers.set(key, producer);
    } else if (this.uses - producer.movedAt > MOVE_INTERVAL) {
      producer.movedAt = this.uses;
      this.producers.delete(key);
      this.producers.set(key, producer);
    }
    if (producer.epoch !== epoch) {
      producer.batches.clear();
      producer.epoch = epoch;
      producer.first = batch.sequence;
    }
    producer.next = batch.sequence + batch.count;
    producer.batches.push(batch);
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
      batches.numbers(),
    ]);
  }

  restore(state: readonly DedupState[]): void {
    for (const [key, epoch, first, next, numbers] of state) {
      const producer = newProducer(epoch, first, this.uses);
      producer.next = next;
      producer.batches.restore(numbers);
      this.producers.set(key, producer);
    }
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

function newProducer(epoch: number, first: number, movedAt: number): Producer {
  return { epoch, first, next: 0, movedAt, batches: new RecentBatches() };
}

/** Where a batch whose sequences are below the next one was stored. */
function findBatch({ batches, next }: Producer, sequence: number, count: number): DedupVerdict {
  let end = sequence + count;
  for (let back = 0; back < batches.count && sequence < end; back += 1) {
    const first = batches.number(back, SEQUENCE);
    const past = first + batches.number(back, COUNT);
    if (sequence >= first && sequence + count <= past) {
      const baseOffset = batches.number(back, BASE_OFFSET);
      return {
        kind: 'duplicate',
        baseOffset: baseOffset === OFFSET_NONE ? OFFSET_NONE : baseOffset + (sequence - first),
        position: batches.number(back, POSITION),
        endPosition: batches.number(back, END_POSITION),
      };
    }
    // Between two batches that are remembered something is missing: damage has taken it, and it must not be acknowledged.
    if (past < end) return { kind: 'gap', expected: next };
    end = Math.min(end, first);
  }
  return { kind: 'duplicate', baseOffset: -1, position: 0, endPosition: 0 };
}
