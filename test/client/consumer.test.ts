import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import type { SluiceError } from '../../src/base/errors.ts';
import type { Client } from '../../src/client/client.ts';
import type { Message } from '../../src/client/message.ts';
import { rejection, until, withClient } from '../../src/testing/client-rig.ts';
import type { FakeBroker } from '../../src/testing/fake-broker.ts';

const codeOf = (error: unknown): string => (error as SluiceError).code;

async function fill(client: Client, count: number): Promise<void> {
  await client.producer({ batchBytes: 1024 }).sendBatch(
    Array.from({ length: count }, (_, index) => ({
      topic: 't',
      key: `k${index % 5}`,
      tag: index % 2 === 0 ? 'even' : 'odd',
      properties: { index: `${index}` },
      body: `${index}`,
    })),
  );
}

const from = 'earliest';
const ackedCount = (broker: FakeBroker): number =>
  broker.group('g', 't', 'latest').reduce((sum, queue) => sum + queue.acked.size, 0);

describe('a consumer', () => {
  it('gets every message with all that was sent', () =>
    withClient(async ({ broker, client }) => {
      const value = { list: [1, 'zwei'], deep: { null: null } };
      const receipt = await client.producer().send({
        topic: 't',
        key: 'k',
        tag: 'a',
        properties: { shop: '7' },
        body: value,
      });
      await client.producer().sendBatch([
        { topic: 't', body: Uint8Array.of(0, 1, 255) },
        { topic: 't', body: 'Text: ü' },
      ]);
      const bodies: unknown[] = [];
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        bodies.push(message.value());
        if (message.key === 'k') {
          const { topic, queueId, queueOffset, messageId, tag, properties, attempt } = message;
          assert.deepEqual(
            { topic, queueId, queueOffset, messageId },
            {
              topic: 't',
              queueId: receipt.queueId,
              queueOffset: receipt.queueOffset,
              messageId: receipt.messageId,
            },
          );
          assert.deepEqual(
            { tag, attempt, kind: message.bodyKind },
            { tag: 'a', attempt: 1, kind: 'json' },
          );
          assert.deepEqual({ ...properties }, { shop: '7' });
          assert.deepEqual(message.json(), value);
          assert.equal(message.storedAt, 1_760_000_000_000);
          assert.ok(Math.abs(message.bornAt - Date.now()) < 60_000);
        } else assert.equal(message.key, undefined);
        message.ack();
        if (bodies.length === 3) break;
      }
      assert.equal(bodies.length, 3);
      assert.ok(bodies.some((body) => body === 'Text: ü'));
      assert.ok(bodies.some((body) => body instanceof Uint8Array && body[2] === 255));
      assert.equal(ackedCount(broker), 3);
    }));

  it('acks durably, and several acks in one frame', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await fill(client, 100);
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      const messages: Message[] = [];
      for await (const message of consumer) {
        messages.push(message);
        if (messages.length === 100) break;
        if (messages.length === 50) {
          await Promise.all(messages.map((one) => one.ack()));
          assert.equal(ackedCount(broker), 50);
        }
      }
      const [first] = broker.settles;
      assert.equal(first?.action, 'ack');
      assert.equal(
        first?.ranges.reduce((sum, { count }) => sum + count, 0),
        50,
      );
      const batches = broker.topic('t').queues[0]?.batches.length ?? 0;
      assert.ok((first?.ranges.length ?? 99) <= batches, 'contiguous acks are one range a lease');
    }));

  it('merges acks in whatever order they come', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await client
        .producer()
        .sendBatch(Array.from({ length: 9 }, (_, index) => ({ topic: 't', body: index })));
      const taken: Message[] = [];
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        taken.push(message);
        if (taken.length < 9) continue;
        const acks = [4, 3, 5, 0, 1, 8, 7, 6, 2].map((index) => taken[index]?.ack());
        await Promise.all(acks);
        break;
      }
      assert.deepEqual(
        broker.settles.map(({ ranges }) =>
          ranges.map(({ queueOffset, count }) => `${queueOffset}+${count}`),
        ),
        [['3+3', '0+2', '6+3', '2+1']],
      );
    }));

  it('gives nacked messages back with delay and reason', () =>
    withClient(async ({ broker, client }) => {
      await client.producer().send({ topic: 't', body: 'poison' });
      const attempts: number[] = [];
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        attempts.push(message.attempt);
        if (message.attempt === 3) {
          await message.ack();
          break;
        }
        message.nack({ reason: `try ${message.attempt}: ü`, delayMs: 1000 });
      }
      assert.deepEqual(attempts, [1, 2, 3]);
      assert.deepEqual(
        broker.settles.map(({ action, argument, reason }) => [action, argument, reason]),
        [
          ['nack', 1000, 'try 1: ü'],
          ['nack', 1000, 'try 2: ü'],
          ['ack', 0, ''],
        ],
      );
    }));

  it('settles a message once', () =>
    withClient(async ({ broker, client }) => {
      await client.producer().send({ topic: 't', body: 1 });
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        assert.equal(message.isSettled, false);
        await message.ack();
        await message.ack();
        await message.nack();
        await message.extend(5000);
        assert.equal(message.isSettled, true);
        break;
      }
      assert.equal(broker.settles.length, 1);
    }));

  it('extends leases', () =>
    withClient(async ({ broker, client }) => {
      await client.producer().send({ topic: 't', body: 1 });
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        await message.extend(60_000);
        break;
      }
      assert.deepEqual(
        broker.settles.map(({ action, argument }) => [action, argument]),
        [['extend', 60_000]],
      );
    }));

  it('gets batches whole, and acks them with one range', () =>
    withClient(async ({ broker, client }) => {
      await fill(client, 200);
      const seen = new Set<string>();
      for await (const batch of client.consumer({ topic: 't', group: 'g', from }).batches()) {
        for (const message of batch) seen.add(message.text());
        batch.forEach((message) => {
          assert.ok(seen.has(message.text()));
        });
        assert.equal([...batch].length, batch.messageCount);
        await batch.ackAll();
        assert.equal([...batch].length, 0);
        if (seen.size === 200) break;
      }
      assert.equal(ackedCount(broker), 200);
      assert.ok(broker.settles.every(({ ranges }) => ranges.length === 1));
    }));

  it('acks the rest of a batch when some of it is settled already', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await client
        .producer()
        .sendBatch(Array.from({ length: 9 }, (_, index) => ({ topic: 't', body: index })));
      for await (const batch of client.consumer({ topic: 't', group: 'g', from }).batches()) {
        for (const message of batch) if (message.queueOffset === 4) await message.nack();
        await batch.ackAll();
        break;
      }
      assert.deepEqual(
        broker.settles.map(({ action, ranges }) => [
          action,
          ...ranges.map(({ queueOffset, count }) => `${queueOffset}+${count}`),
        ]),
        [
          ['nack', '4+1'],
          ['ack', '0+4', '5+4'],
        ],
      );
    }));

  it('never has more unsettled messages than its credit, and gets all', () =>
    withClient(async ({ broker, client }) => {
      await fill(client, 500);
      for (const credit of [1, 3, 50]) {
        const group = `g${credit}`;
        const consumer = client.consumer({ topic: 't', group, from, credit });
        const open: Message[] = [];
        let count = 0;
        for await (const message of consumer) {
          count += 1;
          open.push(message);
          assert.ok(open.length <= credit);
          if (open.length === credit || count === 500) for (const one of open.splice(0)) one.ack();
          if (count === 500) break;
        }
        const returned = broker.requests.filter(({ op }) => op === 'credit');
        assert.ok(returned.length <= 500 / Math.max(1, credit / 8), `${returned.length} frames`);
        broker.requests.length = 0;
      }
    }));

  it('skips messages of other tags, and returns their credit', () =>
    withClient(async ({ client }) => {
      await fill(client, 400);
      const consumer = client.consumer({
        topic: 't',
        group: 'g',
        from,
        filter: 'odd || other',
        credit: 4,
      });
      let count = 0;
      for await (const message of consumer) {
        assert.equal(message.tag, 'odd');
        message.ack();
        count += 1;
        if (count === 200) break;
      }
    }));

  it('acks around the messages of other tags', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await client.producer().sendBatch(
        Array.from({ length: 6 }, (_, index) => ({
          topic: 't',
          tag: index === 2 ? 'no' : 'yes',
          body: index,
        })),
      );
      const consumer = client.consumer({ topic: 't', group: 'g', from, filter: 'yes' });
      for await (const batch of consumer.batches()) {
        assert.equal(batch.messageCount, 5);
        await batch.ackAll();
        break;
      }
      assert.deepEqual(
        broker.settles[0]?.ranges.map(({ queueOffset, count }) => `${queueOffset}+${count}`),
        ['0+2', '3+3'],
      );
    }));

  it('subscribes again after a reconnect; messages of before are void', () =>
    withClient(async ({ broker, client }) => {
      await fill(client, 20);
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      const seen = new Map<string, number>();
      let old: Message | undefined;
      for await (const message of consumer) {
        seen.set(message.text(), message.attempt);
        if (seen.size === 10 && old === undefined) {
          old = message;
          broker.drop();
          await until(() => !client.isConnected);
          assert.equal(codeOf(await rejection(old.ack())), 'LEASE_EXPIRED');
          continue;
        }
        message.ack();
        if (seen.size === 20) break;
      }
      assert.equal(ackedCount(broker), 20);
      assert.equal(seen.get(old?.text() ?? ''), 2);
    }));

  it('hands what it did not settle to the next member when it closes', () =>
    withClient(async ({ client }) => {
      await fill(client, 30);
      const first = client.consumer({ topic: 't', group: 'g', from });
      let count = 0;
      for await (const message of first) {
        count += 1;
        if (count > 20) break;
        message.ack();
      }
      const rest = new Set<string>();
      for await (const message of client.consumer({ topic: 't', group: 'g' })) {
        rest.add(message.text());
        message.ack();
        if (rest.size === 10) break;
      }
    }));

  it('sends the acks under way before it closes', () =>
    withClient(async ({ broker, client }) => {
      await fill(client, 10);
      const consumer = client.consumer({ topic: 't', group: 'g', from, ackLingerMs: 1000 });
      let count = 0;
      for await (const message of consumer) {
        message.ack();
        count += 1;
        if (count === 10) break;
      }
      assert.equal(ackedCount(broker), 10);
      assert.equal(broker.requests.filter(({ op }) => op === 'unsubscribe').length, 1);
    }));

  it('ends its iterators when it is closed, whoever waits', () =>
    withClient(async ({ client }) => {
      const consumer = client.consumer({ topic: 't', group: 'g' });
      await consumer.ready();
      const messages = consumer[Symbol.asyncIterator]();
      const waiting = [messages.next(), messages.next(), consumer.batches().next()];
      await consumer.close();
      for (const one of waiting) assert.equal((await one).done, true);
      assert.equal((await messages.next()).done, true);
      assert.equal(codeOf(await rejection(consumer.ready())), 'CLOSED');
    }));

  it('ends with the client', () =>
    withClient(async ({ client }) => {
      const consumer = client.consumer({ topic: 't', group: 'g' });
      const next = consumer[Symbol.asyncIterator]().next();
      await consumer.ready();
      await client.close();
      assert.equal((await next).done, true);
      await consumer.close();
    }));

  it('tells why it cannot subscribe', () =>
    withClient(async ({ broker, client }) => {
      broker.refuse = ({ op }) => (op === 'subscribe' ? 'SUBSCRIPTION_MISMATCH' : undefined);
      const consumer = client.consumer({ topic: 't', group: 'g' });
      assert.equal(codeOf(await rejection(consumer.ready())), 'SUBSCRIPTION_MISMATCH');
      const next = consumer[Symbol.asyncIterator]().next();
      assert.equal(codeOf(await rejection(next)), 'SUBSCRIPTION_MISMATCH');
      assert.equal(codeOf(await rejection(consumer.run(() => {}))), 'SUBSCRIPTION_MISMATCH');
    }));

  it('tries to subscribe again when the broker is busy', () =>
    withClient(async ({ broker, client }) => {
      let refusals = 0;
      broker.refuse = ({ op }) => {
        if (op !== 'subscribe' || refusals === 3) return undefined;
        refusals += 1;
        return 'BUSY';
      };
      await client.consumer({ topic: 't', group: 'g' }).ready();
      assert.equal(refusals, 3);
    }));

  it('sends acks again that a busy broker refused', () =>
    withClient(async ({ broker, client }) => {
      await fill(client, 1);
      let refusals = 0;
      broker.refuse = ({ settle }) => {
        if (settle !== true || refusals === 2) return undefined;
        refusals += 1;
        return 'BUSY';
      };
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        await message.ack();
        break;
      }
      assert.equal(ackedCount(broker), 1);
      assert.equal(broker.settles.length, 3);
    }));

  it('tells of refused acks that nobody awaits by a status event', () =>
    withClient(async ({ broker, client, events }) => {
      await fill(client, 1);
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        for (const queue of broker.group('g', 't', 'latest')) queue.release();
        message.ack();
        await until(() => events.some(({ type }) => type === 'settle-failed'));
        break;
      }
    }));

  it('drops what waited here longer than its lease, and gives its credit back', () => {
    let sleptMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + sleptMs };
    return withClient(
      async ({ broker, client }) => {
        broker.queueCount = 1;
        await fill(client, 3);
        const consumer = client.consumer({ topic: 't', group: 'g', from, credit: 3 });
        const messages = consumer[Symbol.asyncIterator]();
        const { value: first } = (await messages.next()) as { value: Message };
        assert.equal(first.text(), '0');
        sleptMs = 60_000;
        const next = messages.next();
        await until(() => broker.requests.some(({ op, more }) => op === 'credit' && more === 2));
        await client.producer().send({ topic: 't', body: 'fresh' });
        assert.equal(((await next) as { value: Message }).value.text(), 'fresh');
      },
      {},
      { clock },
    );
  });

  it('does not show a batch that was damaged on its way, and gives it back', () =>
    withClient(async ({ broker, client, events }) => {
      await client.producer().send({ topic: 't', body: 'a body of some length' });
      broker.isCorrupting = true;
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      const next = consumer[Symbol.asyncIterator]().next();
      await until(() => events.some(({ type }) => type === 'corrupt-delivery'));
      broker.isCorrupting = false;
      const { value } = await next;
      assert.equal((value as Message).text(), 'a body of some length');
      assert.ok((value as Message).attempt > 1);
    }));

  it('starts over after a seek, and drops what it had prefetched', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await fill(client, 10);
      const consumer = client.consumer({ topic: 't', group: 'g', from });
      const seen: string[] = [];
      let isSought = false;
      for await (const message of consumer) {
        seen.push(message.text());
        if (seen.length === 5 && !isSought) {
          isSought = true;
          seen.length = 0;
          await consumer.seek('earliest');
          continue;
        }
        message.ack();
        if (seen.length === 10) break;
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 10 }, (_, index) => `${index}`),
      );
    }));

  it('refuses options that are wrong', () =>
    withClient(async ({ client }) => {
      assert.throws(() => client.consumer({ topic: 'a b', group: 'g' }), { code: 'INVALID_NAME' });
      assert.throws(() => client.consumer({ topic: 't' } as never), { code: 'INVALID_NAME' });
      assert.throws(() => client.consumer({ topic: 't', group: 'g', credit: 0 }), {
        code: 'INVALID_ARGUMENT',
      });
      assert.throws(() => client.consumer({ topic: 't', group: 'g', leaseMs: 5 }), {
        code: 'INVALID_ARGUMENT',
      });
      assert.throws(() => client.consumer(undefined as never), { code: 'INVALID_ARGUMENT' });
    }));
});

describe('run', () => {
  it('acks what the handler did, nacks what it threw at, with the reason', () =>
    withClient(async ({ broker, client }) => {
      await fill(client, 10);
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
      await fill(client, 40);
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
      await fill(client, 10);
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
      await fill(client, 1);
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
      await fill(client, 30);
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

describe('fetch', () => {
  it('reads by offset, and gives bodies as they were sent', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await fill(client, 10);
      await client.producer().send({ topic: 't', body: 'base64:AQL/' });
      const fetched = await client.fetch({ topic: 't', queueId: 0, offset: 7, max: 10 });
      assert.deepEqual(
        fetched.messages.map(({ queueOffset, body, key }) => [queueOffset, body, key]),
        [
          [7, '7', 'k2'],
          [8, '8', 'k3'],
          [9, '9', 'k4'],
          [10, Uint8Array.of(1, 2, 255), undefined],
        ],
      );
      assert.deepEqual([fetched.nextOffset, fetched.minOffset, fetched.maxOffset], [11, 0, 11]);
    }));
});
