/** Delayed messages through every way in: JSON frames, CONTROL frames, batches, HTTP; list and cancel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchBuilder, recordBytes } from '../../src/protocol/batch/batch-builder.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { encodeSendBatchHeader, sendBatchAt, viewOf } from '../../src/protocol/web/binary-codec.ts';
import type { Deferral } from '../../src/protocol/web/checked-requests.ts';
import type { WireReceipt } from '../../src/protocol/web/messages.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { Answer } from '../../src/testing/fake-connection.ts';
import type { HttpResponse } from '../../src/transport/transport.ts';

const parsed = <Shape>(response: HttpResponse): Shape => {
  assert.equal(response.status, 200, response.body as string);
  return JSON.parse(response.body as string) as Shape;
};

async function bodies(rig: AcceptorRig, topic = 't'): Promise<unknown[]> {
  const response = await rig.http(
    'GET',
    `/v1/topics/${topic}/messages?group=g&from=earliest&waitMs=0&max=1000`,
  );
  return parsed<{ messages: { body: unknown }[] }>(response).messages.map(({ body }) => body);
}

const receiptsOf = (answer: Answer): WireReceipt[] => answer['receipts'] as WireReceipt[];

test('a send says when a message can be seen, and it can be seen then', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (const dialect of ['json', 'binary'] as const) {
    const topic = `t-${dialect}`;
    const nowMs = rig.clock.epochMs();
    const messages = [
      { body: 'now', key: 'k' },
      { body: 'later', key: 'k', delayMs: 5000 },
      { body: 'at', key: 'k', deliverAt: nowMs + 9000 },
      { body: 'over', key: 'k', deliverAt: nowMs - 1000 },
    ];
    const answer = await rig.ask(client, { op: 'send', topic, messages }, dialect);
    assert.equal(answer.op, 'sent', JSON.stringify(answer));
    const [now, later, at, over] = receiptsOf(answer);
    assert.equal(now?.queueOffset, 0);
    assert.equal(now && 'deliverAt' in now, false);
    assert.equal(over?.queueOffset, 1);
    assert.equal(later?.queueOffset, -1);
    assert.equal(later?.messageId.length, 32);
    assert.ok((later?.deliverAt as number) >= nowMs + 5000);
    assert.equal(at?.deliverAt, nowMs + 9000);
    assert.deepEqual(await bodies(rig, topic), ['now', 'over']);
    await rig.pass(6000);
    assert.deepEqual(await bodies(rig, topic), ['later']);
    await rig.pass(4000);
    assert.deepEqual(await bodies(rig, topic), ['at']);
  }
});

test('a batch of the binary form is delayed as a whole', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const topic = await rig.ask(client, { op: 'topic', topic: 't', create: true }, 'binary');
  const send = (correlationId: number, deferral: Deferral): void => {
    const batchAt = sendBatchAt(deferral);
    const builder = new BatchBuilder(256, '', batchAt);
    for (const body of [`${correlationId} a`, `${correlationId} b`]) {
      const record = { body, bodyKind: BODY_TEXT } as const;
      builder.append(record, recordBytes(record), 4096, 1);
    }
    const frame = builder.finish(0, 0).slice();
    const topicId = topic['topicId'] as number;
    encodeSendBatchHeader(viewOf(frame), 0, correlationId, topicId, deferral);
    rig.acceptor.binary(client, frame);
  };
  send(1, { delayMs: 3000 });
  send(2, { deliverAt: rig.clock.epochMs() + 2000 });
  send(3, { delayMs: 0 });
  send(4, { delayMs: 365 * 24 * 3_600_000 });
  await rig.settle();
  const byId = client.receipts.toSorted((one, other) => one.correlationId - other.correlationId);
  assert.deepEqual(
    byId.map(({ correlationId, deferred }) => [correlationId, deferred]),
    [
      [1, true],
      [2, true],
      [3, false],
    ],
  );
  assert.ok((byId[0]?.baseQueueOffset ?? 0) > rig.clock.epochMs());
  const refusal = client.answers.find(({ op }) => op === 'error');
  assert.match(String(refusal?.['message']), /is to wait \d+ milliseconds; this broker keeps one/);
  assert.deepEqual(await bodies(rig), ['3 a', '3 b']);
  await rig.pass(4000);
  assert.deepEqual(await bodies(rig), ['2 a', '2 b', '1 a', '1 b']);
});

test('wrong times are refused by name, and nothing is stored', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (const [fields, pattern] of [
    [{ delayMs: -1 }, /"delayMs" is -1/],
    [{ delayMs: 'soon' }, /"delayMs" is "soon"/],
    [{ delayMs: 1.5 }, /"delayMs" is 1.5/],
    [{ deliverAt: 1_700_000_000 }, /milliseconds since 1970, not seconds/],
    [{ delayMs: 1, deliverAt: 1_900_000_000_000 }, /absent where there is "delayMs"/],
    [{ deliverAt: 1_900_000_000_000 }, /this broker keeps one for 3600000 at most/],
  ] as const) {
    const answer = await rig.ask(client, { op: 'send', topic: 't', body: 'x', ...fields });
    assert.equal(answer['code'], 'INVALID_ARGUMENT');
    assert.match(String(answer['message']), pattern);
    assert.equal(answer['stored'], false);
  }
  assert.deepEqual(await bodies(rig), []);
});

test('a producer may mix delayed messages and others: each is stored once', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const messages = ['a', 'b', 'c', 'd', 'e'].map((body, index) => ({
    body,
    ...(index % 2 === 1 ? { delayMs: 1000 } : {}),
  }));
  const send = { op: 'send', topic: 't', producerId: 'tab', sequence: 0, messages };
  const first = receiptsOf(await rig.ask(client, send));
  const again = receiptsOf(await rig.ask(client, send));
  assert.ok(again.every(({ duplicate }) => duplicate));
  assert.deepEqual(
    again.map(({ messageId, deliverAt }) => [messageId, deliverAt]),
    first.map(({ messageId, deliverAt }) => [messageId, deliverAt]),
  );
  await rig.pass(2000);
  assert.deepEqual(await bodies(rig), ['a', 'c', 'e', 'b', 'd']);
  const late = receiptsOf(await rig.ask(client, send));
  assert.equal(late[1]?.deliverAt, null);
});

test('over HTTP: sent with a header or a field, listed, cancelled', async () => {
  const rig = await AcceptorRig.start();
  const at = '/v1/topics/t/messages';
  const raw = { 'content-type': 'text/plain', 'x-message-key': 'raw', 'x-delay-ms': '5000' };
  const sent = parsed<{ receipts: WireReceipt[] }>(
    await rig.http('POST', at, { headers: raw, body: 'raw' }),
  );
  assert.equal(sent.receipts[0]?.queueOffset, -1);
  const json = { 'content-type': 'application/json' };
  const body = [1, 2, 3].map((number) => ({ body: number, key: 'json', delayMs: 4000 + number }));
  parsed(await rig.http('POST', at, { headers: json, body }));
  const list = async (query = ''): Promise<{ messages: { key: string }[]; waiting: number }> =>
    parsed(await rig.http('GET', `/v1/topics/t/delayed${query}`));
  const all = await list();
  assert.equal(all.waiting, 4);
  assert.deepEqual(
    all.messages.map(({ key }) => key),
    ['json', 'json', 'json', 'raw'],
  );
  assert.equal((await list('?key=raw')).messages.length, 1);
  assert.equal((await list('?max=2')).messages.length, 2);
  const cancel = async (query: string): Promise<{ outcome: string; messageIds: string[] }> =>
    parsed(await rig.http('DELETE', `/v1/topics/t/delayed?${query}`));
  const id = sent.receipts[0]?.messageId ?? '';
  assert.deepEqual(await cancel(`messageId=${id}`), { outcome: 'cancelled', messageIds: [id] });
  assert.equal((await cancel('key=json')).messageIds.length, 3);
  assert.deepEqual(await cancel('key=json'), { outcome: 'cancelled', messageIds: [] });
  assert.equal((await cancel('key=never')).outcome, 'notFound');
  const wrong = await rig.http('DELETE', '/v1/topics/t/delayed');
  assert.equal(wrong.status, 400);
  assert.equal((await rig.http('DELETE', '/v1/topics/t/delayed?key=a&messageId=b')).status, 400);
  await rig.pass(6000);
  assert.deepEqual(await bodies(rig), []);
});

test('over frames: listed and cancelled, with a definite answer', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const send = (key: string, delayMs: number): Promise<Answer> =>
    rig.ask(client, { op: 'send', topic: 't', body: key, key, delayMs });
  await send('due', 10);
  await rig.pass(1000);
  const [receipt] = receiptsOf(await send('waits', 60_000));
  const list = await rig.ask(client, { op: 'delayed', topic: 't' }, 'binary');
  assert.deepEqual(list['messages'], [
    {
      messageId: receipt?.messageId,
      queueId: receipt?.queueId,
      ...{ key: 'waits', tag: null, deliverAt: receipt?.deliverAt },
      bornAt: (list['messages'] as { bornAt: number }[])[0]?.bornAt,
    },
  ]);
  const cancel = (target: object): Promise<Answer> =>
    rig.ask(client, { op: 'cancelDelayed', topic: 't', ...target });
  assert.equal((await cancel({ key: 'due' }))['outcome'], 'delivered');
  assert.equal((await cancel({ messageId: receipt?.messageId }))['outcome'], 'cancelled');
  assert.equal((await cancel({ messageId: receipt?.messageId }))['outcome'], 'cancelled');
  assert.equal((await cancel({ messageId: 'x' }))['code'], 'INVALID_ARGUMENT');
  assert.equal((await cancel({}))['code'], 'INVALID_ARGUMENT');
  const none = await rig.ask(client, { op: 'delayed', topic: 'none' });
  assert.equal(none['code'], 'TOPIC_NOT_FOUND');
});
