/** Transactions in a whole broker: the TypeScript client, its check, a client that dies, a restart, the command line. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createBroker } from '../../src/broker/create-broker.ts';
import type { Client } from '../../src/client/client.ts';
import type { QuestionedMessage } from '../../src/client/transaction-producer.ts';
import { runCli } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/client-rig.ts';
import { until as untilAsync } from '../../src/testing/e2e-broker.ts';
import { connect } from '../../src/testing/patient-client.ts';

const QUICK = { transactionTimeOut: 100, transactionCheckInterval: 100 };

/** Everything of a topic that can be seen. */
async function bodies(client: Client, topic: string): Promise<unknown[]> {
  const found: unknown[] = [];
  const { queues } = await client.topic(topic);
  for (let queueId = 0; queueId < queues; queueId += 1) {
    const { messages } = await client.fetch({ topic, queueId, offset: 0 });
    found.push(...messages.map(({ body }) => body));
  }
  return found.toSorted();
}

test('a message is seen if the work succeeded, and only then', async () => {
  await using broker = await createBroker({ memory: true });
  await using client = await connect({ servers: broker.ready.ws });
  const tx = client.transactionProducer({ group: 'shop', check: () => 'unknown' });
  const topic = 't';
  assert.equal(await tx.run({ topic, body: 'done', key: 'k' }, () => {}), 'committed');
  assert.equal(await tx.run({ topic, body: 'no' }, () => 'rollback'), 'rolledBack');
  assert.equal(await tx.run({ topic, body: 'later' }, () => 'unknown'), undefined);
  const failure = new Error('the database is away');
  await assert.rejects(
    tx.run({ topic, body: 'failed' }, () => Promise.reject(failure)),
    failure,
  );
  const half = await tx.send({ topic, body: new Uint8Array([1, 2]), properties: { a: 'b' } });
  assert.match(half.messageId, /^[0-9a-f]{32}$/);
  assert.equal(await half.commit(), 'committed');
  assert.equal(await half.rollback(), 'committed');
  assert.deepEqual(await bodies(client, topic), [new Uint8Array([1, 2]), 'done']);
});

test('whoever is left of the group is asked for those that died', async () => {
  await using broker = await createBroker({ memory: true, config: QUICK });
  const dying = await connect({ servers: broker.ready.ws });
  const lost = dying.transactionProducer({ group: 'shop', check: () => 'unknown' });
  for (const body of ['paid', 'unpaid', 'slow', 'broken']) await lost.send({ topic: 't', body });
  await dying.close();
  const asked: QuestionedMessage[] = [];
  const failures: string[] = [];
  await using client = await connect({
    servers: broker.ready.ws,
    onStatus: (event) => {
      if (event.type === 'check-failed') failures.push(event.error.message);
    },
  });
  client.transactionProducer({
    group: 'shop',
    check: (message) => {
      asked.push(message);
      if (message.body === 'paid') return 'commit';
      if (message.body === 'unpaid') return 'rollback';
      const count = asked.filter(({ body }) => body === message.body).length;
      if (message.body === 'broken' && count === 1) throw new Error('no answer yet');
      return count < 3 ? 'unknown' : 'commit';
    },
  });
  await until(() => asked.filter(({ body }) => body === 'slow').length >= 3);
  await until(() => asked.filter(({ body }) => body === 'broken').length >= 3);
  assert.ok(asked.every(({ topic, checks }) => topic === 't' && checks >= 1));
  assert.ok(failures.some((text) => text.includes('no answer yet')));
  let seen: unknown[] = [];
  await untilAsync('all are seen', async () => {
    seen = await bodies(client, 't');
    return seen.length >= 3;
  });
  assert.deepEqual(seen, ['broken', 'paid', 'slow']);
});

test('a restart forgets no half message, and an operator settles what nobody answers for', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-tx-'));
  const config = { ...QUICK, transactionCheckMax: 1, shards: 2 };
  try {
    let messageId: string;
    {
      await using broker = await createBroker({ dataDir, config });
      await using client = await connect({ servers: broker.ready.ws });
      const tx = client.transactionProducer({ group: 'shop', check: () => 'unknown' });
      ({ messageId } = await tx.send({ topic: 't', body: 'kept', key: 'k' }));
    }
    await using broker = await createBroker({ dataDir, config });
    const list = async (state: string): Promise<{ nextCheckAt: number | null }[]> => {
      const response = await fetch(`${broker.ready.http}/api/transactions?state=${state}`);
      return ((await response.json()) as { messages: { nextCheckAt: number | null }[] }).messages;
    };
    assert.equal((await list('all')).length, 1);
    while ((await list('parked')).length === 0)
      await new Promise((resolve) => setImmediate(resolve));
    const url = ['--url', broker.ready.ws, '--json'];
    const listed = await runCli(['admin', 'transactions', 'list', ...url]);
    // An id begins with the address of the broker, whose port is another one now.
    assert.equal(String(listed.values[0]?.['messageId']).slice(16), messageId.slice(16));
    const settle = ['admin', 'transactions', 'settle', messageId, 'commit', ...url];
    assert.equal((await runCli(settle)).values[0]?.['outcome'], 'committed');
    await using client = await connect({ servers: broker.ready.ws });
    assert.deepEqual(await bodies(client, 't'), ['kept']);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
