/** Messages that consumers of RocketMQ could not consume: they come again later, and in the end are dead letters with a reason. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import { propertyText } from '../../src/protocol/remoting/property-text.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { decodeMessages, type RemotingMessage } from '../../src/testing/message-decoder.ts';
import { connect } from '../../src/testing/patient-client.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);
const textOf = (message: RemotingMessage): string => Buffer.from(message.body).toString();

describe('messages that are sent back', () => {
  let broker: Broker;
  let client: RemotingClient;

  before(async () => {
    const config = { remotingPort: 0, messageDelayLevel: [1, 1, 10, 20], shards: 2 };
    broker = await createBroker({ memory: true, config });
    client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  });
  after(async () => {
    client.close();
    await broker.drain();
  });

  async function send(topic: string, body: string, more: Record<string, string> = {}) {
    const fields = {
      ...{ a: 'p', b: topic, c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000', h: '5' },
      ...{
        i: propertyText([
          ['TAGS', 'a'],
          ['KEYS', 'k-1'],
          ['UNIQ_KEY', 'U1'],
        ]),
      },
      ...{ j: '0', k: 'false', l: '16', m: 'false', ...more },
    };
    const sent = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body: bytesOf(body) });
    assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
  }

  /** The message at an offset of queue 0; waits for it. */
  async function pull(topic: string, offset = 0, queueId = 0): Promise<RemotingMessage> {
    const fields = {
      ...{ consumerGroup: 'reader', topic, queueId: String(queueId), queueOffset: String(offset) },
      ...{ maxMsgNums: '1', sysFlag: '6', commitOffset: '0', suspendTimeoutMillis: '15000' },
      ...{ subscription: '*', subVersion: '0', expressionType: 'TAG' },
    };
    const pulled = await client.ask(REQUESTS.PULL_MESSAGE, { fields });
    assert.equal(pulled.code, RESPONSES.SUCCESS, pulled.remark);
    const decoded = decodeMessages(pulled.body);
    assert.ok('messages' in decoded && decoded.messages[0] !== undefined);
    return decoded.messages[0];
  }

  /** A dead letter: in the queue of the shard that it came from. */
  async function letter(group: string, offset = 0): Promise<RemotingMessage> {
    return Promise.any([0, 1].map((queueId) => pull(`%DLQ%${group}`, offset, queueId)));
  }

  function sendBack(message: RemotingMessage, group: string, more: Record<string, string> = {}) {
    const fields = { offset: message.place.toString(), group, delayLevel: '0', ...more };
    return client.ask(REQUESTS.CONSUMER_SEND_MSG_BACK, { fields });
  }

  it('come again to their group with what they were, once more each time, and end as dead letters', async () => {
    await send('orders', 'body');
    const first = await pull('orders');
    const answer = await sendBack(first, 'g', { maxReconsumeTimes: '1' });
    assert.equal(answer.code, RESPONSES.SUCCESS, answer.remark);
    const again = await pull('%RETRY%g');
    assert.equal(textOf(again), 'body');
    assert.deepEqual([again.reconsumeTimes, again.flag, again.bornAtMs], [1, 5, 1_700_000_000_000]);
    assert.equal(again.bornHost, first.bornHost);
    assert.deepEqual(Object.fromEntries(again.properties), {
      ...{ TAGS: 'a', KEYS: 'k-1', UNIQ_KEY: 'U1', WAIT: 'false', MSG_REGION: 'DefaultRegion' },
      ...{ RETRY_TOPIC: 'orders', ORIGIN_MESSAGE_ID: first.offsetMessageId },
    });
    assert.equal((await sendBack(again, 'g', { maxReconsumeTimes: '1' })).code, RESPONSES.SUCCESS);
    const dead = await letter('g');
    assert.equal(textOf(dead), 'body');
    assert.equal(dead.reconsumeTimes, 2);
    assert.equal(dead.properties.get('RETRY_TOPIC'), 'orders');
    assert.equal(dead.properties.get('ORIGIN_MESSAGE_ID'), first.offsetMessageId);
    assert.equal(dead.properties.get('DLQ_REASON'), 'it was not consumed with 1 retries');
    assert.equal(dead.properties.get('DLQ_TOPIC'), '%RETRY%g');
    const response = await fetch(new URL('/api/groups/g/redrive', broker.ready.http), {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    assert.deepEqual(await response.json(), { group: 'g', redriven: 1 });
    const redriven = await pull('%RETRY%g', 1);
    assert.equal(textOf(redriven), 'body');
    assert.equal(redriven.properties.get('RETRY_TOPIC'), 'orders');
    assert.equal(redriven.properties.get('DLQ_REASON'), undefined);
  });

  it('are dead letters at once when their consumer gives them up', async () => {
    await send('given-up', 'body');
    const message = await pull('given-up');
    assert.equal((await sendBack(message, 'h', { delayLevel: '-1' })).code, RESPONSES.SUCCESS);
    const dead = await letter('h');
    assert.equal(dead.properties.get('DLQ_REASON'), 'its consumer gave it up');
    assert.equal(dead.properties.get('DLQ_TOPIC'), 'given-up');
  });

  it('may have come by another dialect', async () => {
    const other = await connect({ servers: [broker.ready.ws] });
    const { queueId } = await other
      .producer()
      .send({ topic: 'mixed', body: { total: 12 }, tag: 't' });
    assert.equal((await sendBack(await pull('mixed', 0, queueId), 'm')).code, RESPONSES.SUCCESS);
    const again = await pull('%RETRY%m');
    assert.equal(textOf(again), '{"total":12}');
    assert.equal(again.properties.get('TAGS'), 't');
    await other.close();
  });

  it('are refused where there is no message', async () => {
    await send('somewhere', 'body');
    const message = await pull('somewhere');
    const offset = (BigInt(message.place) + 1_000_000n).toString();
    for (const wrong of [offset, '9'.repeat(18), 'x'])
      assert.equal((await sendBack(message, 'g', { offset: wrong })).code, RESPONSES.SYSTEM_ERROR);
  });

  it('may be sent to the retry topic by their consumer itself, until that is too often', async () => {
    await send('%RETRY%self', 'once more', { j: '16' });
    assert.equal((await pull('%RETRY%self')).reconsumeTimes, 16);
    await send('%RETRY%self', 'too often', { j: '17' });
    const dead = await letter('self');
    assert.equal(textOf(dead), 'too often');
    assert.equal(dead.properties.get('DLQ_REASON'), 'it was not consumed with 17 retries');
  });
});
