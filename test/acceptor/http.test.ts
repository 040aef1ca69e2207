/** The HTTP side of PROTOCOL section 2: sending, polling, acks, probes; and what is refused with which status. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { HttpResponse } from '../../src/transport/transport.ts';

type Message = { body: unknown; key: string | null; tag: string | null; token: string };
type Failure = { error: { code: string; message: string; hint: string; stored: unknown } };

const parsed = <Shape>(response: HttpResponse): Shape =>
  JSON.parse(response.body as string) as Shape;
const json = { 'content-type': 'application/json' };
const at = (topic: string): string => `/v1/topics/${topic}/messages`;

async function messagesOf(rig: AcceptorRig, topic: string, query = ''): Promise<Message[]> {
  const response = await rig.http('GET', `${at(topic)}?group=g&from=earliest${query}`);
  assert.equal(response.status, 200, response.body as string);
  return parsed<{ messages: Message[] }>(response).messages;
}

test('JSON, NDJSON, text and raw bodies come back as what they were', async () => {
  const rig = await AcceptorRig.start({ shards: 1, config: { defaultTopicQueues: 1 } });
  const post = async (headers: object, body: string | Uint8Array | object): Promise<unknown[]> => {
    const response = await rig.http('POST', at('t'), { headers: { ...headers }, body });
    assert.equal(response.status, 200, response.body as string);
    return parsed<{ receipts: unknown[] }>(response).receipts;
  };
  assert.equal((await post(json, { body: { a: 1 }, key: 'k', tag: 't' })).length, 1);
  assert.equal((await post(json, [{ body: 'one' }, { body: 'two' }])).length, 2);
  const lines = '{"body":"three"}\n\n{"body":4,"properties":{"a":"b"}}\r\n';
  assert.equal((await post({ 'content-type': 'application/x-ndjson' }, lines)).length, 2);
  const text = { 'content-type': 'text/plain; charset=UTF-8', 'x-message-key': 'raw' };
  assert.equal((await post(text, 'plain ü')).length, 1);
  const binary = { 'content-type': 'application/octet-stream', 'x-message-tag': 'bin' };
  assert.equal((await post(binary, Uint8Array.of(0, 255))).length, 1);
  assert.equal((await post({}, 'no type')).length, 1);
  assert.equal((await post({ 'content-type': 'text/plain' }, '')).length, 1);
  const messages = await messagesOf(rig, 't');
  assert.deepEqual(
    messages.map(({ body }) => body),
    [
      { a: 1 },
      'one',
      'two',
      'three',
      4,
      'plain ü',
      { $bytes: 'AP8=' },
      { $bytes: 'bm8gdHlwZQ==' },
      '',
    ],
  );
  assert.deepEqual(
    messages.map(({ key, tag }) => [key, tag]).filter(([key, tag]) => key !== null || tag !== null),
    [
      ['k', 't'],
      ['raw', null],
      [null, 'bin'],
    ],
  );
});

test('a message is polled, acked and gone; a nacked one comes again', async () => {
  const rig = await AcceptorRig.start();
  await rig.http('POST', at('t'), { headers: json, body: [{ body: 1 }, { body: 2 }] });
  const [one, two] = await messagesOf(rig, 't');
  assert.deepEqual([one?.body, two?.body], [1, 2]);
  assert.deepEqual(await messagesOf(rig, 't', '&waitMs=0'), []);
  const acks = '/v1/groups/g/acks';
  const acked = await rig.http('POST', acks, { body: { tokens: [one?.token] } });
  assert.deepEqual([acked.status, acked.body], [200, '{"ok":true}']);
  const nack = { nack: [two?.token], delayMs: 0, reason: 'later' };
  assert.equal((await rig.http('POST', acks, { body: nack })).status, 200);
  const [again] = await messagesOf(rig, 't');
  assert.equal(again?.body, 2);
  const stale = await rig.http('POST', acks, { body: { tokens: [one?.token] } });
  assert.equal(stale.status, 409);
  assert.equal(parsed<Failure>(stale).error.code, 'LEASE_EXPIRED');
  await rig.http('GET', `${at('t')}?group=other&waitMs=0`);
  const foreign = await rig.http('POST', '/v1/groups/other/acks', {
    body: { tokens: [again?.token] },
  });
  assert.equal(foreign.status, 400);
});

test('a poll waits for a message, and not longer than it may', async () => {
  const rig = await AcceptorRig.start();
  const first = rig.startHttp('GET', `${at('t')}?group=g&waitMs=5000`);
  await rig.settle();
  await rig.http('POST', at('t'), { headers: json, body: { body: 'late' } });
  await rig.settle();
  assert.equal(parsed<{ messages: Message[] }>(await first).messages[0]?.body, 'late');
  const begunMs = rig.clock.monotonicMs();
  let isAnswered = false;
  void rig.startHttp('GET', `${at('t')}?group=g&waitMs=5000`).then(() => {
    isAnswered = true;
  });
  while (!isAnswered) await rig.pass(100, 100);
  const waitedMs = rig.clock.monotonicMs() - begunMs;
  assert.ok(waitedMs >= 5000 && waitedMs < 5500, `${waitedMs} ms`);
});

test('polls of one group share its messages and never get one twice', async () => {
  const rig = await AcceptorRig.start();
  const polls = Array.from({ length: 5 }, () =>
    rig.startHttp('GET', `${at('t')}?group=g&from=earliest&max=3&waitMs=1000`),
  );
  await rig.settle();
  const messages = Array.from({ length: 30 }, (_, body) => ({ body, key: `k${body}` }));
  await rig.http('POST', at('t'), { headers: json, body: messages });
  await rig.pass(2000, 200);
  const counts: number[] = [];
  const seen: unknown[] = [];
  for (const poll of polls) {
    const got = parsed<{ messages: Message[] }>(await poll).messages;
    counts.push(got.length);
    seen.push(...got.map(({ body }) => body));
  }
  assert.ok(counts.every((count) => count <= 3));
  assert.equal(new Set(seen).size, seen.length);
  const status = await rig.http('GET', '/api/groups/g');
  const { members, inFlight } = parsed<{ members: object[]; inFlight: number }>(status);
  assert.equal(members.length, 1);
  assert.equal(inFlight, seen.length, 'what no poll took was given back');
});

test('what a poll had got goes back when its client went away', async () => {
  const rig = await AcceptorRig.start({ shards: 1 });
  await rig.http('POST', at('t'), { headers: json, body: { body: 'x' } });
  const leaving = new AbortController();
  const poll = rig.startHttp('GET', `${at('t')}?group=g&from=earliest&waitMs=10000&max=5`, {
    signal: leaving.signal,
  });
  leaving.abort();
  await rig.settle();
  assert.deepEqual(parsed<{ messages: unknown[] }>(await poll).messages, []);
  const [message] = await messagesOf(rig, 't');
  assert.equal(message?.body, 'x');
});

test('the member for polls stays for a minute, then its queues are free', async () => {
  const rig = await AcceptorRig.start();
  await messagesOf(rig, 't', '&waitMs=0');
  const members = async (): Promise<number> =>
    parsed<{ members: object[] }>(await rig.http('GET', '/api/groups/g')).members.length;
  await rig.pass(58_000, 2000);
  assert.equal(await members(), 1);
  await rig.pass(4000, 1000);
  assert.equal(await members(), 0);
});

test('producer headers give dedup', async () => {
  const rig = await AcceptorRig.start();
  const headers = { ...json, 'x-producer-id': 'p', 'x-producer-epoch': '2', 'x-sequence': '5' };
  const post = async (): Promise<Record<string, unknown>> => {
    const response = await rig.http('POST', at('t'), { headers, body: { body: 1 } });
    return parsed<{ receipts: Record<string, unknown>[] }>(response).receipts[0] ?? {};
  };
  const first = await post();
  assert.deepEqual(await post(), { ...first, duplicate: true });
  const stale = { ...headers, 'x-producer-epoch': '1' };
  const refused = await rig.http('POST', at('t'), { headers: stale, body: { body: 1 } });
  assert.equal(refused.status, 409);
  assert.equal(parsed<Failure>(refused).error.code, 'STALE_PRODUCER_EPOCH');
});

test('probes and metrics', async () => {
  const rig = await AcceptorRig.start();
  assert.equal(
    (await rig.http('GET', '/livez', { headers: { host: 'evil.example' } })).status,
    200,
  );
  assert.equal((await rig.http('GET', '/readyz')).status, 200);
  const metrics = await rig.http('GET', '/metrics');
  assert.match(metrics.headers?.['Content-Type'] ?? '', /text\/plain/);
  assert.match(metrics.body as string, /sluice_up 1/);
  rig.stopShard(1);
  const unready = await rig.http('GET', '/readyz');
  assert.equal(unready.status, 503);
  assert.deepEqual(parsed<{ reasons: string[] }>(unready).reasons, ['shard 1 is restarting']);
});

test('what is wrong with a request is said with its status', async () => {
  const rig = await AcceptorRig.start({ config: { autoCreateTopics: false } });
  const client = rig.connect();
  await rig.ask(client, { op: 'topic', topic: 't', create: true });
  type Case = readonly [string, string, object, string | object, number, string, RegExp];
  const cases: readonly Case[] = [
    ['GET', '/', {}, '', 404, 'NOT_FOUND', /nothing at/],
    ['GET', '/v1/ws', {}, '', 404, 'NOT_FOUND', /nothing at/],
    ['GET', '/console/', {}, '', 404, 'NOT_FOUND', /nothing at/],
    ['PUT', at('t'), {}, '', 404, 'NOT_FOUND', /PUT/],
    ['POST', at('t'), json, '{', 400, 'BAD_FRAME', /not JSON/],
    ['POST', at('t'), json, '7', 400, 'INVALID_ARGUMENT', /the body is 7/],
    ['POST', at('t'), json, '[]', 400, 'INVALID_ARGUMENT', /no messages/],
    ['POST', at('t'), json, { body: 1, keyy: 2 }, 400, 'INVALID_ARGUMENT', /"keyy"/],
    ['POST', at('nope'), json, { body: 1 }, 404, 'TOPIC_NOT_FOUND', /nope/],
    ['POST', at('%zz'), json, { body: 1 }, 400, 'INVALID_ARGUMENT', /percent-encoding/],
    ['POST', at('a%2Fb'), json, { body: 1 }, 400, 'INVALID_NAME', /a\/b/],
    [
      'POST',
      at('t'),
      { ...json, 'x-sequence': '1' },
      { body: 1 },
      400,
      'INVALID_ARGUMENT',
      /X-Producer-Id/,
    ],
    [
      'POST',
      at('t'),
      { ...json, 'x-producer-id': 'p', 'x-sequence': 'one' },
      { body: 1 },
      400,
      'INVALID_ARGUMENT',
      /X-Sequence/,
    ],
    [
      'POST',
      at('t'),
      { 'content-type': 'text/plain; charset=latin1' },
      'x',
      400,
      'INVALID_ARGUMENT',
      /latin1/,
    ],
    [
      'POST',
      at('t'),
      { 'content-type': `text/plain; charset=${' '.repeat(7000)}x x` },
      'x',
      400,
      'INVALID_ARGUMENT',
      /charset "x x" is not UTF-8/,
    ],
    ['POST', at('t'), {}, 'x'.repeat(40_000), 413, 'MESSAGE_TOO_LARGE', /takes/],
    ['GET', at('t'), {}, '', 400, 'INVALID_ARGUMENT', /"group" is missing/],
    ['GET', `${at('t')}?group=g&max=0`, {}, '', 400, 'INVALID_ARGUMENT', /"max"/],
    ['GET', `${at('t')}?group=g&max=x`, {}, '', 400, 'INVALID_ARGUMENT', /"max" is "x"/],
    ['GET', `${at('t')}?group=g&wait=1`, {}, '', 400, 'INVALID_ARGUMENT', /"wait" is not known/],
    ['GET', `${at('t')}?group=g&group=h`, {}, '', 400, 'INVALID_ARGUMENT', /twice/],
    ['GET', `${at('nope')}?group=g`, {}, '', 404, 'TOPIC_NOT_FOUND', /nope/],
    [
      'POST',
      '/v1/groups/nobody/acks',
      {},
      { tokens: ['1.1.1.1.1'] },
      404,
      'GROUP_NOT_FOUND',
      /nobody/,
    ],
    ['POST', '/v1/groups/g/acks', {}, {}, 400, 'INVALID_ARGUMENT', /"tokens" is missing/],
    ['POST', '/v1/groups/g/acks', {}, '[]', 400, 'BAD_FRAME', /an array/],
    [
      'POST',
      '/v1/groups/g/acks',
      {},
      { tokens: ['a'], nack: ['b'] },
      400,
      'INVALID_ARGUMENT',
      /both/,
    ],
    [
      'POST',
      '/v1/groups/g/acks',
      {},
      { tokens: ['a'], delayMs: 1 },
      400,
      'INVALID_ARGUMENT',
      /without/,
    ],
  ];
  for (const [method, url, headers, body, status, code, text] of cases) {
    const response = await rig.http(method, url, { headers: { ...headers }, body });
    const what = `${method} ${url} ${JSON.stringify(body)}: ${response.body as string}`;
    assert.equal(response.status, status, what);
    const { error } = parsed<Failure>(response);
    assert.equal(error.code, code, what);
    assert.match(error.message, text, what);
    assert.ok(error.hint.length > 0, what);
  }
  const invalid = { headers: { 'content-type': 'text/plain' }, body: Uint8Array.of(0xff) };
  assert.equal((await rig.http('POST', at('t'), invalid)).status, 400);
});
