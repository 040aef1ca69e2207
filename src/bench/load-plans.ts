/** From the options of a run to the plan of its load. */
import type { BenchOptions } from './bench-options.ts';
import { recordsPerBatch } from './frame-template.ts';
import type { LoadPlan } from './load.ts';
import { producerIdOf } from './prepared-load.ts';

/** Milliseconds of messages that an open loop puts into a batch: what its pacer finds due at a time. */
const PACED_MS = 1;
const MS_PER_SECOND = 1000;

/** Records of a prepared batch; 1 where the client makes batches, or a frame holds one message. */
export function recordsOf(
  options: Pick<
    BenchOptions,
    'prepared' | 'framePerMessage' | 'batchBytes' | 'size' | 'rate' | 'connections'
  >,
  runId: string,
): number {
  const { prepared, framePerMessage, batchBytes, size, rate, connections } = options;
  if (framePerMessage || !prepared) return 1;
  const full = recordsPerBatch(batchBytes, size, producerIdOf({ runId }, 0));
  if (rate === undefined) return full;
  const due = Math.round((rate / connections / MS_PER_SECOND) * PACED_MS);
  return Math.max(1, Math.min(full, due));
}

/** The plan for all connections of a run. */
export function planOf(
  options: BenchOptions,
  target: Pick<LoadPlan, 'url' | 'token' | 'topics' | 'runId'>,
): LoadPlan {
  const isPrepared = options.prepared || options.framePerMessage;
  return {
    ...target,
    kind: isPrepared ? 'prepared' : 'client',
    producers: Array.from({ length: options.connections }, (_, index) => index),
    producersInAll: options.connections,
    bodyBytes: options.size,
    batchBytes: options.batchBytes,
    recordsPerBatch: recordsOf(options, target.runId),
    window: options.window,
    ratePerSecond: options.rate,
    seed: options.seed,
  };
}
