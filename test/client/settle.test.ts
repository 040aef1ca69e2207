import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Message } from '../../src/client/message.ts';
import { ackedCount, fillTopic, until, withClient } from '../../src/testing/client-rig.ts';

const from = 'earliest';

describe('settling', () => {
  it('acks durably, and several acks in one frame', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      await fillTopic(client, 100);
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
      await fillTopic(client, 200);
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

  it('sends the acks under way before it closes', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 10);
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

  it('sends acks again that a busy broker refused', () =>
    withClient(async ({ broker, client }) => {
      await fillTopic(client, 1);
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
      await fillTopic(client, 1);
      for await (const message of client.consumer({ topic: 't', group: 'g', from })) {
        for (const queue of broker.group('g', 't', 'latest')) queue.release();
        message.ack();
        await until(() => events.some(({ type }) => type === 'settle-failed'));
        break;
      }
    }));
});
