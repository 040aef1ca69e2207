/**
 * mqadmin of Apache RocketMQ against our NameServer and our broker: each command an operator uses, run for real, its output
 * looked at. Needs Java and Maven; without them everything is skipped and says why.
 *
 *   npm run test:interop
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { startInterval } from '../../src/base/clock.ts';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import { createNameServer } from '../../src/nameserver/nameserver.ts';
import { FORM_JSON } from '../../src/protocol/remoting/frame-layout.ts';
import { propertyText } from '../../src/protocol/remoting/property-text.ts';
import { REQUEST_CODES } from '../../src/protocol/remoting/request-codes.ts';
import { temporaryDirectory } from '../../src/testing/cli-run.ts';
import { JAVA_HEARTBEAT } from '../../src/testing/decoders-groups.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { fetchRocketmq, type JavaForm, runMqadmin } from '../../src/testing/java-tools.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const VERSIONS: readonly (readonly [string, JavaForm])[] = [
  ['4.9.8', 'JSON'],
  ['5.3.3', 'ROCKETMQ'],
];

type Started = {
  readonly broker: Broker;
  readonly namesrv: string;
  readonly addr: string;
  /** The id that the broker gave a message whose sender called it UNIQUE_KEY. */
  readonly offsetMessageId: string;
};

const HEARTBEAT_MS = 10_000;

/** As a Java producer makes them: address, process and time. */
const UNIQUE_KEY = '7F0000010B6C18B4AAC2000000010000';

/** A broker known to a NameServer, with messages in `orders` and a group that has read some. */
async function start(t: TestContext): Promise<Started> {
  const nameServer = await createNameServer({});
  const { namesrv } = nameServer.ready;
  t.after(() => nameServer.close());
  const config = { remotingPort: 0, namesrvAddr: namesrv, brokerName: 'broker-a' };
  const broker = await createBroker({ memory: true, config });
  t.after(() => broker.drain());
  const client = await connect({ servers: broker.ready.ws });
  await client.createTopic({ topic: 'orders', queues: 4 });
  const producer = client.producer();
  for (let index = 0; index < 40; index += 1)
    await producer.send({
      topic: 'orders',
      key: `o-${index}`,
      tag: 'created',
      body: `body ${index}`,
    });
  const consumer = client.consumer({ topic: 'orders', group: 'billing', from: 'earliest' });
  let count = 0;
  for await (const message of consumer) {
    await message.ack();
    count += 1;
    if (count === 10) break;
  }
  await client.drain();
  const asking = await RemotingClient.connect(Number(namesrv.split(':')[1]));
  t.after(() => asking.close());
  asking.form = FORM_JSON;
  const isKnown = async (topic: string): Promise<boolean> =>
    (await asking.ask(REQUEST_CODES.GET_ROUTEINFO_BY_TOPIC, { fields: { topic } })).code === 0;
  for (const topic of ['orders', '%RETRY%billing'])
    await until(`the NameServer knows ${topic}`, () => isKnown(topic));
  const addr = broker.ready.remoting ?? '';
  const remoting = await RemotingClient.connect(Number(addr.split(':')[1]));
  t.after(() => remoting.close());
  const body = new TextEncoder().encode(JAVA_HEARTBEAT.replaceAll('T1', 'orders'));
  const heartbeat = (): Promise<{ readonly code: number }> =>
    remoting.ask(REQUEST_CODES.HEART_BEAT, { fields: {}, body });
  assert.equal((await heartbeat()).code, 0);
  // A member that is silent for two minutes is forgotten, and a session may take longer.
  t.after(startInterval(HEARTBEAT_MS, () => void heartbeat().catch(() => {})));
  const sent = await remoting.ask(REQUEST_CODES.SEND_MESSAGE_V2, {
    fields: {
      ...{ a: 'producers', b: 'orders', c: 'TBW102', d: '4', e: '1', f: '0' },
      ...{ g: '1700000000000', h: '0', j: '0', k: 'false', l: '0', m: 'false' },
      i: propertyText([
        ['UNIQ_KEY', UNIQUE_KEY],
        ['KEYS', 'o-500 o-501'],
      ]),
    },
    body: new TextEncoder().encode('found again'),
  });
  assert.equal(sent.code, 0, sent.remark);
  await until('the NameServer knows %RETRY%g', () => isKnown('%RETRY%g'));
  return { broker, namesrv, addr, offsetMessageId: sent.fields.get('msgId') ?? '' };
}

/** A command without the NameServer's address, and what its output must have. */
type Step = readonly [command: string, ...expected: readonly RegExp[]];

