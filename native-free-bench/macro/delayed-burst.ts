/**
 * Half a million messages due in the same second: how fast they become visible, and what somebody who sends meanwhile feels of
 * it. That each is there once is checked by counting.
 */
import { sleep, systemClock } from '../../src/base/clock.ts';
import type { ServerProcess } from '../../src/bench/server-process.ts';
import type { Client } from '../../src/client/client.ts';
import { connect } from '../../src/client/node.ts';
import { webSocketUrls } from '../../src/client/servers.ts';
import {
  type MacroBenchmark,
  type MacroMeasurement,
  type MacroPlan,
  startTimed,
  withDirectory,
} from './macro-benchmark.ts';

const BODY = 'x'.repeat(128);
/** Small batches: some five messages each, so that there are a hundred thousand of them. */
const BATCH_BYTES = 1024;
const POLL_MS = 20;
/** Milliseconds between the last send and the time at which all are due. */
const REST_MS = 2000;
const QUIET_SENDS_MS = 1000;
/** Nothing more became visible for so long: what is missing is lost. */
const STALLED_MS = 15_000;

/** Milliseconds that single sends take, one after the other, until `isOver`. */
async function sendMeanwhile(client: Client, isOver: () => boolean): Promise<number[]> {
  const producer = client.producer({ lingerMs: 0 });
  const times: number[] = [];
  while (!isOver()) {
    const startMs = systemClock.monotonicMs();
    await producer.send({ topic: 'meanwhile', body: BODY });
    times.push(systemClock.monotonicMs() - startMs);
  }
  await producer.close();
  return times.sort((one, other) => one - other);
}

const percentile = (sorted: readonly number[], fraction: number): number =>
  Math.round((sorted[Math.floor(sorted.length * fraction)] ?? 0) * 100) / 100;

async function visible(client: Client): Promise<number> {
  return Number((await client.admin.topic('delayed'))['messages']);
}

/** Waits until all are visible, or no more become so. @returns how many are */
async function seenAll(client: Client, count: number): Promise<number> {
  let seen = 0;
  let endMs = systemClock.monotonicMs() + STALLED_MS;
  while (seen < count && systemClock.monotonicMs() < endMs) {
    await sleep(POLL_MS);
    const now = await visible(client);
    if (now > seen) endMs = systemClock.monotonicMs() + STALLED_MS;
    seen = now;
  }
  return seen;
}

async function measure(server: ServerProcess, plan: MacroPlan): Promise<MacroMeasurement[]> {
  const count = plan.size === 'small' ? 2000 : 500_000;
  await using client = await connect({ servers: webSocketUrls(server.ready['ws'])[0] as string });
  const producer = client.producer({ batchBytes: BATCH_BYTES });
  const perSecond = 50_000;
  const deliverAt = systemClock.epochMs() + (count / perSecond) * 1000 + REST_MS + QUIET_SENDS_MS;
  for (let sent = 0; sent < count; sent += 1)
    while (!producer.push({ topic: 'delayed', body: BODY, deliverAt })) await producer.ready();
  await producer.flush();
  const before = await visible(client);
  const quietEndMs = systemClock.monotonicMs() + (plan.size === 'small' ? 50 : QUIET_SENDS_MS);
  const quiet = await sendMeanwhile(client, () => systemClock.monotonicMs() > quietEndMs);
  const leftMs = deliverAt - systemClock.epochMs();
  plan.say(`${count} messages wait; due in ${leftMs} ms`);
  await sleep(Math.max(0, leftMs));
  let isOver = false;
  const during = sendMeanwhile(client, () => isOver);
  const seen = await seenAll(client, count);
  const ms = Math.max(1, systemClock.epochMs() - deliverAt);
  isOver = true;
  const busy = await during;
  const common = {
    benchmark: 'delayed-burst',
    parameters: { messages: count, batchBytes: BATCH_BYTES },
    ratioToLimit: null,
    flawless: seen === count && before === 0,
  };
  return [
    {
      ...common,
      case: 'messages due at once that become visible',
      value: Math.round((count * 1000) / ms),
      unit: 'messages/s',
      aim: { at: 'least', value: 100_000 },
      details: { ms, wasEarly: before, isLateMs: Math.max(0, -leftMs) },
    },
    {
      ...common,
      case: 'p99 of a send meanwhile',
      value: percentile(busy, 0.99),
      unit: 'ms',
      aim: { at: 'most', value: 20 },
      details: {
        sends: busy.length,
        p50: percentile(busy, 0.5),
        max: percentile(busy, 0.9999),
        quiet: { sends: quiet.length, p50: percentile(quiet, 0.5), p99: percentile(quiet, 0.99) },
      },
    },
  ];
}

export const delayedBurst: MacroBenchmark = {
  name: 'delayed-burst',
  about: 'half a million delayed messages due in the same second, and sends that go on meanwhile',
  run: (plan) =>
    withDirectory(async (directory) => {
      const { server } = await startTimed(directory);
      try {
        return await measure(server, plan);
      } finally {
        await server.stop();
      }
    }),
};
