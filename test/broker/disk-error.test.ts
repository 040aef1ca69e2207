/**
 * A disk that fails, or kills, or takes its time, at exact system calls on real files: `strace` injects what the kernel would
 * say. After the first failed sync nothing is acknowledged any more and the shard says why; the next start serves
 * everything that was. KILLS=n for more killed calls, SEED=n to repeat them.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { MIB } from '../../src/base/units.ts';
import type { Client } from '../../src/client/node.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { RawSession } from '../../src/testing/e2e-session.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { programObstacle } from '../../src/testing/e2e-volume.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

const KILLS = Number(process.env['KILLS'] ?? 2);
const SEED = Number(process.env['SEED'] ?? Date.now() % 100_000);
const SMALL = {
  shards: 1,
  segmentBytes: 4 * MIB,
  tailBytes: 2 * MIB,
  ringBytes: 2 * MIB,
  maxMessageSize: 65_536,
};
const TOPIC = 'orders';
/** Messages after which a broker is killed that was not killed by its call. */
const LOAD_PER_KILL = 600;
const RESIDENT_BYTES_MAX = 400 * MIB;
const FIRST_SEGMENT = 'shard-0/log-000000000000.seg';
const directories: string[] = [];

const trace = ['strace', '-f', '--seccomp-bpf', '-o', '/dev/null'];
const skip =
  programObstacle(...(trace as [string, ...string[]]), '-e', 'trace=fdatasync', 'true') ?? false;

after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** @param inject - as strace takes it, e.g. `fdatasync:error=EIO:when=30+`; counted for each thread */
const injecting = (inject: string, file?: string): string[] => [
  ...trace,
  ...(file === undefined ? [] : ['-P', file]),
  '-e',
  `trace=${inject.slice(0, inject.indexOf(':'))}`,
  '-e',
  `inject=${inject}`,
];

type World = {
  readonly options: {
    readonly dataDir: string;
    readonly port: number;
    readonly settings: typeof SMALL;
  };
  readonly checker: HistoryChecker;
  readonly recorder: HistoryRecorder;
};

async function newWorld(): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-disk-error-'));
  directories.push(directory);
  const checker = new HistoryChecker({ requirements: QUIET_RUN });
  const recorder = new HistoryRecorder(systemClock, checker);
  const options = { dataDir: join(directory, 'data'), port: await claimPort(), settings: SMALL };
  recorder.phase('run');
  return { options, checker, recorder };
}

/** The disk is well again: everything that was acknowledged is there, and sends go on. */
async function assertRecovers(
  world: World,
  client: Client,
  traffic: RecordedTraffic,
): Promise<void> {
  const { recorder, checker, options } = world;
  traffic.newSession();
  const broker = await BrokerProcess.start(options);
  try {
    const before = traffic.acked;
    await until('sends go on', () => traffic.acked > before + 50);
    await traffic.stop();
    recorder.phase('heal');
    await traffic.drain();
    const report = checker.finish();
    assert.deepEqual(report.anomalies, [], `SEED=${SEED}`);
    assert.equal(report.verdict, 'valid', report.unknownReasons.join('; '));
    assert.deepEqual([...traffic.failures], [], 'the client rides over it');
  } finally {
    await client.close();
    await broker.kill();
  }
}

for (const [call, what] of [
  ['fdatasync', 'sync'],
  ['pwrite64', 'write'],
] as const) {
  test(`a ${what} of the log that fails: no ack after it, the shard is fenced and says so; the next start has all that was acknowledged`, {
    skip,
  }, async () => {
    const world = await newWorld();
    const { options, recorder } = world;
    const wrapper = injecting(`${call}:error=EIO:when=40+`, join(options.dataDir, FIRST_SEGMENT));
    const broker = await BrokerProcess.start({ ...options, wrapper });
    const client = await connect({ servers: broker.ws, reconnectMaxMs: 200 });
    const traffic = new RecordedTraffic({ client, recorder, topic: TOPIC, group: 'billing' });
    traffic.start();
    const fenced = await broker.logged('fenced');
    assert.equal(fenced['code'], 'STORAGE_IO');
    // What was acknowledged before may still be on its way to this process.
    const session = await RawSession.open(broker.ws);
    const send = { op: 'send', topic: TOPIC, queueId: 0, body: 'x' };
    const refused = await session.ask(send);
    const acked = traffic.acked;
    assert.equal(refused['op'], 'error');
    assert.equal(refused['code'], 'STORAGE_IO');
    assert.equal(refused['stored'], 'unknown');
    for (let count = 0; count < 20; count += 1)
      assert.equal((await session.ask(send))['code'], 'STORAGE_IO');
    assert.equal(traffic.acked, acked, 'nothing was acknowledged since');
    const ready = await fetch(`${broker.http}/readyz`);
    const { reasons } = (await ready.json()) as { reasons: string[] };
    assert.equal(ready.status, 503);
    assert.match(reasons.join(), /^shard 0: the disk refused a write or a sync/);
    const failed = await broker.logged('disk-failed');
    assert.match(JSON.stringify(failed), /log-000000000000\.seg: EIO/, 'call, file and reason');
    assert.equal((await fetch(`${broker.http}/livez`)).status, 200);
    recorder.fault('eio', 'disk', true);
    await broker.kill();
    await assertRecovers(world, client, traffic);
  });
}

