/**
 * Shard threads that crash under load: back by recovery, nothing lost, nothing twice, the other shard
 * never notices; three crashes in a minute fence the shard, loudly. The broker runs in this process, its shards in threads.
 */
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { MIB } from '../../src/base/units.ts';
import type { Broker } from '../../src/broker/create-broker.ts';
import { shardOf } from '../../src/protocol/shard-control.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import {
  crashByGarbage,
  crashByTermination,
  crashFlusher,
  type Embedded,
  portOf,
  startEmbedded,
} from '../../src/testing/e2e-embedded.ts';
import { type Frame, RawSession } from '../../src/testing/e2e-session.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

const TOPIC = 'orders';
const PROBE_TOPIC = 'probes';
const SMALL = {
  shards: 2,
  segmentBytes: 4 * MIB,
  tailBytes: 2 * MIB,
  ringBytes: 2 * MIB,
  maxMessageSize: 64 * 1024,
};
const brokers: Embedded[] = [];

after(() => Promise.all(brokers.map((embedded) => embedded.remove())));

async function start(): Promise<Embedded> {
  const embedded = await startEmbedded({ config: SMALL });
  brokers.push(embedded);
  return embedded;
}

/** A queue of the topic that the shard owns. */
async function queueOn(session: RawSession, shard: number): Promise<number> {
  const { topicId } = await session.ask({ op: 'topic', topic: PROBE_TOPIC, create: true });
  return shardOf(Number(topicId), 0, SMALL.shards) === shard ? 0 : 1;
}

const send = (session: RawSession, queueId: number): Promise<Frame> =>
  session.ask({ op: 'send', topic: PROBE_TOPIC, queueId, body: 'x' });

/** Crashes a shard and waits until it takes requests again. */
async function crashAndWait(
  broker: Broker,
  crash: (broker: Broker, shard: number) => void,
): Promise<void> {
  const before = portOf(broker, 0);
  crash(broker, 0);
  await until('the shard is back', () => {
    const now = portOf(broker, 0);
    return now !== before && now.state === 'running';
  });
  const session = await RawSession.open(broker.ready.ws);
  const queueId = await queueOn(session, 0);
  await until('it takes requests', async () => (await send(session, queueId))['op'] === 'sent');
  session.close();
}

const CRASHES = [
  { name: 'by garbage in its request ring', crash: crashByGarbage },
  { name: 'because its thread is ended', crash: crashByTermination },
];

for (const { name, crash } of CRASHES) {
  test(`a shard that crashes under load ${name} is back, and nobody loses anything`, async (t) => {
    const { broker, lines } = await start();
    const checker = new HistoryChecker({ requirements: QUIET_RUN });
    const recorder = new HistoryRecorder(systemClock, checker);
    const client = await connect({ servers: broker.ready.ws });
    const traffic = new RecordedTraffic({ client, recorder, topic: TOPIC, group: 'billing' });
    recorder.phase('run');
    traffic.start();
    const more = (count: number): Promise<void> => {
      const target = traffic.acked + count;
      return until('more is acknowledged', () => traffic.acked >= target);
    };
    await more(300);
    recorder.fault('crash', 'shard-0', true);
    traffic.expectRedelivery();
    const startMs = systemClock.monotonicMs();
    await crashAndWait(broker, crash);
    t.diagnostic(`back after ${Math.round(systemClock.monotonicMs() - startMs)} ms`);
    recorder.fault('crash', 'shard-0', false);
    await more(300);
    recorder.phase('heal');
    await traffic.stop();
    await traffic.drain();
    await client.close();
    const report = checker.finish();
    assert.deepEqual(report.anomalies, []);
    assert.equal(report.verdict, 'valid', report.unknownReasons.join('; '));
    assert.deepEqual([...traffic.failures], [], 'the client rides over it');
    const events = lines.map((line) => `${line.level} ${line.event} ${line.facts['shard']}`);
    assert.ok(events.includes('error shard-crashed 0'), events.join(', '));
    assert.ok(events.includes('info shard-restarted 0'), events.join(', '));
  });
}