function stepsFor(version: string, { addr, offsetMessageId }: Started): readonly Step[] {
  const isNew = version.startsWith('5');
  const progress: Step = [
    `consumerProgress -g billing${isNew ? ' -t orders' : ''}`,
    /orders +broker-a +0 +\d+ +\d+/,
    isNew ? /Consume Diff Total: 31/ : /Diff Total: 31/,
  ];
  return [
    ['clusterList', /DefaultCluster +broker-a +0 +127\.0\.0\.1:\d+ +SluiceMQ_0\.1\.0/],
    ['clusterList -m', /broker-a +\d+ +\d+ +\d+ +\d+/],
    ['topicList', /^orders$/m],
    ['topicRoute -t orders', /"brokerName":"broker-a"/, /"writeQueueNums":4/],
    ['topicStatus -t orders', /broker-a +0 +0 +\d+ +20\d\d-/, /broker-a +3 +0 +\d+ +20\d\d-/],
    [`brokerStatus -b ${addr}`, /putMessageTimesTotal +: 41/, /putTps +: [0-9. ]+/],
    [`getBrokerConfig -b ${addr}`, /brokerName += +broker-a/, /flushDiskType += +SYNC_FLUSH/],
    [`updateTopic -b ${addr} -t made -r 3 -w 3`, /create topic to .* success/],
    ['topicRoute -t made', /"writeQueueNums":3/],
    [`updateSubGroup -b ${addr} -g shipping -r 5`, /create subscription group to .* success/],
    ...(isNew ? [[`getConsumerConfig -g shipping`, /retryMaxTimes += +5/] as const] : []),
    progress,
    ['consumerProgress', /^g +1 /m],
    ...(isNew
      ? [[`producer -b ${addr}`, /CLIENT_INNER_PRODUCER/, /10\.0\.0\.9@4711#123/] as const]
      : []),
    [`updateBrokerConfig -b ${addr} -k brokerName -v other`, /not changed while the broker runs/],
    [`cleanUnusedTopic -b ${addr}`, /success/],
    [`cleanExpiredCQ -b ${addr}`, /success/],
    ['consumerConnection -g nobody', /nobody/],
    ['consumerConnection -g g', /10\.0\.0\.9@4711#123 +127\.0\.0\.1:\d+ +JAVA/, /CLUSTERING/],
    ['producerConnection -g nobody -t orders', /nobody/],
    ['producerConnection -g CLIENT_INNER_PRODUCER -t orders', /10\.0\.0\.9@4711#123 +127\.0\.0\.1/],
    [
      `queryMsgById -i ${offsetMessageId}${isNew ? ' -t orders' : ''}`,
      /Topic: +orders/,
      /OffsetID: +[0-9A-F]{32}/,
    ],
    [`queryMsgByUniqueKey -i ${UNIQUE_KEY} -t orders`, /Topic: +orders/, new RegExp(UNIQUE_KEY)],
    ['queryMsgByKey -t orders -k o-501', new RegExp(UNIQUE_KEY)],
    ['queryMsgByKey -t orders -k o-17', /#Message ID[^\n]*\n\S+ +\d/],
    [`brokerConsumeStats -b ${addr}`, /orders +billing +broker-a +0 +11 +10 +1/, /Diff Total: 31/],
    ['cloneGroupOffset -s billing -d copy -t orders', /clone group offset success/],
    ['sendMessage -t orders -p hello -k o-99 -c paid', /SEND_OK/],
    ['queryMsgByOffset -t orders -b broker-a -i 0 -o 0', /Topic: +orders/, /Queue Offset: +0/],
    ['printMsg -t orders -d true', /MSGID: /, /BODY: body 39/, /BODY: hello/],
    ['consumeMessage -t orders -b broker-a -i 0', /Consume ok/, /BODY: body/],
    ['statsAll -t orders', /orders +\S/],
    ['resetOffsetByTime -g billing -t orders -s now', /broker-a +0 +\d+|orders +.*\d+/],
    [progress[0], isNew ? /Consume Diff Total: 0/ : /Diff Total: 0/],
    ['topicStatus -t made', /broker-a +2 +0 +0/],
    // Before a topic goes: the registration that follows gives the right to write back, as RocketMQ's does.
    ['wipeWritePerm -b broker-a', /wipe write perm of broker\[broker-a\] in name server/],
    ['topicRoute -t orders', /"perm":4/],
    [`deleteSubGroup -b ${addr} -g shipping`, /delete subscription group .* success/],
    ['deleteTopic -c DefaultCluster -t made', /delete topic \[made\] from cluster .* success/],
  ];
}

describe('both versions at once', { concurrency: 2 }, () => {
  for (const [version, form] of VERSIONS) {
    const tools = fetchRocketmq('rocketmq-tools', version);
    describe(`mqadmin ${version}`, { skip: 'obstacle' in tools && tools.obstacle }, () => {
      it('shows and changes our broker', async (t) => {
        assert.ok('classPath' in tools);
        const started = await start(t);
        const { namesrv } = started;
        const home = temporaryDirectory();
        t.after(() => home.remove());
        const steps = stepsFor(version, started);
        const commands = steps.map(([command]) => {
          const [name, ...words] = command.split(' ');
          return [name, '-n', namesrv, ...words].join(' ');
        });
        const outputs = await runMqadmin(tools.classPath, commands, home.path, form);
        const wrong = steps.flatMap(([command, ...expected], index) => {
          const output = outputs[index] ?? '';
          const missing = expected.filter((pattern) => !pattern.test(output));
          return missing.map((pattern) => `${command}: no ${pattern} in\n${output}`);
        });
        assert.deepEqual(wrong, []);
        for (const output of outputs)
          assert.doesNotMatch(output, /NullPointerException|NumberFormat/);
      });
    });
  }
});