test('a fenced broker drains all the same', { skip }, async () => {
  const { options } = await newWorld();
  const wrapper = injecting('fdatasync:error=EIO:when=2+', join(options.dataDir, FIRST_SEGMENT));
  const broker = await BrokerProcess.start({ ...options, wrapper });
  const session = await RawSession.open(broker.ws);
  const send = { op: 'send', topic: TOPIC, queueId: 0, body: 'x' };
  await until('it is refused', async () => (await session.ask(send))['op'] === 'error');
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
});

for (const call of ['fdatasync', 'pwrite64', 'rename'] as const) {
  test(`a kill -9 at an exact ${call}, ${KILLS} times: nothing acknowledged is lost`, {
    skip,
  }, async () => {
    const prng = seededPrng(SEED);
    const world = await newWorld();
    const { options, recorder } = world;
    const first = await BrokerProcess.start(options);
    const client = await connect({ servers: first.ws, reconnectMaxMs: 100 });
    const bodyBytes = (n: number): number => (n % 4) * 8192;
    const traffic = new RecordedTraffic({ client, recorder, topic: TOPIC, group: 'b', bodyBytes });
    traffic.start();
    await until('there is load', () => traffic.acked > 100);
    await first.kill();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const callMax = call === 'rename' ? 3 : 60;
      const when = 1 + prng.integer(callMax);
      const wrapper = injecting(`${call}:signal=SIGKILL:when=${when}`);
      recorder.fault('kill', `${call} ${when}`, true);
      traffic.newSession();
      // It may be killed before it is ready: while it recovers.
      const broker = await BrokerProcess.start({ ...options, wrapper }).catch(() => undefined);
      const enough = traffic.acked + LOAD_PER_KILL;
      // Calls are counted for each thread: a thread that never makes as many is killed between two.
      await until('there was load', () => !broker?.isRunning || traffic.acked > enough);
      await broker?.kill();
    }
    await assertRecovers(world, client, traffic);
  });
}

test('syncs that take 300 ms: slower, and nothing else', { skip }, async () => {
  const { options, recorder, checker } = await newWorld();
  const wrapper = injecting('fdatasync:delay_enter=300000');
  const broker = await BrokerProcess.start({ ...options, wrapper });
  const client = await connect({ servers: broker.ws });
  const refusals: string[] = [];
  client.onStatus((event) => {
    if (event.type === 'held-back') refusals.push(event.error.code);
  });
  const bodyBytes = (): number => 8192;
  const traffic = new RecordedTraffic({ client, recorder, topic: TOPIC, window: 64, bodyBytes });
  try {
    traffic.start();
    await until('messages are acknowledged', () => traffic.acked > 1200, 60_000);
    await traffic.stop();
    assert.deepEqual([...traffic.failures], [], 'no timeout, no refusal that reaches the sender');
    assert.ok(
      refusals.every((code) => code === 'BUSY'),
      refusals.join(),
    );
    assert.ok(broker.residentBytes().peak < RESIDENT_BYTES_MAX);
    const text = await (await fetch(`${broker.http}/metrics`)).text();
    const [, sum, count] =
      /flush_seconds_sum\{[^}]*\} (\S+)[\s\S]*flush_seconds_count\{[^}]*\} (\S+)/.exec(text) ?? [];
    const meanSeconds = Number(sum) / Number(count);
    assert.ok(meanSeconds > 0.25, `the metrics show it: a sync took ${meanSeconds} s`);
    recorder.phase('heal');
    await traffic.drain();
    assert.deepEqual(checker.finish().anomalies, []);
  } finally {
    await client.close();
    await broker.kill();
  }
});
