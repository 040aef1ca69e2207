/** Thread entry of a shard's flusher: waits for recovery, then writes and syncs what the shard appends. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { ParkWord } from '../agent/park-word.ts';
import { systemClock } from '../base/clock.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import { FileStorage } from '../log/file-storage.ts';
import { LogMemory } from '../log/log-memory.ts';
import { TailWindow } from '../log/tail-window.ts';
import { LatencyHistogram } from '../observe/latency-histogram.ts';
import type { FlushMode } from './commit-policy.ts';
import { FlusherAgent } from './flusher-agent.ts';

/** Plain data: the folder above allocates the memory and knows its plan. */
export type FlusherWorkerData = {
  readonly directory: string;
  readonly control: SharedArrayBuffer;
  readonly shardWordAt: number;
  readonly flusherWordAt: number;
  readonly tail: SharedArrayBuffer;
  readonly histogram: SharedArrayBuffer;
  readonly mode: FlushMode;
  readonly flushIntervalMs: number;
  readonly shardSyncMicrosMax: number | undefined;
  readonly segmentBytes: number;
  readonly epoch: number;
  /** How to tell the replication thread that there is more; undefined without replication. */
  readonly news: { readonly port: MessagePort; readonly wordAt: number } | undefined;
};

/** Why the flusher stopped: the only message that it posts. */
export type FlusherWorkerFailure = { readonly code: ErrorCode; readonly message: string };

function run(data: FlusherWorkerData): void {
  const memory = new LogMemory(data.control, 0);
  memory.waitUntilOpened();
  if (memory.isStopping) return;
  const shardWord = new ParkWord(data.control, data.shardWordAt);
  const word = new ParkWord(data.control, data.flusherWordAt);
  const histogram = new LatencyHistogram(data.histogram, 0);
  const agent = new FlusherAgent({
    storage: new FileStorage(data.directory),
    tail: new TailWindow(data.tail),
    memory,
    clock: systemClock,
    mode: data.mode,
    flushIntervalMs: data.flushIntervalMs,
    shardSyncMicrosMax: data.shardSyncMicrosMax,
    segmentBytes: data.segmentBytes,
    epoch: data.epoch,
    position: memory.written.observe(),
    onFlush: (durationMs) => histogram.record(durationMs * 1000),
  });
  const { news } = data;
  const newsWord = news === undefined ? undefined : new ParkWord(data.control, news.wordAt);
  const hasWork = (): boolean => agent.hasWork() || memory.isStopping;
  while (!memory.isStopping) {
    const work = agent.doWork();
    // Also after a failure: the shard must hear of it.
    if (work > 0 || agent.failure !== undefined) shardWord.wake();
    if (work > 0 && newsWord?.takeAnnouncement() === true) news?.port.postMessage(0);
    if (agent.failure !== undefined) break;
    if (work === 0) word.park(agent.msUntilDue(), hasWork);
  }
  if (agent.failure !== undefined) {
    const { code, message } = agent.failure;
    parentPort?.postMessage({ code, message } satisfies FlusherWorkerFailure);
  }
  agent.close();
  news?.port.close();
}

run(workerData as FlusherWorkerData);
