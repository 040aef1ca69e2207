/** The port of RocketMQ's clients end to end: what is sent comes back by every way to read it, and what is wrong is told. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { crc32 } from '../../src/base/crc32-native.ts';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import type { ReceivedCommand } from '../../src/protocol/remoting/command.ts';
import { FORM_BINARY, FORM_JSON } from '../../src/protocol/remoting/frame-layout.ts';
import { propertyText } from '../../src/protocol/remoting/property-text.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { decodeMessages, type RemotingMessage } from '../../src/testing/message-decoder.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function messagesIn(body: Uint8Array): readonly RemotingMessage[] {
  const decoded = decodeMessages(body);
  if ('refusal' in decoded) assert.fail(decoded.refusal);
  return decoded.messages;
}

function sendFields(topic: string, queueId: number, more: Record<string, string> = {}) {
  return {
    ...{ a: 'producers', b: topic, c: 'TBW102', d: '4', e: String(queueId), f: '0' },
    ...{ g: '1700000000000', h: '0', i: '', j: '0', k: 'false', l: '0', m: 'false' },
    ...more,
  };
}

function pullFields(topic: string, queueId: number, offset: number, more = {}) {
  return {
    ...{ consumerGroup: 'g', topic, queueId: String(queueId), queueOffset: String(offset) },
    ...{ maxMsgNums: '32', sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0' },
    ...{ subscription: '*', subVersion: '0', expressionType: 'TAG', ...more },
  };
}

describe('the port of RocketMQ clients', () => {
  let broker: Broker;
  let client: RemotingClient;
  before(async () => {
    broker = await createBroker({ memory: true, config: { remotingPort: 0 } });
    client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  });
  after(async () => {
    client.close();
    await broker.drain();
  });

  for (const form of [FORM_JSON, FORM_BINARY] as const)
    it(`stores a message and gives it back whole, header form ${form}`, async () => {
      client.form = form;
      const properties = propertyText([
        ['UNIQ_KEY', '0A0000091267'],
        ['TAGS', 'created'],
        ['KEYS', 'o-17 o-18'],
        ['WAIT', 'true'],
        ['__SHARDINGKEY', 'shop'],
      ]);
      const topic = `orders-${form}`;
      const fields = sendFields(topic, 1, { i: properties, f: '1', h: '9' });
      const sent = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body: text('body') });
      assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
      assert.equal(sent.fields.get('queueId'), '1');
      assert.equal(sent.fields.get('queueOffset'), '0');
      assert.equal(sent.fields.get('transactionId'), '0A0000091267');
      assert.equal(sent.fields.get('MSG_REGION'), 'DefaultRegion');
      assert.equal(sent.fields.get('TRACE_ON'), 'true');
      const pulled = await client.ask(REQUESTS.PULL_MESSAGE, { fields: pullFields(topic, 1, 0) });
      assert.equal(pulled.code, RESPONSES.SUCCESS, pulled.remark);
      assert.equal(pulled.remark, 'FOUND');
      assert.equal(pulled.fields.get('nextBeginOffset'), '1');
      assert.equal(pulled.fields.get('minOffset'), '0');
      assert.equal(pulled.fields.get('maxOffset'), '1');
      assert.equal(pulled.fields.get('suggestWhichBrokerId'), '0');
      const [message] = messagesIn(pulled.body);
      assert.ok(message !== undefined);
      assert.equal(message.topic, topic);
      assert.equal(Buffer.from(message.body).toString(), 'body');
      assert.equal(message.bodyCrc, crc32(text('body'), 0, 4) & 0x7fffffff);
      assert.deepEqual([message.sysFlag, message.flag, message.reconsumeTimes], [1, 9, 0]);
      assert.equal(message.bornAtMs, 1_700_000_000_000);
      assert.equal(message.offsetMessageId, sent.fields.get('msgId'));
      assert.equal(message.bornHost, `127.0.0.1:${client.connection.localPort}`);
      assert.equal(message.storeHost, broker.ready.remoting);
      assert.deepEqual(Object.fromEntries(message.properties), {
        ...{ UNIQ_KEY: '0A0000091267', TAGS: 'created', KEYS: 'o-17 o-18' },
        ...{ WAIT: 'true', __SHARDINGKEY: 'shop', MSG_REGION: 'DefaultRegion' },
      });
      const offset = message.place.toString();
      const viewed = await client.ask(REQUESTS.VIEW_MESSAGE_BY_ID, { fields: { offset } });
      assert.deepEqual(Buffer.from(viewed.body), Buffer.from(pulled.body));
      client.form = FORM_JSON;
    });

  it('answers a pull when the message that it waits for comes', async () => {
    await client.ask(REQUESTS.SEND_MESSAGE_V2, {
      fields: sendFields('waited', 0),
      body: text('1'),
    });
    const fields = pullFields('waited', 0, 1, {
      ...{ sysFlag: '6', suspendTimeoutMillis: '15000', subscription: 'a || b' },
    });
    const pulling = client.ask(REQUESTS.PULL_MESSAGE, { fields });
    const tags = ['x', 'y', 'b'];
    for (const tag of tags) {
      const i = propertyText([['TAGS', tag]]);
      await client.ask(REQUESTS.SEND_MESSAGE_V2, {
        fields: sendFields('waited', 0, { i }),
        body: text(tag),
      });
    }
    const pulled = await pulling;
    assert.equal(pulled.code, RESPONSES.SUCCESS, pulled.remark);
    const messages = messagesIn(pulled.body);
    assert.deepEqual(
      messages.map(({ queueOffset, properties }) => [queueOffset, properties.get('TAGS')]),
      [[3, 'b']],
    );
    assert.equal(pulled.fields.get('nextBeginOffset'), '4');
  });

  it('says of an offset that nothing is at why, and where to go on', async () => {
    await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields: sendFields('ends', 0), body: text('1') });
    const ask = async (offset: number, more = {}) => {
      const fields = pullFields('ends', 0, offset, more);
      const { code, fields: answered } = await client.ask(REQUESTS.PULL_MESSAGE, { fields });
      return [code, answered.get('nextBeginOffset'), answered.get('maxOffset')];
    };
    assert.deepEqual(await ask(1), [RESPONSES.PULL_NOT_FOUND, '1', '1']);
    assert.deepEqual(await ask(7), [RESPONSES.PULL_OFFSET_MOVED, '1', '1']);
    assert.deepEqual(await ask(-1), [RESPONSES.PULL_OFFSET_MOVED, '0', '1']);
    const none = { subscription: 'nothing' };
    assert.deepEqual(await ask(0, none), [RESPONSES.PULL_RETRY_IMMEDIATELY, '1', '1']);
    const unheard = await client.ask(REQUESTS.PULL_MESSAGE, {
      fields: pullFields('ends', 0, 0, { sysFlag: '0' }),
    });
    assert.equal(unheard.code, RESPONSES.SUBSCRIPTION_NOT_EXIST);
  });

  it('takes messages of other dialects and gives them its own', async () => {
    const other = await connect({ servers: [broker.ready.ws] });
    const producer = other.producer();
    const { queueId } = await producer.send({
      ...{ topic: 'mixed', key: 'k', tag: 't', body: { total: 12 } },
      properties: { shop: '7' },
    });
    const pulled = await client.ask(REQUESTS.PULL_MESSAGE, {
      fields: pullFields('mixed', queueId, 0),
    });
    const [message] = messagesIn(pulled.body);
    assert.equal(Buffer.from(message?.body ?? []).toString(), '{"total":12}');
    assert.deepEqual(Object.fromEntries(message?.properties ?? []), {
      ...{ TAGS: 't', KEYS: 'k', shop: '7', MSG_REGION: 'DefaultRegion' },
    });
    await client.ask(REQUESTS.SEND_MESSAGE_V2, {
      fields: sendFields('mixed', queueId, { i: propertyText([['KEYS', 'r']]) }),
      body: text('from RocketMQ'),
    });
    const admin = await other.fetch({ topic: 'mixed', queueId, offset: 1, max: 1 });
    assert.equal(admin.messages[0]?.key, 'r');
    // Where it was born and its flags are nobody's business in other dialects.
    assert.deepEqual({ ...admin.messages[0]?.properties }, {});
    await assert.rejects(
      producer.send({ topic: 'mixed', body: 'x', properties: { __remoting: '0' } }),
      /the property __remoting is the broker's own/,
    );
    await other.close();
  });

  it('finds messages by a word of their keys and by the id that their client gave them', async () => {
    const i = propertyText([
      ['KEYS', 'a b-2 c'],
      ['UNIQ_KEY', 'AC1234'],
    ]);
    await client.ask(REQUESTS.SEND_MESSAGE_V2, {
      fields: sendFields('keys', 2, { i }),
      body: text('1'),
    });
    const find = async (key: string, more = {}) => {
      const fields = {
        ...{ topic: 'keys', key, maxNum: '32', beginTimestamp: '0' },
        ...{ endTimestamp: '9223372036854775807', ...more },
      };
      const answer = await client.ask(REQUESTS.QUERY_MESSAGE, { fields });
      return answer.code === RESPONSES.SUCCESS ? messagesIn(answer.body).length : answer.code;
    };
    assert.equal(await find('b-2'), 1);
    assert.equal(await find('a'), 1);
    assert.equal(await find('AC1234', { _UNIQUE_KEY_QUERY: 'true' }), 1);
    assert.equal(await find('b'), RESPONSES.QUERY_NOT_FOUND);
    assert.equal(await find('a', { endTimestamp: '1000' }), RESPONSES.QUERY_NOT_FOUND);
  });

  it('puts off a message that has a delay, and refuses one whose delay is none', async () => {
    const sendWith = (name: string, value: string, queueId = 0) =>
      client.ask(REQUESTS.SEND_MESSAGE_V2, {
        fields: sendFields('later', queueId, { i: propertyText([[name, value]]) }),
        body: text(name),
      });
    const waits = await sendWith('DELAY', '18');
    assert.equal(waits.code, RESPONSES.SUCCESS, waits.remark);
    const sent = await sendWith('TIMER_DELAY_MS', '30');
    assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
    const more = { sysFlag: '6', suspendTimeoutMillis: '15000' };
    const fields = pullFields('later', 0, 0, more);
    const pulled = await client.ask(REQUESTS.PULL_MESSAGE, { fields });
    const bodies = messagesIn(pulled.body).map(({ body }) => Buffer.from(body).toString());
    assert.deepEqual(bodies, ['TIMER_DELAY_MS']);
    const wrong = await sendWith('TIMER_DELIVER_MS', 'soon');
    assert.equal(wrong.code, RESPONSES.MESSAGE_ILLEGAL);
    const tooFar = await sendWith('TIMER_DELAY_SEC', '999999999');
    assert.equal(tooFar.code, RESPONSES.MESSAGE_ILLEGAL);
  });

  it('keeps half messages unseen until their transaction ends, and asks their producer', async () => {
    const producer = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
    const sendHalf = async (key: string, immunity: string): Promise<ReceivedCommand> => {
      const i = propertyText([
        ['TRAN_MSG', 'true'],
        ['PGROUP', 'makers'],
        ['UNIQ_KEY', key],
        ['CHECK_IMMUNITY_TIME_IN_SECONDS', immunity],
      ]);
      const fields = sendFields('halves', 0, { i, f: '4', a: 'makers' });
      return producer.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body: text(key) });
    };
    const end = (
      offset: string,
      decision: number,
      producerGroup = 'makers',
    ): Promise<ReceivedCommand> =>
      producer.ask(REQUESTS.END_TRANSACTION, {
        fields: {
          ...{ producerGroup, tranStateTableOffset: '0', commitLogOffset: offset },
          ...{ commitOrRollback: String(decision), msgId: 'x' },
        },
      });
    const offsetOf = ({ fields }: ReceivedCommand): string =>
      BigInt(`0x${fields.get('msgId')?.slice(16)}`).toString();
    const kept = await sendHalf('KEPT', '600');
    assert.equal(kept.code, RESPONSES.SUCCESS, kept.remark);
    const dropped = await sendHalf('DROPPED', '600');
    const asking = producer.serve(() => ({ code: RESPONSES.SUCCESS }));
    const asked = await sendHalf('ASKED', '0');
    const question = await asking;
    assert.equal(question.code, REQUESTS.CHECK_TRANSACTION_STATE);
    assert.equal(question.fields.get('msgId'), 'ASKED');
    assert.equal(question.fields.get('commitLogOffset'), offsetOf(asked));
    assert.equal(messagesIn(question.body)[0]?.properties.get('PGROUP'), 'makers');
    const stolen = await end(offsetOf(kept), 12, 'thieves');
    assert.equal(stolen.code, RESPONSES.SYSTEM_ERROR);
    assert.match(stolen.remark ?? '', /producer group "thieves"/);
    assert.equal((await end(offsetOf(kept), 8)).code, RESPONSES.SUCCESS);
    assert.equal((await end(offsetOf(dropped), 12)).code, RESPONSES.SUCCESS);
    assert.equal((await end(offsetOf(dropped), 8)).code, RESPONSES.SYSTEM_ERROR);
    assert.equal((await end(offsetOf(asked), 8)).code, RESPONSES.SUCCESS);
    const seen: string[] = [];
    for (let offset = 0; offset < 2; ) {
      const more = { sysFlag: '6', suspendTimeoutMillis: '15000' };
      const fields = pullFields('halves', 0, offset, more);
      const pulled = await client.ask(REQUESTS.PULL_MESSAGE, { fields });
      for (const message of messagesIn(pulled.body)) {
        seen.push(Buffer.from(message.body).toString());
        assert.equal(message.sysFlag, 8);
      }
      offset = Number(pulled.fields.get('nextBeginOffset'));
    }
    assert.deepEqual(seen, ['KEPT', 'ASKED']);
    producer.close();
  });

  it('carries a reply to the client that asked', async () => {
    const asker = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
    const beat =
      '{"clientID":"asker@1","producerDataSet":[{"groupName":"askers"}],"consumerDataSet":[]}';
    await asker.ask(REQUESTS.HEART_BEAT, { body: text(beat) });
    const asking = [
      ['CORRELATION_ID', 'c-1'],
      ['REPLY_TO_CLIENT', 'asker@1'],
    ] as const;
    const i = propertyText(asking);
    await client.ask(REQUESTS.SEND_MESSAGE_V2, {
      fields: sendFields('ask', 0, { i }),
      body: text('?'),
    });
    const pulled = await client.ask(REQUESTS.PULL_MESSAGE, { fields: pullFields('ask', 0, 0) });
    assert.equal(messagesIn(pulled.body)[0]?.properties.get('CLUSTER'), 'DefaultCluster');
    const answering = asker.serve((request) => {
      assert.equal(request.code, REQUESTS.PUSH_REPLY_MESSAGE_TO_CLIENT);
      assert.equal(Buffer.from(request.body).toString(), '!');
      assert.match(request.fields.get('properties') ?? '', /CORRELATION_ID.c-1.*PUSH_REPLY_TIME/);
      return { code: RESPONSES.SUCCESS };
    });
    const replied = await client.ask(REQUESTS.SEND_REPLY_MESSAGE_V2, {
      fields: sendFields('DefaultCluster_REPLY_TOPIC', 0, { i }),
      body: text('!'),
    });
    assert.equal(replied.code, RESPONSES.SUCCESS, replied.remark);
    assert.equal((await answering).fields.get('topic'), 'DefaultCluster_REPLY_TOPIC');
    asker.close();
    await asker.closed;
    await until('it is gone for the broker, too', async () => {
      const late = await client.ask(REQUESTS.SEND_REPLY_MESSAGE_V2, {
        fields: sendFields('DefaultCluster_REPLY_TOPIC', 0, { i }),
        body: text('!'),
      });
      return late.code === RESPONSES.SYSTEM_ERROR;
    });
  });

  it('refuses what it does not serve, and closes only the connection that speaks something else', async () => {
    const unknown = await client.ask(REQUESTS.REGISTER_BROKER);
    assert.equal(unknown.code, RESPONSES.REQUEST_CODE_NOT_SUPPORTED);
    assert.match(unknown.remark ?? '', /request type 103 not supported/);
    const wrongQueue = await client.ask(REQUESTS.SEND_MESSAGE_V2, {
      fields: sendFields('ends', 99),
      body: text('1'),
    });
    assert.equal(wrongQueue.code, RESPONSES.INVALID_PARAMETER);
    const noTopic = await client.ask(REQUESTS.SEND_MESSAGE_V2, {
      fields: sendFields('nowhere', 0, { c: 'other' }),
      body: text('1'),
    });
    assert.equal(noTopic.code, RESPONSES.TOPIC_NOT_EXIST);
    const stranger = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
    stranger.connection.send(text('GET / HTTP/1.1\r\n\r\n'));
    assert.notEqual(await stranger.closed, 'not-needed');
    const fields = { topic: 'ends', queueId: '0' };
    const answered = await client.ask(REQUESTS.GET_MAX_OFFSET, { fields });
    assert.equal(answered.fields.get('offset'), '1');
  });
});
