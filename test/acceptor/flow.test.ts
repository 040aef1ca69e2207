/** Who is slowed down and how: full rings, slow readers, reads from files; and that nothing is lost by it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fnv1a } from '../../src/base/fnv1a.ts';
import { BUSY_REFUSALS_MAX, CONNECTION_BUFFER_BYTES_MAX } from '../../src/base/limits.ts';
import { KIB } from '../../src/base/units.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import { rangeOfDelivery, sendBatchFrame, settleFrame } from '../../src/testing/batch-frames.ts';

const BODY = 'x'.repeat(4000);

test('a sender whose shard does not keep up is paused, refused without loss, and resumed', async () => {
  const rig = await AcceptorRig.start({ shards: 2 });
  const client = rig.connect();
  const { topicId } = (await rig.ask(client, { op: 'topic', topic: 't' })) as unknown as {
    topicId: number;
  };
  const [slow] = rig.shards;
  if (slow !== undefined) slow.isScheduled = false;
  // Queue 1 of topic 1 is on shard 0, queue 0 on shard 1.
  const send = (correlationId: number, queueId: number): void =>
    rig.acceptor.binary(
      client,
      sendBatchFrame({ topicId, queueId, correlationId, messages: [BODY] }),
    );
  let sent = 0;
  while (client.answers.length === 0) {
    sent += 1;
    send(sent, 1);
  }
  assert.ok(client.isPaused);
  const [busy] = client.take('error');
  assert.equal(busy?.['code'], 'BUSY');
  assert.equal(busy?.['stored'], false);
  assert.equal(busy?.['retryable'], true);
  assert.ok((busy?.['retryAfterMs'] as number) > 0);
  assert.equal(busy?.['id'], sent);
  // The other shard goes on, also for HTTP, which is told when to come back.
  send(5000, 0);
  const refused = await rig.http('POST', '/v1/topics/t/messages', {
    body: BODY.repeat(3),
    headers: { 'x-message-key': keyOfQueue(1) },
  });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers?.['Retry-After'], '1');
  await rig.settle();
  assert.deepEqual(
    client.receipts.map(({ correlationId }) => correlationId),
    [5000],
  );
  if (slow !== undefined) slow.isScheduled = true;
  await rig.settle();
  assert.equal(client.isPaused, false);
  assert.equal(client.receipts.length, sent);
});

/** A key that goes to this queue, of four. */
function keyOfQueue(queueId: number): string {
  let number = 0;
  while (fnv1a(`key-${number}`) % 4 !== queueId) number += 1;
  return `key-${number}`;
}

test('one who floods a busy broker without listening is closed', async () => {
  const rig = await AcceptorRig.start({ shards: 1 });
  const client = rig.connect();
  const { topicId } = (await rig.ask(client, { op: 'topic', topic: 't' })) as unknown as {
    topicId: number;
  };
  for (const shard of rig.shards) shard.isScheduled = false;
  const frame = sendBatchFrame({ topicId, correlationId: 1, messages: [BODY] });
  let frames = 0;
  for (; client.closeCode === undefined && frames < BUSY_REFUSALS_MAX + 100; frames += 1) {
    new DataView(frame.buffer).setUint32(4, frames + 1, true);
    rig.acceptor.binary(client, frame);
  }
  assert.equal(client.closeCode, 1013);
});

test('acks get through a full ring: they wait in order', async () => {
  const rig = await AcceptorRig.start({ shards: 1 });
  const client = rig.connect();
  const { topicId } = (await rig.ask(client, { op: 'topic', topic: 't' })) as unknown as {
    topicId: number;
  };
  const { subscription } = (await rig.ask(
    client,
    { op: 'subscribe', topic: 't', group: 'g', from: 'earliest' },
    'binary',
  )) as unknown as { subscription: number };
  rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId: 1, messages: ['a', 'b'] }));
  await rig.settle();
  const [delivered] = client.delivered;
  assert.ok(delivered);
  for (const shard of rig.shards) shard.isScheduled = false;
  for (let correlationId = 10; client.answers.length === 0; correlationId += 1)
    rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId, messages: ['s'] }));
  client.answers.length = 0;
  const range = rangeOfDelivery(delivered);
  for (let index = 0; index < 2; index += 1)
    rig.acceptor.binary(
      client,
      settleFrame({
        action: 1,
        subscription,
        correlationId: 5000 + index,
        ranges: [
          { ...range, queueOffset: range.queueOffset + index, count: 1 },
          // Ranges without a lease, so that the request is larger than what is left of the ring.
          ...Array.from({ length: 20 }, () => ({ ...range, leaseId: 1 })),
        ],
      }),
    );
  // What comes behind them must not overtake, so it is refused although it would fit.
  rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId: 9, messages: ['s'] }));
  assert.equal(client.take('error')[0]?.['code'], 'BUSY');
  for (const shard of rig.shards) shard.isScheduled = true;
  await rig.settle();
  assert.deepEqual(
    client.take('error').map((answer) => [answer['id'], answer['code']]),
    [
      [5000, 'LEASE_EXPIRED'],
      [5001, 'LEASE_EXPIRED'],
    ],
  );
  const group = await rig.http('GET', '/api/groups/g');
  assert.equal((JSON.parse(group.body as string) as { inFlight: number }).inFlight, 98);
});

