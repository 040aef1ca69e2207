/** `produce` and `latency`: a load for the measured time, then everything that was acknowledged is read back. */

import { sleep } from '../base/clock.ts';
import {
  type BenchResult,
  digits,
  ledgerFields,
  limitFields,
  loadName,
  wholeOrNull,
} from './bench-result.ts';
import type { LoadOutcome } from './load.ts';
import { latencyReport } from './load-counters.ts';
import { planOf, windowOf } from './load-plans.ts';
import { type Measured, measureWhile, warmUpSeconds } from './measured-load.ts';
import { MessageLedger } from './message-ledger.ts';
import { newThreadedLoad } from './new-load.ts';
import { readBack } from './read-back.ts';
import type { BenchRun } from './run-bench.ts';

const MS_PER_SECOND = 1000;

export async function runProduce(run: BenchRun, groups: string[]): Promise<BenchResult> {
  const { options, broker, topics, runId } = run;
  const { url, token } = broker;
  const plan = planOf(options, { url, token, topics, runId });
  const { measured, outcome } = await runLoad(run, plan);
  const ledger = new MessageLedger(plan.producersInAll, plan.recordsPerBatch);
  for (const part of outcome.acked) ledger.merge(part);
  const found = await readBack(run, ledger, groups);
  const bytesPerSecond = measured.bytes / measured.seconds;
  return {
    mode: options.mode,
    messagesPerSecond: Math.round(measured.messages / measured.seconds),
    bytesPerSecond: Math.round(bytesPerSecond),
    ...latencyReport(outcome.latency),
    ...ledgerFields(ledger, found.corruptBatches),
    consumed: null,
    ...limitFields(run.limits, bytesPerSecond),
    ...runFields(run, measured),
    refusals: outcome.refusals,
    duplicateAnswers: outcome.duplicateAnswers,
    readBackMs: Math.round(found.ms),
  };
}

async function runLoad(
  run: BenchRun,
  plan: ReturnType<typeof planOf>,
): Promise<{ measured: Measured; outcome: LoadOutcome }> {
  const { options, broker, clock, onProgress } = run;
  const load = newThreadedLoad(plan, options.generators, clock);
  try {
    onProgress('opening connections');
    await load.open();
    await load.begin();
    await sleep(warmUpSeconds(options.seconds) * MS_PER_SECOND);
    const measured = await measureWhile(load, broker, clock, options.seconds, (elapsed) => {
      onProgress('sending', elapsed / options.seconds);
      return run.signal.aborted;
    });
    onProgress('waiting for the last acknowledgements');
    return { measured, outcome: await load.stop() };
  } finally {
    await load.close();
  }
}

/** What the options and the measured time say, the same for every mode. */
export function runFields(
  run: BenchRun,
  measured: Measured,
): Pick<
  BenchResult,
  | 'serverRssBytes'
  | 'serverRssPeakBytes'
  | 'transport'
  | 'flush'
  | 'load'
  | 'size'
  | 'seconds'
  | 'connections'
  | 'batchBytes'
  | 'queues'
  | 'window'
  | 'rate'
  | 'cpu'
> {
  const { options, broker } = run;
  const { size, connections, batchBytes, queues, rate } = options;
  const { usage, serverCores, generatorCores, seconds } = measured;
  return {
    serverRssBytes: wholeOrNull(usage.resident?.now),
    serverRssPeakBytes: wholeOrNull(usage.resident?.peak),
    transport: broker.transport,
    flush: broker.flush,
    load: loadName(options),
    size,
    seconds: digits(seconds, 3),
    connections,
    batchBytes,
    queues,
    window: windowOf(options, run.runId),
    rate: rate ?? null,
    cpu: {
      generator: digits(generatorCores, 2),
      server: serverCores === undefined ? null : digits(serverCores, 2),
    },
  };
}
