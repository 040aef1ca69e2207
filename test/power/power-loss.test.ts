/**
 * Power loss on a real file system: a broker on ext4 in an image over a loop device, load, then the file system is shut
 * down, which drops everything that was not synced; kill, mount again, start again, and so on. At the end the history checker
 * must find everything that was acknowledged. Under `eatmydata`, which makes every sync do nothing, it must find losses:
 * else these tests would prove nothing.
 *
 *   npm run test:power                                                  a few cycles of each kind
 *   CYCLES=500 SEED=7 npm run test:power -- --test-timeout=36000000     the long form
 *
 * Needs root, loop devices, mkfs.ext4, xfs_io (package xfsprogs) and eatmydata; says what is missing otherwise.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { MIB } from '../../src/base/units.ts';
import type { Client } from '../../src/client/node.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { PAGE, programObstacle, Volume, volumeObstacle } from '../../src/testing/e2e-volume.ts';
import { type CheckerOptions, HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { type CheckReport, QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

const CYCLES = Number(process.env['CYCLES'] ?? 3);
const SEED = Number(process.env['SEED'] ?? Date.now() % 100_000);
/** Cycles on one image, before its history is judged and another one is made. */
const CYCLES_PER_IMAGE = 25;
/** Cycles within which a broker without syncs must have lost something. */
const CONTROL_CYCLES_MAX = 5;
const IMAGE_MIB = 192;
const SEGMENT_BYTES = 4 * MIB;
const FLUSH_INTERVAL_MS = 200;
/** Beside the interval: the sync itself, and threads that wait for a processor. */
const ASYNC_SLACK_MS = 1500;
const SMALL = {
  segmentBytes: SEGMENT_BYTES,
  tailBytes: 2 * MIB,
  ringBytes: 2 * MIB,
  maxMessageSize: 65_536,
};

const skip =
  (process.env['POWER'] === undefined
    ? 'mounts file systems; run it with: npm run test:power'
    : undefined) ??
  volumeObstacle('ext4') ??
  programObstacle('xfs_io', '-V') ??
  programObstacle('eatmydata', 'true') ??
  false;

type PowerRun = {
  readonly settings: Readonly<Record<string, string | number>>;
  readonly cycles: number;
  readonly prng: Prng;
  readonly wrapper?: readonly string[];
  readonly allowedLoss?: CheckerOptions['allowedLoss'];
};

/** The pages of the newest segments that get to the disk although nobody synced them. */
function persistSome(volume: Volume, dataDir: string, prng: Prng): void {
  const shard = join(dataDir, 'shard-0');
  const segments = readdirSync(shard).filter((file) => file.endsWith('.seg'));
  for (const segment of segments.sort().slice(-2)) {
    const pages = Array.from({ length: 16 }, () => prng.integer(SEGMENT_BYTES / PAGE));
    volume.persistPages(join(shard, segment), pages);
  }
}

/** One image: load and power cuts, then everything is read back. @returns the verdict of the checker */
async function runOnImage(run: PowerRun): Promise<CheckReport> {
  const { settings, prng, wrapper = [] } = run;
  const volume = new Volume('ext4', IMAGE_MIB);
  const dataDir = join(volume.path, 'data');
  const options = {
    dataDir,
    port: await claimPort(),
    settings: { ...SMALL, ...settings },
    wrapper,
  };
  const { allowedLoss } = run;
  const checker = new HistoryChecker({
    requirements: QUIET_RUN,
    ...(allowedLoss === undefined ? {} : { allowedLoss }),
  });
  const recorder = new HistoryRecorder(systemClock, checker);
  let broker = await BrokerProcess.start(options);
  let client: Client | undefined;
  try {
    client = await connect({ servers: broker.ws, reconnectMaxMs: 200 });
    recorder.phase('run');
    const traffic = new RecordedTraffic({ client, recorder, topic: 'orders', group: 'billing' });
    traffic.start();
    const more = (count: number): Promise<void> => {
      const target = traffic.acked + count;
      return until('more is acknowledged', () => traffic.acked >= target);
    };
    for (let cycle = 0; cycle < run.cycles; cycle += 1) {
      await more(50 + prng.integer(400));
      if (prng.integer(2) === 0) persistSome(volume, dataDir, prng);
      volume.cutPower();
      await broker.kill();
      // Answers that were on their way are in the history by then: what the fault may take came before it.
      const connected = client;
      await until('the client has noticed', () => !connected.isConnected);
      recorder.fault('power', 'broker', true);
      traffic.newSession();
      volume.remount();
      broker = await BrokerProcess.start(options);
      recorder.fault('power', 'broker', false);
      const rot = broker.lines.filter((line) => line['event'] === 'rot');
      assert.deepEqual(rot, [], 'a power cut is not damage');
    }
    await more(100);
    recorder.phase('heal');
    await traffic.stop();
    await traffic.drain();
    return checker.finish();
  } finally {
    await client?.close();
    await broker.kill();
    volume.remove();
  }
}

