/**
 * A master and its slave under the Java client: the master is killed while groups lag. The group that was there and one that
 * is started meanwhile read on from the slave with nobody touching anything, and go on with the master when it is back.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { faultOf } from '../../src/testing/client-scenarios.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { compileJavaClients, runJavaScenarios } from '../../src/testing/java-clients.ts';

const VERSIONS: readonly string[] = ['4.9.8', '5.3.3'];

describe('both versions at once', { concurrency: 2 }, () => {
  for (const version of VERSIONS) {
    const compiled = compileJavaClients(version);
    const skip = 'obstacle' in compiled ? compiled.obstacle : false;
    describe(`rocketmq-client ${version} and a slave whose master is killed`, { skip }, () => {
      it('slave-read', async (t) => {
        assert.ok('classPath' in compiled);
        const nameServer = await BrokerProcess.start({ role: 'namesrv', port: 0 });
        const pair = new BrokerPair({
          brokerName: 'broker-a',
          namesrvAddr: nameServer.namesrv,
          registerNameServerPeriod: '500ms',
          autoCreateTopicEnable: true,
          // A slave that has to wait for the processor is late, not gone.
          syncFlushTimeoutMs: '60s',
        });
        t.after(async () => {
          await pair.end();
          await nameServer.kill();
        });
        const [haPort, remotingPort] = [await claimPort(), await claimPort()];
        const startMaster = (): Promise<BrokerProcess> =>
          pair.startMaster({ brokerRole: 'SYNC_MASTER', haListenPort: haPort, remotingPort });
        let master = await startMaster();
        const slave = await pair.start('b', {
          ...{ brokerRole: 'SLAVE', brokerId: 1, haMasterAddress: `127.0.0.1:${haPort}` },
          remotingPort: 0,
        });
        await untilReady(master);
        const results = await runJavaScenarios({
          ...{ classPath: compiled.classPath, namesrv: nameServer.namesrv, form: 'JSON' },
          ...{ scenarios: ['slave-read'], home: pair.directory('java') },
          asking: {
            killMaster: async () => {
              await untilCaughtUp(master, slave);
              await master.kill();
            },
            restartMaster: async () => {
              master = await startMaster();
              await untilReady(master);
            },
          },
        });
        assert.equal(faultOf(results, 'slave-read', { read: 1600, readLate: 1600 }), undefined);
        t.diagnostic(JSON.stringify(results.get('slave-read')?.facts));
      });
    });
  }
});

/** It takes messages: a slave follows. */
async function untilReady(broker: BrokerProcess): Promise<void> {
  await until('it is ready', async () => (await fetch(`${broker.http}/readyz`)).status === 200);
}
