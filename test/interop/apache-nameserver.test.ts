/**
 * Our broker and Apache's NameServer: it registers there as RocketMQ's do, mqadmin finds it and its topics, and it is gone when it
 * has gone. Needs Java and Maven, as nameserver.test.ts.
 *
 *   npm run test:interop
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { type Broker, type BrokerOptions, createBroker } from '../../src/index.ts';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import {
  type Fetched,
  fetchRocketmq,
  runMqadmin,
  startJavaNameServer,
} from '../../src/testing/java-tools.ts';

const TOOL_VERSIONS: readonly string[] = ['4.9.8', '5.3.3'];
const NAMESRV_VERSION = '5.3.3';
const START_MS_MAX = 150_000;

const nameServer = fetchRocketmq('rocketmq-namesrv', NAMESRV_VERSION);

function skipFor(...all: readonly Fetched[]): { readonly skip: string | false } {
  const missing = all.find((one) => 'obstacle' in one);
  return { skip: missing !== undefined && 'obstacle' in missing && missing.obstacle };
}

function classPathOf(fetched: Fetched): string {
  assert.ok('classPath' in fetched);
  return fetched.classPath;
}

function home(t: TestContext): string {
  const directory = temporaryDirectory();
  t.after(() => directory.remove());
  return directory.path;
}

/** @returns `host:port` of it */
async function startNameServer(t: TestContext): Promise<string> {
  const port = await claimPort();
  const child = startJavaNameServer(classPathOf(nameServer), port, home(t));
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return `127.0.0.1:${port}`;
}

async function startBroker(
  t: TestContext,
  config: NonNullable<BrokerOptions['config']>,
): Promise<Broker> {
  const broker = await createBroker({ memory: true, config });
  t.after(() => broker.close());
  return broker;
}

type Ready = { readonly namesrv: Readonly<Record<string, string>> };

async function untilRegistered(broker: Broker): Promise<void> {
  let state = '';
  const isRegistered = async (): Promise<boolean> => {
    const { namesrv } = (await (await fetch(`${broker.ready.http}/readyz`)).json()) as Ready;
    [state = ''] = Object.values(namesrv);
    return state === 'registered';
  };
  await until('the broker is registered', isRegistered, START_MS_MAX).catch((error: Error) =>
    assert.fail(`${error.message}: ${state}`),
  );
}

async function createTopic(broker: Broker, topic: string, queues: number): Promise<void> {
  const response = await fetch(`${broker.ready.http}/api/topics`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ topic, queues }),
  });
  assert.ok(response.ok);
}

describe('both versions at once', { concurrency: 2 }, () => {
  for (const version of TOOL_VERSIONS) {
    const tools = fetchRocketmq('rocketmq-tools', version);
    describe(`Apache\u2019s NameServer ${NAMESRV_VERSION}, asked by mqadmin ${version}`, () => {
      it('knows our brokers and their topics', skipFor(nameServer, tools), async (t) => {
        const namesrvAddr = await startNameServer(t);
        const common = { namesrvAddr, registerNameServerPeriod: 500 };
        // One topic, none, and one that makes topics by itself.
        const { namesrvAddr: _, ...alone } = common;
        const broker = await startBroker(t, { ...alone, brokerName: 'broker-a' });
        await createTopic(broker, 'orders', 3);
        broker.registerWith([namesrvAddr]);
        const empty = await startBroker(t, { ...common, brokerName: 'broker-b' });
        const ready = { ...common, brokerName: 'broker-c', autoCreateTopicEnable: true };
        const making = await startBroker(t, ready);
        for (const one of [broker, empty, making]) await untilRegistered(one);
        const commands = ['clusterList', 'topicList', 'topicRoute -t orders'];
        const at = commands.map((command) => `${command} -n ${namesrvAddr}`);
        const [clusters, topics, route] = await runMqadmin(classPathOf(tools), at, home(t), 'JSON');
        for (const name of ['broker-a', 'broker-b', 'broker-c'])
          assert.match(
            clusters ?? '',
            new RegExp(`DefaultCluster +${name} +0 +127\\.0\\.0\\.1:\\d+ `),
          );
        assert.match(topics ?? '', /^orders$/m);
        assert.match(topics ?? '', /^TBW102$/m);
        assert.match(route ?? '', /"brokerName":"broker-a"/);
        assert.match(route ?? '', /"readQueueNums":3/);
        assert.doesNotMatch(route ?? '', /broker-[bc]/);
        await broker.drain();
        let after = '';
        // It takes brokers off its table behind their goodbye.
        await until('broker-a is gone', async () => {
          const asked = await runMqadmin(classPathOf(tools), at.slice(0, 1), home(t), 'JSON');
          [after = ''] = asked;
          return /broker-b/.test(after) && !/broker-a/.test(after);
        }).catch((error: Error) => assert.fail(`${error.message}: ${after}`));
      });
    });
  }
});
