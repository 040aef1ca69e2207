/** Every macro benchmark, in the order of the table that they fill. */
import { backlog } from './backlog.ts';
import {
  consumeBacklog,
  consumeTail,
  ingestClient,
  ingestFrames,
  ingestPrepared,
  latency,
  manyQueues,
} from './bench-runs.ts';
import { delayedBurst } from './delayed-burst.ts';
import type { MacroBenchmark } from './macro-benchmark.ts';
import { replication } from './replication.ts';
import { start } from './start.ts';

export const MACRO_BENCHMARKS: readonly MacroBenchmark[] = [
  ingestPrepared,
  ingestClient,
  ingestFrames,
  consumeTail,
  consumeBacklog,
  latency,
  manyQueues,
  backlog,
  delayedBurst,
  replication,
  start,
];
