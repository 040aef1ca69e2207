/** Every op over JSON, against real shards: what is asked, what is answered, what comes by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fnv1a } from '../../src/base/fnv1a.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';

type Receipt = { queueId: number; queueOffset: number; messageId: string; durability: string };

test('hello is answered with the broker and its limits', async () => {
  const rig = await AcceptorRig.start();
  const welcome = await rig.ask(rig.connect(), { op: 'hello', client: 'test' });
  assert.equal(welcome.op, 'welcome');
  assert.equal(welcome['version'], 1);
  assert.equal(welcome['authenticated'], true);
  assert.deepEqual(welcome['broker'], { name: 'rig', address: '127.0.0.1', port: 8880 });
  assert.deepEqual(Object.keys(welcome['limits'] as object), [
    'frameBytes',
    'batchBytes',
    'bodyBytes',
    'inFlight',
    'credit',
    'producerBatches',
  ]);
});

test('a message comes back as it was sent, and is gone once acked', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const body = { any: ['json', 1.5, null, true], nested: { a: 'ü' } };
  const sent = await rig.ask(client, {
    op: 'send',
    topic: 'orders',
    body,
    key: 'o-17',
    tag: 'created',
    properties: { shop: '7' },
  });
  assert.equal(sent.op, 'sent', JSON.stringify(sent));
  const [receipt] = sent['receipts'] as Receipt[];
  assert.equal(receipt?.durability, 'disk');
  assert.match(receipt?.messageId ?? '', /^7f000001000022b0[0-9a-f]{16}$/);
  const subscribed = await rig.ask(client, {
    op: 'subscribe',
    topic: 'orders',
    group: 'billing',
    from: 'earliest',
  });
  assert.equal(subscribed.op, 'subscribed', JSON.stringify(subscribed));
  await rig.settle();
  const [message, ...others] = client.take('message');
  assert.equal(others.length, 0);
  const { token, storedAt, ...rest } = message ?? { op: '' };
  assert.deepEqual(rest, {
    op: 'message',
    subscription: subscribed['subscription'],
    topic: 'orders',
    queueId: receipt?.queueId,
    queueOffset: receipt?.queueOffset,
    messageId: receipt?.messageId,
    key: 'o-17',
    tag: 'created',
    properties: { shop: '7' },
    body,
    attempt: 1,
  });
  assert.equal(typeof storedAt, 'number');
  assert.deepEqual(await rig.ask(client, { op: 'ack', id: 4, tokens: [token] }), {
    op: 'ok',
    id: 4,
  });
  const again = await rig.ask(client, { op: 'ack', tokens: [token] });
  assert.equal(again['code'], 'LEASE_EXPIRED');
});

test('receipts come in the order of the messages, whatever queue each went to', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const keys = Array.from({ length: 40 }, (_, index) => `key-${index % 13}`);
  const messages = keys.map((key, index) => ({ key, body: index }));
  const sent = await rig.ask(client, { op: 'send', topic: 'mixed', messages });
  const receipts = sent['receipts'] as Receipt[];
  assert.equal(receipts.length, keys.length);
  assert.ok(new Set(receipts.map((receipt) => receipt.queueId)).size > 1);
  for (const [index, receipt] of receipts.entries()) {
    assert.equal(receipt.queueId, fnv1a(keys[index] as string) % 4);
    const fetched = await rig.ask(client, {
      op: 'fetch',
      topic: 'mixed',
      queueId: receipt.queueId,
      offset: receipt.queueOffset,
      max: 1,
    });
    const [message] = fetched['messages'] as Record<string, unknown>[];
    assert.equal(message?.['body'], index);
    assert.equal(message?.['messageId'], receipt.messageId);
  }
});

test('a body keeps its kind: text, JSON, bytes, null', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const bodies = [
    'text with "quotes" and \u0000 and 😀',
    '',
    null,
    0,
    -0.5,
    false,
    [],
    { __proto__x: 1 },
    { $bytes: 'AAEC/w==' },
    { $bytes: '' },
    { $bytes: 5, other: 1 },
    JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}') as object,
  ];
  const messages = bodies.map((body) => ({ body }));
  await rig.ask(client, { op: 'send', topic: 'bodies', queueId: 0, messages });
  const fetched = await rig.ask(client, { op: 'fetch', topic: 'bodies', queueId: 0, offset: 0 });
  const found = (fetched['messages'] as { body: unknown }[]).map(({ body }) => body);
  assert.equal(JSON.stringify(found), JSON.stringify(bodies));
  assert.equal((Object.prototype as Record<string, unknown>)['polluted'], undefined);
});

test('names that objects inherit are data in properties, key and tag', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const properties = JSON.parse(
    '{"__proto__":"a","constructor":"b","toString":"c","hasOwnProperty":"d","toJSON":"e"}',
  ) as object;
  const message = { body: 1, key: '__proto__', tag: 'constructor', properties };
  for (const dialect of ['json', 'binary'] as const) {
    const topic = `odd-${dialect}`;
    await rig.ask(client, { op: 'send', topic, queueId: 0, ...message });
    const fetched = await rig.ask(client, { op: 'fetch', topic, queueId: 0, offset: 0 }, dialect);
    const [found] = fetched['messages'] as Record<string, unknown>[];
    assert.equal(found?.['key'], '__proto__');
    assert.equal(found?.['tag'], 'constructor');
    const names = Object.keys(found?.['properties'] as object).sort();
    const expected = Object.keys(properties).sort();
    // The msgpack library respells one name on the client's side of this test.
    if (dialect === 'binary') expected[expected.indexOf('__proto__')] = '__proto_';
    assert.deepEqual(names, expected.sort());
  }
});

test('a resend with the same sequence is answered with the same receipt', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const request = {
    op: 'send',
    topic: 'dedup',
    producerId: 'tab-1',
    sequence: 40,
    messages: [{ body: 'a' }, { body: 'b' }],
  };
  const first = (await rig.ask(client, request))['receipts'] as Record<string, unknown>[];
  const second = (await rig.ask(client, request))['receipts'] as Record<string, unknown>[];
  assert.deepEqual(
    second,
    first.map((receipt) => ({ ...receipt, duplicate: true })),
  );
  const gap = await rig.ask(client, { ...request, sequence: 50 });
  assert.equal(gap['code'], 'SEQUENCE_GAP');
  assert.equal(gap['stored'], false);
});

test('topic gives id and queues, and creates only where it may', async () => {
  const rig = await AcceptorRig.start({ config: { autoCreateTopics: false } });
  const client = rig.connect();
  const refused = await rig.ask(client, { op: 'topic', topic: 'orders' });
  assert.equal(refused['code'], 'TOPIC_NOT_FOUND');
  const made = await rig.ask(client, { op: 'topic', topic: 'orders', create: true });
  assert.deepEqual(
    { topic: made['topic'], topicId: made['topicId'], queues: made['queues'] },
    { topic: 'orders', topicId: 1, queues: 4 },
  );
  const close = await rig.ask(client, { op: 'send', topic: 'order', body: 1 });
  assert.match(close['hint'] as string, /Did you mean orders\?/);
  assert.equal(close['stored'], false);
});

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

test('fetch waits for a message when it may, and says what the queue holds', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await rig.ask(client, { op: 'topic', topic: 'waited' });
  const fetch = { op: 'fetch', topic: 'waited', queueId: 0, offset: 0 };
  const empty = await rig.ask(client, fetch);
  assert.deepEqual(
    [empty['messages'], empty['nextOffset'], empty['minOffset'], empty['maxOffset']],
    [[], 0, 0, 0],
  );
  rig.acceptor.text(client, JSON.stringify({ ...fetch, id: 'long', waitMs: 10_000 }));
  await rig.settle();
  assert.equal(client.take('fetched').length, 0);
  await rig.ask(client, { op: 'send', topic: 'waited', queueId: 0, body: 'now' });
  await rig.settle();
  const [fetched] = client.take('fetched');
  assert.equal(fetched?.['id'], 'long');
  assert.equal(fetched?.['nextOffset'], 1);
  const beyond = await rig.ask(client, { ...fetch, offset: 5 });
  assert.equal(beyond['code'], 'OFFSET_OUT_OF_RANGE');
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
