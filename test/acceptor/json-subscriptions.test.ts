/** Subscriptions over JSON, against real shards: filters, acks and what comes again, groups set to another place, members that share queues. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';

test('nack brings a message again, with the attempts counted', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await rig.ask(client, { op: 'send', topic: 'retry', body: 'x' });
  await rig.ask(client, { op: 'subscribe', topic: 'retry', group: 'g', from: 'earliest' });
  await rig.settle();
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const [message] = client.take('message');
    assert.equal(message?.['attempt'], attempt);
    const nacked = await rig.ask(client, {
      op: 'nack',
      tokens: [message?.['token']],
      delayMs: 1000,
      reason: 'not yet',
    });
    assert.equal(nacked.op, 'ok');
    await rig.settle();
    assert.equal(client.take('message').length, 0);
    await rig.pass(1000, 500);
  }
});

test('extend keeps a lease alive; without it the message comes again', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await rig.ask(client, { op: 'send', topic: 'lease', body: 'x' });
  const subscribe = { op: 'subscribe', topic: 'lease', group: 'g', from: 'earliest' };
  await rig.ask(client, { ...subscribe, leaseMs: 1000 });
  await rig.settle();
  const [first] = client.take('message');
  const extended = await rig.ask(client, {
    op: 'extend',
    tokens: [first?.['token']],
    leaseMs: 5000,
  });
  assert.equal(extended.op, 'ok');
  await rig.pass(3000, 500);
  assert.equal(client.take('message').length, 0);
  await rig.pass(3000, 500);
  const [second] = client.take('message');
  assert.equal(second?.['attempt'], 2);
  const late = await rig.ask(client, { op: 'ack', tokens: [first?.['token']] });
  assert.equal(late['code'], 'LEASE_EXPIRED');
});

test('after its last attempt a message goes to the dead letters of its group', async () => {
  const rig = await AcceptorRig.start({
    config: { defaultMaxAttempts: 2, defaultRetryBackoffMs: [0] },
  });
  const client = rig.connect();
  await rig.ask(client, { op: 'send', topic: 'doomed', body: 'x', tag: 't' });
  await rig.ask(client, { op: 'subscribe', topic: 'doomed', group: 'g', from: 'earliest' });
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    await rig.settle();
    const [message] = client.take('message');
    assert.equal(message?.['attempt'], attempt);
    await rig.ask(client, { op: 'nack', tokens: [message?.['token']], reason: 'broken' });
  }
  await rig.pass(200, 50);
  await rig.ask(client, {
    op: 'subscribe',
    topic: '%DLQ%g',
    group: 'undertaker',
    from: 'earliest',
  });
  await rig.settle();
  const [letter] = client.take('message');
  assert.equal(letter?.['body'], 'x');
  const properties = letter?.['properties'] as Record<string, string>;
  assert.equal(properties['DLQ_TOPIC'], 'doomed');
  assert.equal(properties['DLQ_REASON'], 'broken');
});

test('a filter lets its tags through, takes credit for them alone, and settles the others', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const messages = Array.from({ length: 60 }, (_, index) => ({
    body: index,
    tag: ['created', 'paid', 'sent'][index % 3],
  }));
  await rig.ask(client, { op: 'send', topic: 'tags', queueId: 1, messages });
  const { subscription } = (await rig.ask(client, {
    op: 'subscribe',
    topic: 'tags',
    group: 'g',
    filter: ' paid||created ',
    from: 'earliest',
    credit: 10,
  })) as unknown as { subscription: number };
  await rig.settle();
  const first = client.take('message');
  assert.equal(first.length, 10);
  await rig.ask(client, { op: 'credit', subscription, more: 100 });
  await rig.settle();
  const all = [...first, ...client.take('message')];
  assert.deepEqual(
    all.map((message) => message['body']),
    messages.filter(({ tag }) => tag !== 'sent').map(({ body }) => body),
  );
  await rig.ask(client, { op: 'ack', tokens: all.map((message) => message['token']) });
  const group = await rig.http('GET', '/api/groups/g');
  assert.equal((JSON.parse(group.body as string) as { lag: number }).lag, 0);
});

test('an SQL filter chooses by properties, tag and key; frames and polls of one group must have the same', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const messages = Array.from({ length: 40 }, (_, index) => ({
    body: index,
    tag: ['created', 'paid'][index % 2],
    key: `o-${index}`,
    properties: { price: String(index), region: index < 20 ? 'eu' : 'us' },
  }));
  await rig.ask(client, { op: 'send', topic: 'sql', queueId: 1, messages });
  const sql = "price > 10 AND region = 'eu' AND TAGS = 'paid' AND KEYS <> 'o-13'";
  const subscribe = { op: 'subscribe', topic: 'sql', group: 'g', from: 'earliest' };
  const wrong = await rig.ask(client, { ...subscribe, filter: { sql: 'price >> 10' } });
  assert.equal(wrong['code'], 'INVALID_ARGUMENT');
  assert.match(wrong['message'] as string, /found >, at character 8\n {2}price >> 10\n {9}\^$/);
  await rig.ask(client, { ...subscribe, filter: { sql } });
  await rig.settle();
  const got = client.take('message');
  assert.deepEqual(
    got.map(({ body }) => body),
    [11, 15, 17, 19],
  );
  await rig.ask(client, { op: 'ack', tokens: got.map(({ token }) => token) });
  const group = JSON.parse((await rig.http('GET', '/api/groups/g')).body as string) as {
    lag: number;
    members: readonly { filter: string }[];
  };
  assert.equal(group.lag, 0);
  assert.equal(group.members[0]?.filter, sql);
  const mismatch = await rig.ask(rig.connect(), { ...subscribe, filter: 'paid' });
  assert.equal(mismatch['code'], 'SUBSCRIPTION_MISMATCH');
  assert.match(mismatch['message'] as string, /the SQL filter "price > 10 .*the filter "paid"/);
  const poll = async (query: string): Promise<{ status: number; body: string }> => {
    const answer = await rig.http('GET', `/v1/topics/sql/messages?group=h&from=earliest&${query}`);
    return { status: answer.status, body: answer.body as string };
  };
  assert.equal((await poll('filterSql=price%20%3E&waitMs=0')).status, 400);
  assert.equal((await poll('filterSql=price%20%3E%201&filter=a')).status, 400);
  const polled = await poll('filterSql=price%20%3E%2037&waitMs=1000');
  const { messages: found } = JSON.parse(polled.body) as { messages: readonly { body: number }[] };
  assert.deepEqual(
    found.map(({ body }) => body),
    [38, 39],
  );
});

test('seek sets a group back, and forward by offsets', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (let body = 0; body < 4; body += 1)
    await rig.ask(client, { op: 'send', topic: 'sought', queueId: 2, body });
  const bodies = async (): Promise<unknown[]> => {
    await rig.settle();
    const messages = client.take('message');
    const tokens = messages.map((message) => message['token']);
    if (tokens.length > 0) await rig.ask(client, { op: 'ack', tokens });
    return messages.map((message) => message['body']);
  };
  const target = { topic: 'sought', group: 'g' };
  assert.equal(
    (await rig.ask(client, { op: 'seek', ...target, to: 'earliest' }))['code'],
    'GROUP_NOT_FOUND',
  );
  await rig.ask(client, { op: 'subscribe', ...target, from: 'latest' });
  assert.deepEqual(await bodies(), []);
  assert.equal((await rig.ask(client, { op: 'seek', ...target, to: 'earliest' })).op, 'ok');
  assert.deepEqual(await bodies(), [0, 1, 2, 3]);
  assert.equal((await rig.ask(client, { op: 'seek', ...target, to: { '2': 3 } })).op, 'ok');
  assert.deepEqual(await bodies(), [3]);
  const wrong = await rig.ask(client, { op: 'seek', ...target, to: { '9': 3 } });
  assert.equal(wrong['code'], 'QUEUE_NOT_FOUND');
});

test('unsubscribe ends deliveries, and credit without an id is answered by nothing', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const subscribed = await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', credit: 0 });
  const { subscription } = subscribed as unknown as { subscription: number };
  const frames = client.frames;
  rig.acceptor.text(client, JSON.stringify({ op: 'credit', subscription, more: 5 }));
  await rig.settle();
  assert.equal(client.frames, frames);
  assert.equal((await rig.ask(client, { op: 'unsubscribe', subscription })).op, 'ok');
  await rig.ask(client, { op: 'send', topic: 't', body: 1 });
  await rig.settle();
  assert.equal(client.take('message').length, 0);
  const gone = await rig.ask(client, { op: 'credit', subscription, more: 5 });
  assert.equal(gone['code'], 'SUBSCRIPTION_NOT_FOUND');
});

test('members of a group must agree on the filter, and each queue has one of them', async () => {
  const rig = await AcceptorRig.start();
  const [one, other] = [rig.connect(), rig.connect()];
  const subscribe = { op: 'subscribe', topic: 'shared', group: 'g', from: 'earliest' };
  await rig.ask(one, subscribe);
  const mismatch = await rig.ask(other, { ...subscribe, filter: 'a' });
  assert.equal(mismatch['code'], 'SUBSCRIPTION_MISMATCH');
  assert.match(mismatch['message'] as string, /"\*".*"a"/);
  await rig.ask(other, subscribe);
  const messages = Array.from({ length: 40 }, (_, index) => ({ body: index, key: `k${index}` }));
  await rig.ask(one, { op: 'send', topic: 'shared', messages });
  await rig.settle();
  const queuesOf = (client: typeof one): Set<unknown> =>
    new Set(
      client.answers.filter(({ op }) => op === 'message').map((message) => message['queueId']),
    );
  assert.equal(queuesOf(one).size, 2);
  assert.equal(queuesOf(other).size, 2);
  assert.equal(new Set([...queuesOf(one), ...queuesOf(other)]).size, 4);
  const seen = one.answers.length + other.answers.length;
  assert.equal(seen, 40);
  // The other goes: what it had comes to the one that stays.
  rig.disconnect(other);
  await rig.pass(100, 20);
  assert.equal(one.take('message').length, 40);
});