async function assertNothingLost(
  context: TestContext,
  run: Omit<PowerRun, 'cycles' | 'prng'>,
): Promise<void> {
  const prng = seededPrng(SEED);
  for (let done = 0; done < CYCLES; done += CYCLES_PER_IMAGE) {
    const cycles = Math.min(CYCLES_PER_IMAGE, CYCLES - done);
    const report = await runOnImage({ ...run, cycles, prng });
    const { acked, excusedLosses } = report.totals;
    context.diagnostic(
      `${cycles} power cuts: ${acked} acknowledged, ${excusedLosses} lost as allowed`,
    );
    assert.deepEqual(report.anomalies, [], `SEED=${SEED}`);
    assert.equal(report.verdict, 'valid', `SEED=${SEED}: ${report.unknownReasons.join('; ')}`);
  }
}

test(`SYNC_FLUSH, ${CYCLES} power cuts: nothing acknowledged is lost`, { skip }, (context) =>
  assertNothingLost(context, { settings: { flushDiskType: 'SYNC_FLUSH', shards: 1 } }),
);

test(
  `ASYNC_FLUSH, ${CYCLES} power cuts: at most the end of each queue, no older than the interval, is lost`,
  {
    skip,
  },
  (context) =>
    assertNothingLost(context, {
      settings: { flushDiskType: 'ASYNC_FLUSH', flushIntervalMs: FLUSH_INTERVAL_MS, shards: 1 },
      allowedLoss: { faultKinds: ['power'], windowUs: (FLUSH_INTERVAL_MS + ASYNC_SLACK_MS) * 1000 },
    }),
);

test('control: with syncs that do nothing, power cuts lose what was acknowledged, and the checker says so', {
  skip,
}, async () => {
  const prng = seededPrng(SEED);
  let lost = 0;
  for (let cycle = 0; cycle < CONTROL_CYCLES_MAX && lost === 0; cycle += 1) {
    const report = await runOnImage({
      settings: { flushDiskType: 'SYNC_FLUSH', shards: 1 },
      cycles: 1,
      prng,
      wrapper: ['eatmydata'],
    });
    lost = report.anomalyCounts.lost ?? 0;
  }
  assert.ok(
    lost > 0,
    `${CONTROL_CYCLES_MAX} power cuts without any sync have lost nothing: SEED=${SEED}`,
  );
});

test('a power cut reaches the broker as an error of the disk: the shard is fenced, nothing more is acknowledged', {
  skip,
}, async () => {
  const volume = new Volume('ext4', IMAGE_MIB);
  const dataDir = join(volume.path, 'data');
  const broker = await BrokerProcess.start({ dataDir, settings: { ...SMALL, shards: 1 } });
  const client = await connect({ servers: broker.ws });
  try {
    const producer = client.producer();
    await producer.send({ topic: 't', body: 'kept' });
    volume.cutPower();
    await assert.rejects(producer.send({ topic: 't', body: 'not kept' }, { timeoutMs: 1000 }));
    await broker.logged('fenced');
  } finally {
    await client.close();
    await broker.kill();
    volume.remove();
  }
});
