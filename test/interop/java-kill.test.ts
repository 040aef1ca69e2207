/**
 * The broker is killed in the middle of sending and of consuming with the Java client and started again: what a client was
 * told SEND_OK for is there, at its offset and in the order of its queue, and consumers get all of it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { faultOf } from '../../src/testing/client-scenarios.ts';
import { compileJavaClients, runJavaScenarios } from '../../src/testing/java-clients.ts';
import { RocketmqTarget, targetObstacle } from '../../src/testing/rocketmq-target.ts';

const VERSIONS: readonly string[] = ['4.9.8', '5.3.3'];
const KILLS: Readonly<Record<string, number>> = { 'kill-send': 2, 'kill-consume': 1 };

describe('both versions at once', { concurrency: 2 }, () => {
  for (const version of VERSIONS) {
    const compiled = compileJavaClients(version);
    const skip = 'obstacle' in compiled ? compiled.obstacle : (targetObstacle() ?? false);
    describe(`rocketmq-client ${version} and a broker that is killed`, {
      skip,
      concurrency: 1,
    }, () => {
      for (const [scenario, kills] of Object.entries(KILLS)) {
        it(scenario, async (t) => {
          assert.ok('classPath' in compiled);
          const target = await RocketmqTarget.start();
          t.after(() => target.close());
          let killed = 0;
          const results = await runJavaScenarios({
            ...{ classPath: compiled.classPath, namesrv: target.namesrv, form: 'JSON' },
            ...{ scenarios: [scenario], home: target.home('java') },
            asking: {
              kill: async () => {
                killed += 1;
                await target.killBroker();
              },
              restart: () => target.startBroker(),
            },
          });
          assert.equal(faultOf(results, scenario, { kills }), undefined);
          assert.equal(killed, kills);
          t.diagnostic(JSON.stringify(results.get(scenario)?.facts));
        });
      }
    });
  }
});
