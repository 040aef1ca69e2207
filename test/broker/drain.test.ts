/** SIGTERM under load: what is under way is finished and kept, the next start reads a snapshot; a second signal does not wait. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, setDiskHooks, until } from '../../src/testing/e2e-broker.ts';
import type { DiskHooks } from '../../src/testing/e2e-process-hooks.ts';
import { RawSession } from '../../src/testing/e2e-session.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

/** Log bytes behind a snapshot that was made by a drain: what a start itself writes. */
const BEHIND_SNAPSHOT_MAX = 4096;
const directories: string[] = [];

after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-drain-'));
  directories.push(directory);
  return directory;
}

function snapshotPosition(dataDir: string): number {
  const positions = readdirSync(join(dataDir, 'shard-0'))
    .map((file) => /^state-(\d+)\.snap$/.exec(file)?.[1])
    .filter((position) => position !== undefined);
  return Math.max(-1, ...positions.map(Number));
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} under load: exit 0 in time, nothing acknowledged is lost, the next start has a snapshot of all of it`, async () => {
    const dataDir = newDirectory();
    const options = { dataDir, port: await claimPort(), settings: { shards: 1 } };
    const first = await BrokerProcess.start(options);
    const checker = new HistoryChecker({ requirements: QUIET_RUN });
    const recorder = new HistoryRecorder(systemClock, checker);
    const client = await connect({ servers: first.ws, reconnectMaxMs: 200 });
    const traffic = new RecordedTraffic({ client, recorder, topic: 'orders', group: 'billing' });
    recorder.phase('run');
    traffic.start();
    await until('there is load', () => traffic.acked > 500);
    first.signal(signal);
    const ended = await first.ended;
    traffic.newSession();
    assert.deepEqual(ended, { code: 0, signal: null });
    const cutShort = first.lines.filter((line) => line['event'] === 'drain-cut-short');
    assert.deepEqual(
      cutShort,
      [],
      'it was finished within its time, which is less than an orchestrator waits',
    );
    assert.deepEqual(
      first.events.map((event) => event['event']),
      ['ready', 'draining', 'closed'],
    );
    const position = snapshotPosition(dataDir);
    const second = await BrokerProcess.start(options);
    try {
      await until('the client is back', () => client.isConnected);
      const before = traffic.acked;
      await until('sends go on', () => traffic.acked > before + 50);
      await traffic.stop();
      recorder.phase('heal');
      await traffic.drain();
      const report = checker.finish();
      assert.deepEqual(report.anomalies, []);
      assert.equal(report.verdict, 'valid', report.unknownReasons.join('; '));
      assert.deepEqual([...traffic.failures], []);
      assert.ok(position > 0, 'a snapshot was left');
    } finally {
      await client.close();
      await second.kill();
    }
  });
}

test('a drain leaves a snapshot at the very end of the log', async () => {
  const dataDir = newDirectory();
  const first = await BrokerProcess.start({ dataDir, settings: { shards: 1 } });
  const client = await connect({ servers: first.ws });
  const messages = Array.from({ length: 5000 }, (_, n) => ({ topic: 't', body: `message ${n}` }));
  await client.producer().sendBatch(messages);
  await client.close();
  assert.equal((await first.stop()).code, 0);
  const position = snapshotPosition(dataDir);
  const second = await BrokerProcess.start({ dataDir });
  const positions = await second.metric('sluice_position_bytes');
  const appended = positions.get('{shard="0",kind="appended"}') ?? Number.NaN;
  await second.kill();
  assert.ok(
    position > 0 && appended - position < BEHIND_SNAPSHOT_MAX,
    `the snapshot is of ${position}, the log ends at ${appended}`,
  );
});

test('what waits for a slow disk is finished before the end; connections are closed with 1001', async () => {
  const dataDir = newDirectory();
  const disk = join(dataDir, 'disk.json');
  const setDisk = (hooks: DiskHooks): void => setDiskHooks(disk, hooks);
  setDisk({});
  const broker = await BrokerProcess.start({
    dataDir: join(dataDir, 'data'),
    hasHooks: true,
    environment: { E2E_DISK: disk },
  });
  const session = await RawSession.open(broker.ws);
  await session.ask({ op: 'topic', topic: 't', create: true });
  setDisk({ syncDelayMs: 700 });
  const sending = session.ask({ op: 'send', topic: 't', body: 'under way' });
  await session.ask({ op: 'ping' });
  broker.signal('SIGTERM');
  await until('it drains', () => broker.events.some((event) => event['event'] === 'draining'));
  const sent = await sending;
  assert.equal(sent['op'], 'sent');
  assert.equal(await session.closed, 1001);
  assert.deepEqual(await broker.ended, { code: 0, signal: null });
});

test('a second signal ends it at once, and what was acknowledged is there at the next start', async () => {
  const dataDir = newDirectory();
  const disk = join(dataDir, 'disk.json');
  const setDisk = (hooks: DiskHooks): void => setDiskHooks(disk, hooks);
  setDisk({});
  const options = { dataDir: join(dataDir, 'data'), settings: { shards: 1 } };
  const broker = await BrokerProcess.start({
    ...options,
    hasHooks: true,
    environment: { E2E_DISK: disk },
  });
  const session = await RawSession.open(broker.ws);
  const sent = await session.ask({ op: 'send', topic: 't', queueId: 0, body: 'kept' });
  assert.equal(sent['op'], 'sent');
  // Longer than a drain waits: if it did, it would end with 0.
  setDisk({ syncDelayMs: 120_000 });
  const hanging = session.ask({ op: 'send', topic: 't', queueId: 0, body: 'never answered' });
  await session.ask({ op: 'ping' });
  broker.signal('SIGTERM');
  await until('it drains', () => broker.events.some((event) => event['event'] === 'draining'));
  broker.signal('SIGTERM');
  assert.deepEqual(await broker.ended, { code: 1, signal: null }, 'it did not wait for the disk');
  assert.equal((await hanging)['op'], 'closed');
  const second = await BrokerProcess.start(options);
  const client = await connect({ servers: second.ws });
  const { messages } = await client.fetch({ topic: 't', queueId: 0, offset: 0 });
  assert.equal(messages[0]?.body, 'kept');
  await client.close();
  await second.kill();
});
