/** What the port of RocketMQ's clients counts and limits: rates of a connection, connections, and what /metrics says of it. */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { sleep } from '../../src/base/clock.ts';
import { type Broker, type BrokerOptions, createBroker } from '../../src/broker/create-broker.ts';
import { REQUEST_CODES as REQUESTS } from '../../src/protocol/remoting/request-codes.ts';
import { RESPONSE_CODES as RESPONSES } from '../../src/protocol/remoting/response-codes.ts';
import { until } from '../../src/testing/e2e-broker.ts';
import { RemotingClient } from '../../src/testing/remoting-client.ts';
import { batchBodyOf } from '../../src/testing/remoting-samples.ts';

const NO_SUCH_CODE = 31_337;

const fields = {
  ...{ a: 'producers', b: 'orders', c: 'TBW102', d: '4', e: '0', f: '0', g: '1700000000000' },
  ...{ h: '0', i: '', j: '0', k: 'false', l: '0', m: 'false' },
};

async function start(
  t: TestContext,
  config: NonNullable<BrokerOptions['config']> = {},
): Promise<{ readonly broker: Broker; readonly connect: () => Promise<RemotingClient> }> {
  const broker = await createBroker({ memory: true, config: { remotingPort: 0, ...config } });
  t.after(() => broker.close());
  const port = Number(broker.ready.remoting?.split(':')[1]);
  const connect = async (): Promise<RemotingClient> => {
    const client = await RemotingClient.connect(port);
    t.after(() => client.close());
    return client;
  };
  return { broker, connect };
}

