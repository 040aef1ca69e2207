/** Every way in which a JSON frame can be wrong: the code, what the message names, and that the connection stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROTOCOL_STRIKES_MAX } from '../../src/base/limits.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';

type Case = readonly [frame: object | string, code: string, text: RegExp];

const send = { op: 'send', topic: 't' };
const subscribe = { op: 'subscribe', topic: 't', group: 'g' };
const long = 'x'.repeat(300);

const CASES: readonly Case[] = [
  ['not json', 'BAD_FRAME', /"not json".*JSON/],
  ['[]', 'BAD_FRAME', /an array/],
  ['null', 'BAD_FRAME', /null/],
  ['7', 'BAD_FRAME', /7/],
  ['', 'BAD_FRAME', /""/],
  [{}, 'INVALID_ARGUMENT', /"op" is missing/],
  [{ op: 5 }, 'INVALID_ARGUMENT', /"op" is 5/],
  [{ op: 'sned' }, 'UNKNOWN_REQUEST', /"sned".*The ops are: hello, send/],
  [{ op: '__proto__' }, 'UNKNOWN_REQUEST', /__proto__/],
  [{ op: 'constructor' }, 'UNKNOWN_REQUEST', /constructor/],
  [{ op: 'ping', id: {} }, 'INVALID_ARGUMENT', /"id" is an object/],
  [{ op: 'ping', id: long }, 'INVALID_ARGUMENT', /"id"/],
  [{ op: 'ping', extra: 1 }, 'INVALID_ARGUMENT', /"extra" is not known/],
  ['{"op":"ping","__proto__":1}', 'INVALID_ARGUMENT', /"__proto__" is not known/],
  [{ op: 'send', body: 1 }, 'INVALID_ARGUMENT', /"topic" is missing/],
  [{ ...send, topic: 5, body: 1 }, 'INVALID_ARGUMENT', /"topic" is 5/],
  [{ ...send, topic: '../etc', body: 1 }, 'INVALID_NAME', /\.\.\/etc/],
  [{ ...send, topic: '', body: 1 }, 'INVALID_NAME', /topic/],
  [{ ...send, topic: 'x'.repeat(128), body: 1 }, 'INVALID_NAME', /128/],
  [{ ...send, topic: '%DLQ%nobody', body: 1 }, 'TOPIC_NOT_FOUND', /%DLQ%nobody/],
  [send, 'INVALID_ARGUMENT', /"body" is missing/],
  [{ ...send, bdoy: 1 }, 'INVALID_ARGUMENT', /"bdoy" is not known/],
  [{ ...send, body: 1, messages: [{ body: 1 }] }, 'INVALID_ARGUMENT', /exclude each other/],
  [{ ...send, messages: [] }, 'INVALID_ARGUMENT', /0 items/],
  [{ ...send, messages: 'x' }, 'INVALID_ARGUMENT', /"messages"/],
  [{ ...send, messages: [1] }, 'INVALID_ARGUMENT', /messages\[0\] is 1/],
  [{ ...send, messages: [{ body: 1 }, {}] }, 'INVALID_ARGUMENT', /messages\[1\].*"body"/],
  [{ ...send, messages: [{ body: 1, tga: 'x' }] }, 'INVALID_ARGUMENT', /messages\[0\].*"tga"/],
  [{ ...send, body: 1, key: 5 }, 'INVALID_ARGUMENT', /"key" is 5/],
  [{ ...send, body: 1, tag: [] }, 'INVALID_ARGUMENT', /"tag" is an array/],
  [{ ...send, body: 1, properties: [] }, 'INVALID_ARGUMENT', /"properties"/],
  [{ ...send, body: 1, properties: { a: 1 } }, 'INVALID_ARGUMENT', /"properties\.a" is 1/],
  [{ ...send, body: { $bytes: 'A' } }, 'INVALID_ARGUMENT', /base64/],
  [{ ...send, body: { $bytes: 'AB==' } }, 'INVALID_ARGUMENT', /base64/],
  [{ ...send, body: { $bytes: 'A-_=' } }, 'INVALID_ARGUMENT', /base64/],
  [{ ...send, body: { $bytes: 5 } }, 'INVALID_ARGUMENT', /base64/],
  [{ ...send, body: 1, key: 'k'.repeat(1025) }, 'MESSAGE_TOO_LARGE', /key/],
  [{ ...send, body: 1, tag: 't'.repeat(256) }, 'MESSAGE_TOO_LARGE', /tag/],
  [{ ...send, body: 'x'.repeat(40_000) }, 'MESSAGE_TOO_LARGE', /takes/],
  [{ ...send, body: 1, queueId: -1 }, 'INVALID_ARGUMENT', /"queueId" is -1/],
  [{ ...send, body: 1, queueId: 1.5 }, 'INVALID_ARGUMENT', /"queueId" is 1\.5/],
  [{ ...send, body: 1, queueId: 4 }, 'QUEUE_NOT_FOUND', /queues 0 to 3, not 4/],
  [{ ...send, body: 1, sequence: 1 }, 'INVALID_ARGUMENT', /"producerId" is missing/],
  [{ ...send, body: 1, producerId: 'p' }, 'INVALID_ARGUMENT', /"sequence" is missing/],
  [{ ...send, body: 1, producerId: 'p', sequence: -1 }, 'INVALID_ARGUMENT', /"sequence"/],
  [
    { ...send, body: 1, producerId: 'p'.repeat(65), sequence: 0 },
    'MESSAGE_TOO_LARGE',
    /producerId/,
  ],
  [
    { ...send, body: 1, producerId: 'p', sequence: Number.MAX_SAFE_INTEGER },
    'INVALID_ARGUMENT',
    /"sequence"/,
  ],
  [{ op: 'topic' }, 'INVALID_ARGUMENT', /"topic" is missing/],
  [{ op: 'topic', topic: 't', create: 'yes' }, 'INVALID_ARGUMENT', /"create" is "yes"/],
  [{ op: 'topic', topic: 'nope', create: false }, 'TOPIC_NOT_FOUND', /nope/],
  [{ ...subscribe, group: 'a b' }, 'INVALID_NAME', /a b/],
  [{ ...subscribe, group: 'g'.repeat(121) }, 'INVALID_NAME', /121/],
  [{ ...subscribe, from: 'yesterday' }, 'INVALID_ARGUMENT', /"from" is "yesterday"/],
  [{ ...subscribe, from: '2026-01-31T09:30' }, 'INVALID_ARGUMENT', /"from"/],
  [{ ...subscribe, from: -1 }, 'INVALID_ARGUMENT', /"from" is -1/],
  [{ ...subscribe, filter: 'a ||' }, 'INVALID_ARGUMENT', /empty tag/],
  [{ ...subscribe, filter: 'a || *' }, 'INVALID_ARGUMENT', /\* beside other tags/],
  [
    { ...subscribe, filter: Array.from({ length: 33 }, (_, index) => index).join('||') },
    'INVALID_ARGUMENT',
    /more than 32/,
  ],
  [{ ...subscribe, credit: -1 }, 'INVALID_ARGUMENT', /"credit" is -1/],
  [{ ...subscribe, leaseMs: 999 }, 'INVALID_ARGUMENT', /"leaseMs" is 999/],
  [{ ...subscribe, member: long }, 'INVALID_ARGUMENT', /"member"/],
  [{ op: 'unsubscribe', subscription: 99 }, 'SUBSCRIPTION_NOT_FOUND', /99/],
  [{ op: 'credit', subscription: 99, more: 1 }, 'SUBSCRIPTION_NOT_FOUND', /99/],
  [{ op: 'credit', subscription: 1, more: 0 }, 'INVALID_ARGUMENT', /"more" is 0/],
  [{ op: 'ack' }, 'INVALID_ARGUMENT', /"tokens" is missing/],
  [{ op: 'ack', tokens: [] }, 'INVALID_ARGUMENT', /0 items/],
  [{ op: 'ack', tokens: [1] }, 'INVALID_ARGUMENT', /"tokens\[0\]" is 1/],
  [{ op: 'ack', tokens: ['nonsense'] }, 'INVALID_ARGUMENT', /"nonsense" is not a token/],
  [{ op: 'ack', tokens: ['1.1.1.1'] }, 'INVALID_ARGUMENT', /not a token/],
  [{ op: 'ack', tokens: ['01.1.1.1.1'] }, 'INVALID_ARGUMENT', /not a token/],
  [{ op: 'ack', tokens: ['A.1.1.1.1'] }, 'INVALID_ARGUMENT', /not a token/],
  [{ op: 'ack', tokens: ['1.1.zzzz.1.1'] }, 'INVALID_ARGUMENT', /not a token/],
  [{ op: 'ack', tokens: ['1.1.1.zzzzzzzzzzz.1'] }, 'INVALID_ARGUMENT', /not a token/],
  [{ op: 'ack', tokens: ['9.9.1.1.1'] }, 'LEASE_EXPIRED', /no longer exists/],
  [{ op: 'nack', tokens: ['1.1.1.1.1'], delayMs: -1 }, 'INVALID_ARGUMENT', /"delayMs"/],
  [{ op: 'extend', tokens: ['1.1.1.1.1'] }, 'INVALID_ARGUMENT', /"leaseMs" is missing/],
  [{ op: 'fetch', topic: 't', queueId: 0 }, 'INVALID_ARGUMENT', /"offset" is missing/],
  [{ op: 'fetch', topic: 't', queueId: 9, offset: 0 }, 'QUEUE_NOT_FOUND', /not 9/],
  [{ op: 'fetch', topic: 'nope', queueId: 0, offset: 0 }, 'TOPIC_NOT_FOUND', /nope/],
  [{ op: 'fetch', topic: 't', queueId: 0, offset: 0, max: 0 }, 'INVALID_ARGUMENT', /"max"/],
  [{ op: 'fetch', topic: 't', queueId: 0, offset: 0, waitMs: 1e9 }, 'INVALID_ARGUMENT', /"waitMs"/],
  [{ op: 'seek', topic: 't', group: 'g' }, 'INVALID_ARGUMENT', /"to" is missing/],
  [{ op: 'seek', topic: 't', group: 'g', to: {} }, 'INVALID_ARGUMENT', /names no queue/],
  [{ op: 'seek', topic: 't', group: 'g', to: { x: 1 } }, 'INVALID_ARGUMENT', /"x": 1/],
  [{ op: 'seek', topic: 't', group: 'g', to: { 0: -1 } }, 'INVALID_ARGUMENT', /"0": -1/],
  [{ op: 'seek', topic: 't', group: 'nobody', to: 'latest' }, 'GROUP_NOT_FOUND', /nobody/],
  [{ op: 'hello', token: 5 }, 'INVALID_ARGUMENT', /"token" is 5/],
];

test('every wrong request is refused with its reason and changes nothing', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  await rig.ask(client, { op: 'topic', topic: 't' });
  for (const [frame, code, text] of CASES) {
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

test('a body that is nested beyond reason is refused, or comes back as it was', async () => {
  const rig = await AcceptorRig.start({ ringBytes: 4 * 1024 * 1024 });
  const client = rig.connect();
  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
  for (const levels of [100, 5000, 400_000]) {
    rig.acceptor.text(
      client,
      `{"op":"send","id":${levels},"topic":"deep","queueId":0,"body":${deep(levels)}}`,
    );
    await rig.settle();
    const answer = client.answers.pop();
    assert.equal(answer?.['id'], levels);
    if (answer?.op === 'error') assert.equal(answer['code'], 'INVALID_ARGUMENT');
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
