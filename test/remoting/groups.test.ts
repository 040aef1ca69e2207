/** Groups of RocketMQ's clients end to end: members that agree, offsets, locks, resets, and who may not be in one together. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import type { ReceivedCommand } from '../../src/protocol/remoting/command.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { decodeMessages } from '../../src/testing/message-decoder.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);
const jsonOf = (command: ReceivedCommand): unknown =>
  JSON.parse(Buffer.from(command.body).toString());

type Wish = {
  readonly client?: string;
  readonly topics?: Readonly<Record<string, string>>;
  readonly model?: string;
};

describe('groups of RocketMQ clients', () => {
  let broker: Broker;
  const clients: RemotingClient[] = [];
  let topicCount = 0;

  before(async () => {
    broker = await createBroker({ memory: true, config: { remotingPort: 0 } });
  });
  after(async () => {
    for (const client of clients) client.close();
    await broker.drain();
  });

  async function open(): Promise<RemotingClient> {
    const client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
    clients.push(client);
    return client;
  }

  function beat(client: RemotingClient, group: string, wish: Wish = {}): Promise<ReceivedCommand> {
    const { client: clientID = 'c1', topics = { orders: '*' }, model = 'CLUSTERING' } = wish;
    const subscriptionDataSet = Object.entries({ ...topics, [`%RETRY%${group}`]: '*' }).map(
      ([topic, subString]) => ({ topic, subString, expressionType: 'TAG', subVersion: 7 }),
    );
    const consumer = { groupName: group, messageModel: model, subscriptionDataSet };
    const data = {
      ...{ clientID, consumerDataSet: [consumer] },
      producerDataSet: [{ groupName: `${group}-producers` }],
    };
    return client.ask(REQUESTS.HEART_BEAT, { body: bytesOf(JSON.stringify(data)) });
  }

  async function topicOf(client: RemotingClient, messages = 1, queueId = 0): Promise<string> {
    topicCount += 1;
    const topic = `topic-${topicCount}`;
    for (let count = 0; count < messages; count += 1) {
      const fields = {
        ...{ a: 'p', b: topic, c: 'TBW102', d: '4', e: String(queueId), f: '0' },
        ...{ g: '1700000000000', h: '0', i: '', j: '0', k: 'false', l: '0', m: 'false' },
      };
      const sent = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body: bytesOf('m') });
      assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
    }
    return topic;
  }

  function pull(client: RemotingClient, group: string, topic: string, offset: number, more = {}) {
    const fields = {
      ...{ consumerGroup: group, topic, queueId: '0', queueOffset: String(offset) },
      ...{ maxMsgNums: '32', sysFlag: '0', commitOffset: '0', suspendTimeoutMillis: '0' },
      ...{ subVersion: '7', ...more },
    };
    return client.ask(REQUESTS.PULL_MESSAGE, { fields });
  }

  async function offsetOf(client: RemotingClient, group: string, topic: string, queueId = '0') {
    const fields = { consumerGroup: group, topic, queueId };
    const { code, fields: found } = await client.ask(REQUESTS.QUERY_CONSUMER_OFFSET, { fields });
    return [code, found.get('offset')];
  }

  function commit(client: RemotingClient, group: string, topic: string, offset: number) {
    const fields = { consumerGroup: group, topic, queueId: '0', commitOffset: String(offset) };
    return client.ask(REQUESTS.UPDATE_CONSUMER_OFFSET, { fields });
  }

  async function lock(client: RemotingClient, group: string, clientId: string, topic: string) {
    const mqSet = [0, 1].map((queueId) => ({ brokerName: 'b', queueId, topic }));
    const body = bytesOf(JSON.stringify({ clientId, consumerGroup: group, mqSet }));
    const { lockOKMQSet: locked } = jsonOf(await client.ask(REQUESTS.LOCK_BATCH_MQ, { body })) as {
      lockOKMQSet: readonly { queueId: number }[];
    };
    return locked.map(({ queueId }) => queueId);
  }

  it('knows members by their heartbeats, tells them of each other, and forgets them with their connection', async () => {
    const [one, two] = [await open(), await open()];
    const list = async (): Promise<unknown> =>
      jsonOf(
        await one.ask(REQUESTS.GET_CONSUMER_LIST_BY_GROUP, { fields: { consumerGroup: 'a' } }),
      );
    const none = await one.ask(REQUESTS.GET_CONSUMER_LIST_BY_GROUP, {
      fields: { consumerGroup: 'a' },
    });
    assert.equal(none.code, RESPONSES.SYSTEM_ERROR);
    assert.match(none.remark ?? '', /no consumer for this group, a/);
    assert.equal((await beat(one, 'a', { client: 'z' })).code, RESPONSES.SUCCESS);
    assert.equal((await beat(two, 'a', { client: 'y' })).code, RESPONSES.SUCCESS);
    assert.deepEqual(await list(), { consumerIdList: ['y', 'z'] });
    const changes = (client: RemotingClient): number =>
      client.told.filter(({ code, fields }) => {
        return code === REQUESTS.NOTIFY_CONSUMER_IDS_CHANGED && fields.get('consumerGroup') === 'a';
      }).length;
    await until('both are told of the second', () => changes(one) === 2 && changes(two) === 1);
    two.close();
    await until('the first is told that the second went', () => changes(one) === 3);
    assert.deepEqual(await list(), { consumerIdList: ['z'] });
    const retry = { fields: { topic: '%RETRY%a', queueId: '0' } };
    assert.equal((await one.ask(REQUESTS.GET_MAX_OFFSET, retry)).code, RESPONSES.SUCCESS);
    const bye = { fields: { clientID: 'z', consumerGroup: 'a', producerGroup: 'a-producers' } };
    assert.equal((await one.ask(REQUESTS.UNREGISTER_CLIENT, bye)).code, RESPONSES.SUCCESS);
    const offline = await one.ask(REQUESTS.GET_CONSUMER_CONNECTION_LIST, {
      fields: { consumerGroup: 'a' },
    });
    assert.equal(offline.code, RESPONSES.CONSUMER_NOT_ONLINE);
  });

  it('shows connections to tools', async () => {
    const client = await open();
    await beat(client, 'shown');
    const consumers = jsonOf(
      await client.ask(REQUESTS.GET_CONSUMER_CONNECTION_LIST, {
        fields: { consumerGroup: 'shown' },
      }),
    ) as { connectionSet: { clientId: string }[]; subscriptionTable: Record<string, unknown> };
    assert.deepEqual(
      consumers.connectionSet.map(({ clientId }) => clientId),
      ['c1'],
    );
    assert.deepEqual(Object.keys(consumers.subscriptionTable), ['orders', '%RETRY%shown']);
    const fields = { producerGroup: 'shown-producers' };
    const producers = jsonOf(await client.ask(REQUESTS.GET_PRODUCER_CONNECTION_LIST, { fields }));
    assert.deepEqual(producers, {
      connectionSet: [
        {
          ...{ clientAddr: `127.0.0.1:${client.connection.localPort}`, clientId: 'c1' },
          ...{ language: 'JAVA', version: 479 },
        },
      ],
    });
  });

  it('refuses another subscription with the difference, and lets it in when the others are gone', async () => {
    const [old, young] = [await open(), await open()];
    const topic = await topicOf(old);
    await beat(old, 'roll', { client: 'old', topics: { [topic]: 'a' } });
    const refused = await beat(young, 'roll', { client: 'young', topics: { [topic]: 'b' } });
    assert.equal(refused.code, RESPONSES.SUBSCRIPTION_NOT_LATEST);
    assert.match(refused.remark ?? '', /with "a" and this member with "b"/);
    assert.equal((await pull(young, 'roll', topic, 0)).code, RESPONSES.SUBSCRIPTION_NOT_EXIST);
    assert.deepEqual(await lock(young, 'roll', 'young', topic), []);
    assert.equal((await commit(young, 'roll', topic, 1)).code, RESPONSES.NO_PERMISSION);
    const status = (await (await fetch(new URL('/api/groups/roll', broker.ready.http))).json()) as {
      pullMembers: { clientId: string; difference: string | null }[];
    };
    assert.deepEqual(
      status.pullMembers.map(({ clientId, difference }) => [clientId, difference === null]),
      [
        ['old', true],
        ['young', false],
      ],
    );
    old.close();
    await until('the young one is told that it is in', () => young.told.length > 0);
    assert.equal((await pull(young, 'roll', topic, 0)).code, RESPONSES.PULL_RETRY_IMMEDIATELY);
  });

  it('keeps offsets as clients say them, and tells a new group where to begin', async () => {
    const client = await open();
    const topic = await topicOf(client, 5);
    assert.deepEqual(await offsetOf(client, 'offsets', topic), [RESPONSES.SUCCESS, '0']);
    const fields = { consumerGroup: 'offsets', topic, queueId: '0', setZeroIfNotFound: 'false' };
    const unknown = await client.ask(REQUESTS.QUERY_CONSUMER_OFFSET, { fields });
    assert.equal(unknown.code, RESPONSES.QUERY_NOT_FOUND);
    await beat(client, 'offsets', { topics: { [topic]: '*' } });
    for (const offset of [4, 2]) {
      assert.equal((await commit(client, 'offsets', topic, offset)).code, RESPONSES.SUCCESS);
      assert.deepEqual(await offsetOf(client, 'offsets', topic), [0, String(offset)]);
    }
    await commit(client, 'offsets', topic, -1);
    assert.deepEqual(await offsetOf(client, 'offsets', topic), [0, '2'], 'ali-ons says -1');
    const oneway = { consumerGroup: 'offsets', topic, queueId: '0', commitOffset: '3' };
    client.send(REQUESTS.UPDATE_CONSUMER_OFFSET, { fields: oneway, flag: 2 });
    assert.deepEqual(await offsetOf(client, 'offsets', topic), [0, '3'], 'a question sees it');
    await pull(client, 'offsets', topic, 5, { sysFlag: '1', commitOffset: '5' });
    assert.deepEqual(await offsetOf(client, 'offsets', topic), [0, '5'], 'with a pull');
  });

  it('locks queues for one client, and neither serves nor believes another one there', async () => {
    const [one, two] = [await open(), await open()];
    const topic = await topicOf(one, 3);
    const topics = { [topic]: '*' };
    await beat(one, 'ordered', { client: 'one', topics });
    await beat(two, 'ordered', { client: 'two', topics });
    assert.deepEqual(await lock(one, 'ordered', 'one', topic), [0, 1]);
    assert.deepEqual(await lock(two, 'ordered', 'two', topic), []);
    assert.equal((await pull(one, 'ordered', topic, 0)).code, RESPONSES.SUCCESS);
    const refused = await pull(two, 'ordered', topic, 0);
    assert.equal(refused.code, RESPONSES.NO_PERMISSION);
    assert.match(refused.remark ?? '', /locked by one/);
    await commit(one, 'ordered', topic, 2);
    assert.equal((await commit(two, 'ordered', topic, 1)).code, RESPONSES.NO_PERMISSION);
    assert.deepEqual(await offsetOf(one, 'ordered', topic), [0, '2']);
    const mqSet = [{ brokerName: 'b', queueId: 0, topic }];
    const body = bytesOf(JSON.stringify({ clientId: 'one', consumerGroup: 'ordered', mqSet }));
    await one.ask(REQUESTS.UNLOCK_BATCH_MQ, { body });
    assert.deepEqual(await lock(two, 'ordered', 'two', topic), [0]);
  });

  it('sets a group to another offset, and its members go there with their next pull', async () => {
    const client = await open();
    const topic = await topicOf(client, 5);
    await beat(client, 'reset', { topics: { [topic]: '*' } });
    await commit(client, 'reset', topic, 5);
    const response = await fetch(new URL('/api/groups/reset/offsets', broker.ready.http), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ topic, to: { 0: 1 } }),
    });
    assert.equal(response.status, 200);
    assert.equal((await commit(client, 'reset', topic, 5)).code, RESPONSES.SUCCESS);
    assert.deepEqual(await offsetOf(client, 'reset', topic), [0, '1'], 'the time before is over');
    const moved = await pull(client, 'reset', topic, 5);
    assert.equal(moved.code, RESPONSES.PULL_OFFSET_MOVED);
    assert.equal(moved.fields.get('nextBeginOffset'), '1');
    const pulled = await pull(client, 'reset', topic, 1);
    assert.equal(pulled.code, RESPONSES.SUCCESS);
    assert.equal(pulled.fields.get('nextBeginOffset'), '5');
  });

  it('says at the start of a consumer whether its expression can be served', async () => {
    const client = await open();
    const check = async (expressionType: string, subString: string): Promise<number> => {
      const subscriptionData = { topic: 'orders', expressionType, subString };
      const body = bytesOf(JSON.stringify({ clientId: 'c', group: 'g', subscriptionData }));
      return (await client.ask(REQUESTS.CHECK_CLIENT_CONFIG, { body })).code;
    };
    assert.equal(await check('SQL92', "a > 5 AND b = 'x'"), RESPONSES.SUCCESS);
    assert.equal(await check('SQL92', 'a > '), RESPONSES.SUBSCRIPTION_PARSE_FAILED);
    assert.equal(await check('other', 'a'), RESPONSES.SUBSCRIPTION_PARSE_FAILED);
  });

  it('passes on what tools ask a consumer, and what it answers', async () => {
    const [client, tool] = [await open(), await open()];
    const topic = await topicOf(tool, 1);
    await beat(client, 'asked', { client: 'it', topics: { [topic]: '*' } });
    client.told.length = 0;
    const asking = tool.ask(REQUESTS.GET_CONSUMER_RUNNING_INFO, {
      fields: { consumerGroup: 'asked', clientId: 'it', jstackEnable: 'true' },
    });
    await until('it is asked', () => client.told.length > 0);
    const [asked] = client.told.splice(0);
    assert.ok(asked !== undefined);
    assert.deepEqual(
      [asked.code, asked.fields.get('clientId'), asked.fields.get('jstackEnable')],
      [REQUESTS.GET_CONSUMER_RUNNING_INFO, 'it', 'true'],
    );
    client.reply(asked, { body: bytesOf('{any{thing}:1}') });
    const answered = await asking;
    assert.deepEqual([answered.code, Buffer.from(answered.body).toString()], [0, '{any{thing}:1}']);
    const pulled = await pull(client, 'asked', topic, 0);
    const decoded = decodeMessages(pulled.body);
    assert.ok('messages' in decoded);
    const directly = tool.ask(REQUESTS.CONSUME_MESSAGE_DIRECTLY, {
      fields: { consumerGroup: 'asked', msgId: decoded.messages[0]?.offsetMessageId ?? '' },
    });
    await until('it is asked to consume', () => client.told.length > 0);
    const [consume] = client.told.splice(0);
    assert.ok(consume !== undefined);
    assert.deepEqual(Buffer.from(consume.body), Buffer.from(pulled.body));
    client.reply(consume, { code: 7 });
    assert.equal((await directly).code, 7);
    const nobody = await tool.ask(REQUESTS.GET_CONSUMER_RUNNING_INFO, {
      fields: { consumerGroup: 'asked', clientId: 'other' },
    });
    assert.match(nobody.remark ?? '', /<asked> <other> not online/);
  });

  it('is set to a time, the end, or an offset of one queue by a tool', async () => {
    const client = await open();
    const topic = await topicOf(client, 5);
    await beat(client, 'tool', { topics: { [topic]: '*' } });
    const reset = async (more: Record<string, string>): Promise<string> => {
      const fields = { topic, group: 'tool', isForce: 'true', ...more };
      const { code, body } = await client.ask(REQUESTS.INVOKE_BROKER_TO_RESET_OFFSET, { fields });
      assert.equal(code, RESPONSES.SUCCESS);
      return Buffer.from(body).toString();
    };
    assert.match(
      await reset({ timestamp: '-1' }),
      /^\{"offsetTable":\{\{"brokerName":"[^"]+","queueId":0,"topic":"[^"]+"\}:5,/,
    );
    assert.deepEqual(await offsetOf(client, 'tool', topic), [0, '5']);
    await reset({ timestamp: '0' });
    assert.deepEqual(await offsetOf(client, 'tool', topic), [0, '0']);
    await reset({ timestamp: '0', queueId: '0', offset: '3' });
    assert.deepEqual(await offsetOf(client, 'tool', topic), [0, '3']);
    assert.equal((await pull(client, 'tool', topic, 5)).fields.get('nextBeginOffset'), '3');
    const fields = { topic, group: 'nobody', isForce: 'true', timestamp: '0' };
    const unknown = await client.ask(REQUESTS.INVOKE_BROKER_TO_RESET_OFFSET, { fields });
    assert.equal(unknown.code, RESPONSES.SUBSCRIPTION_GROUP_NOT_EXIST);
  });

  it('is pulled for or pushed to, never both', async () => {
    const client = await open();
    const topic = await topicOf(client);
    await beat(client, 'pulled', { topics: { [topic]: '*' } });
    const other = await connect({ servers: [broker.ready.ws] });
    const consumer = other.consumer({ topic, group: 'pulled' });
    await assert.rejects(
      consumer.run(() => {}),
      (error: { code: string; message: string }) =>
        error.code === 'GROUP_IN_USE' && error.message.includes('pull by offset (c1)'),
    );
    const pushed = other.consumer({ topic, group: 'pushed', from: 'earliest' });
    const messages = pushed[Symbol.asyncIterator]();
    assert.equal((await messages.next()).done, false);
    const refused = await beat(client, 'pushed', { topics: { [topic]: '*' } });
    assert.notEqual(refused.code, RESPONSES.SUCCESS);
    assert.match(refused.remark ?? '', /GROUP_IN_USE.*pushed and acknowledged one by one/);
    assert.notEqual((await commit(client, 'pushed', topic, 1)).code, RESPONSES.SUCCESS);
    const pulled = await pull(client, 'pushed', topic, 0, { sysFlag: '4', subscription: '*' });
    assert.match(pulled.remark ?? '', /GROUP_IN_USE/);
    await other.close();
  });
});
