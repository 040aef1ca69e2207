/**
 * Our NameServer and the real thing: mqadmin of Apache RocketMQ asks it about brokers that this test registers, and a real
 * RocketMQ broker registers with it. Needs Java and Maven; without them, or when Maven cannot fetch RocketMQ, everything is
 * skipped and says why.
 *
 *   npm run test:interop
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import {
  createNameServer,
  type NameServer,
  type NameServerOptions,
} from '../../src/nameserver/nameserver.ts';
import { FORM_BINARY, FORM_JSON } from '../../src/protocol/remoting/frame-layout.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { decodeTopicRoute } from '../../src/protocol/remoting/route-codec.ts';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import {
  type Fetched,
  fetchRocketmq,
  type JavaForm,
  runMqadmin,
  startJavaBroker,
} from '../../src/testing/java-tools.ts';
import { valueIn } from '../../src/testing/nameserver-rig.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const TOOL_VERSIONS: readonly string[] = ['4.9.8', '5.3.3'];
/** The broker of 4.9.8 cannot be fetched from Maven Central. */
const BROKER_VERSION = '5.3.3';
const FORMS: readonly JavaForm[] = ['JSON', 'ROCKETMQ'];
/** Nobody listens there: what tools ask of brokers fails at once, and they go on. */
const NOBODY = '127.0.0.1:1';
const START_MS_MAX = 150_000;
/** Longer than any session of mqadmin: the brokers that a test registers say nothing more. */
const SILENT_MS_MAX = 900_000;
const PATIENT = { brokerTimeoutMs: SILENT_MS_MAX, idleTimeoutMs: SILENT_MS_MAX };

async function start(t: TestContext, options = {}): Promise<[NameServer, RemotingClient]> {
  const nameServer = await createNameServer(options);
  t.after(() => nameServer.close());
  const client = await RemotingClient.connect(nameServer.port);
  t.after(() => client.close());
  return [nameServer, client];
}

function home(t: TestContext): string {
  const directory = temporaryDirectory();
  t.after(() => directory.remove());
  return directory.path;
}

function skipFor(fetched: Fetched): { readonly skip: string | false } {
  return { skip: 'obstacle' in fetched && fetched.obstacle };
}

function classPathOf(fetched: Fetched): string {
  assert.ok('classPath' in fetched);
  return fetched.classPath;
}

/** Two masters, one with a slave. */
async function registerBrokers(client: RemotingClient): Promise<void> {
  const topics = ['orders', 'DefaultCluster'];
  await client.register({ brokerAddr: NOBODY, topics });
  await client.register({ brokerAddr: '127.0.0.1:2', brokerId: 1, topics });
  client.form = FORM_BINARY;
  await client.register({ brokerName: 'broker-b', brokerAddr: '127.0.0.1:3', topics });
  client.form = FORM_JSON;
}

describe('both versions at once', { concurrency: 2 }, () => {
  for (const version of TOOL_VERSIONS) {
    describe(`mqadmin ${version}`, { concurrency: 1 }, () => {
      const tools = fetchRocketmq('rocketmq-tools', version);
      for (const form of FORMS) {
        it(`understands our NameServer, with ${form} headers`, skipFor(tools), async (t) => {
          const [nameServer, client] = await start(t, PATIENT);
          await registerBrokers(client);
          const at = `-n ${nameServer.ready.namesrv}`;
          const commands = [
            ...['topicList', 'clusterList', 'topicRoute -t orders', 'topicRoute -t nowhere'],
            ...['updateKvConfig -s NS -k gone -v 1', 'updateKvConfig -s NS -k kept -v 2'],
            ...['deleteKvConfig -s NS -k gone', 'getNamesrvConfig', 'wipeWritePerm -b broker-b'],
            ...['updateOrderConf -m put -t orders -v broker-a:4', 'topicRoute -t orders'],
            ...['topicClusterList -t orders', 'updateNamesrvConfig -k listenPort -v 1'],
          ].map((command) => `${command} ${at}`);
          const [topics, clusters, route, nowhere, , , , config, wiped, , ordered, where, fixed] =
            await runMqadmin(classPathOf(tools), commands, home(t), form);
          assert.match(topics ?? '', /^orders$/m);
          for (const row of [
            /DefaultCluster +broker-a +0 +127\.0\.0\.1:1 /,
            /broker-a +1 +127\.0\.0\.1:2 /,
            /broker-b +0 +127\.0\.0\.1:3 /,
          ])
            assert.match(clusters ?? '', row);
          assert.match(route ?? '', /0:"127\.0\.0\.1:1"[^}]*1:"127\.0\.0\.1:2"/);
          assert.match(route ?? '', /"brokerName":"broker-b"/);
          assert.match(nowhere ?? '', /CODE: 17/);
          assert.match(config ?? '', /listenPort +=/);
          assert.match(wiped ?? '', /broker-b.* OK, 2/);
          assert.match(ordered ?? '', /"orderTopicConf":"broker-a:4"/);
          assert.match(ordered ?? '', /"brokerName":"broker-b",\s*"perm":4/);
          assert.match(where ?? '', /^DefaultCluster$/m);
          assert.match(fixed ?? '', /CODE: 16/);
          const kept = await client.ask(REQUEST_CODES.GET_KVLIST_BY_NAMESPACE, {
            fields: { namespace: 'NS' },
          });
          assert.equal(Buffer.from(kept.body).toString(), '{"table":{"kept":"2"}}');
        });
      }
    });
  }
});

