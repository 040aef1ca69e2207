/** The binary dialect against real shards: batches in, receipts and deliveries out, settles, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeControl } from '../../src/protocol/web/control-codec.ts';
import {
  SETTLE_ACK,
  SETTLE_DELAY_DEFAULT,
  SETTLE_EXTEND,
  SETTLE_NACK,
} from '../../src/protocol/web/frames-layout.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import { rangeOfDelivery, sendBatchFrame, settleFrame } from '../../src/testing/batch-frames.ts';
import type { Delivered, FakeConnection } from '../../src/testing/fake-connection.ts';

type Started = {
  readonly rig: AcceptorRig;
  readonly client: FakeConnection;
  readonly topicId: number;
};

async function startWithTopic(options?: Parameters<typeof AcceptorRig.start>[0]): Promise<Started> {
  const rig = await AcceptorRig.start(options);
  const client = rig.connect();
  const topic = await rig.ask(client, { op: 'topic', topic: 'orders', create: true }, 'binary');
  return { rig, client, topicId: topic['topicId'] as number };
}

async function subscribe(started: Started, fields: object = {}): Promise<number> {
  const request = { op: 'subscribe', topic: 'orders', group: 'g', from: 'earliest', ...fields };
  const answer = await started.rig.ask(started.client, request, 'binary');
  assert.equal(answer.op, 'subscribed', JSON.stringify(answer));
  return answer['subscription'] as number;
}

test('batches are answered by receipts that travel together', async () => {
  const { rig, client, topicId } = await startWithTopic();
  const before = client.frames;
  for (let correlationId = 1; correlationId <= 100; correlationId += 1)
    rig.acceptor.binary(
      client,
      sendBatchFrame({ topicId, queueId: correlationId % 4, correlationId, messages: ['a', 'b'] }),
    );
  await rig.settle();
  assert.equal(client.receipts.length, 100);
  assert.ok(client.frames - before <= 8, `${client.frames - before} frames for 100 receipts`);
  const byId = client.receipts.toSorted((one, other) => one.correlationId - other.correlationId);
  for (const [index, receipt] of byId.entries()) {
    assert.equal(receipt.correlationId, index + 1);
    assert.equal(receipt.queueId, (index + 1) % 4);
    assert.equal(receipt.recordCount, 2);
    assert.equal(receipt.durability, 2);
    assert.equal(receipt.duplicate, false);
    assert.equal(receipt.baseQueueOffset % 2, 0);
  }
});

test('a resend is answered as a duplicate with the offset it had', async () => {
  const { rig, client, topicId } = await startWithTopic();
  const producer = { id: 'p', sequence: 7 };
  const send = async (correlationId: number): Promise<void> => {
    rig.acceptor.binary(
      client,
      sendBatchFrame({ topicId, correlationId, messages: ['a'], producer }),
    );
    await rig.settle();
  };
  await send(1);
  await send(2);
  const [first, second] = client.receipts;
  assert.equal(second?.duplicate, true);
  assert.equal(second?.baseQueueOffset, first?.baseQueueOffset);
  assert.equal(second?.position, first?.position);
});

test('a batch is delivered byte for byte, and acked by ranges', async () => {
  const started = await startWithTopic();
  const { rig, client, topicId } = started;
  const subscription = await subscribe(started);
  const messages = ['one', 'two', 'three'];
  rig.acceptor.binary(client, sendBatchFrame({ topicId, queueId: 3, correlationId: 1, messages }));
  await rig.settle();
  const [delivered, ...others] = client.delivered;
  assert.equal(others.length, 0);
  assert.ok(delivered);
  assert.deepEqual(delivered.bodies, messages);
  assert.equal(delivered.subscription, subscription);
  assert.equal(delivered.queueId, 3);
  assert.equal(delivered.attempt, 1);
  assert.equal(delivered.topicId, topicId);
  assert.ok(delivered.leaseMs > 29_000);
  const ack = settleFrame({
    action: SETTLE_ACK,
    subscription,
    correlationId: 9,
    ranges: [rangeOfDelivery(delivered)],
  });
  rig.acceptor.binary(client, ack);
  await rig.settle();
  assert.deepEqual(client.take('ok'), [{ op: 'ok', id: 9 }]);
  rig.acceptor.binary(client, ack);
  await rig.settle();
  const [stale] = client.take('error');
  assert.equal(stale?.['code'], 'LEASE_EXPIRED');
  assert.equal(stale?.['id'], 9);
});

test('the credit is never exceeded; what is above it comes when there is more', async () => {
  const started = await startWithTopic();
  const { rig, client, topicId } = started;
  for (let queueId = 0; queueId < 4; queueId += 1)
    rig.acceptor.binary(
      client,
      sendBatchFrame({
        topicId,
        queueId,
        correlationId: queueId + 1,
        messages: Array.from({ length: 50 }, (_, index) => `${queueId}-${index}`),
      }),
    );
  await rig.settle();
  const subscription = await subscribe(started, { credit: 3 });
  const seen: string[] = [];
  const take = async (): Promise<number> => {
    await rig.settle();
    const taken = client.delivered.splice(0);
    for (const { bodies, attempt } of taken) {
      assert.equal(attempt, 1);
      seen.push(...bodies);
    }
    return taken.reduce((sum, { count }) => sum + count, 0);
  };
  assert.equal(await take(), 3);
  for (const more of [1, 2, 7, 30, 100, 100]) {
    rig.acceptor.binary(client, encodeControl({ op: 'credit', subscription, more }));
    const expected = Math.min(more, 200 - seen.length);
    assert.equal(await take(), expected);
  }
  assert.equal(new Set(seen).size, 200);
  for (let queueId = 0; queueId < 4; queueId += 1) {
    const ofQueue = seen.filter((body) => body.startsWith(`${queueId}-`));
    assert.deepEqual(
      ofQueue,
      Array.from({ length: 50 }, (_, index) => `${queueId}-${index}`),
    );
  }
});

test('credit that was not used is taken back, and no more than that', async () => {
  const started = await startWithTopic();
  const { rig, client, topicId } = started;
  const send = async (correlationId: number): Promise<number> => {
    const messages = Array.from({ length: 4 }, () => 'x');
    rig.acceptor.binary(client, sendBatchFrame({ topicId, queueId: 0, correlationId, messages }));
    await rig.settle();
    return client.delivered.splice(0).reduce((sum, { count }) => sum + count, 0);
  };
  const subscription = await subscribe(started, { credit: 10 });
  const less = async (count: number): Promise<unknown> => {
    const request = { op: 'credit', subscription, less: count, id: 7 };
    rig.acceptor.binary(client, encodeControl(request));
    await rig.settle();
    return client.take('ok')[0]?.['taken'];
  };
  assert.equal(await send(1), 4);
  assert.equal(await less(3), 3);
  assert.equal(await send(2), 3);
  assert.equal(await less(5), 0);
  rig.acceptor.binary(client, encodeControl({ op: 'credit', subscription, more: 4 }));
  assert.equal(await send(3), 4);
});

test('with a filter only matching records count, and the broker settles the others', async () => {
  const started = await startWithTopic();
  const { rig, client, topicId } = started;
  const messages = Array.from({ length: 30 }, (_, index) => ({
    body: String(index),
    tag: index % 3 === 0 ? 'yes' : 'no',
  }));
  rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId: 1, messages }));
  const subscription = await subscribe(started, { filter: 'yes', credit: 4 });
  const bodiesOf = (delivered: readonly Delivered[]): string[] =>
    delivered.flatMap(({ bodies }) => bodies).filter((body) => Number(body) % 3 === 0);
  await rig.settle();
  const first = client.delivered.splice(0);
  assert.deepEqual(bodiesOf(first), ['0', '3', '6', '9']);
  rig.acceptor.binary(client, encodeControl({ op: 'credit', subscription, more: 100 }));
  await rig.settle();
  const rest = client.delivered.splice(0);
  assert.equal(bodiesOf(rest).length, 6);
  const ranges = [...first, ...rest].flatMap((delivered) =>
    delivered.bodies
      .map((body, index) => ({ body, index }))
      .filter(({ body }) => Number(body) % 3 === 0)
      .map(({ index }) => ({
        ...rangeOfDelivery(delivered),
        queueOffset: delivered.baseQueueOffset + delivered.firstIndex + index,
        count: 1,
      })),
  );
  assert.equal(ranges.length, 10);
  rig.acceptor.binary(
    client,
    settleFrame({ action: SETTLE_ACK, subscription, correlationId: 5, ranges }),
  );
  await rig.settle();
  assert.equal(client.take('ok').length, 1);
  const group = await rig.http('GET', '/api/groups/g');
  assert.equal((JSON.parse(group.body as string) as { lag: number }).lag, 0);
});

test('a nack with a reason brings the message again; extend keeps it', async () => {
  const started = await startWithTopic();
  const { rig, client, topicId } = started;
  const subscription = await subscribe(started, { leaseMs: 1000 });
  rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId: 1, messages: ['x'] }));
  await rig.settle();
  const [first] = client.delivered.splice(0);
  assert.ok(first);
  const ranges = [rangeOfDelivery(first)];
  const extend = { action: SETTLE_EXTEND, subscription, correlationId: 0, ranges };
  rig.acceptor.binary(client, settleFrame({ ...extend, argument: 10_000 }));
  await rig.pass(2000, 500);
  assert.equal(client.delivered.length, 0);
  assert.equal(client.take('ok').length, 0, 'correlation 0 asks for no answer');
  const nack = { action: SETTLE_NACK, subscription, correlationId: 2, ranges, reason: 'later' };
  rig.acceptor.binary(client, settleFrame({ ...nack, argument: SETTLE_DELAY_DEFAULT }));
  await rig.pass(200, 50);
  assert.equal(client.take('ok').length, 1);
  assert.equal(client.delivered[0]?.attempt, 2);
});

test('what is wrong with a frame is said, with its correlation id', async () => {
  const started = await startWithTopic({ config: { defaultTopicQueues: 2 } });
  const { rig, client, topicId } = started;
  const subscription = await subscribe(started);
  const good = sendBatchFrame({ topicId, correlationId: 77, messages: ['a'] });
  const changed = (at: number, value: number): Uint8Array => {
    const frame = good.slice();
    frame[at] = value;
    return frame;
  };
  const range = { queueId: 0, queueOffset: 0, count: 1, leaseId: 1 };
  const settle = { subscription, correlationId: 77, ranges: [range] };
  const cases: readonly [string, Uint8Array, string, number | null][] = [
    ['an empty frame', new Uint8Array(0), 'BAD_FRAME', null],
    ['an unknown kind', Uint8Array.of(0x99), 'BAD_FRAME', null],
    ['a cut header', good.subarray(0, 15), 'BAD_FRAME', 77],
    ['a cut batch', good.subarray(0, good.length - 8), 'BAD_FRAME', 77],
    ['a reserved byte', changed(1, 1), 'BAD_FRAME', 77],
    ['a topic that is not there', changed(8, 99), 'TOPIC_NOT_FOUND', 77],
    ['a queue that is not there', changed(2, 2), 'QUEUE_NOT_FOUND', 77],
    ['a damaged batch', changed(good.length - 20, 0xff), 'RECORD_CORRUPT', 77],
    ['CONTROL that is no map', Uint8Array.of(1, 0x90), 'BAD_FRAME', null],
    ['CONTROL that is cut', Uint8Array.of(1, 0x81), 'BAD_FRAME', null],
    [
      'a strange subscription',
      settleFrame({ ...settle, action: SETTLE_ACK, subscription: 999 }),
      'SUBSCRIPTION_NOT_FOUND',
      77,
    ],
    ['an action that is none', settleFrame({ ...settle, action: 9 }), 'BAD_FRAME', 77],
    [
      'a queue to settle that is not there',
      settleFrame({ ...settle, action: SETTLE_ACK, ranges: [{ ...range, queueId: 7 }] }),
      'QUEUE_NOT_FOUND',
      77,
    ],
    [
      'a lease that is too short',
      settleFrame({ ...settle, action: SETTLE_EXTEND, argument: 10 }),
      'INVALID_ARGUMENT',
      77,
    ],
    [
      'a delay that is too long',
      settleFrame({ ...settle, action: SETTLE_NACK, argument: 0xffff_fffe }),
      'INVALID_ARGUMENT',
      77,
    ],
  ];
  for (const [what, frame, code, id] of cases) {
    rig.acceptor.binary(client, frame);
    await rig.settle();
    const [error, ...others] = client.take('error');
    assert.equal(others.length, 0, what);
    assert.equal(error?.['code'], code, `${what}: ${JSON.stringify(error)}`);
    assert.equal(error?.['id'], id, what);
    assert.equal(error?.['stored'], false, what);
  }
  assert.equal(client.closeCode, undefined);
  assert.equal(client.receipts.length, 0);
});

test('a correlation id is not used twice at once, and the window has an end', async () => {
  const { rig, client, topicId } = await startWithTopic({ config: { inFlightRequestsMax: 3 } });
  const send = (correlationId: number): void =>
    rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId, messages: ['a'] }));
  for (const correlationId of [1, 1, 2, 3, 4]) send(correlationId);
  const errors = client.take('error');
  assert.deepEqual(
    errors.map((error) => [error['id'], error['code']]),
    [
      [1, 'INVALID_ARGUMENT'],
      [4, 'WINDOW_FULL'],
    ],
  );
  await rig.settle();
  assert.equal(client.receipts.length, 3);
  send(1);
  await rig.settle();
  assert.equal(client.receipts.length, 4);
});

test('a limit on bodies that is lower than the protocol’s holds for batches too', async () => {
  const { rig, client, topicId } = await startWithTopic({ config: { bodyBytesMax: 1024 } });
  const send = async (correlationId: number, messages: string[]): Promise<void> => {
    rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId, messages }));
    await rig.settle();
  };
  await send(1, ['x'.repeat(1024), 'y'.repeat(1024), 'z'.repeat(1024)]);
  assert.equal(client.receipts.length, 1);
  await send(2, ['x', 'y'.repeat(1025)]);
  assert.equal(client.take('error')[0]?.['code'], 'MESSAGE_TOO_LARGE');
});

test('bytes within a JSON body of a CONTROL frame are refused, as a whole body they are fine', async () => {
  const { rig, client } = await startWithTopic();
  const bytes = Uint8Array.of(1, 2, 3);
  const send = { op: 'send', topic: 'orders', queueId: 0 };
  const refused = await rig.ask(client, { ...send, body: { deep: [bytes] } }, 'binary');
  assert.equal(refused['code'], 'INVALID_ARGUMENT');
  const sent = await rig.ask(client, { ...send, body: bytes }, 'binary');
  assert.equal(sent.op, 'sent');
  const fetch = { op: 'fetch', topic: 'orders', queueId: 0, offset: 0 };
  const fetched = await rig.ask(client, fetch, 'binary');
  assert.deepEqual((fetched['messages'] as { body: unknown }[])[0]?.body, { $bytes: 'AQID' });
});

test('with an SQL filter the frame says which records are delivered, and the broker settles the others', async () => {
  const started = await startWithTopic();
  const { rig, client, topicId } = started;
  const messages = Array.from({ length: 30 }, (_, index) => ({
    body: String(index),
    properties: index === 5 ? { price: 'cheap' } : { price: String(index) },
  }));
  rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId: 1, messages }));
  const filter = { sql: 'price > 3.0 AND NOT (price BETWEEN 10.0 AND 19.0)' };
  const wanted = messages.map(({ body }) => body).filter((body) => isWanted(Number(body)));
  const subscription = await subscribe(started, { filter, credit: 4 });
  await rig.settle();
  const first = client.delivered.splice(0);
  assert.deepEqual(
    first.flatMap(({ bodies }) => bodies),
    wanted.slice(0, 4),
  );
  rig.acceptor.binary(client, encodeControl({ op: 'credit', subscription, more: 100 }));
  await rig.settle();
  const all = [...first, ...client.delivered.splice(0)];
  assert.deepEqual(
    all.flatMap(({ bodies }) => bodies),
    wanted,
  );
  const ranges = all.flatMap((delivered) =>
    delivered.offsets.map((queueOffset) => ({
      ...rangeOfDelivery(delivered),
      ...{ queueOffset, count: 1 },
    })),
  );
  rig.acceptor.binary(
    client,
    settleFrame({ action: SETTLE_ACK, subscription, correlationId: 5, ranges }),
  );
  await rig.settle();
  assert.equal(client.take('ok').length, 1);
  const group = await rig.http('GET', '/api/groups/g');
  assert.equal((JSON.parse(group.body as string) as { lag: number }).lag, 0);
  const failures = rig.acceptor
    .metrics()
    .find(({ name }) => name === 'sluice_filter_failures_total');
  assert.equal(failures?.value, 1);
});

function isWanted(price: number): boolean {
  return price > 3 && price !== 5 && (price < 10 || price > 19);
}
