/** Where the entry of each kind of thread is: addresses, because the compiler does not rewrite them in worker starts. */

export const SHARD_WORKER: URL = new URL('../shard/shard-worker.js', import.meta.url);
export const FLUSHER_WORKER: URL = new URL('../commit/flusher-worker.js', import.meta.url);
export const SIDE_JOB_WORKER: URL = new URL('./side-job-worker.js', import.meta.url);

/** Shards of a new store when nobody says how many: each has two threads, and the front door needs one. */
export function defaultShards(cores: number): number {
  return Math.max(1, Math.floor(cores / 2));
}
