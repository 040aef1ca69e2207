/** Threads of a replicated pair that crash under load: the pair finds together again, nothing is lost, nothing is there twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { MIB } from '../../src/base/units.ts';
import type { BrokerConfig } from '../../src/config/config-schema.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import {
  crashByTermination,
  crashFlusher,
  crashReplication,
  type Embedded,
  portOf,
  startEmbedded,
} from '../../src/testing/e2e-embedded.ts';
import { RecordedTraffic } from '../../src/testing/e2e-traffic.ts';
import { HistoryChecker } from '../../src/testing/history-checker.ts';
import { HistoryRecorder } from '../../src/testing/history-recorder.ts';
import { QUIET_RUN } from '../../src/testing/history-report.ts';
import { connect } from '../../src/testing/patient-client.ts';

const SMALL: Partial<BrokerConfig> = {
  ...{ shards: 1, segmentBytes: 4 * MIB, tailBytes: 2 * MIB, ringBytes: 16 * MIB },
  ...{ maxMessageSize: 64 * 1024, haListenPort: 0, syncFlushTimeoutMs: 2000 },
};

async function isReady({ broker }: Embedded): Promise<boolean> {
  return (await fetch(`${broker.ready.http}/readyz`)).status === 200;
}

test('shard, flusher and replication thread of master and slave crash under load', async () => {
  const checker = new HistoryChecker({ requirements: QUIET_RUN });
  const recorder = new HistoryRecorder(systemClock, checker);
  const master = await startEmbedded({ config: { ...SMALL, brokerRole: 'SYNC_MASTER' } });
  const haMasterAddress = String(master.broker.ready.ha);
  const role = { brokerRole: 'SLAVE', brokerId: 1, haMasterAddress } as const;
  const slave = await startEmbedded({ config: { ...SMALL, ...role } });
  const client = await connect({ servers: [master.broker.ready.ws], reconnectMaxMs: 200 });
  try {
    await until('the pair is ready', () => isReady(master));
    recorder.phase('run');
    const traffic = new RecordedTraffic({ client, recorder, topic: 'orders' });
    const more = (count: number): Promise<void> => {
      const target = traffic.acked + count;
      return until('more is acknowledged', () => traffic.acked >= target);
    };
    traffic.start();
    await more(300);
    const crashes = [
      () => crashByTermination(master.broker, 0),
      () => crashFlusher(slave.broker, 0),
      () => crashReplication(slave.broker),
    ];
    for (const crash of crashes) {
      recorder.fault('crash', 'thread', true);
      crash();
      await more(200);
      recorder.fault('crash', 'thread', false);
    }
    recorder.fault('crash', 'thread', true);
    const before = portOf(master.broker, 0);
    crashReplication(master.broker);
    await until('the shard was opened anew', () => portOf(master.broker, 0) !== before);
    await slave.broker.close();
    const again = await startEmbedded({
      dataDir: slave.dataDir,
      config: { ...SMALL, ...role, haMasterAddress: await haOf(master) },
    });
    await more(200);
    recorder.fault('crash', 'thread', false);
    recorder.phase('heal');
    await traffic.stop();
    await traffic.drain();
    const report = checker.finish();
    assert.deepEqual(report.anomalies, []);
    assert.equal(report.verdict, 'valid', report.unknownReasons.join('; '));
    await again.remove();
  } finally {
    await client.close();
    await slave.remove();
    await master.remove();
  }
});

/** Its port is another one after a crash of its thread, because it was free to choose. */
async function haOf({ broker }: Embedded): Promise<string> {
  const facts = (await (await fetch(`${broker.ready.http}/api/replication`)).json()) as {
    readonly haAddress: string;
  };
  return facts.haAddress;
}
