/**
 * A real broker, real sockets, `kill -9` at random under load, again and again on the same directory; what clients saw goes
 * to the history checker. Every message is sent with producer id and sequence, so after all reconnects each must be at exactly
 * one offset; a group consumes and acks meanwhile.
 *
 *   npm run test:kill                       50 kills of each shape: both ways to flush, both transports
 *   KILLS=200 SEED=7 npm run test:kill      more of them, by a seed
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

const KILLS_SHORT = 3;
const KILLS = Number(process.env['KILLS'] ?? KILLS_SHORT);
const SEED = Number(process.env['SEED'] ?? Date.now() % 100_000);
/** Sync and async flush, one shard and two, both transports: the first two have each of these at least once. */
const SHAPES = [
  { flushDiskType: 'sync', shards: 1, transport: 'uws' },
  { flushDiskType: 'async', shards: 2, transport: 'ws' },
  { flushDiskType: 'sync', shards: 2, transport: 'ws' },
  { flushDiskType: 'async', shards: 1, transport: 'uws' },
] as const;

for (const shape of KILLS > KILLS_SHORT ? SHAPES : SHAPES.slice(0, 2)) {
  const name = `${shape.flushDiskType} flush, shards ${shape.shards}, transport ${shape.transport}`;
  test(`kill -9 under load, ${KILLS} times, ${name}: nothing acknowledged is lost, nothing is there twice`, async (context) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sluice-kill-'));
    const prng = seededPrng(SEED);
    const checker = new HistoryChecker({ requirements: QUIET_RUN });
    const recorder = new HistoryRecorder(systemClock, checker);
    const options = { dataDir, port: await claimPort(), settings: shape };
    let broker = await BrokerProcess.start(options);
    const client = await connect({ servers: [broker.ws], reconnectMaxMs: 200 });
    try {
      recorder.phase('run');
      const traffic = new RecordedTraffic({ client, recorder, topic: 'orders', group: 'billing' });
      const more = (count: number): Promise<void> => {
        const target = traffic.acked + count;
        return until('more is acknowledged', () => traffic.acked >= target);
      };
      traffic.start();
      for (let kill = 0; kill < KILLS; kill += 1) {
        await more(50 + prng.integer(400));
        recorder.fault('kill', 'broker', true);
        await broker.kill();
        // What was on its way comes before the new session; else it would look like an order that was broken.
        await until('the client has noticed', () => !client.isConnected);
        traffic.newSession();
        broker = await BrokerProcess.start(options);
        recorder.fault('kill', 'broker', false);
      }
      await more(100);
      recorder.phase('heal');
      await traffic.stop();
      await traffic.drain();
      const report = checker.finish();
      const { acked, delivered } = report.totals;
      context.diagnostic(`SEED=${SEED}: ${acked} acknowledged, ${delivered} deliveries`);
      assert.deepEqual(report.anomalies, [], `SEED=${SEED}`);
      assert.equal(report.verdict, 'valid', `SEED=${SEED}: ${report.unknownReasons.join('; ')}`);
      assert.deepEqual([...traffic.failures], [], 'the client rides over every crash');
    } finally {
      await client.close();
      await broker.kill();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
}
