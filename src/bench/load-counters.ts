/** What a load counts while it runs, and the part of it that lies in the measured time. */
import { createHistogram, type Histogram, type RecordableHistogram } from 'node:perf_hooks';

const US_PER_MS = 1000;
/** The longest latency that is told from longer ones: an hour. */
const HIGHEST_US = 3_600_000_000;
const FIGURES = 3;

/** Counted from the first message to the last; latencies only while `isMeasuring`. */
export class LoadCounters {
  /** Messages acknowledged (or consumed), and bytes of the frames that carried them. */
  messages = 0;
  bytes = 0;
  /** Batches that were refused for the moment and sent again. */
  refusals = 0;
  /** Answers that said "stored before": an earlier answer was not heard. */
  duplicateAnswers = 0;
  isMeasuring = false;
  readonly latency: RecordableHistogram = newLatencyHistogram();

  /** Records one latency, in whole microseconds. */
  took(latencyMs: number): void {
    if (!this.isMeasuring) return;
    const us = Math.round(latencyMs * US_PER_MS);
    this.latency.record(us < 1 ? 1 : us > HIGHEST_US ? HIGHEST_US : us);
  }
}

export function newLatencyHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: HIGHEST_US, figures: FIGURES });
}

/** Percentiles of what was recorded, milliseconds; zeros when nothing was. */
export type LatencyReport = {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
};

export function latencyReport(latency: Histogram): LatencyReport {
  if (latency.count === 0) return { p50Ms: 0, p99Ms: 0, p999Ms: 0, maxMs: 0 };
  const ms = (percentile: number): number => latency.percentile(percentile) / US_PER_MS;
  return { p50Ms: ms(50), p99Ms: ms(99), p999Ms: ms(99.9), maxMs: latency.max / US_PER_MS };
}
