/**
 * `consume`: a backlog that was filled before, from its beginning; or the tail, while producers send. What counts are
 * messages that have come out of our client, and in the end all that were acknowledged must have.
 */
import { sleep } from '../base/clock.ts';
import { type BenchResult, ledgerFields, limitFields } from './bench-result.ts';
import { Consuming } from './consuming.ts';
import type { LoadOutcome, LoadPlan } from './load.ts';
import { LoadCounters, latencyReport } from './load-counters.ts';
import { planOf } from './load-plans.ts';
import { deliverFrameBytes } from './measure-limits.ts';
import { type Counting, type Measured, measureWhile, warmUpSeconds } from './measured-load.ts';
import { MessageLedger } from './message-ledger.ts';
import { newThreadedLoad } from './new-load.ts';
import { PreparedLoad } from './prepared-load.ts';
import { runFields } from './produce-run.ts';
import type { BenchRun } from './run-bench.ts';

const MS_PER_SECOND = 1000;
/** Seconds without any message after which the rest counts as lost: a busy machine has pauses of its own. */
const SILENCE_SECONDS = 60;
const CATCH_UP_INTERVAL_MS = 20;
const BACKLOG_SECONDS_MAX = 3600;

/** What both ways share. */
type Consumption = {
  readonly run: BenchRun;
  readonly plan: LoadPlan;
  readonly consuming: Consuming;
  readonly counters: LoadCounters;
  readonly counting: Counting;
};

export async function runConsume(run: BenchRun, groups: string[]): Promise<BenchResult> {
  const { options, broker, topics, runId } = run;
  const { url, token } = broker;
  const filling = { ...options, prepared: true, framePerMessage: false };
  const plan = planOf(filling, { url, token, topics, runId });
  const ledger = new MessageLedger(plan.producersInAll, plan.recordsPerBatch);
  const counters = new LoadCounters();
  const group = `${runId}-group`;
  groups.push(group);
  const consuming = new Consuming({
    url,
    token,
    topics,
    group,
    members: options.connections,
    from: 'earliest',
    ledger,
    counters,
    bytesPerMessage: deliverFrameBytes(filling) / plan.recordsPerBatch,
    clock: run.clock,
  });
  const counting: Counting = {
    measure: async (isOn) => {
      // The age of a backlog is no latency.
      counters.isMeasuring = isOn && options.whileProducing;
      return { messages: counters.messages, bytes: counters.bytes };
    },
  };
  const consumption = { run, plan, consuming, counters, counting };
  const consume = options.whileProducing ? consumeTail : consumeBacklog;
  const { measured, outcome } = await consume(consumption);
  for (const part of outcome.acked) ledger.merge(part);
  const bytesPerSecond = measured.bytes / measured.seconds;
  const noLatency = { p50Ms: null, p99Ms: null, p999Ms: null, maxMs: null };
  return {
    mode: 'consume',
    messagesPerSecond: Math.round(measured.messages / measured.seconds),
    bytesPerSecond: Math.round(bytesPerSecond),
    ...(options.whileProducing ? latencyReport(counters.latency) : noLatency),
    ...ledgerFields(ledger, 0),
    consumed: counters.messages,
    ...limitFields(run.limits, bytesPerSecond),
    ...runFields(run, measured),
    refusals: outcome.refusals,
    duplicateAnswers: outcome.duplicateAnswers,
    readBackMs: 0,
  };
}

type Consumed = { readonly measured: Measured; readonly outcome: LoadOutcome };

async function consumeBacklog(consumption: Consumption): Promise<Consumed> {
  const { run, plan, consuming, counters, counting } = consumption;
  const { options, broker, clock, onProgress } = run;
  const outcome = await fill(run, { ...plan, ratePerSecond: undefined }, options.messages);
  try {
    const measuring = measureWhile(counting, broker, clock, BACKLOG_SECONDS_MAX, () => {
      onProgress('consuming', counters.messages / outcome.messages);
      return run.signal.aborted || isDone(consumption, outcome.messages);
    });
    await consuming.open();
    const measured = await measuring;
    throwFailure(consuming);
    // To the last message, and not to the next look.
    const seconds = (consuming.heardAtMs - measured.startMs) / MS_PER_SECOND;
    return { measured: { ...measured, seconds }, outcome };
  } finally {
    await consuming.close();
  }
}

/** Stores so many messages. */
async function fill(run: BenchRun, plan: LoadPlan, messages: number): Promise<LoadOutcome> {
  const load = new PreparedLoad(plan, run.clock);
  try {
    await load.open();
    run.onProgress(`filling, ${messages} messages`);
    await load.fill(messages);
    return await load.stop();
  } finally {
    await load.close();
  }
}

async function consumeTail(consumption: Consumption): Promise<Consumed> {
  const { run, plan, consuming, counting } = consumption;
  const { options, broker, clock, onProgress } = run;
  const load = newThreadedLoad(plan, options.generators, clock);
  try {
    await consuming.open();
    await load.open();
    await load.begin();
    await sleep(warmUpSeconds(options.seconds) * MS_PER_SECOND);
    const measured = await measureWhile(counting, broker, clock, options.seconds, (elapsed) => {
      onProgress('producing and consuming', elapsed / options.seconds);
      return run.signal.aborted;
    });
    const outcome = await load.stop();
    onProgress('waiting for the last messages');
    while (!run.signal.aborted && !isDone(consumption, outcome.messages))
      await sleep(CATCH_UP_INTERVAL_MS);
    throwFailure(consuming);
    return { measured, outcome };
  } finally {
    await load.close();
    await consuming.close();
  }
}

/** Everything is consumed, or nothing comes any more. */
function isDone({ run, consuming, counters }: Consumption, messages: number): boolean {
  if (counters.messages >= messages || consuming.failure !== undefined) return true;
  return run.clock.monotonicMs() - consuming.heardAtMs > SILENCE_SECONDS * MS_PER_SECOND;
}

function throwFailure({ failure }: Consuming): void {
  if (failure !== undefined) throw failure;
}
