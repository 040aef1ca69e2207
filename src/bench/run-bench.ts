/** One run from start to end: broker, topics, limits of the machine, load, reading back, result. Event loop. */
import { availableParallelism } from 'node:os';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { type BenchOptions, checkBenchOptions } from './bench-options.ts';
import { type BenchResult, limitFields } from './bench-result.ts';
import { createTopics } from './bench-topics.ts';
import { runConsume } from './consume-run.ts';
import type { LoadTopic } from './load.ts';
import type { MachineLimits } from './machine-limits.ts';
import { measureLimits } from './measure-limits.ts';
import { runProduce } from './produce-run.ts';
import { openTarget, type TargetBroker } from './target-broker.ts';

/** What a run needs from outside. */
export type BenchWorld = {
  readonly clock: Clock;
  readonly prng: Prng;
  /** File of the `sluice` command, which starts the own broker. */
  readonly command: string;
  /** Aborted: the run ends early with an error. */
  readonly signal: AbortSignal;
  /** Told what is going on; `ratio` is how much of it is done. */
  readonly onProgress: (text: string, ratio?: number) => void;
};

/** A run that has its broker. */
export type BenchRun = BenchWorld & {
  readonly options: BenchOptions;
  readonly broker: TargetBroker;
  readonly topics: readonly LoadTopic[];
  /** Begins the names of all that is made for this run. */
  readonly runId: string;
  readonly limits: MachineLimits;
};

const NO_LIMITS: MachineLimits = { disk: undefined, loopback: undefined };

/** Cores for one thread of connections: the broker needs the others. */
const CORES_PER_GENERATOR = 4;

/** Threads for the connections, when nobody says how many: one on two cores. */
export function defaultGenerators(connections: number): number {
  const threads = Math.floor(availableParallelism() / CORES_PER_GENERATOR);
  return Math.max(1, Math.min(threads, connections));
}

/**
 * Measures. What was started and made for it is gone afterwards, whatever the outcome.
 *
 * @throws INVALID_ARGUMENT for options; DISCONNECTED and refusals of the broker; the signal's reason
 */
export async function runBench(options: BenchOptions, world: BenchWorld): Promise<BenchResult> {
  checkBenchOptions(options);
  world.onProgress(options.url === undefined ? 'starting a broker' : 'connecting');
  const broker = await openTarget(options, world.command);
  const runId = `bench-${world.prng.integer(0x1_0000_0000).toString(16).padStart(8, '0')}`;
  const groups: string[] = [];
  let topics: readonly LoadTopic[] = [];
  try {
    world.onProgress('creating topics');
    topics = await createTopics(broker.client, runId, options.queues);
    world.signal.throwIfAborted();
    // Gigabytes for the disk's limit make a disk slow for a while: latency is measured before it, rates after it.
    const isLatency = options.mode === 'latency';
    const limits = isLatency ? NO_LIMITS : await measureLimits(options, broker, world);
    const run: BenchRun = { ...world, options, broker, topics, runId, limits };
    world.signal.throwIfAborted();
    const work = options.mode === 'consume' ? runConsume(run, groups) : runProduce(run, groups);
    const result = await orAborted(work, world.signal);
    if (!isLatency) return result;
    const after = await measureLimits(options, broker, world);
    return { ...result, ...limitFields(after, result.bytesPerSecond) };
  } finally {
    await broker.close({ topics, groups });
  }
}

/** Rejects when the signal aborts; what is under way ends when its broker is closed. */
async function orAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let abort = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(new SluiceError('CLOSED', 'the run was interrupted'));
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
    // An interrupted run fails behind our back: that is expected.
    work.catch(() => {});
  }
}
