/** Where the entry of each kind of thread is: addresses, because the compiler does not rewrite them in worker starts. */

import type { ResourceLimits } from 'node:worker_threads';

export const SHARD_WORKER: URL = new URL('../shard/shard-worker.js', import.meta.url);
export const FLUSHER_WORKER: URL = new URL('../commit/flusher-worker.js', import.meta.url);
export const REPLICATION_WORKER: URL = new URL(
  '../replication/replication-worker.js',
  import.meta.url,
);
export const SIDE_JOB_WORKER: URL = new URL('./side-job-worker.js', import.meta.url);

/**
 * Mebibytes of JavaScript heap of each kind of thread. Live objects are a tenth of it: messages are in shared memory, tables in
 * typed arrays, neither of which counts here. Without a bound the engine lets garbage grow with the memory of the machine.
 */
export const SHARD_HEAP: ResourceLimits = {
  maxYoungGenerationSizeMb: 16,
  maxOldGenerationSizeMb: 512,
};
export const FLUSHER_HEAP: ResourceLimits = {
  maxYoungGenerationSizeMb: 2,
  maxOldGenerationSizeMb: 64,
};
export const REPLICATION_HEAP: ResourceLimits = {
  maxYoungGenerationSizeMb: 8,
  maxOldGenerationSizeMb: 256,
};
export const SIDE_JOB_HEAP: ResourceLimits = {
  maxYoungGenerationSizeMb: 8,
  maxOldGenerationSizeMb: 512,
};

/** Shards of a new store when nobody says how many: each has two threads, and the front door needs one. */
export function defaultShards(cores: number): number {
  return Math.max(1, Math.floor(cores / 2));
}
