/** Delayed messages in a whole broker: the TypeScript client, an outbox, the command line, metrics, a restart. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import type { Client } from '../../src/client/client.ts';
import { IndexedDbOutbox } from '../../src/client/outbox-indexed-db.ts';
import { runCli } from '../../src/testing/cli-run.ts';
import { until } from '../../src/testing/client-rig.ts';
import { MemoryIndexedDb } from '../../src/testing/memory-indexed-db.ts';
import { connect } from '../../src/testing/patient-client.ts';

/** Longer than any test: what has it does not come by itself. */
const FAR_MS = 3_600_000;

/** The next message of a topic that a group has not seen. */
async function next(client: Client, topic: string): Promise<unknown> {
  const consumer = client.consumer({ topic, group: 'g', from: 'earliest' });
  for await (const message of consumer) {
    await message.ack();
    await consumer.close();
    return message.text();
  }
  throw new Error('the consumer ended');
}

test('the client delays messages, and its receipts say until when', async () => {
  await using broker = await createBroker({ memory: true });
  await using client = await connect({ servers: broker.ready.ws });
  const producer = client.producer();
  const topic = 't';
  const [far, near, at, now] = await Promise.all([
    producer.send({ topic, body: 'far', key: 'far', delayMs: FAR_MS }),
    producer.send({ topic, body: 'near', delayMs: 30 }),
    producer.send({ topic, body: 'at', deliverAt: new Date(Date.now() + 60) }),
    producer.send({ topic, body: 'now' }),
  ]);
  assert.equal(now.deliverAt, undefined);
  assert.ok(now.queueOffset >= 0);
  assert.equal(far.queueOffset, -1);
  assert.ok((far.deliverAt ?? 0) >= Date.now() + FAR_MS - 60_000);
  assert.equal(typeof far.toJSON()['deliverAt'], 'number');
  assert.notEqual(near.messageId, at.messageId);
  const seen = new Set([
    await next(client, topic),
    await next(client, topic),
    await next(client, topic),
  ]);
  assert.deepEqual(seen, new Set(['now', 'near', 'at']));
  const list = await client.delayed({ topic });
  assert.equal(list.waiting, 1);
  assert.equal(list.messages[0]?.messageId, far.messageId);
  const { outcome, messageIds } = await client.cancelDelayed({ topic, messageId: far.messageId });
  assert.equal(outcome, 'cancelled');
  assert.deepEqual(messageIds, [far.messageId]);
  assert.equal((await client.cancelDelayed({ topic, key: 'far' })).outcome, 'cancelled');
  assert.equal((await client.cancelDelayed({ topic, key: 'none' })).outcome, 'notFound');
  for (const wrong of [
    { delayMs: -1 },
    { deliverAt: 1_700_000_000 },
    { delayMs: 1, deliverAt: new Date() },
  ])
    await assert.rejects(
      producer.send({ topic, body: 'x', ...wrong }),
      (error) => error instanceof SluiceError && error.code === 'INVALID_ARGUMENT',
    );
});

test('an outbox keeps with a message when it is to be seen', async () => {
  await using broker = await createBroker({ memory: true });
  const storage = new MemoryIndexedDb();
  const topic = 't';
  const open = async (servers: string): Promise<Client> =>
    connect({ servers, waitForConnection: false, reconnectMinMs: 1, reconnectMaxMs: 5 });
  const offline = await open('ws://127.0.0.1:9');
  const page = storage.page();
  const first = offline.producer({ outbox: new IndexedDbOutbox({}, page), lingerMs: 0 });
  first.push({ topic, body: 'later', key: 'k', delayMs: FAR_MS });
  first.push({ topic, body: 'now', key: 'k' });
  await until(() => storage.rows('batches').length === 2);
  page.kill();
  void offline.close();
  const client = await open(broker.ready.ws);
  const again = client.producer({ outbox: new IndexedDbOutbox({}, storage.page()) });
  await again.flush();
  assert.equal(await next(client, topic), 'now');
  assert.equal((await client.delayed({ topic, key: 'k' })).messages.length, 1);
  await client.drain();
});

test('the command line sends, lists and cancels; a restart of the broker forgets nothing', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-delayed-'));
  const start = (): Promise<Broker> => createBroker({ dataDir, config: { shards: 2 } });
  try {
    {
      await using broker = await start();
      const url = ['--url', broker.ready.ws];
      const produce = ['produce', 't', ...url, '--key-field', 'k', '--delay-ms', String(FAR_MS)];
      const sent = await runCli([...produce, '--json'], { input: '{"k":"a"}\n{"k":"b"}\n' });
      assert.equal(sent.code, 0, sent.stderr);
    }
    await using broker = await start();
    const url = ['--url', broker.ready.ws, '--json'];
    const list = await runCli(['admin', 'delayed', 'list', 't', ...url]);
    assert.deepEqual(list.values.map(({ key }) => key).toSorted(), ['a', 'b']);
    const cancel = ['admin', 'delayed', 'cancel', 't', ...url];
    const byKey = await runCli([...cancel, '--key', 'a']);
    assert.equal(byKey.values[0]?.['outcome'], 'cancelled');
    const none = await runCli([...cancel, '--key', 'nobody']);
    assert.equal(none.code, 1);
    assert.equal(none.values[0]?.['outcome'], 'notFound');
    const metrics = await (await fetch(`${broker.ready.http}/metrics`)).text();
    const waiting = [...metrics.matchAll(/^sluice_deferred_messages\{shard="\d"\} (\d+)$/gm)];
    assert.equal(waiting.length, 2);
    assert.equal(
      waiting.reduce((sum, [, count]) => sum + Number(count), 0),
      1,
    );
    assert.match(metrics, /sluice_delayed_lateness_seconds_bucket/);
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});
