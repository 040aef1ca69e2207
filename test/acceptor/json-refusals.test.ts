/** Every way in which a JSON frame can be wrong: the code, what the message names, and that the connection stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JSON_DEPTH_MAX, PROTOCOL_STRIKES_MAX } from '../../src/base/limits.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import { BAD_REQUESTS } from '../../src/testing/bad-requests.ts';

const send = { op: 'send', topic: 't' };
const subscribe = { op: 'subscribe', topic: 't', group: 'g' };

test('every wrong request is refused with its reason and changes nothing', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await rig.ask(client, { op: 'topic', topic: 't' });
  for (const [frame, code, text] of BAD_REQUESTS) {
    const shownFrame = typeof frame === 'string' ? frame : JSON.stringify(frame);
    rig.acceptor.text(client, shownFrame);
    await rig.settle(() => client.answers.length > 0);
    const [error, ...others] = client.answers.splice(0);
    assert.equal(others.length, 0, shownFrame);
    assert.equal(error?.op, 'error', shownFrame);
    assert.equal(error?.['code'], code, `${shownFrame}: ${JSON.stringify(error)}`);
    assert.match(error?.['message'] as string, text, shownFrame);
    assert.equal(error?.['stored'], false, shownFrame);
    assert.ok(String(error?.['hint'] ?? '').length > 0, shownFrame);
  }
  assert.equal(client.closeCode, undefined);
  const status = await rig.http('GET', '/api/topics/t');
  assert.equal((JSON.parse(status.body as string) as { messages: number }).messages, 0);
});

test('a typing error is told what was meant', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const hintOf = async (request: object): Promise<string> =>
    (await rig.ask(client, request))['hint'] as string;
  assert.match(await hintOf({ op: 'subscirbe' }), /Did you mean "subscribe"\?/);
  assert.match(await hintOf({ ...send, body: 1, tga: 'x' }), /Did you mean "tag"\?/);
  assert.match(await hintOf({ ...subscribe, leasMs: 1 }), /Did you mean "leaseMs"\?/);
});

test('the id of a request comes back as it was, and a frame without one gets none', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (const id of [0, -1.5, '', 'a', 'x'.repeat(256)]) {
    rig.acceptor.text(client, JSON.stringify({ op: 'ping', id }));
    assert.deepEqual(client.answers.pop(), { op: 'pong', id });
  }
  for (const frame of ['{"op":"ping"}', '{"op":"ping","id":null}']) {
    rig.acceptor.text(client, frame);
    assert.deepEqual(client.answers.pop(), { op: 'pong' });
  }
  rig.acceptor.text(client, 'nonsense');
  assert.equal(client.answers.pop()?.['id'], null);
});

test('what is nested beyond reason is refused before it is parsed; brackets in strings are none', async () => {
  const rig = await AcceptorRig.start({ ringBytes: 4 * 1024 * 1024 });
  const client = rig.connect();
  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
  const sendBody = async (body: string): Promise<Record<string, unknown> | undefined> => {
    rig.acceptor.text(client, `{"op":"send","id":1,"topic":"deep","queueId":0,"body":${body}}`);
    await rig.settle();
    return client.answers.pop();
  };
  assert.equal((await sendBody(deep(JSON_DEPTH_MAX - 1)))?.['op'], 'sent');
  assert.equal((await sendBody(JSON.stringify(`\\"${deep(5000)}`)))?.['op'], 'sent');
  for (const levels of [5000, 400_000]) {
    const answer = await sendBody(deep(levels));
    assert.deepEqual([answer?.['code'], answer?.['id']], ['BAD_FRAME', null]);
    assert.match(String(answer?.['message']), /nested deeper than 1000 levels/);
  }
  assert.equal((await rig.ask(client, { op: 'ping' })).op, 'pong');
});

test('a connection that sends nothing but nonsense is closed', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (let count = 0; count < PROTOCOL_STRIKES_MAX; count += 1) rig.acceptor.text(client, '{');
  assert.equal(client.closeCode, undefined);
  rig.acceptor.text(client, '{');
  assert.equal(client.closeCode, 1008);
});

test('limits of a connection: window, subscriptions, messages a second, bytes a second', async () => {
  const rig = await AcceptorRig.start({
    config: { inFlightRequestsMax: 2, messagesPerSecondMax: 10, bytesPerSecondMax: 10_000 },
  });
  const client = rig.connect();
  await rig.ask(client, { op: 'topic', topic: 't' });
  for (let id = 1; id <= 3; id += 1)
    rig.acceptor.text(client, JSON.stringify({ ...send, id, body: id }));
  const [full] = client.take('error');
  assert.equal(full?.['id'], 3);
  assert.equal(full?.['code'], 'WINDOW_FULL');
  await rig.settle();
  assert.equal(client.take('sent').length, 2);
  const messages = Array.from({ length: 10 }, () => ({ body: 1 }));
  const fast = await rig.ask(client, { op: 'send', topic: 't', messages });
  assert.equal(fast['code'], 'RATE_LIMITED');
  assert.ok((fast['retryAfterMs'] as number) > 0);
  rig.clock.advance(fast['retryAfterMs'] as number);
  assert.equal((await rig.ask(client, { op: 'send', topic: 't', messages })).op, 'sent');
  rig.clock.advance(1000);
  await rig.ask(client, { op: 'hello', client: 'x'.repeat(200) });
  const large = await rig.ask(client, { op: 'hello', token: 'x'.repeat(9900) });
  assert.equal(large['code'], 'RATE_LIMITED');
});

test('a connection has no more than 64 subscriptions', async () => {
  const rig = await AcceptorRig.start({ shards: 1 });
  const client = rig.connect();
  for (let group = 0; group < 64; group += 1) {
    const answer = await rig.ask(client, { ...subscribe, group: `g${group}` });
    assert.equal(answer.op, 'subscribed');
  }
  const refused = await rig.ask(client, { ...subscribe, group: 'one-more' });
  assert.equal(refused['code'], 'LIMIT_REACHED');
});
