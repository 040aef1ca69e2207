/**
 * rocketmq-client-go v2, unmodified: every scenario of test/interop/go checks content, order and counts itself; here stands
 * what each must have found. Needs Go and its module proxy, and says so without them.
 *
 *   npm run test:interop -- go-client
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { faultOf, type ScenarioResult } from '../../src/testing/client-scenarios.ts';
import { buildGoClients, runGoScenarios } from '../../src/testing/go-clients.ts';
import { RocketmqTarget, targetObstacle } from '../../src/testing/rocketmq-target.ts';

const SCENARIOS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  send: { messages: 121 },
  push: { messages: 120, tagged: 80 },
  orderly: { messages: 60 },
  broadcast: { messages: 80 },
  retry: { deliveries: 10 },
  delay: { messages: 12 },
  transaction: { visible: 5, checked: 4 },
  pull: { messages: 50 },
};

const built = buildGoClients();
const skip = 'obstacle' in built ? built.obstacle : (targetObstacle() ?? false);

describe('rocketmq-client-go v2', { skip }, () => {
  const program = 'program' in built ? built.program : '';
  let target: RocketmqTarget;
  let results: ReadonlyMap<string, ScenarioResult> = new Map();

  before(async () => {
    target = await RocketmqTarget.start();
    const { namesrv, brokerAddress } = target;
    const scenarios = Object.keys(SCENARIOS);
    const home = target.home('go');
    results = await runGoScenarios({ program, namesrv, brokerAddress, scenarios, home });
  });
  after(() => target.close());

  for (const [scenario, facts] of Object.entries(SCENARIOS))
    it(scenario, () => assert.equal(faultOf(results, scenario, facts), undefined));

  it('and a broker that is killed', async (t) => {
    const { namesrv, brokerAddress } = target;
    const asking = {
      kill: () => target.killBroker(),
      restart: () => target.startBroker(),
    };
    const home = target.home('go-kill');
    const run = { program, namesrv, brokerAddress, scenarios: ['kill'], home, asking };
    const found = await runGoScenarios(run);
    assert.equal(faultOf(found, 'kill', { kills: 1 }), undefined);
    t.diagnostic(JSON.stringify(found.get('kill')?.facts));
  });
});
