/** Transactions over frames and HTTP: half messages, their end, the question to a producer, the operator's list. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WireHalf, WireReceipt } from '../../src/protocol/web/messages.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { Answer, FakeConnection } from '../../src/testing/fake-connection.ts';
import type { HttpResponse } from '../../src/transport/transport.ts';

const parsed = <Shape>(response: HttpResponse): Shape => {
  assert.equal(response.status, 200, response.body as string);
  return JSON.parse(response.body as string) as Shape;
};

async function half(rig: AcceptorRig, client: FakeConnection, body: string): Promise<string> {
  const send = { op: 'send', topic: 't', body, key: body, transactionGroup: 'shop' };
  const answer = await rig.ask(client, send);
  assert.equal(answer.op, 'sent', JSON.stringify(answer));
  const [receipt] = answer['receipts'] as WireReceipt[];
  assert.equal(receipt?.half, true);
  assert.equal(receipt.queueOffset, -1);
  assert.equal('deliverAt' in receipt, false);
  return receipt.messageId;
}

const end = (
  rig: AcceptorRig,
  client: FakeConnection,
  messageId: string,
  decision: string,
): Promise<Answer> => rig.ask(client, { op: 'endTransaction', messageId, decision });

async function bodies(rig: AcceptorRig): Promise<unknown[]> {
  const path = '/v1/topics/t/messages?group=g&from=earliest&waitMs=0';
  const { messages } = parsed<{ messages: { body: unknown }[] }>(await rig.http('GET', path));
  return messages.map(({ body }) => body);
}

test('a half message is seen when it is committed; what was decided first holds', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const [one, two] = [await half(rig, client, 'one'), await half(rig, client, 'two')];
  assert.deepEqual(await bodies(rig), []);
  assert.equal((await end(rig, client, one, 'commit'))['outcome'], 'committed');
  assert.equal((await end(rig, client, two, 'rollback'))['outcome'], 'rolledBack');
  assert.equal((await end(rig, client, one, 'rollback'))['outcome'], 'committed');
  assert.equal((await end(rig, client, two, 'commit'))['outcome'], 'rolledBack');
  assert.equal((await end(rig, client, one, 'maybe'))['code'], 'INVALID_ARGUMENT');
  assert.equal((await end(rig, client, 'x', 'commit'))['code'], 'INVALID_ARGUMENT');
  const unknown = `${one.slice(0, -6)}ffffff`;
  assert.equal((await end(rig, client, unknown, 'commit'))['outcome'], 'notFound');
  assert.deepEqual(await bodies(rig), ['one']);
});

test('a half message of another group is not ended', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  const messageId = await half(rig, client, 'one');
  const endAs = (group: string): Promise<Answer> =>
    rig.ask(client, { op: 'endTransaction', messageId, decision: 'rollback', group });
  const refused = await endAs('thieves');
  assert.equal(refused['code'], 'FORBIDDEN');
  assert.match(String(refused['message']), /producer group "thieves"/);
  assert.equal((await endAs('shop'))['outcome'], 'rolledBack');
});

test('producers of the group are asked in turn, others are not', async () => {
  const rig = await AcceptorRig.start();
  const [sender, first, second, stranger] = [1, 2, 3, 4].map(() => rig.connect());
  assert.ok(sender && first && second && stranger);
  for (const [client, group] of [
    [first, 'shop'],
    [second, 'shop'],
    [stranger, 'other'],
  ] as const)
    assert.equal((await rig.ask(client, { op: 'checkTransactions', group })).op, 'ok');
  const ids = new Set([await half(rig, sender, 'a'), await half(rig, sender, 'b')]);
  await rig.pass(3000);
  const checksOf = (client: FakeConnection): Answer[] =>
    client.answers.filter(({ op }) => op === 'check');
  const asked = [...checksOf(first), ...checksOf(second)];
  assert.equal(checksOf(first).length, 1);
  assert.equal(checksOf(second).length, 1);
  assert.equal(checksOf(stranger).length, 0);
  assert.deepEqual(new Set(asked.map(({ messageId }) => messageId)), ids);
  assert.equal(asked[0]?.['group'], 'shop');
  assert.equal(asked[0]?.['checks'], 1);
  assert.equal(asked[0]?.['body'], asked[0]?.['key']);
  rig.disconnect(first);
  rig.disconnect(second);
  await rig.pass(40_000, 1000);
  await end(rig, sender, String(asked[0]?.['messageId']), 'commit');
  assert.equal((await bodies(rig)).length, 1);
});

test('what nobody answers for is listed for operators, who settle it', async () => {
  const rig = await AcceptorRig.start({
    shardConfig: { transactionCheckMax: 2, transactionCheckIntervalMs: 500 },
  });
  const client = rig.connect();
  const messageId = await half(rig, client, 'lost');
  const list = async (state: string): Promise<WireHalf[]> =>
    parsed<{ messages: WireHalf[] }>(await rig.http('GET', `/api/transactions?state=${state}`))
      .messages;
  assert.deepEqual(await list('parked'), []);
  assert.equal((await list('all'))[0]?.checks, 0);
  await rig.pass(6000);
  const [parked] = await list('parked');
  assert.equal(parked?.messageId, messageId);
  assert.equal(parked.group, 'shop');
  assert.equal(parked.topic, 't');
  assert.equal(parked.checks, 2);
  assert.equal(parked.nextCheckAt, null);
  const body = { decision: 'commit' };
  const settled = await rig.http('POST', `/api/transactions/${messageId}`, { body });
  assert.deepEqual(parsed(settled), { outcome: 'committed' });
  assert.deepEqual(await list('all'), []);
  assert.deepEqual(await bodies(rig), ['lost']);
});

test('a half message is one message without a time of its own', async () => {
  const rig = await AcceptorRig.start();
  const client = rig.connect();
  for (const fields of [
    { messages: [{ body: 1 }, { body: 2 }], transactionGroup: 'shop' },
    { body: 1, delayMs: 5, transactionGroup: 'shop' },
    { body: 1, transactionGroup: 'no such name!' },
  ]) {
    const answer = await rig.ask(client, { op: 'send', topic: 't', ...fields });
    assert.equal(answer.op, 'error', JSON.stringify(answer));
    assert.equal(answer['stored'], false);
  }
});
