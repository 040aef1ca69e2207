/**
 * A real broker, real sockets, `kill -9` at random under load, again and again on the same directory; what clients saw goes
 * to the history checker. Three kills by default, KILLS=50 for the long form, SEED=n to repeat. Every message is sent with
 * producer id and sequence, so after all reconnects each must be at exactly one offset; a group consumes and acks meanwhile.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { connect } from '../../src/client/node.ts';
import { BrokerProcess, restartPort, until } from '../../src/testing/e2e-broker.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';

const KILLS = Number(process.env['KILLS'] ?? 3);
const SEED = Number(process.env['SEED'] ?? Date.now() % 100_000);
/** Sync and async flush, one shard and two, both transports: each at least once. */
const SHAPES = [
  { flushDiskType: 'sync', shards: 1, transport: 'auto' },
  { flushDiskType: 'async', shards: 2, transport: 'ws' },
] as const;

for (const shape of SHAPES) {
  const name = `${shape.flushDiskType} flush, shards ${shape.shards}, transport ${shape.transport}`;
  test(`kill -9 under load, ${KILLS} times, ${name}: nothing acknowledged is lost, nothing is there twice`, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'sluice-kill-'));
    const prng = seededPrng(SEED);
    const checker = new HistoryChecker({ requirements: QUIET_RUN });
    const recorder = new HistoryRecorder(systemClock, checker);
    const options = { dataDir, port: restartPort(), settings: shape };
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
        traffic.newSession();
        broker = await BrokerProcess.start(options);
        recorder.fault('kill', 'broker', false);
      }
      await more(100);
      recorder.phase('heal');
      await traffic.stop();
      await traffic.drain();
      const report = checker.finish();
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
