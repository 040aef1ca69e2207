/** The port of RocketMQ's clients at a pair: a slave gives what its master has and takes nothing; who lags is sent there. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { type BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { BrokerPair, untilCaughtUp } from '../../src/testing/e2e-pair.ts';
import { decodeMessages } from '../../src/testing/message-decoder.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';

/** Together more than the window of a shard, which is 1 MiB here. */
const MESSAGES = 60;
const BODY_BYTES = 50_000;
const TOPIC = 'orders';

function sendFields(topic: string) {
  return {
    ...{ a: 'producers', b: topic, c: 'TBW102', d: '1', e: '0', f: '0' },
    ...{ g: '1700000000000', h: '0', i: '', j: '0', k: 'false', l: '0', m: 'false' },
  };
}

function pullFields(offset: number) {
  return {
    ...{ consumerGroup: 'g', topic: TOPIC, queueId: '0', queueOffset: String(offset) },
    ...{ maxMsgNums: '4', sysFlag: '4', commitOffset: '0', suspendTimeoutMillis: '0' },
    ...{ subscription: '*', subVersion: '0', expressionType: 'TAG' },
  };
}

async function clientOf(broker: BrokerProcess): Promise<RemotingClient> {
  return RemotingClient.connect(Number(String(broker.ready['remoting']).split(':')[1]));
}

/** Queue offset and first byte of the body of each message. */
async function read(client: RemotingClient, offset: number): Promise<readonly number[][]> {
  const { body } = await client.ask(REQUESTS.PULL_MESSAGE, { fields: pullFields(offset) });
  const decoded = decodeMessages(body);
  if ('refusal' in decoded) assert.fail(decoded.refusal);
  return decoded.messages.map((message) => [message.queueOffset, Number(message.body[0])]);
}

describe('a pair of brokers, to clients of RocketMQ', () => {
  const pair = new BrokerPair({ slaveReadEnable: true });
  let master: RemotingClient;
  let slave: RemotingClient;

  before(async () => {
    const a = await pair.startMaster({ autoCreateTopicEnable: true });
    const b = await pair.startSlave(a);
    master = await clientOf(a);
    slave = await clientOf(b);
    for (let index = 0; index < MESSAGES; index += 1) {
      const body = new Uint8Array(BODY_BYTES).fill(index);
      const sent = await master.ask(REQUESTS.SEND_MESSAGE_V2, { fields: sendFields(TOPIC), body });
      assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
    }
    await untilCaughtUp(a, b);
  });

  after(async () => {
    master.close();
    slave.close();
    await pair.end();
  });

  for (const [place, offset, id] of [
    ['the beginning, which memory does not hold', 0, '1'],
    ['the end', MESSAGES - 2, '0'],
  ] as const)
    it(`is told broker id ${id} at ${place}, by both`, async () => {
      for (const client of [master, slave]) {
        const { code, fields } = await client.ask(REQUESTS.PULL_MESSAGE, {
          fields: pullFields(offset),
        });
        assert.equal(code, RESPONSES.SUCCESS);
        assert.equal(fields.get('suggestWhichBrokerId'), id);
        assert.equal(fields.get('maxOffset'), String(MESSAGES));
      }
    });

  it('gives the same messages at both', async () => {
    for (const offset of [0, MESSAGES - 4]) {
      const [ofMaster, ofSlave] = await Promise.all(
        [master, slave].map((one) => read(one, offset)),
      );
      assert.equal(ofMaster?.length, 4);
      assert.deepEqual(ofMaster, ofSlave);
    }
  });

  it('holds a client that is ahead of the slave where it is', async () => {
    const { code, fields } = await slave.ask(REQUESTS.PULL_MESSAGE, {
      fields: pullFields(MESSAGES + 10),
    });
    assert.equal(code, RESPONSES.PULL_RETRY_IMMEDIATELY);
    assert.equal(fields.get('nextBeginOffset'), String(MESSAGES + 10));
  });

  it('sends nothing to the slave', async () => {
    const { code, remark } = await slave.ask(REQUESTS.SEND_MESSAGE_V2, {
      ...{ fields: sendFields(TOPIC), body: new Uint8Array(8) },
    });
    assert.equal(code, RESPONSES.SERVICE_NOT_AVAILABLE);
    assert.match(remark ?? '', /NOT_MASTER/);
  });
});

describe('a synchronous master, to clients of RocketMQ', () => {
  const pair = new BrokerPair({ autoCreateTopicEnable: true });
  after(() => pair.end());

  it('answers 14 without its slave, 0 with it, and 12 while it stands still', async (t) => {
    const a = await pair.startMaster({ brokerRole: 'SYNC_MASTER', syncFlushTimeoutMs: 800 });
    const master = await clientOf(a);
    t.after(() => master.close());
    const send = () =>
      master.ask(REQUESTS.SEND_MESSAGE_V2, { fields: sendFields(TOPIC), body: new Uint8Array(8) });
    const alone = await send();
    assert.equal(alone.code, RESPONSES.SERVICE_NOT_AVAILABLE);
    assert.match(alone.remark ?? '', /SLAVE_NOT_AVAILABLE/);

    const b = await pair.startSlave(a);
    await until('it takes sends', async () => (await fetch(`${a.http}/readyz`)).status === 200);
    let offset = 0;
    let stored = await send();
    // A busy machine may be later than the limit of this test, or lose the slave for a moment: then nothing is stored.
    const isLate = (): boolean => stored.code === RESPONSES.FLUSH_SLAVE_TIMEOUT;
    while (isLate() || stored.code === RESPONSES.SERVICE_NOT_AVAILABLE) {
      if (isLate()) offset += 1;
      stored = await send();
    }
    assert.equal(stored.code, RESPONSES.SUCCESS, stored.remark);
    assert.equal(stored.fields.get('queueOffset'), String(offset));

    await b.freeze();
    const timedOut = await send();
    assert.equal(timedOut.code, RESPONSES.FLUSH_SLAVE_TIMEOUT, timedOut.remark);
    assert.equal(timedOut.fields.get('queueOffset'), '-1');
    b.signal('SIGCONT');
    await until('it is confirmed', async () => (await send()).code === RESPONSES.SUCCESS);
  });
});
