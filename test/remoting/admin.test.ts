/** What RocketMQ's tools ask of a broker, each request by itself; test/interop/mqadmin.test.ts runs the tools. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import { type LenientValue, parseLenientJson } from '../../src/protocol/remoting/lenient-json.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { decodeMessages } from '../../src/testing/message-decoder.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

type Fields = Readonly<Record<string, string>>;

describe('requests of tools', () => {
  let broker: Broker;
  let client: RemotingClient;
  before(async () => {
    const config = { remotingPort: 0, brokerName: 'broker-a' };
    broker = await createBroker({ memory: true, config });
    client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
    const web = await connect({ servers: broker.ready.ws });
    await web.createTopic({ topic: 'orders', queues: 2 });
    const producer = web.producer();
    for (let index = 0; index < 20; index += 1)
      await producer.send({ topic: 'orders', body: index, properties: { price: String(index) } });
    const consumer = web.consumer({ topic: 'orders', group: 'billing', from: 'earliest' });
    let count = 0;
    for await (const message of consumer) {
      await message.ack();
      count += 1;
      if (count === 20) break;
    }
    await web.drain();
  });
  after(async () => {
    client.close();
    await broker.drain();
  });

  async function ask(code: number, fields: Fields = {}, body = ''): Promise<LenientValue> {
    const answer = await client.ask(code, { fields, body: new TextEncoder().encode(body) });
    assert.equal(answer.code, RESPONSES.SUCCESS, answer.remark);
    return answer.body.length === 0 ? null : parseLenientJson(answer.body);
  }

  async function refused(code: number, fields: Fields = {}, body = ''): Promise<number> {
    const answer = await client.ask(code, { fields, body: new TextEncoder().encode(body) });
    return answer.code;
  }

  /** The value at a path of names. */
  function at(value: LenientValue, ...path: readonly string[]): LenientValue | undefined {
    let found: LenientValue | undefined = value;
    for (const name of path) found = found instanceof Map ? found.get(name) : undefined;
    return found;
  }

  function sum(table: LenientValue | undefined, name: string): number {
    assert.ok(table instanceof Map);
    return [...table.values()].reduce<number>((all, one) => all + Number(at(one, name)), 0);
  }

  it('list all producers by group, with when they were heard', async () => {
    const body = JSON.stringify({
      ...{ clientID: '10.0.0.9@1', consumerDataSet: [] },
      producerDataSet: [{ groupName: 'p-b' }, { groupName: 'p-a' }],
    });
    await ask(REQUESTS.HEART_BEAT, {}, body);
    const table = at(await ask(REQUESTS.GET_ALL_PRODUCER_INFO), 'data');
    assert.ok(table instanceof Map);
    assert.deepEqual([...table.keys()], ['p-a', 'p-b']);
    const [producer] = table.get('p-a') as readonly LenientValue[];
    assert.ok(producer instanceof Map);
    assert.equal(producer.get('clientId'), '10.0.0.9@1');
    assert.equal(producer.get('remoteIP'), `127.0.0.1:${client.connection.localPort}`);
    const heardAtMs = Number(producer.get('lastUpdateTimestamp'));
    assert.ok(Math.abs(Date.now() - heardAtMs) < 60_000, `${heardAtMs} is a time of day`);
  });

  it('that would change settings are told where to change them, and change nothing', async () => {
    const change = async (body: string): Promise<readonly [number, string]> => {
      const bytes = new TextEncoder().encode(body);
      const { code, remark } = await client.ask(REQUESTS.UPDATE_BROKER_CONFIG, { body: bytes });
      return [code, remark ?? ''];
    };
    const before = await client.ask(REQUESTS.GET_BROKER_CONFIG);
    const [known, where] = await change('listenPort=1\n');
    assert.equal(known, RESPONSES.NO_PERMISSION);
    assert.match(
      where,
      /listenPort .*\(remotingPort .*--config, --remoting-port, or SLUICE_REMOTING_PORT\)/,
    );
    const [fixed, never] = await change('mapedFileSizeCommitLog=1\n');
    assert.equal(fixed, RESPONSES.NO_PERMISSION);
    assert.match(never, /segmentBytes is fixed when the store is created/);
    assert.doesNotMatch(never, /restart/);
    const [idle, no] = await change('deleteWhen=04\n');
    assert.equal(idle, RESPONSES.NO_PERMISSION);
    assert.match(no, /deleteWhen has no effect here.*all day long/);
    const [unknown, meant] = await change('brokerNam=x\n');
    assert.equal(unknown, RESPONSES.INVALID_PARAMETER);
    assert.match(meant, /Did you mean brokerName\?/);
    assert.equal((await change(''))[0], RESPONSES.INVALID_PARAMETER);
    assert.deepEqual((await client.ask(REQUESTS.GET_BROKER_CONFIG)).body, before.body);
  });

  it('to clean up are answered with what there was to do', async () => {
    for (const code of [REQUESTS.CLEAN_UNUSED_TOPIC, REQUESTS.CLEAN_EXPIRED_CONSUMEQUEUE]) {
      const answer = await client.ask(code);
      assert.equal(answer.code, RESPONSES.SUCCESS);
      assert.match(answer.remark ?? '', /nothing was left to do/);
    }
  });

  it('show what was stored and handed out', async () => {
    const info = await ask(REQUESTS.GET_BROKER_RUNTIME_INFO);
    assert.equal(at(info, 'table', 'putMessageTimesTotal'), '20');
    assert.equal(at(info, 'table', 'msgGetTotalTodayNow'), '20');
    assert.match(String(at(info, 'table', 'putTps')), /^\d+\.\d\d \d+\.\d\d \d+\.\d\d$/);
    const put = await ask(REQUESTS.VIEW_BROKER_STATS_DATA, {
      ...{ statsName: 'TOPIC_PUT_NUMS', statsKey: 'orders' },
    });
    for (const span of ['statsMinute', 'statsHour', 'statsDay'])
      assert.equal(at(put, span, 'sum'), 20);
    const got = { statsName: 'GROUP_GET_NUMS', statsKey: 'orders@billing' };
    assert.equal(at(await ask(REQUESTS.VIEW_BROKER_STATS_DATA, got), 'statsMinute', 'sum'), 20);
    const none = { statsName: 'GROUP_GET_NUMS', statsKey: 'orders@nobody' };
    assert.equal(await refused(REQUESTS.VIEW_BROKER_STATS_DATA, none), RESPONSES.SYSTEM_ERROR);
    const unknown = { statsName: 'SNDBCK_PUT_NUMS', statsKey: 'x' };
    assert.equal(await refused(REQUESTS.VIEW_BROKER_STATS_DATA, unknown), RESPONSES.SYSTEM_ERROR);
  });

  it('show settings, and no secret', async () => {
    const answer = await client.ask(REQUESTS.GET_BROKER_CONFIG, { fields: {} });
    const text = new TextDecoder().decode(answer.body);
    assert.match(text, /^brokerName=broker-a$/m);
    assert.doesNotMatch(text, /token/i);
    assert.match(answer.fields.get('version') ?? '', /"counter":\d+/);
  });

  it('show topics', async () => {
    const topic = { topic: 'orders' };
    const stats = await ask(REQUESTS.GET_TOPIC_STATS_INFO, topic);
    const table = at(stats, 'offsetTable');
    assert.equal(sum(table, 'maxOffset'), 20);
    assert.equal(sum(table, 'minOffset'), 0);
    assert.ok(Number(at(stats, 'topicPutTps')) > 0);
    assert.equal(at(await ask(REQUESTS.GET_TOPIC_CONFIG, topic), 'writeQueueNums'), 2);
    const all = await ask(REQUESTS.GET_ALL_TOPIC_CONFIG);
    assert.equal(at(all, 'topicConfigTable', 'orders', 'perm'), 6);
    assert.deepEqual(at(await ask(REQUESTS.QUERY_TOPIC_CONSUME_BY_WHO, topic), 'groupList'), [
      'billing',
    ]);
    const unknown = { topic: 'nowhere' };
    for (const code of [REQUESTS.GET_TOPIC_STATS_INFO, REQUESTS.GET_TOPIC_CONFIG])
      assert.equal(await refused(code, unknown), RESPONSES.TOPIC_NOT_EXIST);
    assert.deepEqual(at(await ask(REQUESTS.GET_SYSTEM_TOPIC_LIST_FROM_BROKER), 'topicList'), [
      'TBW102',
    ]);
  });

  it('show how far groups are', async () => {
    const group = { consumerGroup: 'billing' };
    for (const fields of [group, { ...group, topic: 'orders' }]) {
      const table = at(await ask(REQUESTS.GET_CONSUME_STATS, fields), 'offsetTable');
      assert.equal(sum(table, 'brokerOffset'), 20);
      assert.equal(sum(table, 'consumerOffset'), 20);
      assert.ok(sum(table, 'lastTimestamp') > 1_700_000_000_000);
    }
    const offsets = at(
      await ask(REQUESTS.GET_ALL_CONSUMER_OFFSET),
      'offsetTable',
      'orders@billing',
    );
    assert.ok(offsets instanceof Map);
    assert.deepEqual([...offsets.keys()].map(String).sort(), ['0', '1']);
    const topics = await ask(REQUESTS.QUERY_TOPICS_BY_CONSUMER, { group: 'billing' });
    assert.deepEqual(at(topics, 'topicList'), ['orders']);
    const all = await ask(REQUESTS.GET_BROKER_CONSUME_STATS, { isOrder: 'false' });
    assert.equal(at(all, 'brokerAddr'), broker.ready.remoting);
    assert.equal(at(all, 'totalDiff'), 0);
    await ask(REQUESTS.CLONE_GROUP_OFFSET, {
      srcGroup: 'billing',
      destGroup: 'copy',
      topic: 'orders',
    });
    const copied = at(
      await ask(REQUESTS.GET_CONSUME_STATS, { consumerGroup: 'copy' }),
      'offsetTable',
    );
    assert.equal(sum(copied, 'consumerOffset'), 20);
    await ask(REQUESTS.DELETE_SUBSCRIPTIONGROUP, { groupName: 'copy' });
    const nobody = { consumerGroup: 'nobody' };
    assert.equal(
      await refused(REQUESTS.GET_CONSUME_STATS, nobody),
      RESPONSES.SUBSCRIPTION_GROUP_NOT_EXIST,
    );
  });

  it('make, change and delete groups', async () => {
    const put = (config: object): Promise<LenientValue> =>
      ask(REQUESTS.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, JSON.stringify(config));
    await put({ groupName: 'shipping', retryMaxTimes: 5 });
    const one = { group: 'shipping' };
    assert.equal(at(await ask(REQUESTS.GET_SUBSCRIPTIONGROUP_CONFIG, one), 'retryMaxTimes'), 5);
    await put({ groupName: 'shipping', retryMaxTimes: 7, consumeFromMinEnable: false });
    const all = await ask(REQUESTS.GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
    assert.equal(at(all, 'subscriptionGroupTable', 'shipping', 'retryMaxTimes'), 7);
    const stopped = JSON.stringify({ groupName: 'shipping', consumeEnable: false });
    assert.equal(
      await refused(REQUESTS.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, stopped),
      RESPONSES.INVALID_PARAMETER,
    );
    await ask(REQUESTS.DELETE_SUBSCRIPTIONGROUP, { groupName: 'shipping' });
    assert.equal(
      await refused(REQUESTS.GET_SUBSCRIPTIONGROUP_CONFIG, one),
      RESPONSES.SUBSCRIPTION_GROUP_NOT_EXIST,
    );
    // Tools ask every broker of a cluster, and not all have it.
    await ask(REQUESTS.DELETE_SUBSCRIPTIONGROUP, { groupName: 'shipping' });
  });

  it('and pulls choose by an SQL expression, or are told what is wrong in it', async () => {
    const pull = (queueId: number, subscription: string) =>
      client.ask(REQUESTS.PULL_MESSAGE, {
        fields: {
          ...{ consumerGroup: 'sql', topic: 'orders', queueId: String(queueId), queueOffset: '0' },
          ...{ maxMsgNums: '32', sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0' },
          ...{ subscription, subVersion: '0', expressionType: 'SQL92' },
        },
      });
    const prices: number[] = [];
    for (const queueId of [0, 1]) {
      const decoded = decodeMessages((await pull(queueId, 'price BETWEEN 5 AND 8')).body);
      assert.ok('messages' in decoded);
      for (const { properties } of decoded.messages) prices.push(Number(properties.get('price')));
    }
    assert.deepEqual(prices.sort(), [5, 6, 7, 8]);
    const wrong = await pull(0, 'price BETWEEN 5');
    assert.equal(wrong.code, RESPONSES.SUBSCRIPTION_PARSE_FAILED);
    assert.match(wrong.remark ?? '', /expected AND, found the end, at character 16\n.*\n {17}\^/);
  });
});
