/** What clients send that is large, odd or half wrong: nothing is lost in silence, and every answer is the one that RocketMQ gives. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import type { ReceivedCommand } from '../../src/protocol/remoting/command.ts';
import { propertyText } from '../../src/protocol/remoting/property-text.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { decodeMessages, type RemotingMessage } from '../../src/testing/message-decoder.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);

function messagesIn(body: Uint8Array): readonly RemotingMessage[] {
  const decoded = decodeMessages(body);
  if ('refusal' in decoded) assert.fail(decoded.refusal);
  return decoded.messages;
}

/** The body of a batch: messages without properties. */
function batchOf(count: number, body: Uint8Array): Uint8Array {
  const entryBytes = 22 + body.length;
  const bytes = new Uint8Array(count * entryBytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += entryBytes) {
    view.setInt32(at, entryBytes);
    view.setInt32(at + 16, body.length);
    bytes.set(body, at + 20);
  }
  return bytes;
}

describe('odd requests of RocketMQ clients', () => {
  let broker: Broker;
  let client: RemotingClient;
  before(async () => {
    const config = { remotingPort: 0, messageDelayLevel: [1, 1, 1, 1] };
    broker = await createBroker({ memory: true, config });
    client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  });
  after(async () => {
    client.close();
    await broker.drain();
  });

  function send(
    topic: string,
    body: Uint8Array,
    more: Record<string, string> = {},
    code: number = REQUESTS.SEND_MESSAGE_V2,
  ): Promise<ReceivedCommand> {
    const fields = {
      ...{ a: 'producers', b: topic, c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000' },
      ...{ h: '0', i: '', j: '0', k: 'false', ...more },
    };
    return client.ask(code, { fields, body });
  }

  function pull(topic: string, more: Record<string, string> = {}): Promise<ReceivedCommand> {
    const fields = {
      ...{ consumerGroup: 'g', topic, queueId: '0', queueOffset: '0', maxMsgNums: '32' },
      ...{ sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*' },
      ...{ subVersion: '0', expressionType: 'TAG', ...more },
    };
    return client.ask(REQUESTS.PULL_MESSAGE, { fields });
  }

  it('writes the size of hosts as they are, whatever a producer says of them in its flags', async () => {
    // 0x10 and 0x20: both hosts have sixteen bytes, which they have not. 0x1: the body is compressed.
    await send('flags', bytesOf('body'), { f: String(0x31) });
    const pulled = await pull('flags');
    const [message] = messagesIn(pulled.body);
    assert.equal(Buffer.from(message?.body ?? []).toString(), 'body');
    assert.equal(message?.sysFlag, 1);
  });

  it('answers a batch of many small messages with the ids of all', async () => {
    const count = 20_000;
    const sent = await send('batch', batchOf(count, bytesOf('x')), { m: 'true' }, 320);
    assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
    assert.equal(sent.fields.get('msgId')?.split(',').length, count);
    const pulled = await pull('batch');
    assert.equal(pulled.fields.get('maxOffset'), String(count));
  });

  it('takes a batch by its field, too: clients in C++ send it as a single message', async () => {
    const body = batchOf(3, bytesOf('x'));
    for (const [topic, ask] of [
      ['letters', () => send('letters', body, { m: 'true' })],
      [
        'names',
        () => {
          const fields = { topic: 'names', defaultTopic: 'TBW102', queueId: '0', batch: 'true' };
          return client.ask(REQUESTS.SEND_MESSAGE, { fields, body });
        },
      ],
    ] as const) {
      const sent = await ask();
      assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
      const texts = messagesIn((await pull(topic)).body).map((message) =>
        Buffer.from(message.body).toString(),
      );
      assert.deepEqual(texts, ['x', 'x', 'x']);
    }
  });

  it('refuses properties that do not fit into a message that is read, and keeps those that do', async () => {
    const long = (bytes: number): string =>
      propertyText([
        ['KEYS', 'k'.repeat(1000)],
        ['a', 'a'.repeat(bytes)],
      ]);
    const sent = await send('properties', bytesOf('1'), { i: long(32_000) });
    assert.equal(sent.code, RESPONSES.MESSAGE_ILLEGAL, sent.remark);
    const fits = await send('properties', bytesOf('2'), { i: long(31_600) });
    assert.equal(fits.code, RESPONSES.SUCCESS, fits.remark);
    const [message] = messagesIn((await pull('properties')).body);
    assert.equal(message?.properties.get('a')?.length, 31_600);
    assert.equal(message?.properties.get('KEYS')?.length, 1000);
  });

  it('takes numbers that are larger than 2^53', async () => {
    await send('large', bytesOf('1'));
    // Clients in Go count versions in nanoseconds.
    const versioned = await pull('large', { subVersion: '1700000000000000000' });
    assert.equal(versioned.code, RESPONSES.SUCCESS, versioned.remark);
    const beyond = await pull('large', { queueOffset: '9223372036854775807' });
    assert.deepEqual(
      [beyond.code, beyond.fields.get('nextBeginOffset')],
      [RESPONSES.PULL_OFFSET_MOVED, '1'],
    );
    const fields = { topic: 'large', queueId: '0', timestamp: '9223372036854775807' };
    const end = await client.ask(REQUESTS.SEARCH_OFFSET_BY_TIMESTAMP, { fields });
    assert.equal(end.fields.get('offset'), '1', end.remark);
    const wrong = await pull('large', { queueOffset: '1x' });
    assert.equal(wrong.code, RESPONSES.INVALID_PARAMETER);
  });

  it('refuses a filter that is longer than those of heartbeats', async () => {
    await send('filtered', bytesOf('1'));
    const subscription = Array.from({ length: 5000 }, (_, index) => `t${index}`).join('||');
    const { code } = await pull('filtered', { subscription });
    assert.equal(code, RESPONSES.SUBSCRIPTION_PARSE_FAILED);
  });

  it('refuses a pull for a group whose name is longer than any', async () => {
    await send('long-group', bytesOf('1'));
    const { code } = await pull('long-group', { consumerGroup: 'g'.repeat(300) });
    assert.equal(code, RESPONSES.INVALID_PARAMETER);
  });

  it('gives a message as often as its group says, where the client does not', async () => {
    const config = bytesOf(JSON.stringify({ groupName: 'few', retryMaxTimes: 1 }));
    await client.ask(REQUESTS.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, { body: config });
    await send('few-times', bytesOf('1'));
    const back = async (topic: string, queueOffset = '0'): Promise<void> => {
      const pulled = await pull(topic, { queueOffset, sysFlag: '6', suspendTimeoutMillis: '9000' });
      const [message] = messagesIn(pulled.body);
      const fields = { offset: String(message?.place), group: 'few', delayLevel: '0' };
      const answer = await client.ask(REQUESTS.CONSUMER_SEND_MSG_BACK, { fields });
      assert.equal(answer.code, RESPONSES.SUCCESS, answer.remark);
    };
    await back('few-times');
    await back('%RETRY%few');
    const letters = await pull('%DLQ%few');
    assert.equal(letters.code, RESPONSES.SUCCESS, letters.remark);
    // A consumer that sends to the retry topic by itself.
    await send('%RETRY%few', bytesOf('2'), { j: '2' });
    const more = await pull('%DLQ%few', { queueOffset: '1' });
    assert.equal(more.code, RESPONSES.SUCCESS, more.remark);
  });

  it('finds the newest of messages with one key that are too large for one answer', async () => {
    const body = new Uint8Array(4 * 1024 * 1024);
    const i = propertyText([['KEYS', 'large']]);
    for (let count = 0; count < 5; count += 1) await send('keyed', body, { i });
    const fields = { topic: 'keyed', key: 'large', maxNum: '64' };
    const found = await client.ask(REQUESTS.QUERY_MESSAGE, { fields });
    assert.equal(found.code, RESPONSES.SUCCESS, found.remark);
    assert.deepEqual(
      messagesIn(found.body).map(({ queueOffset }) => queueOffset),
      [4, 3, 2],
    );
  });

  it('refuses to cancel a timer, rather than to deliver the request as a message', async () => {
    const i = propertyText([
      ['TIMER_DELIVER_MS', String(Date.now() + 60_000)],
      ['TIMER_DEL_UNIQKEY', 'U1'],
    ]);
    const sent = await send('timers', bytesOf('1'), { i });
    assert.equal(sent.code, RESPONSES.MESSAGE_ILLEGAL, sent.remark);
  });

  it('reads names in capitals as fastjson does: clients of .NET write them so', async () => {
    const subscription = {
      Topic: 'pascal',
      ExpressionType: 'TAG',
      SubString: 'a',
      SubVersion: 6.4e17,
    };
    const consumer = {
      ...{ ConsumeType: 'CONSUME_ACTIVELY', GroupName: 'pascal', MessageModel: 'CLUSTERING' },
      SubscriptionDataSet: [subscription],
    };
    const data = {
      ...{ ClientID: 'net', ProducerDataSet: [{ GroupName: 'CLIENT_INNER_PRODUCER' }] },
      ConsumerDataSet: [consumer],
    };
    const heard = await client.ask(REQUESTS.HEART_BEAT, { body: bytesOf(JSON.stringify(data)) });
    assert.equal(heard.code, RESPONSES.SUCCESS, heard.remark);
    const fields = { consumerGroup: 'pascal' };
    const list = await client.ask(REQUESTS.GET_CONSUMER_LIST_BY_GROUP, { fields });
    assert.equal(Buffer.from(list.body).toString(), '{"consumerIdList":["net"]}');
    const shown = await client.ask(REQUESTS.GET_CONSUMER_CONNECTION_LIST, { fields });
    assert.match(Buffer.from(shown.body).toString(), /"subString":"a"/);
  });

  it('lets a consumer in whose producer group has no place any more', async () => {
    const beat = (producers: readonly string[]): Promise<ReceivedCommand> => {
      const consumer = { groupName: 'late', subscriptionDataSet: [{ topic: 'late' }] };
      const data = {
        ...{ clientID: 'c', consumerDataSet: [consumer] },
        producerDataSet: producers.map((groupName) => ({ groupName })),
      };
      return client.ask(REQUESTS.HEART_BEAT, { body: bytesOf(JSON.stringify(data)) });
    };
    const consumer = { consumerGroup: 'late' };
    for (let part = 0; part < 10; part += 1)
      await client.ask(REQUESTS.HEART_BEAT, {
        body: bytesOf(
          JSON.stringify({
            clientID: 'c',
            producerDataSet: Array.from({ length: 1000 }, (_, at) => ({
              groupName: `${part}.${at}`,
            })),
          }),
        ),
      });
    const heard = await beat(['one-more']);
    assert.equal(heard.code, RESPONSES.SYSTEM_ERROR);
    assert.match(heard.remark ?? '', /LIMIT_REACHED/);
    const list = await client.ask(REQUESTS.GET_CONSUMER_LIST_BY_GROUP, { fields: consumer });
    assert.equal(list.code, RESPONSES.SUCCESS, list.remark);
  });
});

it('knows no group that was not made, where groups do not come into being by themselves', async (t) => {
  const config = { remotingPort: 0, autoCreateSubscriptionGroup: false };
  const broker = await createBroker({ memory: true, config });
  t.after(() => broker.drain());
  const client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  t.after(() => client.close());
  const fields = {
    a: 'p',
    b: '%RETRY%nobody',
    c: 'TBW102',
    d: '4',
    e: '0',
    f: '0',
    g: '1',
    h: '0',
  };
  const sent = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body: bytesOf('1') });
  assert.equal(sent.code, RESPONSES.SUBSCRIPTION_GROUP_NOT_EXIST, sent.remark);
  await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields: { ...fields, b: 'T' }, body: bytesOf('1') });
  const pull = (consumerGroup: string): Promise<ReceivedCommand> =>
    client.ask(REQUESTS.PULL_MESSAGE, {
      fields: {
        ...{ consumerGroup, topic: 'T', queueId: '0', queueOffset: '0', maxMsgNums: '32' },
        ...{ sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*' },
      },
    });
  const refused = await pull('nobody');
  assert.equal(refused.code, RESPONSES.SUBSCRIPTION_GROUP_NOT_EXIST, refused.remark);
  // Tools of RocketMQ have groups of their own, which are everywhere.
  const tools = await pull('TOOLS_CONSUMER');
  assert.equal(tools.code, RESPONSES.SUCCESS, tools.remark);
});

it('reads a connection that has one request at most while its pull waits', async (t) => {
  const config = { remotingPort: 0, inFlightRequestsMax: 1 };
  const broker = await createBroker({ memory: true, config });
  t.after(() => broker.drain());
  const client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  t.after(() => client.close());
  const head = { a: 'p', b: 'one', c: 'TBW102', d: '4', e: '0', f: '0', g: '1', h: '0' };
  const send = (): Promise<ReceivedCommand> =>
    client.ask(REQUESTS.SEND_MESSAGE_V2, { fields: head, body: bytesOf('1') });
  await send();
  const fields = {
    ...{ consumerGroup: 'g', topic: 'one', queueId: '0', queueOffset: '1', maxMsgNums: '32' },
    ...{ sysFlag: '6', commitOffset: '0', suspendTimeoutMillis: '600000', subscription: '*' },
  };
  const pulled = client.ask(REQUESTS.PULL_MESSAGE, { fields });
  // It is read, and waits, before the next request comes.
  await sleep(100);
  // Else this would wait for the pull to time out.
  await send();
  assert.equal((await pulled).code, RESPONSES.SUCCESS);
});