/** What a broker is started with, beside its name and place. */
const BROKERS: readonly {
  readonly title: string;
  readonly form: JavaForm;
  readonly settings: Readonly<Record<string, string>>;
  readonly options: NameServerOptions;
}[] = [
  { title: 'plain, with JSON headers', form: 'JSON', settings: {}, options: {} },
  {
    title: 'compressed and signed, with binary headers',
    form: 'ROCKETMQ',
    settings: {
      compressedRegister: 'true',
      // What makes a broker of 5.3 sign; it wants to know its users for it.
      authenticationMetadataProvider:
        'org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider',
      innerClientAuthenticationCredentials: '{"accessKey":"broker","secretKey":"interop-secret"}',
    },
    options: { accessKey: 'broker', secretKey: 'interop-secret' },
  },
];

describe(`a RocketMQ broker ${BROKER_VERSION}`, () => {
  const broker = fetchRocketmq('rocketmq-broker', BROKER_VERSION);
  for (const { title, form, settings, options } of BROKERS) {
    it(`registers, ${title}, and is forgotten with its connection`, skipFor(broker), async (t) => {
      const [nameServer, client] = await start(t, options);
      const [directory, port] = [home(t), await claimPort()];
      const child = startJavaBroker(
        classPathOf(broker),
        {
          ...{ brokerClusterName: 'DefaultCluster', brokerName: 'broker-j', brokerId: '0' },
          ...{ namesrvAddr: nameServer.ready.namesrv, listenPort: String(port) },
          ...{ brokerIP1: '127.0.0.1', brokerIP2: '127.0.0.1', timerWheelEnable: 'false' },
          ...{ storePathRootDir: `${directory}/store`, mappedFileSizeCommitLog: '1048576' },
          ...{
            storePathCommitLog: `${directory}/store/commitlog`,
            authConfigPath: `${directory}/auth`,
          },
          ...settings,
        },
        directory,
        form,
      );
      const ended = once(child, 'exit');
      const isOver = (): boolean => nameServer.statistics().brokers > 0 || child.exitCode !== null;
      await until('the broker is registered, or gone', isOver, START_MS_MAX);
      assert.equal(child.exitCode, null, 'the broker did not start');
      const fields = { topic: 'TBW102' };
      const answer = await client.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, { fields });
      const route = valueIn(decodeTopicRoute(answer.body));
      assert.equal(route.brokerDatas[0]?.brokerAddrs.get(0), `127.0.0.1:${port}`);
      assert.equal(route.queueDatas[0]?.perm, 7);
      assert.ok(nameServer.statistics().topics >= 10);
      child.kill('SIGKILL');
      await ended;
      await until('it is forgotten', () => nameServer.statistics().brokers === 0);
      assert.equal(nameServer.statistics().brokersDisconnected, 1);
      assert.equal(nameServer.statistics().refusals, 0);
    });
  }
});
