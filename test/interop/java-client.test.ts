/**
 * The Java client of Apache RocketMQ, 4.9.8 and 5.3.3, unmodified: every scenario of test/interop/java/clients checks content,
 * order and counts itself; here stands what each must have found. Needs Java and Maven, and says so without them.
 *
 *   npm run test:interop -- java-client
 *   INTEROP_AGAINST=apache npm run test:interop -- java-client     the same against RocketMQ's own broker
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { faultOf, type ScenarioResult } from '../../src/testing/client-scenarios.ts';
import { compileJavaClients, runJavaScenarios } from '../../src/testing/java-clients.ts';
import type { JavaForm } from '../../src/testing/java-tools.ts';
import { RocketmqTarget, targetObstacle } from '../../src/testing/rocketmq-target.ts';

/** Both header forms are used, each by one version. */
const VERSIONS: readonly { readonly version: string; readonly form: JavaForm }[] = [
  { version: '4.9.8', form: 'ROCKETMQ' },
  { version: '5.3.3', form: 'JSON' },
];

/** At once: most of their time is waiting. */
const THREADS = 10;

/** What each scenario must say it found. */
const SCENARIOS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  // The longest ones first.
  'retry-dead-letter': { deliveries: 17, dead: 1 },
  retry: { deliveries: 10 },
  'retry-orderly-dead-letter': { deliveries: 6, dead: 1 },
  transaction: { visible: 13, checked: 12 },
  'delay-level': { messages: 12 },
  'delay-timer': { messages: 12 },
  'push-orderly': { messages: 160 },
  'push-resume': { messages: 180 },
  'push-rebalance': { messages: 180 },
  'push-from-where': {
    CONSUME_FROM_FIRST_OFFSET: 40,
    CONSUME_FROM_LAST_OFFSET: 40,
    CONSUME_FROM_TIMESTAMP: 40,
  },
  'lite-pull-subscribe': { messages: 80 },
  'lite-pull-assign': { messages: 62 },
  'pull-offsets': { messages: 50 },
  trace: { Pub: 5, SubBefore: 5, SubAfter: 5 },
  'request-reply': { answers: 10 },
  'push-concurrently': { messages: 400 },
  'push-broadcast': { messages: 160 },
  'push-tags': { messages: 41 },
  'push-sql92': { messages: 39 },
  'send-sync': { messages: 60 },
  'send-async': { messages: 200 },
  'send-oneway': { messages: 50 },
  'send-batch': { messages: 60 },
  'send-selector': { messages: 85 },
  'send-auto-create': { queues: 3 },
  compression: {},
  lookup: { messages: 20 },
};

describe('both versions at once: most of their time is waiting', { concurrency: 2 }, () => {
  // One after the other: a virtual machine that begins this many clients at once needs the processor for itself.
  for (const { version, form } of VERSIONS) {
    const compiled = compileJavaClients(version);
    const skip = 'obstacle' in compiled ? compiled.obstacle : (targetObstacle() ?? false);
    describe(`rocketmq-client ${version}, ${form} headers`, { skip }, () => {
      let target: RocketmqTarget | undefined;
      let results: ReadonlyMap<string, ScenarioResult> = new Map();

      before(async () => {
        assert.ok('classPath' in compiled);
        target = await RocketmqTarget.start();
        results = await runJavaScenarios({
          ...{ classPath: compiled.classPath, namesrv: target.namesrv, form, threads: THREADS },
          ...{ scenarios: Object.keys(SCENARIOS), home: target.home(`java-${version}`) },
        });
      });
      after(() => target?.close());

      for (const [scenario, facts] of Object.entries(SCENARIOS)) {
        it(scenario, () => {
          assert.equal(faultOf(results, scenario, facts), undefined);
        });
      }
    });
  }
});
