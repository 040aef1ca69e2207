/** Shards that crash, come back, or stay fenced; metadata that differs; dead ends that must not stay dead. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB } from '../../src/base/units.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import { sendBatchFrame } from '../../src/testing/batch-frames.ts';
import type { FakeConnection } from '../../src/testing/fake-connection.ts';

type Rig = { readonly rig: AcceptorRig; readonly client: FakeConnection; readonly topicId: number };

async function startWithTopic(): Promise<Rig> {
  const rig = await AcceptorRig.start({ shards: 2 });
  const client = rig.connect();
  const topic = await rig.ask(client, { op: 'topic', topic: 't', create: true });
  return { rig, client, topicId: topic['topicId'] as number };
}

/** Queue of the topic with this id that is on the shard, of two. */
const queueOn = (topicId: number, shard: number): number => (topicId + shard) % 2;

test('what a crashed shard was asked is answered, the other shard goes on', async () => {
  const { rig, client, topicId } = await startWithTopic();
  const [shard] = rig.shards;
  if (shard !== undefined) shard.isScheduled = false;
  const onFirst = queueOn(topicId, 0);
  const onSecond = queueOn(topicId, 1);
  const batch = (correlationId: number, queueId: number): void =>
    rig.acceptor.binary(
      client,
      sendBatchFrame({ topicId, queueId, correlationId, messages: ['a'] }),
    );
  batch(1, onFirst);
  batch(2, onSecond);
  const send = { op: 'send', topic: 't', body: 1 };
  rig.acceptor.text(client, JSON.stringify({ ...send, id: 'json', queueId: onFirst }));
  const fetch = { op: 'fetch', topic: 't', queueId: onFirst, offset: 0, waitMs: 5000 };
  rig.acceptor.text(client, JSON.stringify({ ...fetch, id: 'fetch' }));
  await rig.settle();
  rig.stopShard(0);
  const errors = client.take('error');
  assert.deepEqual(errors.map((error) => error['id']).sort(), [1, 'fetch', 'json']);
  for (const error of errors) {
    assert.equal(error['code'], 'SHARD_RESTARTING');
    assert.equal(error['stored'], 'unknown');
    assert.equal(error['retryAfterMs'], 500);
  }
  assert.deepEqual(
    client.receipts.map(({ correlationId }) => correlationId),
    [2],
  );
  // Refused at the door it is certain that nothing was stored.
  const refused = await rig.ask(client, { ...send, queueId: onFirst });
  assert.deepEqual([refused['code'], refused['stored']], ['SHARD_RESTARTING', false]);
  batch(3, onFirst);
  assert.equal(client.take('error')[0]?.['stored'], false);
  // Messages without a key go to the queues that work.
  for (let count = 0; count < 4; count += 1) assert.equal((await rig.ask(client, send)).op, 'sent');
});

test('subscriptions of a crashed shard go on when it is back', async () => {
  const { rig, client, topicId } = await startWithTopic();
  const producer = rig.connect();
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', from: 'earliest', credit: 100 });
  const onSecond = queueOn(topicId, 1);
  const send = async (body: number): Promise<string> =>
    (await rig.ask(producer, { op: 'send', topic: 't', queueId: onSecond, body })).op;
  assert.equal(await send(1), 'sent');
  await rig.settle();
  const [first] = client.take('message');
  assert.equal(first?.['body'], 1);
  rig.stopShard(1);
  // One that comes meanwhile is told of the others' queues, and of these later.
  const late = rig.connect();
  const subscribed = await rig.ask(late, {
    op: 'subscribe',
    topic: 't',
    group: 'late',
    from: 'earliest',
  });
  assert.equal(subscribed.op, 'subscribed');
  rig.restartShard(1);
  await rig.settle();
  assert.equal(await send(2), 'sent');
  await rig.pass(100, 20);
  const bodies = client.take('message').map((message) => message['body']);
  // The lease of the first died with the shard, so it comes again.
  assert.deepEqual(bodies.toSorted(), [1, 2]);
  assert.deepEqual(
    late.take('message').map((message) => message['body']),
    [1, 2],
  );
});

