/** Go-back-n against a broker that refuses, forgets and loses: each message stored once, in order, whatever happens. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { rejection, until, withClient } from '../../src/testing/client-rig.ts';
import type { FakeBroker, FakeReaction } from '../../src/testing/fake-broker.ts';

const texts = (broker: FakeBroker): string[] => broker.messages('t').map(({ text }) => text);
const numbers = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${index}`);
/** Messages of which some ten fill a batch. */
const message = (index: number): { topic: string; key: string; body: string } => ({
  topic: 't',
  key: 'k',
  body: `${index}`.padEnd(70, ' '),
});
const trimmed = (broker: FakeBroker): string[] => texts(broker).map((text) => text.trim());

describe('a lane', () => {
  it('has one batch on its way until the broker has confirmed the first', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      broker.react = () => 'hold-answer';
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      const sent = producer.sendBatch(Array.from({ length: 100 }, (_, index) => message(index)));
      await until(() => broker.sends.length === 1);
      await client.ping();
      assert.equal(broker.sends.length, 1);
      broker.react = () => 'store';
      broker.release();
      await sent;
      assert.deepEqual(trimmed(broker), numbers(100));
    }));

  it('has at most maxInFlight batches on their way', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0, maxInFlight: 3 });
      await producer.send(message(0));
      broker.react = () => 'hold-answer';
      const sent = producer.sendBatch(
        Array.from({ length: 100 }, (_, index) => message(index + 1)),
      );
      await until(() => broker.sends.length === 4);
      await client.ping();
      assert.equal(broker.sends.length, 4);
      broker.react = () => 'store';
      broker.release();
      await sent;
      assert.deepEqual(trimmed(broker), numbers(101));
    }));

  it('keeps under the unanswered requests that the broker allows a connection', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 8;
      broker.limits = { ...broker.limits, inFlight: 20 };
      broker.drop();
      await until(() => broker.connectionCount === 2 && client.isConnected);
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      let open = 0;
      let most = 0;
      broker.react = () => {
        open += 1;
        most = Math.max(most, open);
        return 'hold-answer';
      };
      let isDone = false;
      const sent = producer
        .sendBatch(
          Array.from({ length: 1000 }, (_, index) => ({
            ...message(index),
            key: `k${index % 50}`,
          })),
        )
        .finally(() => {
          isDone = true;
        });
      while (!isDone) {
        await client.ping();
        open = 0;
        broker.release();
      }
      await sent;
      assert.ok(most > 1 && most <= 4, `${most} at once`);
    }));

  it('sends a refused batch and all behind it again, in order, after the time it was told', () =>
    withClient(async ({ broker, client, events }) => {
      broker.queueCount = 1;
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      await producer.send(message(0));
      let isRefused = false;
      broker.react = ({ sequence }) => {
        if (sequence > 20 && !isRefused) {
          isRefused = true;
          return { code: 'BUSY', retryAfterMs: 3 };
        }
        return 'store';
      };
      await producer.sendBatch(Array.from({ length: 100 }, (_, index) => message(index + 1)));
      assert.deepEqual(trimmed(broker), numbers(101));
      const held = events.filter(({ type }) => type === 'held-back');
      assert.equal(held.length, 1);
      const resent = broker.sends.filter(({ sequence }) => sequence > 20);
      assert.ok(resent.length > new Set(resent.map(({ sequence }) => sequence)).size);
      assert.ok(broker.sends.every(({ epoch }) => epoch === 0));
    }));

  it('loses nothing when the very first batch is refused', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      broker.react = ({ index }) => (index < 3 ? { code: 'BUSY', retryAfterMs: 1 } : 'store');
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      await producer.sendBatch(Array.from({ length: 100 }, (_, index) => message(index)));
      assert.deepEqual(trimmed(broker), numbers(100));
    }));

  it('drops a batch that is refused for good, and sends those behind it under a new epoch', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      await producer.send(message(0));
      broker.react = ({ sequence, epoch }) =>
        sequence > 20 && sequence < 32 && epoch === 0 ? { code: 'FORBIDDEN' } : 'store';
      const sends = Array.from({ length: 100 }, (_, index) => producer.send(message(index + 1)));
      const results = await Promise.allSettled(sends);
      const stored = results.flatMap(({ status }, index) =>
        status === 'fulfilled' ? [`${index + 1}`] : [],
      );
      assert.deepEqual(trimmed(broker), ['0', ...stored]);
      assert.ok(stored.length >= 80 && stored.length < 100, `${stored.length} stored`);
      const epochs = new Set(broker.sends.map(({ epoch }) => epoch));
      assert.ok(epochs.has(1), 'the epoch went up');
    }));

  it('fails everything when nobody knows what was stored and a retry cannot help', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      await producer.send(message(0));
      broker.react = () => ({ code: 'INVARIANT' });
      const sends = [1, 2].map((index) => rejection(producer.send(message(index))));
      for (const send of sends) assert.equal(((await send) as SluiceError).code, 'INVARIANT');
      broker.react = () => 'store';
      await producer.send(message(3));
      assert.deepEqual(trimmed(broker), ['0', '3']);
    }));

  it('goes on under a new epoch when the broker has lost what it had confirmed', () =>
    withClient(async ({ broker, client, events }) => {
      broker.queueCount = 1;
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      await producer.sendBatch(Array.from({ length: 50 }, (_, index) => message(index)));
      broker.topic('t').queues[0]?.rewindProducers(10);
      await producer.sendBatch(Array.from({ length: 50 }, (_, index) => message(index + 50)));
      assert.deepEqual(trimmed(broker), numbers(100));
      assert.equal(events.filter(({ type }) => type === 'sequence-lost').length, 1);
    }));

  it('gives up when every epoch is answered with a gap', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => ({ code: 'SEQUENCE_GAP' });
      const error = await rejection(client.producer().send(message(0)));
      assert.equal((error as SluiceError).code, 'SEQUENCE_GAP');
    }));

  it('ends the producer when another instance has its id', () =>
    withClient(async ({ broker, client }) => {
      const old = client.producer({ producerId: 'me', producerEpoch: 7 });
      await old.send(message(0));
      const young = client.producer({ producerId: 'me', producerEpoch: 8 });
      await young.send(message(1));
      for (let round = 0; round < 2; round += 1) {
        const error = await rejection(old.send(message(2)));
        assert.equal((error as SluiceError).code, 'STALE_PRODUCER_EPOCH');
      }
      await young.send(message(3));
      await old.close();
      assert.deepEqual(trimmed(broker), ['0', '1', '3']);
    }));

  it('does not take the receipt of a twin for its own', () =>
    withClient(async ({ broker, client }) => {
      const first = client.producer({ producerId: 'me', producerEpoch: 7 });
      await first.send(message(0));
      // The same id and epoch: its first sequence is the other's, and the broker would answer "stored before".
      const twin = client.producer({ producerId: 'me', producerEpoch: 7 });
      const error = await rejection(twin.send(message(1)));
      assert.equal((error as SluiceError).code, 'STALE_PRODUCER_EPOCH');
      assert.deepEqual(trimmed(broker), ['0']);
    }));

  it('gives a producer id of the user a higher epoch with every start', () =>
    withClient(async ({ broker, client }) => {
      await client.producer({ producerId: 'me' }).send(message(0));
      assert.ok((broker.sends[0]?.epoch ?? 0) > 1_700_000_000);
    }));
});

