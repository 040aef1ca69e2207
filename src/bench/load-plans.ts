/** From the options of a run to the plan of its load. */

import { MIB } from '../base/units.ts';
import type { BenchOptions } from './bench-options.ts';
import { recordsPerBatch, sendFrameBytes } from './frame-template.ts';
import type { LoadPlan } from './load.ts';
import { producerIdOf } from './prepared-load.ts';

/** Milliseconds of messages that an open loop puts into a batch: what its pacer finds due at a time. */
const PACED_MS = 1;
/** Bytes of the frames that one connection may have unanswered. */
const WINDOW_BYTES_MAX: number = 32 * MIB;
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

/** Bytes of a full SEND_BATCH frame of this run, whoever makes the batches. */
export function frameBytesOf(options: BenchOptions, runId: string): number {
  const records = recordsOf({ ...options, prepared: true }, runId);
  return sendFrameBytes(records, options.size, producerIdOf({ runId }, 0).length);
}

/** Unanswered frames a connection: as asked, unless that many of them would fill the memory. */
export function windowOf(options: BenchOptions, runId: string): number {
  const fitting = Math.floor(WINDOW_BYTES_MAX / frameBytesOf(options, runId));
  return Math.max(1, Math.min(options.window, fitting));
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
    window: windowOf(options, target.runId),
    ratePerSecond: options.rate,
    seed: options.seed,
  };
}