test('a fenced shard is said to be fenced', async () => {
  const { rig, client, topicId } = await startWithTopic();
  rig.stopShard(1, 'fenced');
  const queueId = queueOn(topicId, 1);
  const refused = await rig.ask(client, { op: 'send', topic: 't', queueId, body: 1 });
  assert.equal(refused['code'], 'SHARD_FENCED');
  const subscribed = await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g' });
  assert.equal(subscribed.op, 'subscribed', 'the queues of the other shard are worth it');
  const broker = await rig.http('GET', '/api/broker');
  const { shards } = JSON.parse(broker.body as string) as { shards: { state: string }[] };
  assert.deepEqual(
    shards.map(({ state }) => state),
    ['running', 'fenced'],
  );
});

test('a topic made while a shard was away is there when it is back', async () => {
  const { rig, client } = await startWithTopic();
  rig.stopShard(1);
  const made = await rig.ask(client, { op: 'topic', topic: 'new' });
  assert.equal(made.op, 'topic');
  rig.restartShard(1);
  await rig.settle();
  for (let queueId = 0; queueId < 4; queueId += 1)
    assert.equal(
      (await rig.ask(client, { op: 'send', topic: 'new', queueId, body: 1 })).op,
      'sent',
    );
});

test('without shard 0 nothing new is made; what exists goes on', async () => {
  const { rig, client, topicId } = await startWithTopic();
  rig.stopShard(0);
  const refused = await rig.ask(client, { op: 'send', topic: 'new', body: 1 });
  assert.equal(refused['code'], 'SHARD_RESTARTING');
  assert.equal(refused['stored'], false);
  const queueId = queueOn(topicId, 1);
  assert.equal((await rig.ask(client, { op: 'send', topic: 't', queueId, body: 1 })).op, 'sent');
  rig.restartShard(0);
  await rig.settle();
  assert.equal((await rig.ask(client, { op: 'send', topic: 'new', body: 1 })).op, 'sent');
});

test('a burst of first messages makes one topic, and ids are never used again', async () => {
  const rig = await AcceptorRig.start();
  const clients = Array.from({ length: 20 }, () => rig.connect());
  for (const [index, client] of clients.entries())
    rig.acceptor.text(client, JSON.stringify({ op: 'send', id: 1, topic: 'burst', body: index }));
  await rig.settle();
  assert.ok(clients.every((client) => client.take('sent').length === 1));
  const idOf = async (topic: string): Promise<unknown> =>
    (await rig.ask(clients[0] as FakeConnection, { op: 'topic', topic }))['topicId'];
  assert.equal(await idOf('burst'), 1);
  assert.equal((await rig.http('DELETE', '/api/topics/burst')).status, 200);
  assert.equal(await idOf('burst'), 2);
  assert.equal((await rig.http('DELETE', '/api/topics/burst')).status, 200);
  for (const shard of [0, 1]) {
    rig.stopShard(shard);
    rig.restartShard(shard);
  }
  await rig.settle();
  assert.equal(await idOf('burst'), 3);
});

test('the limit of topics holds, also for a burst', async () => {
  const rig = await AcceptorRig.start({ config: { topicsMax: 3 } });
  const client = rig.connect();
  for (let index = 0; index < 6; index += 1)
    rig.acceptor.text(client, JSON.stringify({ op: 'topic', id: index, topic: `t${index}` }));
  await rig.settle();
  assert.equal(client.take('topic').length, 3);
  const errors = client.take('error');
  assert.deepEqual(new Set(errors.map((error) => error['code'])), new Set(['LIMIT_REACHED']));
});

test('a shard that never answers does not leave its askers waiting for ever', async () => {
  const { rig, client, topicId } = await startWithTopic();
  for (const shard of rig.shards) shard.isScheduled = false;
  const queueId = queueOn(topicId, 0);
  rig.acceptor.text(client, JSON.stringify({ op: 'send', id: 1, topic: 't', queueId, body: 1 }));
  rig.acceptor.text(client, JSON.stringify({ op: 'subscribe', id: 2, topic: 't', group: 'g' }));
  await rig.pass(31_000, 1000);
  const errors = client.take('error');
  assert.deepEqual(
    errors.map((error) => [error['id'], error['code'], error['stored']]),
    [
      [1, 'TIMEOUT', 'unknown'],
      [2, 'TIMEOUT', 'unknown'],
    ],
  );
});

