import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { seededPrng } from '../../src/base/prng.ts';
import {
  LATENCY_BOUNDS_US,
  LATENCY_BUCKETS,
  LATENCY_HISTOGRAM_BYTES,
  LatencyHistogram,
  mergeLatencies,
} from '../../src/observe/latency-histogram.ts';

const fresh = (): LatencyHistogram =>
  new LatencyHistogram(new SharedArrayBuffer(LATENCY_HISTOGRAM_BYTES), 0);

/** The bucket by definition: the first whose bound is not below. */
function bucketByDefinition(us: number): number {
  const bucket = LATENCY_BOUNDS_US.findIndex((bound) => us <= bound);
  return bucket === -1 ? LATENCY_BUCKETS - 1 : bucket;
}

describe('a latency histogram', () => {
  it('has bounds that grow by at most half, from 1 µs to a minute', () => {
    assert.equal(LATENCY_BOUNDS_US.length, LATENCY_BUCKETS - 1);
    assert.deepEqual(LATENCY_BOUNDS_US.slice(0, 8), [1, 2, 3, 4, 6, 8, 12, 16]);
    assert.equal(LATENCY_BOUNDS_US.at(-1), 2 ** 26);
    for (let bucket = 2; bucket < LATENCY_BOUNDS_US.length; bucket += 1) {
      const ratio = (LATENCY_BOUNDS_US[bucket] ?? 0) / (LATENCY_BOUNDS_US[bucket - 1] ?? 1);
      assert.ok(ratio > 1.3 && ratio <= 1.5, String(ratio));
    }
  });

  it('counts every latency in the first bucket that it does not exceed', () => {
    const edges = LATENCY_BOUNDS_US.flatMap((bound) => [
      bound - 0.5,
      bound,
      bound + 0.001,
      bound + 1,
    ]);
    const latency = fc.oneof(
      fc.constantFrom(...edges),
      fc.double({ min: 0, max: 2e8, noNaN: true }),
    );
    fc.assert(
      fc.property(latency, (us) => {
        const histogram = fresh();
        histogram.record(us);
        assert.equal(histogram.snapshot().counts.indexOf(1), bucketByDefinition(us));
      }),
      { numRuns: 2000 },
    );
  });

  it('counts what is no latency as zero, and what is too long above all bounds', () => {
    const histogram = fresh();
    for (const us of [-1, Number.NaN, 0, -Infinity]) histogram.record(us);
    histogram.record(1e12);
    const { counts, count, sumUs, maxUs } = histogram.snapshot();
    assert.equal(counts[0], 4);
    assert.equal(counts.at(-1), 1);
    assert.deepEqual([count, sumUs, maxUs], [5, 1e12, 1e12]);
  });

  it('gives percentiles that are never below the truth and at most half above it', () => {
    const histogram = fresh();
    const prng = seededPrng(7);
    const latencies = Array.from({ length: 20_000 }, () => 2 + prng.next() ** 4 * 100_000);
    for (const us of latencies) histogram.record(us);
    latencies.sort((a, b) => a - b);
    for (const fraction of [0.001, 0.5, 0.9, 0.99, 0.999, 1]) {
      const truth = latencies[Math.ceil(latencies.length * fraction) - 1] ?? 0;
      const given = histogram.percentile(fraction);
      assert.ok(given >= truth && given <= truth * 1.5 + 1, `${fraction}: ${given} for ${truth}`);
    }
    assert.equal(histogram.percentile(1), latencies.at(-1));
    assert.equal(fresh().percentile(0.99), 0);
  });

  it('is merged with others by adding up', () => {
    const [one, two] = [fresh(), fresh()];
    one.record(5);
    one.record(100);
    two.record(7);
    const merged = mergeLatencies([one.snapshot(), two.snapshot()]);
    assert.deepEqual([merged.count, merged.sumUs, merged.maxUs], [3, 112, 100]);
    assert.equal(mergeLatencies([]).count, 0);
  });

  it('leaves its neighbours in memory alone', () => {
    const memory = new SharedArrayBuffer(3 * LATENCY_HISTOGRAM_BYTES);
    const middle = new LatencyHistogram(memory, LATENCY_HISTOGRAM_BYTES);
    for (const us of [0, 1, 50, 1e12]) middle.record(us);
    const words = new Uint8Array(memory);
    assert.ok(words.subarray(0, LATENCY_HISTOGRAM_BYTES).every((byte) => byte === 0));
    assert.ok(words.subarray(2 * LATENCY_HISTOGRAM_BYTES).every((byte) => byte === 0));
    assert.throws(() => new LatencyHistogram(memory, 8), /aligned to its size/);
  });

  it('can be read while another thread records, and never goes back', async () => {
    const records = 2_000_000;
    const memory = new SharedArrayBuffer(LATENCY_HISTOGRAM_BYTES);
    const module = new URL('../../src/observe/latency-histogram.js', import.meta.url).href;
    const worker = new Worker(
      `import('${module}').then(({ LatencyHistogram }) => {
        const { workerData } = require('node:worker_threads');
        const histogram = new LatencyHistogram(workerData.memory, 0);
        for (let i = 0; i < workerData.records; i += 1) histogram.record(i % 1000);
      });`,
      { eval: true, workerData: { memory, records } },
    );
    let running = true;
    const ended = new Promise<number>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', (code) => {
        running = false;
        resolve(code);
      });
    });
    const histogram = new LatencyHistogram(memory, 0);
    let before = histogram.snapshot();
    while (running) {
      const now = histogram.snapshot();
      assert.ok(now.count >= before.count && now.sumUs >= before.sumUs && now.count <= records);
      before = now;
      await new Promise(setImmediate);
    }
    assert.equal(await ended, 0);
    assert.equal(histogram.snapshot().count, records);
    assert.equal(histogram.snapshot().sumUs, (records / 1000) * 499_500);
  });
});
