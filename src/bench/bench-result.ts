/** The final line of a run: what `sluice bench` prints, for programs as it is and for people as a table. */
import type { BenchMode, BenchOptions } from './bench-options.ts';
import type { MachineLimits } from './machine-limits.ts';
import type { LostMessage, MessageLedger } from './message-ledger.ts';

const EXAMPLES_MAX = 5;

export type BenchResult = {
  readonly mode: BenchMode;
  readonly messagesPerSecond: number;
  /** Bytes of the frames that carried the messages; without WebSocket headers. */
  readonly bytesPerSecond: number;
  /** Milliseconds; null where a run has none (a backlog's age is no latency). */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly p999Ms: number | null;
  readonly maxMs: number | null;
  /** Messages: acknowledged; of those not read back; stored twice; stored out of order; damaged or not of this run. */
  readonly acked: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly damaged: number;
  /** Some of the lost ones; empty as it should be. */
  readonly lostExamples: readonly LostMessage[];
  /** Messages that were consumed by our client; only of `consume`. */
  readonly consumed: number | null;
  /** The lower of the limits. */
  readonly limitBytesPerSecond: number | null;
  readonly ratioToLimit: number | null;
  readonly limits: { readonly disk: number | null; readonly loopback: number | null };
  /** At the end of the measured time, and the most there ever was. */
  readonly serverRssBytes: number | null;
  readonly serverRssPeakBytes: number | null;
  readonly transport: string;
  readonly flush: 'sync' | 'async';
  readonly load: 'client' | 'prepared' | 'frame-per-message';
  readonly size: number;
  /** As measured. */
  readonly seconds: number;
  readonly connections: number;
  readonly batchBytes: number;
  readonly queues: number;
  readonly window: number;
  readonly rate: number | null;
  /** Cores kept busy in the measured time. */
  readonly cpu: { readonly generator: number; readonly server: number | null };
  /** Batches refused for the moment and sent again; answers that said "stored before". */
  readonly refusals: number;
  readonly duplicateAnswers: number;
  /** Milliseconds that reading everything back took. */
  readonly readBackMs: number;
};

/** Did everything that was promised hold? */
export function isFlawless(result: BenchResult): boolean {
  const { lost, duplicated, reordered, damaged } = result;
  return lost === 0 && duplicated === 0 && reordered === 0 && damaged === 0;
}

export function loadName(options: BenchOptions): BenchResult['load'] {
  if (options.framePerMessage) return 'frame-per-message';
  return options.prepared ? 'prepared' : 'client';
}

/** The lower limit, and how near to it the run came. */
export function limitFields(
  limits: MachineLimits,
  bytesPerSecond: number,
): Pick<BenchResult, 'limits' | 'limitBytesPerSecond' | 'ratioToLimit'> {
  const known = [limits.disk, limits.loopback].filter((limit) => limit !== undefined);
  const lower = known.length === 0 ? undefined : Math.min(...known);
  return {
    limitBytesPerSecond: wholeOrNull(lower),
    ratioToLimit: lower === undefined ? null : digits(bytesPerSecond / lower, 3),
    limits: { disk: wholeOrNull(limits.disk), loopback: wholeOrNull(limits.loopback) },
  };
}

export function ledgerFields(
  ledger: MessageLedger,
  corruptBatches: number,
): Pick<BenchResult, 'acked' | 'lost' | 'lostExamples' | 'duplicated' | 'reordered' | 'damaged'> {
  const { acked, lost, duplicated, reordered, unexpected } = ledger.report();
  const lostExamples = lost === 0 ? [] : ledger.lostExamples(EXAMPLES_MAX);
  const damaged = unexpected + corruptBatches;
  return { acked, lost, lostExamples, duplicated, reordered, damaged };
}

export function wholeOrNull(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value);
}

/** @param places - behind the point */
export function digits(value: number, places: number): number {
  return Number(value.toFixed(places));
}