test('a drain ends long polls, takes no new work, finishes the old, and closes with 1001', async () => {
  const { rig, client } = await startWithTopic();
  const poll = rig.startHttp('GET', '/v1/topics/t/messages?group=h&waitMs=60000');
  rig.acceptor.text(
    client,
    JSON.stringify({ op: 'fetch', id: 'f', topic: 't', queueId: 0, offset: 0, waitMs: 60_000 }),
  );
  await rig.settle();
  for (const shard of rig.shards) shard.isScheduled = false;
  rig.acceptor.text(client, JSON.stringify({ op: 'send', id: 's', topic: 't', body: 1 }));
  let isDrained = false;
  const drained = rig.acceptor.drain().then(() => {
    isDrained = true;
  });
  await rig.settle();
  assert.equal((await poll).status, 200);
  assert.equal(client.take('error')[0]?.['code'], 'DRAINING');
  assert.equal(client.closeCode, undefined, 'the send is under way');
  assert.equal((await rig.ask(client, { op: 'send', topic: 't', body: 2 }))['code'], 'DRAINING');
  assert.equal((await rig.http('POST', '/v1/topics/t/messages', { body: 'x' })).status, 503);
  assert.equal((await rig.http('GET', '/readyz')).status, 503);
  assert.equal((await rig.http('GET', '/livez')).status, 200);
  assert.equal(rig.acceptor.admit({ origin: undefined, host: 'localhost' })?.status, 503);
  for (const shard of rig.shards) shard.isScheduled = true;
  await rig.settle(() => isDrained);
  await drained;
  assert.equal(client.take('sent')[0]?.['id'], 's');
  assert.equal(client.closeCode, 1001);
});

test('shards are told about closed connections, and answers to them are dropped', async () => {
  const { rig, client, topicId } = await startWithTopic();
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', from: 'earliest' });
  for (let correlationId = 1; correlationId <= 5; correlationId += 1)
    rig.acceptor.binary(client, sendBatchFrame({ topicId, correlationId, messages: ['a'] }));
  rig.acceptor.text(client, JSON.stringify({ op: 'send', id: 's', topic: 't', body: 1 }));
  const frames = client.frames;
  rig.disconnect(client);
  await rig.pass(100, 20);
  assert.equal(client.frames, frames);
  const other = rig.connect();
  await rig.ask(other, { op: 'subscribe', topic: 't', group: 'g', from: 'earliest' });
  await rig.pass(100, 20);
  assert.equal(other.take('message').length, 6, 'stored all the same');
  const group = await rig.http('GET', '/api/groups/g');
  assert.equal((JSON.parse(group.body as string) as { members: object[] }).members.length, 1);
});

test('batches of several frames pass in a ring that is hardly larger than one', async () => {
  const rig = await AcceptorRig.start({ shards: 1, ringBytes: 16 * KIB });
  const client = rig.connect();
  const messages = Array.from({ length: 20 }, (_, index) => ({
    body: `${index}`.padEnd(700, 'x'),
  }));
  let sent = 0;
  for (let round = 0; round < 40; round += 1) {
    const answer = await rig.ask(client, {
      op: 'send',
      topic: 't',
      queueId: 0,
      messages: messages.slice(0, 8),
    });
    if (answer.op === 'sent') sent += 1;
    else assert.equal(answer['code'], 'BUSY', JSON.stringify(answer));
    await rig.settle();
  }
  assert.equal(sent, 40);
  const large = await rig.ask(client, { op: 'send', topic: 't', queueId: 0, messages });
  assert.equal(large['code'], 'MESSAGE_TOO_LARGE');
  assert.match(large['hint'] as string, /fewer messages/);
});

test('what a shard had answered before it crashed is told, not called unknown', async () => {
  const { rig, client, topicId } = await startWithTopic();
  const queueId = queueOn(topicId, 0);
  rig.acceptor.binary(
    client,
    sendBatchFrame({ topicId, queueId, correlationId: 1, messages: ['a'] }),
  );
  const [shard] = rig.shards;
  for (let turn = 0; turn < 20; turn += 1) shard?.doWork();
  rig.stopShard(0);
  assert.equal(client.receipts.length, 1);
  assert.equal(client.take('error').length, 0);
});
