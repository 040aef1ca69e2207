/** Subscriptions with `ordered`: one message of a queue at a time, through JSON frames, with refusals, and over a restart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { Answer, FakeConnection } from '../../src/testing/fake-connection.ts';

const SUBSCRIBE = {
  ...{ op: 'subscribe', topic: 't', group: 'g', from: 'earliest', credit: 1000, ordered: true },
};

async function sendTo(rig: AcceptorRig, queueId: number, bodies: readonly string[]): Promise<void> {
  const messages = bodies.map((body) => ({ body }));
  const answer = await rig.ask(rig.connect(), { op: 'send', topic: 't', queueId, messages });
  assert.equal(answer['op'], 'sent');
}

async function next(rig: AcceptorRig, client: FakeConnection): Promise<readonly Answer[]> {
  await rig.settle();
  return client.take('message');
}

function bodies(messages: readonly Answer[]): unknown[] {
  return messages.map((message) => message['body']);
}

async function settle(rig: AcceptorRig, client: FakeConnection, request: object): Promise<void> {
  assert.equal((await rig.ask(client, request))['op'], 'ok');
}

test('the next message comes when the one before is acknowledged; a refused one holds its queue alone', async () => {
  const rig = await AcceptorRig.start({ shards: 2 });
  await sendTo(rig, 0, ['a', 'b', 'c']);
  await sendTo(rig, 1, ['x', 'y']);
  const client = rig.connect();
  await rig.ask(client, SUBSCRIBE);
  const first = await next(rig, client);
  assert.deepEqual(bodies(first).toSorted(), ['a', 'x']);
  const [a, x] = first.toSorted((one, other) => (`${one['body']}` < `${other['body']}` ? -1 : 1));
  await settle(rig, client, { op: 'nack', tokens: [a?.['token']], delayMs: 5000 });
  await settle(rig, client, { op: 'ack', tokens: [x?.['token']] });
  assert.deepEqual(bodies(await next(rig, client)), ['y'], 'the other queue goes on');
  assert.deepEqual(bodies(await next(rig, client)), [], 'the refused message holds its own');
  rig.clock.advance(5000);
  const [again] = await next(rig, client);
  assert.deepEqual([again?.['body'], again?.['attempt']], ['a', 2]);
  assert.ok(Number(again?.['fence']) > Number(a?.['fence']), 'the fence rises');
  await settle(rig, client, { op: 'ack', tokens: [again?.['token']] });
  assert.deepEqual(bodies(await next(rig, client)), ['b']);
});

test('a queue that moves gives nothing to the new member before the old one is done, and its late ack is refused', async () => {
  const rig = await AcceptorRig.start({ shards: 1, config: { defaultTopicQueues: 1 } });
  await sendTo(rig, 0, ['a', 'b']);
  const [old, young] = [rig.connect(), rig.connect()];
  await rig.ask(old, { ...SUBSCRIBE, leaseMs: 1000 });
  const [held] = await next(rig, old);
  await rig.ask(young, SUBSCRIBE);
  rig.disconnect(old);
  const [moved] = await next(rig, young);
  assert.deepEqual([moved?.['body'], moved?.['attempt']], ['a', 2]);
  assert.ok(Number(moved?.['fence']) > Number(held?.['fence']));
  const late = await rig.ask(rig.connect(), { op: 'ack', tokens: [held?.['token']] });
  assert.equal(late['code'], 'LEASE_EXPIRED');
  await settle(rig, young, { op: 'ack', tokens: [moved?.['token']] });
  assert.deepEqual(bodies(await next(rig, young)), ['b']);
});

test('records that a filter leaves out are passed over in order', async () => {
  const rig = await AcceptorRig.start({ shards: 1, config: { defaultTopicQueues: 1 } });
  const messages = Array.from({ length: 30 }, (_, n) => ({ body: `${n}`, tag: n % 7 ? 'a' : 'b' }));
  await rig.ask(rig.connect(), { op: 'send', topic: 't', messages });
  const client = rig.connect();
  await rig.ask(client, { ...SUBSCRIBE, filter: 'b' });
  const seen: unknown[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    const messages = await next(rig, client);
    seen.push(...bodies(messages));
    for (const { token } of messages as readonly { token?: unknown }[])
      await settle(rig, client, { op: 'ack', tokens: [token] });
  }
  assert.deepEqual(seen, ['0', '7', '14', '21', '28']);
});

test('the last attempt goes to the dead letters, and the queue goes on', async () => {
  const rig = await AcceptorRig.start({
    ...{ shards: 1, config: { defaultTopicQueues: 1, defaultMaxAttempts: 2 } },
  });
  await sendTo(rig, 0, ['bad', 'good']);
  const client = rig.connect();
  await rig.ask(client, SUBSCRIBE);
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    const [bad] = await next(rig, client);
    assert.equal(bad?.['body'], 'bad');
    await settle(rig, client, { op: 'nack', tokens: [bad?.['token']], delayMs: 0 });
  }
  assert.deepEqual(bodies(await next(rig, client)), ['good']);
});

test('members of a group agree on it', async () => {
  const rig = await AcceptorRig.start({ shards: 1 });
  await sendTo(rig, 0, ['a']);
  await rig.ask(rig.connect(), SUBSCRIBE);
  const refused = await rig.ask(rig.connect(), { ...SUBSCRIBE, ordered: false });
  assert.equal(refused['code'], 'SUBSCRIPTION_MISMATCH');
  assert.match(String(refused['message']), /in order/);
});
