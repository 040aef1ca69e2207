/**
 * Latencies of one kind, counted in fixed buckets in shared memory: one thread at a time records, any thread reads without asking.
 * Two buckets to each power of two, so a percentile is at most half above the truth. Recording allocates nothing.
 *
 *   0        8      16                                                    byte
 *   │ sum µs │ max  │ counts: ≤1 ≤2 ≤3 ≤4 ≤6 ≤8 ≤12 … ≤2^26 µs, above │ unused to 512
 */
import { invariant } from '../base/assert.ts';

const SUM = 0;
const MAX = 1;
const COUNTS = 2;

/** The highest bound: 2^26 µs, some 67 s; nothing waits longer without a timeout. */
const OCTAVES = 26;
/** Buckets with a bound; one more counts what is above them all. */
const BOUNDED = 2 * OCTAVES;

/** Buckets of a histogram, the last one without a bound. */
export const LATENCY_BUCKETS: number = BOUNDED + 1;
/** Shared memory of one histogram: a multiple of two cache lines, so that neighbours do not disturb each other. */
export const LATENCY_HISTOGRAM_BYTES = 512;

if ((COUNTS + LATENCY_BUCKETS) * Float64Array.BYTES_PER_ELEMENT > LATENCY_HISTOGRAM_BYTES) {
  throw new Error('latency-histogram: the buckets do not fit');
}
if (LATENCY_BUCKETS > 64) throw new Error('latency-histogram: too many buckets for a scrape');

/** Microseconds, inclusive, of every bucket but the last. */
export const LATENCY_BOUNDS_US: readonly number[] = Object.freeze(
  Array.from({ length: BOUNDED }, (_, bucket) => (bucket === 0 ? 1 : bucketBound(bucket))),
);

/** Bucket 2k + 1 ends at 2^(k+1), bucket 2k in the middle between two powers. */
function bucketBound(bucket: number): number {
  const octave = bucket >> 1;
  return bucket % 2 === 1 ? 2 ** (octave + 1) : 1.5 * 2 ** octave;
}

/** What a histogram held at one moment. Sum and counts may be a few records apart. */
export type LatencySnapshot = {
  /** Records per bucket, not summed up; LATENCY_BUCKETS of them. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sumUs: number;
  readonly maxUs: number;
};

/**
 * One histogram over its slice of memory.
 *
 * @thread `record` on one thread, which owns the slice, or on whoever has a turn that only one has; everything else on any
 */
export class LatencyHistogram {
  /**
   * Doubles count exactly to 2^53, where 32 bits would be full after hours; an aligned double is written and read whole
   * on every processor that Node runs on.
   */
  private readonly words: Float64Array;

  /** @param byteOffset - a multiple of LATENCY_HISTOGRAM_BYTES; the bytes are zero in the beginning */
  constructor(memory: SharedArrayBuffer | ArrayBuffer, byteOffset: number) {
    invariant(
      byteOffset % LATENCY_HISTOGRAM_BYTES === 0,
      'a histogram is aligned to its size',
      byteOffset,
    );
    this.words = new Float64Array(memory, byteOffset, COUNTS + LATENCY_BUCKETS);
  }

  /**
   * Counts one latency.
   *
   * @param latencyUs - microseconds; what is not above zero, NaN too, counts as zero
   */
  record(latencyUs: number): void {
    const words = this.words;
    const us = latencyUs > 0 ? latencyUs : 0;
    const index = COUNTS + bucketOf(us);
    words[index] = (words[index] as number) + 1;
    words[SUM] = (words[SUM] as number) + us;
    if (us > (words[MAX] as number)) words[MAX] = us;
  }

  /** A copy to work with. */
  snapshot(): LatencySnapshot {
    const counts = Array.from(this.words.subarray(COUNTS));
    return {
      counts,
      count: counts.reduce((sum, count) => sum + count, 0),
      sumUs: this.words[SUM] as number,
      maxUs: this.words[MAX] as number,
    };
  }

  /** @see percentileUs */
  percentile(fraction: number): number {
    return percentileUs(this.snapshot(), fraction);
  }
}

function bucketOf(us: number): number {
  if (us <= 1) return 0;
  // Above 2^26 the integers below would soon be too wide; NaN cannot come here.
  if (us > 2 ** OCTAVES) return BOUNDED;
  // Bounds are inclusive: the bits of what lies below the next integer name octave and half.
  const below = Math.ceil(us) - 1;
  if (below === 1) return 1;
  const octave = 31 - Math.clz32(below);
  return 2 * octave + ((below >> (octave - 1)) & 1);
}

/**
 * The latency that this part of all records did not exceed: the bound of the bucket, or the maximum where that is less.
 *
 * @param fraction - 0.99 for the 99th percentile; 0 to 1
 * @returns microseconds; 0 without records
 */
export function percentileUs(snapshot: LatencySnapshot, fraction: number): number {
  const rank = Math.max(1, Math.ceil(snapshot.count * fraction));
  let seen = 0;
  for (const [bucket, count] of snapshot.counts.entries()) {
    seen += count;
    if (seen >= rank) return Math.min(LATENCY_BOUNDS_US[bucket] ?? Infinity, snapshot.maxUs);
  }
  return 0;
}

/** Several histograms as one, such as those of all shards. */
export function mergeLatencies(snapshots: readonly LatencySnapshot[]): LatencySnapshot {
  const counts = Array.from({ length: LATENCY_BUCKETS }, (_, bucket) =>
    snapshots.reduce((sum, snapshot) => sum + (snapshot.counts[bucket] ?? 0), 0),
  );
  return {
    counts,
    count: snapshots.reduce((sum, { count }) => sum + count, 0),
    sumUs: snapshots.reduce((sum, { sumUs }) => sum + sumUs, 0),
    maxUs: snapshots.reduce((max, { maxUs }) => Math.max(max, maxUs), 0),
  };
}
