import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import type { SluiceError } from '../../src/base/errors.ts';
import type { Message } from '../../src/client/message.ts';
import {
  ackedCount,
  fillTopic,
  rejection,
  until,
  withClient,
} from '../../src/testing/client-rig.ts';

const codeOf = (error: unknown): string => (error as SluiceError).code;
const from = 'earliest';

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

  it('never has more unsettled messages than its credit, and gets all', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 500);
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

  it('skips messages of other tags, and holds no more than its credit', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 400);
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
      const returned = broker.requests
        .filter(({ op }) => op === 'credit')
        .reduce((sum, { more }) => sum + (more as number), 0);
      assert.ok(returned <= 200, `credit for ${returned} was given back`);
    }));

  it('gets what an SQL filter selects, as the broker says, and settles nothing else', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer();
      for (let index = 0; index < 60; index += 1)
        await producer.send({ topic: 't', body: index, properties: { price: String(index % 20) } });
      const filter = { sql: 'price > 9 AND NOT (price = 15)' };
      const consumer = client.consumer({ topic: 't', group: 'g', from, filter, credit: 5 });
      const seen: number[] = [];
      for await (const message of consumer) {
        seen.push(message.json() as number);
        message.ack();
        if (seen.length === 27) break;
      }
      assert.ok(seen.every((index) => index % 20 > 9 && index % 20 !== 15));
      assert.equal(new Set(seen).size, 27);
      await consumer.close();
      assert.equal(ackedCount(broker), 27);
    }));

  it('refuses a filter that is none', () =>
    withClient(async ({ client }) => {
      const filter = { sql: 5 } as unknown as { sql: string };
      assert.throws(
        () => client.consumer({ topic: 't', group: 'g', filter }),
        /filter is a string/,
      );
    }));

  it('subscribes again after a reconnect; messages of before are void', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 20);
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
      await fillTopic(client, 30);
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

  it('drops what waited here longer than its lease, and gives its credit back', () => {
    let sleptMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + sleptMs };
    return withClient(
      async ({ broker, client }) => {
        broker.queueCount = 1;
        await fillTopic(client, 3);
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
      await fillTopic(client, 10);
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
