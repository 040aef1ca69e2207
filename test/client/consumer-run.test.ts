import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ackedCount, fillTopic, until, withClient } from '../../src/testing/client-rig.ts';

const from = 'earliest';

describe('run', () => {
  it('acks what the handler did, nacks what it threw at, with the reason', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 10);
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      let count = 0;
      await consumer.run(async (message) => {
        count += 1;
        if (message.text() === '3' && message.attempt === 1) throw new Error('three');
        if (ackedCount(broker) + 1 >= 10 || count === 11) void consumer.close();
      });
      assert.deepEqual(
        broker.settles.filter(({ action }) => action === 'nack').map(({ reason }) => reason),
        ['three'],
      );
      assert.equal(count, 11);
    }));

  it('has as many handlers at work as it may, and no more', () =>
    withClient(async ({ client }) => {
      await fillTopic(client, 40);
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      let working = 0;
      let most = 0;
      let done = 0;
      const gates: (() => void)[] = [];
      const running = consumer.run(
        async () => {
          working += 1;
          most = Math.max(most, working);
          await new Promise<void>((resolve) => gates.push(resolve));
          working -= 1;
          done += 1;
        },
        { concurrency: 8 },
      );
      while (done < 40) {
        await until(() => gates.length > 0 || done === 40);
        if (done === 0) await until(() => gates.length === 8);
        gates.shift()?.();
      }
      await consumer.close();
      await running;
      assert.equal(most, 8);
    }));

  it('stops by its signal after the handlers under way', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 10);
      const controller = new AbortController();
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      let count = 0;
      await consumer.run(
        async () => {
          count += 1;
          if (count === 3) controller.abort();
          await client.ping();
        },
        { signal: controller.signal },
      );
      assert.equal(count, 3);
      await consumer.drain();
      assert.equal(ackedCount(broker), 3);
    }));

  it('extends the leases of handlers that take long', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 1);
      const consumer = client.consumer({ topic: 't', group: 'g', from, leaseMs: 1000 });
      await consumer.run(async () => {
        await until(() => broker.settles.some(({ action }) => action === 'extend'));
        void consumer.drain();
      });
      await consumer.drain();
      assert.equal(broker.settles.find(({ action }) => action === 'extend')?.argument, 1000);
      assert.equal(ackedCount(broker), 1);
    }));

  it('drains: finishes what was given out, and gives back the rest', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 30);
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      let count = 0;
      const running = consumer.run(
        async () => {
          count += 1;
          await client.ping();
        },
        { concurrency: 4 },
      );
      await until(() => count >= 8);
      await client.drain();
      await running;
      assert.ok(count < 30);
      assert.equal(ackedCount(broker), count);
    }));
});
