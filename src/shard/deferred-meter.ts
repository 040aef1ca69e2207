/**
 * What a shard tells the broker about delayed messages, in shared memory: how late they became visible, how many did, how
 * many wait. The shard writes, any thread reads; it outlives the shard's thread.
 */
import { LATENCY_HISTOGRAM_BYTES, LatencyHistogram } from '../observe/latency-histogram.ts';
import type { DeferredMeter } from './deferred-path.ts';

const WAITING = 0;
const RELEASED = 1;
const WORDS = 2;
const US_PER_MS = 1000;

/** Shared memory of one meter. */
export const DEFERRED_METER_BYTES: number =
  LATENCY_HISTOGRAM_BYTES + WORDS * Float64Array.BYTES_PER_ELEMENT;

export class SharedDeferredMeter implements DeferredMeter {
  /** How late each batch became visible. */
  readonly lateness: LatencyHistogram;
  private readonly words: Float64Array;

  constructor(memory: SharedArrayBuffer | ArrayBuffer) {
    this.lateness = new LatencyHistogram(memory, 0);
    this.words = new Float64Array(memory, LATENCY_HISTOGRAM_BYTES, WORDS);
  }

  released(messages: number, lateMs: number): void {
    this.lateness.record(lateMs * US_PER_MS);
    this.words[RELEASED] = this.releasedCount + messages;
  }

  waiting(messages: number): void {
    this.words[WAITING] = messages;
  }

  /** Messages that wait now. */
  get waitingCount(): number {
    return this.words[WAITING] as number;
  }

  /** Messages that became visible since the broker started. */
  get releasedCount(): number {
    return this.words[RELEASED] as number;
  }
}