test('what a crashed shard was asked is answered SHARD_RESTARTING; the other shard does not notice', async () => {
  const { broker } = await start();
  const session = await RawSession.open(broker.ready.ws);
  const [mine, other] = [await queueOn(session, 0), await queueOn(session, 1)];
  assert.equal((await send(session, mine))['op'], 'sent');
  crashByGarbage(broker, 0);
  const refused = await send(session, mine);
  assert.equal(refused['op'], 'error');
  assert.equal(refused['code'], 'SHARD_RESTARTING');
  assert.equal(refused['retryable'], true);
  assert.ok(Number(refused['retryAfterMs']) > 0);
  let sentMeanwhile = 0;
  while (portOf(broker, 0).state !== 'running') {
    assert.equal((await send(session, other))['op'], 'sent');
    sentMeanwhile += 1;
  }
  assert.ok(sentMeanwhile > 0, 'the other shard was asked while this one was away');
  await until('it is back', async () => (await send(session, mine))['op'] === 'sent');
  session.close();
});

test('a flusher that ends takes its shard along, and both come back', async () => {
  const { broker } = await start();
  await crashAndWait(broker, crashByGarbage);
  await crashAndWait(broker, crashFlusher);
});

test('three crashes in a minute fence the shard, loudly; the rest goes on', async () => {
  const { broker, lines } = await start();
  const session = await RawSession.open(broker.ready.ws);
  const [mine, other] = [await queueOn(session, 0), await queueOn(session, 1)];
  await crashAndWait(broker, crashByGarbage);
  await crashAndWait(broker, crashByTermination);
  crashByGarbage(broker, 0);
  await until('it is fenced', () => portOf(broker, 0).state === 'fenced');
  const refused = await send(session, mine);
  assert.equal(refused['code'], 'SHARD_FENCED');
  assert.match(String(refused['hint']), /log/);
  assert.equal((await send(session, other))['op'], 'sent');
  for (let count = 0; count < 4; count += 1)
    assert.equal(
      (await session.ask({ op: 'send', topic: PROBE_TOPIC, body: 1 }))['op'],
      'sent',
      'keyless',
    );
  const ready = await fetch(`${broker.ready.http}/readyz`);
  assert.equal(ready.status, 503);
  assert.deepEqual(await ready.json(), { ready: false, reasons: ['shard 0 is fenced'] });
  const fenced = lines.find((line) => line.event === 'shard-fenced');
  assert.equal(fenced?.level, 'error');
  assert.ok(fenced?.facts['error'] instanceof Error, 'the cause is in the log');
  const metrics = await (await fetch(`${broker.ready.http}/metrics`)).text();
  assert.match(metrics, /sluice_shard_up\{shard="0"\} 0/);
  assert.match(metrics, /sluice_shard_up\{shard="1"\} 1/);
  session.close();
});

test('a shard that cannot recover is tried three times, then fenced and said to be', async () => {
  const { broker, dataDir, lines } = await start();
  const session = await RawSession.open(broker.ready.ws);
  const [mine, other] = [await queueOn(session, 0), await queueOn(session, 1)];
  assert.equal((await send(session, mine))['op'], 'sent');
  const directory = join(dataDir, 'shard-0');
  for (const file of readdirSync(directory))
    if (file.endsWith('.seg')) rmSync(join(directory, file));
  crashByGarbage(broker, 0);
  await until('it is fenced', () => lines.some((line) => line.event === 'shard-fenced'));
  assert.equal((await send(session, mine))['code'], 'SHARD_FENCED');
  assert.equal((await send(session, other))['op'], 'sent');
  const ready = await fetch(`${broker.ready.http}/readyz`);
  assert.deepEqual(await ready.json(), { ready: false, reasons: ['shard 0 is fenced'] });
  session.close();
});