test('a reader that does not read gets no more, and everything once it reads', async () => {
  const rig = await AcceptorRig.start({
    shards: 2,
    ringBytes: 1024 * KIB,
    shardConfig: { tailBytes: 1024 * KIB },
  });
  const client = rig.connect();
  const producer = rig.connect();
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', credit: 10_000 });
  client.swallows = true;
  client.waitingBytes = CONNECTION_BUFFER_BYTES_MAX - 20 * KIB;
  const send = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1)
      await rig.ask(producer, { op: 'send', topic: 't', body: BODY });
    await rig.settle();
  };
  await send(40);
  const before = client.take('message').length;
  assert.ok(before < 12, `${before} messages went to a full socket`);
  await send(20);
  assert.equal(client.take('message').length, 0);
  client.swallows = false;
  client.waitingBytes = 0;
  rig.acceptor.drained(client);
  await rig.pass(200, 50);
  const after = client.take('message');
  assert.equal(before + after.length, 60);
  assert.ok(
    after.every((message) => message['attempt'] === 1),
    'nothing counts as an attempt',
  );
});

test('one who does not read for half a minute is closed', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g' });
  client.waitingBytes = CONNECTION_BUFFER_BYTES_MAX + 1;
  await rig.ask(rig.connect(), { op: 'send', topic: 't', body: 1 });
  await rig.pass(29_000, 1000);
  assert.equal(client.closeCode, undefined);
  await rig.pass(3000, 1000);
  assert.equal(client.closeCode, 1013);
});

test('deliveries beyond the credit go back, and shards with little credit take turns', async () => {
  const rig = await AcceptorRig.start({ shards: 2 });
  const client = rig.connect();
  const producer = rig.connect();
  const { subscription } = (await rig.ask(client, {
    op: 'subscribe',
    topic: 't',
    group: 'g',
    credit: 1,
  })) as unknown as { subscription: number };
  for (let body = 0; body < 40; body += 1)
    await rig.ask(producer, { op: 'send', topic: 't', queueId: body % 4, body });
  await rig.settle();
  const seen: unknown[] = [];
  const firstHalf = new Set<unknown>();
  for (let turn = 0; turn < 40; turn += 1) {
    await rig.settle();
    const messages = client.take('message');
    assert.equal(messages.length, 1, `turn ${turn}`);
    assert.equal(messages[0]?.['attempt'], 1);
    seen.push(messages[0]?.['body']);
    if (turn < 20) firstHalf.add((messages[0]?.['queueId'] as number) % 2);
    await rig.ask(client, { op: 'credit', subscription, more: 1 });
  }
  assert.equal(new Set(seen).size, 40);
  assert.equal(firstHalf.size, 2, 'no shard is served only when the other has nothing left');
});

test('what has left the memory is read from files, in order, between live messages', async () => {
  const rig = await AcceptorRig.start({ shards: 1, shardConfig: { tailBytes: 64 * KIB } });
  const client = rig.connect();
  const producer = rig.connect();
  const count = 120;
  for (let body = 0; body < count; body += 1)
    await rig.ask(producer, {
      op: 'send',
      topic: 't',
      queueId: 0,
      messages: [{ body, properties: { pad: BODY } }],
    });
  let open: () => void = () => {};
  rig.coldGate = new Promise((resolve) => {
    open = resolve;
  });
  await rig.ask(client, {
    op: 'subscribe',
    topic: 't',
    group: 'g',
    from: 'earliest',
    credit: 1000,
  });
  await rig.settle();
  assert.equal(client.take('message').length, 0, 'the tail waits behind the files');
  open();
  await rig.settle();
  assert.ok(rig.coldReads > 50);
  await rig.ask(producer, { op: 'send', topic: 't', queueId: 0, body: count });
  await rig.settle();
  assert.deepEqual(
    client.take('message').map((message) => message['body']),
    Array.from({ length: count + 1 }, (_, index) => index),
  );
  const fetched = await rig.ask(client, { op: 'fetch', topic: 't', queueId: 0, offset: 0, max: 5 });
  assert.deepEqual(
    (fetched['messages'] as { body: number }[]).map(({ body }) => body),
    [0, 1, 2, 3, 4],
  );
});