/** The values of the port's metrics, by name and labels as they stand in the text. */
async function metricsOf(broker: Broker): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${broker.ready.http}/metrics`)).text();
  const lines = text.matchAll(/^sluice_remoting_(\S+) (\S+)$/gm);
  return new Map([...lines].map(([, name = '', value]) => [name, Number(value)]));
}

it('a connection that sends faster than its limit is told when it may again; another one is not', async (t) => {
  const { broker, connect } = await start(t, { rateLimitMessagesPerSecond: 10 });
  const client = await connect();
  const body = Buffer.from('1');
  const batchOf = (count: number): Uint8Array =>
    batchBodyOf(Array.from({ length: count }, () => ({ body: 'b', properties: '' })));
  const batch = batchOf(9);
  // More than a second allows is taken once, and is paid for with the next minutes: longer than a machine stands still.
  const many = await client.ask(REQUESTS.SEND_BATCH_MESSAGE, { fields, body: batchOf(5000) });
  assert.equal(many.code, RESPONSES.SUCCESS, many.remark);
  const refused = await client.ask(REQUESTS.SEND_BATCH_MESSAGE, { fields, body: batch });
  assert.equal(refused.code, RESPONSES.SYSTEM_BUSY);
  assert.match(refused.remark ?? '', /^\[OVERLOAD\]RATE_LIMITED: .* again in \d+ ms\. Wait /);
  // A batch by its field is one, too.
  const single = { fields: { ...fields, m: 'true' }, body: batch };
  const hidden = await client.ask(REQUESTS.SEND_MESSAGE_V2, single);
  assert.equal(hidden.code, RESPONSES.SYSTEM_BUSY);
  // What is no send goes on, and so do others.
  assert.equal((await client.ask(REQUESTS.GET_BROKER_CONFIG)).code, RESPONSES.SUCCESS);
  const other = await connect();
  const sent = await other.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body });
  assert.equal(sent.code, RESPONSES.SUCCESS, sent.remark);
  assert.equal(sent.fields.get('queueOffset'), '5000', 'nothing of what was refused is stored');
  let accepted = 1;
  let busy = await other.ask(REQUESTS.SEND_BATCH_MESSAGE, { fields, body: batch });
  for (; busy.code === RESPONSES.SUCCESS; accepted += 1)
    busy = await other.ask(REQUESTS.SEND_BATCH_MESSAGE, { fields, body: batch });
  assert.equal(busy.code, RESPONSES.SYSTEM_BUSY, busy.remark);
  await sleep(Number(/in (\d+) ms/.exec(busy.remark ?? '')?.[1]));
  const again = await other.ask(REQUESTS.SEND_BATCH_MESSAGE, { fields, body: batch });
  assert.equal(again.code, RESPONSES.SUCCESS, again.remark);
  accepted += 1;
  const metrics = await metricsOf(broker);
  const counted = (outcome: string): number | undefined =>
    metrics.get(`requests_total{command="SEND_BATCH_MESSAGE",outcome="${outcome}"}`);
  assert.deepEqual([counted('SUCCESS'), counted('SYSTEM_BUSY')], [accepted, 2]);
});

it('a client may lock all queues of many topics at once, however long its name is', async (t) => {
  const rings = { ringBytes: 1024 * 1024, maxMessageSize: 100_000 };
  const { broker, connect } = await start(t, rings);
  const client = await connect();
  const mqSet: { brokerName: string; topic: string; queueId: number }[] = [];
  for (let number = 0; number < 24; number += 1) {
    const topic = `ordered-${number}`;
    const url = new URL('/api/topics', broker.ready.http);
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ topic, queues: 64 });
    assert.equal((await fetch(url, { method: 'POST', headers, body })).status, 200);
    for (let queueId = 0; queueId < 64; queueId += 1)
      mqSet.push({ brokerName: 'b', topic, queueId });
  }
  const clientId = 'c'.repeat(200);
  const body = Buffer.from(JSON.stringify({ clientId, consumerGroup: 'locks', mqSet }));
  const locked = await client.ask(REQUESTS.LOCK_BATCH_MQ, { body });
  assert.equal(locked.code, RESPONSES.SUCCESS, locked.remark);
  const names = JSON.parse(Buffer.from(locked.body).toString()) as { lockOKMQSet: unknown[] };
  assert.equal(names.lockOKMQSet.length, mqSet.length);
  assert.equal((await client.ask(REQUESTS.UNLOCK_BATCH_MQ, { body })).code, RESPONSES.SUCCESS);
  // More than it could have is refused, with the limit.
  const tooMany = { clientId, consumerGroup: 'locks', mqSet: Array(65_537).fill(mqSet[0]) };
  const refused = await client.ask(REQUESTS.LOCK_BATCH_MQ, {
    body: Buffer.from(JSON.stringify(tooMany)),
  });
  assert.equal(refused.code, RESPONSES.INVALID_PARAMETER);
  assert.match(refused.remark ?? '', /mqSet.* at most 65536 items/);
});

it('bytes are limited by the frame', async (t) => {
  const { connect } = await start(t, { rateLimitBytesPerSecond: 1024 });
  const client = await connect();
  const body = Buffer.alloc(500_000);
  const first = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body });
  assert.equal(first.code, RESPONSES.SUCCESS, 'more than a second allows is taken once');
  const second = await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body });
  assert.equal(second.code, RESPONSES.SYSTEM_BUSY);
});

it('counts requests by command and outcome, connections and bytes', async (t) => {
  const { broker, connect } = await start(t, { connectionsPerAddressMax: 3 });
  const client = await connect();
  const body = Buffer.alloc(5000);
  await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body });
  await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields, body });
  await client.ask(REQUESTS.SEND_MESSAGE_V2, { fields: { ...fields, b: '' }, body });
  for (const code of [NO_SUCH_CODE, NO_SUCH_CODE + 1, REQUESTS.POP_MESSAGE]) await client.ask(code);
  const topic = { consumerGroup: 'g', topic: 'orders', queueId: '0', queueOffset: '2' };
  client.send(REQUESTS.PULL_MESSAGE, {
    fields: {
      ...{ ...topic, maxMsgNums: '32', sysFlag: '6', commitOffset: '0', subVersion: '0' },
      ...{ suspendTimeoutMillis: '600000', subscription: '*', expressionType: 'TAG' },
    },
  });
  const gone = await connect();
  await gone.ask(REQUESTS.SEND_MESSAGE_V2, { fields: { ...fields, b: 'else' }, body });
  gone.close();
  await until('it is gone', async () => (await metricsOf(broker)).get('connections') === 1);
  const others = [await connect(), await connect()];
  await assert.rejects(async () => (await connect()).ask(REQUESTS.GET_BROKER_CONFIG));
  await others[0]?.ask(REQUESTS.GET_BROKER_CONFIG);
  const metrics = await metricsOf(broker);
  const requests = [...metrics].filter(([name]) => name.startsWith('requests_total'));
  const named = (command: string, outcome: string): string =>
    `requests_total{command="${command}",outcome="${outcome}"}`;
  assert.deepEqual(Object.fromEntries(requests), {
    [named('SEND_MESSAGE_V2', 'SUCCESS')]: 3,
    [named('SEND_MESSAGE_V2', 'INVALID_PARAMETER')]: 1,
    [named('OTHER', 'REQUEST_CODE_NOT_SUPPORTED')]: 2,
    [named('POP_MESSAGE', 'REQUEST_CODE_NOT_SUPPORTED')]: 1,
    [named('GET_BROKER_CONFIG', 'SUCCESS')]: 1,
  });
  const value = (name: string): number => metrics.get(name) ?? Number.NaN;
  assert.deepEqual(
    [value('connections'), value('connections_opened_total'), value('connections_refused_total')],
    [3, 4, 1],
  );
  assert.deepEqual([value('pulls_waiting'), value('requests_in_flight')], [1, 0]);
  const [received, sent] = [value('received_bytes_total'), value('sent_bytes_total')];
  assert.ok(received > 20_000 && received < 25_000, `${received} bytes, those of ended ones too`);
  assert.ok(sent > 1000 && sent < 20_000, `${sent} bytes`);
});
