/**
 * The figures that need millions of messages waiting: ingest while a lagging group reads them from disk, restart after
 * `kill -9`, memory. One broker is filled, measured, killed, and started again.
 */
import { systemClock } from '../../src/base/clock.ts';
import { createTopics, endOffsets } from '../../src/bench/bench-topics.ts';
import { recordsPerBatch } from '../../src/bench/frame-template.ts';
import { GroupReader } from '../../src/bench/group-reader.ts';
import type { LoadPlan, LoadTopic } from '../../src/bench/load.ts';
import { MessageLedger } from '../../src/bench/message-ledger.ts';
import { PreparedLoad, producerIdOf } from '../../src/bench/prepared-load.ts';
import type { ServerProcess } from '../../src/bench/server-process.ts';
import { connect } from '../../src/client/node.ts';
import { webSocketUrls } from '../../src/client/servers.ts';
import {
  backlogOf,
  detailsOf,
  isWhole,
  type MacroBenchmark,
  type MacroMeasurement,
  type MacroPlan,
  sluiceBench,
  startTimed,
  withDirectory,
} from './macro-benchmark.ts';

const MIB = 1024 * 1024;
const RUN_ID = 'bench-backlog';
const CONNECTIONS = 4;
const QUEUES = 8;
const BODY_BYTES = 128;
const BATCH_BYTES = 16_384;

type Backlog = {
  readonly url: string;
  readonly topics: readonly LoadTopic[];
  readonly plan: LoadPlan;
  readonly messages: number;
};

const urlOf = (server: ServerProcess): string => webSocketUrls(server.ready['ws'])[0] as string;

async function fillBacklog(server: ServerProcess, messages: number): Promise<Backlog> {
  const url = urlOf(server);
  const client = await connect({ servers: url });
  const topics = await createTopics(client, RUN_ID, QUEUES);
  await client.close();
  const plan: LoadPlan = {
    kind: 'prepared',
    url,
    token: undefined,
    topics,
    runId: RUN_ID,
    producers: Array.from({ length: CONNECTIONS }, (_, index) => index),
    producersInAll: CONNECTIONS,
    bodyBytes: BODY_BYTES,
    batchBytes: BATCH_BYTES,
    recordsPerBatch: recordsPerBatch(BATCH_BYTES, BODY_BYTES, producerIdOf({ runId: RUN_ID }, 0)),
    window: 64,
    ratePerSecond: undefined,
    seed: 1,
  };
  const load = new PreparedLoad(plan, systemClock);
  await load.open();
  await load.fill(messages);
  const outcome = await load.stop();
  await load.close();
  return { url, topics, plan, messages: outcome.messages };
}

/** Reads the whole backlog once, as a new group. @returns what came and what did not */
async function readBacklog(
  backlog: Backlog,
  url: string,
  group: string,
): Promise<{ readonly read: number; readonly lost: number }> {
  const { plan, topics, messages } = backlog;
  const ledger = new MessageLedger(CONNECTIONS, plan.recordsPerBatch);
  const client = await connect({ servers: url });
  const reader = new GroupReader({
    url,
    token: undefined,
    topics,
    group,
    ledger,
    endOffsets: await endOffsets(client, topics),
    clock: systemClock,
    onProgress: () => {},
  });
  await client.close();
  await reader.read();
  return { read: ledger.seenCount, lost: Math.max(0, messages - ledger.seenCount) };
}

/** Groups that lag read the backlog, one after the other, until they are told to stop. */
function startLaggingGroups(backlog: Backlog): () => Promise<number> {
  let isStopping = false;
  let read = 0;
  const reading = (async () => {
    for (let round = 0; !isStopping; round += 1)
      read += (await readBacklog(backlog, backlog.url, `bench-lagging-${round}`)).read;
  })();
  return async () => {
    isStopping = true;
    await reading;
    return read;
  };
}

const figure = (
  name: string,
  backlog: Backlog,
  value: number,
  unit: string,
  aim: MacroMeasurement['aim'],
  flawless: boolean | null,
  details: Readonly<Record<string, unknown>>,
): MacroMeasurement => ({
  benchmark: 'backlog',
  case: name,
  parameters: { messages: backlog.messages, bodyBytes: BODY_BYTES, queues: QUEUES },
  value,
  unit,
  aim,
  ratioToLimit: null,
  flawless,
  details,
});

export const backlog: MacroBenchmark = {
  name: 'backlog',
  about:
    'ten million messages waiting: ingest while a lagging group reads, restart after kill -9, memory',
  run: (plan) => withDirectory((directory) => measureBacklog(plan, directory)),
};

async function measureBacklog(
  plan: MacroPlan,
  directory: string,
): Promise<readonly MacroMeasurement[]> {
  const first = (await startTimed(directory)).server;
  plan.say(`filling ${backlogOf(plan)} messages`);
  const filled = await fillBacklog(first, backlogOf(plan));
  const waiting = first.residentBytes();
  const ingest = ['produce', '--prepared', '--url', filled.url];
  const alone = await sluiceBench(plan, ingest);
  const stopLagging = startLaggingGroups(filled);
  const beside = await sluiceBench(plan, ingest);
  const readMeanwhile = await stopLagging();
  const lagging = first.residentBytes();
  plan.say('kill -9, and restart');
  await first.kill();
  const { server, readyMs } = await startTimed(directory);
  const restarted = server.residentBytes();
  const { read, lost } = await readBacklog(filled, urlOf(server), 'bench-after-restart');
  const peak = server.residentBytes();
  await server.stop();
  const mib = (bytes: number | undefined): number => Math.round((bytes ?? 0) / MIB);
  const ratio = Number((beside.messagesPerSecond / alone.messagesPerSecond).toFixed(3));
  const both = isWhole(alone) && isWhole(beside);
  return [
    figure(
      'ingest while a lagging group reads the backlog ÷ ingest alone',
      filled,
      ratio,
      '',
      { at: 'least', value: 0.7 },
      both,
      { alone: detailsOf(alone), beside: detailsOf(beside), readMeanwhile },
    ),
    figure(
      'restart after kill -9',
      filled,
      readyMs,
      'ms',
      { at: 'most', value: 2000 },
      lost === 0,
      { read, lost, residentMib: mib(restarted?.now) },
    ),
    figure(
      'resident memory with the backlog waiting and read',
      filled,
      mib(Math.max(waiting?.peak ?? 0, lagging?.peak ?? 0, peak?.peak ?? 0)),
      'MiB',
      { at: 'most', value: 400 },
      null,
      { filled: mib(waiting?.peak), lagging: mib(lagging?.peak), afterRestart: mib(peak?.peak) },
    ),
  ];
}
