/**
 * Thread entry of one shard: recovers, tells the broker, then runs the duty cycle and parks when there is nothing to do.
 * The thread is synchronous from start to end; what throws ends it, and the broker starts it anew by recovery.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { toSluiceError } from '../base/errors.ts';
import { FileStorage } from '../log/file-storage.ts';
import { LatencyHistogram } from '../observe/latency-histogram.ts';
import { SharedDeferredMeter } from './deferred-meter.ts';
import { openShard } from './open-shard.ts';
import type { ShardAgent } from './shard-agent.ts';
import {
  acceptorWordOf,
  flusherWordOf,
  logMemoryOf,
  REPLICATION_PORT,
  shardRings,
  shardWordOf,
  tailOf,
} from './shard-memory.ts';
import { ShardPort } from './shard-port.ts';
import type { ShardWorkerData, ShardWorkerMessage } from './shard-worker-data.ts';
import { WorkerJobs } from './worker-jobs.ts';

const data = workerData as ShardWorkerData;
const post = (message: ShardWorkerMessage): void => parentPort?.postMessage(message);

function open(): { agent: ShardAgent; memory: ReturnType<typeof logMemoryOf> } {
  const memory = logMemoryOf(data.memory);
  const tail = tailOf(data.memory);
  const flusherWord = flusherWordOf(data.memory);
  const histogram = new LatencyHistogram(data.histogram, 0);
  const ports = data.memory.requests.map((_ring, acceptor) => {
    const word = acceptorWordOf(data.memory, acceptor);
    const { requests, replies } = shardRings(data.memory, acceptor);
    return new ShardPort(requests, replies, tail, () => {
      if (!word.takeAnnouncement()) return;
      if (acceptor === REPLICATION_PORT) data.news?.postMessage(0);
      else post({ kind: 'wake' });
    });
  });
  const opened = openShard({
    config: data.config,
    storage: new FileStorage(data.directory),
    clock: systemClock,
    memory,
    tail,
    ports,
    jobs: new WorkerJobs(data.jobs),
    epoch: data.epoch,
    ...(data.logId === undefined ? {} : { logId: data.logId }),
    wakeFlusher: () => flusherWord.wake(),
    onFlush: (durationMs) => histogram.record(durationMs * 1000),
    meter: new SharedDeferredMeter(data.meter),
  });
  memory.markOpened();
  post({ kind: 'opened', metadata: opened.metadata, position: opened.position });
  return { agent: opened.agent, memory };
}

function run(): void {
  const { agent, memory } = open();
  const word = shardWordOf(data.memory);
  const hasWork = (): boolean => agent.hasWork();
  const { news } = data;
  const newsWord = news === undefined ? undefined : acceptorWordOf(data.memory, REPLICATION_PORT);
  let [commit, written] = [memory.commit.observe(), memory.written.observe()];
  while (!memory.isStopping) {
    if (agent.doWork() === 0) word.park(agent.msUntilDue(), hasWork);
    if (newsWord === undefined) continue;
    // Slaves show nothing before they hear of the commit position, and what this thread has written nobody else announces.
    const [nowCommit, nowWritten] = [memory.commit.observe(), memory.written.observe()];
    const hasNews = nowCommit > commit || nowWritten > written;
    if (hasNews && newsWord.takeAnnouncement()) news?.postMessage(0);
    [commit, written] = [nowCommit, nowWritten];
  }
}

try {
  run();
} catch (error) {
  const { code, message, hint, stack } = toSluiceError(error);
  post({ kind: 'failed', code, message, hint, stack: stack ?? '' });
}
data.jobs.close();
data.news?.close();