describe('a lost connection', () => {
  it('makes the client send what is unanswered again, and nothing is stored twice', () =>
    withClient(async ({ broker, client, events }) => {
      broker.queueCount = 2;
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      broker.react = ({ index }) => (index === 5 || index === 20 ? 'store-and-drop' : 'store');
      const receipts = await producer.sendBatch(
        Array.from({ length: 300 }, (_, index) => ({ ...message(index), key: `k${index % 9}` })),
      );
      assert.equal(new Set(trimmed(broker)).size, 300);
      assert.equal(broker.messages('t').length, 300);
      assert.ok([...receipts].some(({ duplicate }) => duplicate));
      assert.equal(events.filter(({ type }) => type === 'disconnected').length, 2);
      for (const [index, receipt] of [...receipts].entries())
        assert.equal(
          broker.topic('t').queues[receipt.queueId]?.messages[receipt.queueOffset]?.text.trim(),
          `${index}`,
        );
    }));

  it('before the answer to the first batch does not store it twice', () =>
    withClient(async ({ broker, client }) => {
      broker.react = ({ index }) => (index === 0 ? 'store-and-drop' : 'store');
      const receipt = await client.producer().send(message(0));
      assert.equal(receipt.duplicate, true);
      assert.equal(receipt.queueOffset, 0);
      assert.equal(broker.messages('t').length, 1);
    }));

  it('is survived by a broker that remembers the batch no more than that it was stored', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      const producer = client.producer();
      await producer.send(message(0));
      broker.react = ({ index }) => (index === 1 ? 'store-and-drop' : 'store');
      const queue = broker.topic('t').queues[0];
      const sent = producer.send(message(1));
      await until(() => queue?.nextOffset === 2);
      const receipt = await sent;
      assert.equal(receipt.duplicate, true);
    }));
});

it('each message is stored once and in order of its key, whatever the broker does, for many seeds', async () => {
  const runs = Number(process.env['CLIENT_SEEDS'] ?? 12);
  for (let seed = 1; seed <= runs; seed += 1) {
    await withClient(async ({ broker, client }) => {
      const prng = seededPrng(seed);
      broker.queueCount = 1 + prng.integer(3);
      broker.limits = { ...broker.limits, inFlight: 17 + prng.integer(40) };
      let drops = 0;
      broker.react = (): FakeReaction => {
        const roll = prng.next();
        if (roll < 0.05) return { code: 'BUSY', retryAfterMs: prng.integer(3) };
        if (roll < 0.08) return { code: 'FLUSH_TIMEOUT', retryAfterMs: 1 };
        if (roll < 0.11 && drops < 6) {
          drops += 1;
          return prng.chance(0.5) ? 'store-and-drop' : 'drop';
        }
        return 'store';
      };
      const producer = client.producer({
        batchBytes: 1024,
        lingerMs: prng.integer(2),
        bufferBytes: 2048 + prng.integer(20_000),
      });
      const sends: Promise<unknown>[] = [];
      for (let index = 0; index < 600; index += 1)
        sends.push(producer.send({ ...message(index), key: `k${index % 5}` }));
      await Promise.all(sends);
      const last = new Map<string, number>();
      const stored = broker.messages('t');
      assert.equal(stored.length, 600, `seed ${seed}`);
      for (const { key, text } of stored) {
        assert.ok(Number(text) > (last.get(key) ?? -1), `seed ${seed}: ${text} of ${key}`);
        last.set(key, Number(text));
      }
      assert.equal(producer.bufferedBytes, 0);
    });
  }
});
