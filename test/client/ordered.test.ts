/** A consumer with `ordered`, through the TypeScript client and a real broker: one message of a queue at a time, with a fence. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { type Broker, createBroker } from '../../src/broker/create-broker.ts';
import type { Client } from '../../src/client/node.ts';
import { connect } from '../../src/testing/patient-client.ts';

let broker: Broker;
let client: Client;

before(async () => {
  broker = await createBroker({ memory: true, config: { retryBackoffMs: [20] } });
  client = await connect({ servers: [broker.ready.ws] });
});
after(async () => {
  await client.close();
  await broker.drain();
});

it('gives one message of each queue at a time, and a refused one again before the next', async () => {
  const producer = client.producer();
  const sent = ['a', 'b', 'c', 'd'].map((key) =>
    Promise.all([1, 2, 3, 4, 5].map((n) => producer.send({ topic: 'steps', key, body: n }))),
  );
  await Promise.all(sent);
  const out = new Set<number>();
  const seen = new Map<string, unknown[]>();
  const fences = new Map<number, number>();
  const stop = new AbortController();
  let acked = 0;
  const consumer = client.consumer({
    ...{ topic: 'steps', group: 'workers', from: 'earliest', ordered: true },
  });
  await consumer.run(
    async (message) => {
      const { queueId, fence, attempt, key = '' } = message;
      assert.ok(!out.has(queueId), 'another message of this queue is out');
      out.add(queueId);
      assert.ok(fence > (fences.get(queueId) ?? 0), 'the fence rises');
      fences.set(queueId, fence);
      const number = message.json<number>();
      const isRefused = number === 3 && attempt === 1;
      const bodies = seen.get(key) ?? [];
      seen.set(key, bodies);
      bodies.push(number);
      await new Promise((resolve) => setImmediate(resolve));
      out.delete(queueId);
      if (isRefused) throw new Error('not yet');
      acked += 1;
      if (acked === 20) stop.abort();
    },
    { concurrency: 8, signal: stop.signal },
  );
  for (const [key, bodies] of seen) assert.deepEqual(bodies, [1, 2, 3, 3, 4, 5], `key ${key}`);
});

it('is not in one group with a consumer that is not ordered', async () => {
  await client.producer().send({ topic: 'mixed', body: 1 });
  const ordered = client.consumer({
    topic: 'mixed',
    group: 'both',
    from: 'earliest',
    ordered: true,
  });
  await ordered[Symbol.asyncIterator]().next();
  await assert.rejects(
    client.consumer({ topic: 'mixed', group: 'both' }).run(() => {}),
    (error: { code: string }) => error.code === 'SUBSCRIPTION_MISMATCH',
  );
});
