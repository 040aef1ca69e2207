/** What operators ask and do over `/api`, with real shards behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';

type Queue = {
  queueId: number;
  minOffset: number;
  maxOffset: number;
  messages: number;
  lag: number;
};

async function ask<Shape>(
  rig: AcceptorRig,
  method: string,
  url: string,
  body?: object,
  status = 200,
): Promise<Shape> {
  const response = await rig.http(method, url, body === undefined ? {} : { body });
  assert.equal(response.status, status, `${method} ${url}: ${response.body as string}`);
  return JSON.parse(response.body as string) as Shape;
}

const codeOf = async (
  rig: AcceptorRig,
  method: string,
  url: string,
  body: object | undefined,
  status: number,
): Promise<string> =>
  (await ask<{ error: { code: string } }>(rig, method, url, body, status)).error.code;

test('the broker describes itself', async () => {
  const rig = await AcceptorRig.start();
  const broker = await ask<Record<string, unknown>>(rig, 'GET', '/api/broker');
  assert.equal(broker['name'], 'rig');
  assert.equal(broker['version'], '0.0.0-test');
  assert.deepEqual(
    (broker['shards'] as { shard: number; state: string }[]).map(({ shard, state }) => [
      shard,
      state,
    ]),
    [
      [0, 'running'],
      [1, 'running'],
    ],
  );
  assert.equal((broker['limits'] as { producerBatches: number }).producerBatches, 64);
});

test('topics are made, shown with their queues, and deleted', async () => {
  const rig = await AcceptorRig.start({ config: { autoCreateTopics: false } });
  const settings = { topic: 'orders', queues: 3, retentionMs: 1000, whenFull: 'drop-oldest' };
  const made = await ask<{ queues: number }>(rig, 'POST', '/api/topics', settings);
  assert.equal(made.queues, 3);
  await ask(rig, 'POST', '/api/topics', settings);
  const other = { ...settings, queues: 4 };
  assert.equal(await codeOf(rig, 'POST', '/api/topics', other, 409), 'TOPIC_EXISTS');
  for (const wrong of [
    {},
    { topic: 'a b' },
    { topic: 'x', queues: 0 },
    { topic: 'x', queues: 65 },
    { topic: 'x', whenFull: 'explode' },
    { topic: 'x', nonsense: 1 },
    { topic: '%DLQ%x' },
  ])
    await ask(rig, 'POST', '/api/topics', wrong, 400);
  const client = rig.connect();
  for (const queueId of [0, 0, 2])
    await rig.ask(client, { op: 'send', topic: 'orders', queueId, body: 1 });
  const list = await ask<{ topics: { topic: string }[] }>(rig, 'GET', '/api/topics');
  assert.deepEqual(
    list.topics.map(({ topic }) => topic),
    ['orders'],
  );
  const topic = await ask<{ messages: number; queues: Queue[] }>(rig, 'GET', '/api/topics/orders');
  assert.equal(topic.messages, 3);
  assert.deepEqual(
    topic.queues.map(({ queueId, minOffset, maxOffset, messages }) => [
      queueId,
      minOffset,
      maxOffset,
      messages,
    ]),
    [
      [0, 0, 2, 2],
      [1, 0, 0, 0],
      [2, 0, 1, 1],
    ],
  );
  await rig.ask(client, { op: 'subscribe', topic: 'orders', group: 'g' });
  await ask(rig, 'DELETE', '/api/topics/orders');
  assert.equal(await codeOf(rig, 'GET', '/api/topics/orders', undefined, 404), 'TOPIC_NOT_FOUND');
  assert.equal(
    await codeOf(rig, 'DELETE', '/api/topics/orders', undefined, 404),
    'TOPIC_NOT_FOUND',
  );
  const refused = await rig.ask(client, { op: 'send', topic: 'orders', body: 1 });
  assert.equal(refused['code'], 'TOPIC_NOT_FOUND');
});

test('groups are made, changed, shown and deleted, but not under their members', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await ask(rig, 'POST', '/api/groups', { group: 'g', maxAttempts: 3, retryBackoffMs: [5, 50] });
  await ask(rig, 'POST', '/api/groups', { group: 'g', maxAttempts: 4 });
  for (const wrong of [{}, { group: 'g', maxAttempts: 0 }, { group: 'g', retryBackoffMs: [-1] }])
    await ask(rig, 'POST', '/api/groups', wrong, 400);
  for (let body = 0; body < 6; body += 1)
    await rig.ask(client, { op: 'send', topic: 't', queueId: body % 4, body });
  await rig.ask(client, { op: 'hello', client: 'tester' });
  await rig.ask(client, {
    op: 'subscribe',
    topic: 't',
    group: 'g',
    from: 'earliest',
    member: 'm1',
  });
  await rig.settle();
  const messages = client.take('message');
  await rig.ask(client, {
    op: 'ack',
    tokens: messages.slice(0, 2).map((message) => message['token']),
  });
  const group = await ask<Record<string, unknown>>(rig, 'GET', '/api/groups/g');
  assert.deepEqual(
    [group['maxAttempts'], group['retryBackoffMs'], group['lag'], group['inFlight']],
    [4, [5, 50], 4, 4],
  );
  const [member] = group['members'] as Record<string, unknown>[];
  assert.deepEqual(
    [
      member?.['member'],
      member?.['client'],
      member?.['topic'],
      member?.['queues'],
      member?.['credit'],
    ],
    ['m1', 'tester', 't', [0, 1, 2, 3], 94],
  );
  assert.equal((group['queues'] as Queue[]).length, 4);
  const list = await ask<{ groups: { group: string; members: number }[] }>(
    rig,
    'GET',
    '/api/groups',
  );
  assert.deepEqual(
    list.groups.map(({ group: name, members }) => [name, members]),
    [['g', 1]],
  );
  assert.equal(await codeOf(rig, 'DELETE', '/api/groups/g', undefined, 409), 'GROUP_IN_USE');
  rig.disconnect(client);
  await rig.settle();
  await ask(rig, 'DELETE', '/api/groups/g');
  assert.equal(await codeOf(rig, 'GET', '/api/groups/g', undefined, 404), 'GROUP_NOT_FOUND');
});

test('offsets are reset, after a look at what would happen', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (let body = 0; body < 8; body += 1)
    await rig.ask(client, { op: 'send', topic: 't', queueId: body % 4, body });
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', from: 'latest', credit: 0 });
  const reset = (body: object): Promise<{ queues: { before: number; after: number }[] }> =>
    ask(rig, 'POST', '/api/groups/g/offsets', body);
  const dry = await reset({ topic: 't', to: 'earliest', dryRun: true });
  assert.deepEqual(
    dry.queues.map(({ before, after }) => [before, after]),
    Array(4).fill([2, 0]),
  );
  const again = await reset({ topic: 't', to: 'earliest', dryRun: true });
  assert.deepEqual(again, dry, 'a dry run changes nothing');
  await reset({ topic: 't', to: 'earliest' });
  const after = await reset({ topic: 't', to: 'latest', dryRun: true });
  assert.deepEqual(
    after.queues.map(({ before }) => before),
    [0, 0, 0, 0],
  );
  for (const wrong of [{ topic: 't' }, { topic: 't', to: 'x' }, { to: 'latest' }])
    await ask(rig, 'POST', '/api/groups/g/offsets', wrong, 400);
  await ask(rig, 'POST', '/api/groups/g/offsets', { topic: 'nope', to: 'latest' }, 404);
});

test('dead letters go back to where they came from', async () => {
  const rig = await AcceptorRig.start({
    config: { defaultMaxAttempts: 1, defaultRetryBackoffMs: [0] },
  });
  const client = rig.connect();
  for (let body = 0; body < 4; body += 1)
    await rig.ask(client, { op: 'send', topic: 't', queueId: body, body });
  const subscribed = await rig.ask(client, {
    op: 'subscribe',
    topic: 't',
    group: 'g',
    from: 'earliest',
  });
  await rig.settle();
  const tokens = client.take('message').map((message) => message['token']);
  await rig.ask(client, { op: 'nack', tokens });
  await rig.pass(500, 50);
  const dead = async (): Promise<number> =>
    (await ask<{ dead: number }>(rig, 'GET', '/api/groups/g')).dead;
  assert.equal(await dead(), 4);
  const [letters] = (
    await ask<{ topics: { topic: string; deadLetterOf: string; queues: number }[] }>(
      rig,
      'GET',
      '/api/topics',
    )
  ).topics;
  assert.deepEqual([letters?.topic, letters?.deadLetterOf, letters?.queues], ['%DLQ%g', 'g', 2]);
  await rig.ask(client, { op: 'unsubscribe', subscription: subscribed['subscription'] });
  const some = await ask<{ redriven: number }>(rig, 'POST', '/api/groups/g/redrive', { max: 1 });
  assert.equal(some.redriven, 1);
  const rest = await ask<{ redriven: number }>(rig, 'POST', '/api/groups/g/redrive', {});
  assert.equal(rest.redriven, 3);
  assert.equal(await dead(), 0);
});

test('one message is found by its id, several by their key, the newest first', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const ids: string[] = [];
  for (let body = 0; body < 6; body += 1) {
    const sent = await rig.ask(client, { op: 'send', topic: 't', key: `k${body % 2}`, body });
    ids.push((sent['receipts'] as { messageId: string }[])[0]?.messageId ?? '');
    rig.clock.advance(10);
  }
  for (const [body, id] of ids.entries()) {
    const message = await ask<{ body: number; messageId: string }>(
      rig,
      'GET',
      `/api/messages/${id}`,
    );
    assert.deepEqual([message.body, message.messageId], [body, id]);
  }
  const found = await ask<{ messages: { body: number }[] }>(
    rig,
    'GET',
    '/api/topics/t/messages?key=k1',
  );
  assert.deepEqual(
    found.messages.map(({ body }) => body),
    [5, 3, 1],
  );
  const none = await ask<{ messages: unknown[] }>(rig, 'GET', '/api/topics/t/messages?key=nobody');
  assert.deepEqual(none.messages, []);
  assert.equal(await codeOf(rig, 'GET', '/api/messages/xyz', undefined, 400), 'INVALID_ARGUMENT');
  const foreign = `${'0'.repeat(16)}ffff${'0'.repeat(12)}`;
  assert.equal(
    await codeOf(rig, 'GET', `/api/messages/${foreign}`, undefined, 404),
    'MESSAGE_NOT_FOUND',
  );
  const beyond = `${(ids[0] as string).slice(0, 20)}00ffffffffff`;
  assert.equal(
    await codeOf(rig, 'GET', `/api/messages/${beyond}`, undefined, 404),
    'MESSAGE_NOT_FOUND',
  );
  await ask(rig, 'GET', '/api/topics/t/messages', undefined, 400);
});

test('numbers for the metrics: what was counted, and the lag of groups', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (let body = 0; body < 3; body += 1) await rig.ask(client, { op: 'send', topic: 't', body });
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', from: 'earliest', credit: 1 });
  await rig.ask(client, { op: 'nonsense' });
  const numbers = new Map<string, number>();
  let groups: { name: string; value: number }[] | undefined;
  void rig.acceptor.groupMetrics().then((metrics) => {
    groups = [...metrics];
  });
  await rig.settle(() => groups !== undefined);
  for (const { name, value } of [...rig.acceptor.metrics(), ...(groups ?? [])])
    numbers.set(name, value);
  assert.equal(numbers.get('sluice_connections'), 1);
  assert.equal(numbers.get('sluice_batches_stored_total'), 3);
  assert.equal(numbers.get('sluice_delivered_total'), 1);
  assert.equal(numbers.get('sluice_refusals_total'), 1);
  assert.equal(numbers.get('sluice_group_lag'), 3);
  assert.equal(numbers.get('sluice_internal_errors_total'), 0);
});
