/** A consumer that asks for more than it reads: its answers wait for it, its connection stays, and the broker's memory has a bound. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBroker } from '../../src/broker/create-broker.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

const BODY_BYTES = 1024 * 1024;
const PULLS = 64;

it('answers many large pulls one after the other to who reads slowly', async (t) => {
  const broker = await createBroker({ memory: true, config: { remotingPort: 0 } });
  t.after(() => broker.drain());
  const client = await RemotingClient.connect(Number(broker.ready.remoting?.split(':')[1]));
  t.after(() => client.close());
  const head = { a: 'p', b: 'slow', c: 'TBW102', d: '4', e: '0', f: '0', g: '1', h: '0' };
  const body = new Uint8Array(BODY_BYTES).fill(7);
  const sent = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields: head, body });
  assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
  const fields = {
    ...{ consumerGroup: 'g', topic: 'slow', queueId: '0', queueOffset: '0', maxMsgNums: '32' },
    ...{ sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0', subscription: '*' },
  };
  client.connection.pause();
  const pulls = Array.from({ length: PULLS }, () => client.ask(REQUESTS.PULL_MESSAGE, { fields }));
  await sleep(500);
  client.connection.resume();
  const answers = await Promise.all(pulls);
  for (const { code, body: messages, remark } of answers) {
    assert.equal(code, RESPONSES.SUCCESS, remark);
    assert.ok(messages.length > BODY_BYTES);
  }
});
