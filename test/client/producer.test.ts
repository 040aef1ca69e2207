import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { SluiceError } from '../../src/base/errors.ts';
import { fnv1a } from '../../src/base/fnv1a.ts';
import { assertOrderPerKey, rejection, until, withClient } from '../../src/testing/client-rig.ts';

const codeOf = (error: unknown): string => {
  assert.ok(error instanceof SluiceError, String(error));
  return error.code;
};

describe('send', () => {
  it('stores a message with key, tag, properties and body, and tells where', () =>
    withClient(async ({ broker, client }) => {
      const receipt = await client.producer().send({
        topic: 'orders',
        key: 'o-17',
        tag: 'created',
        properties: { shop: '7', Größe: 'ß' },
        body: { total: 12 },
      });
      const queueId = fnv1a('o-17') % 4;
      assert.deepEqual(broker.messages('orders'), [
        {
          queueId,
          queueOffset: 0,
          key: 'o-17',
          tag: 'created',
          text: '{"total":12}',
          properties: { shop: '7', Größe: 'ß' },
        },
      ]);
      assert.deepEqual(receipt.toJSON(), {
        topic: 'orders',
        queueId,
        queueOffset: 0,
        messageId: `7f000001${broker.port.toString(16).padStart(8, '0')}0002000000000000`,
        durability: 'disk',
        duplicate: false,
      });
    }));

  it('takes bytes, text short and long, and JSON values as bodies', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      const producer = client.producer();
      const long = 'länger als zweiunddreißig Zeichen, mit Umlauten äöü und 🌊';
      const huge = 'x'.repeat(70_000);
      const bodies = [new TextEncoder().encode('bytes'), 'text', long, huge, 17, null, [1, 'two']];
      for (const body of bodies) await producer.send({ topic: 't', body });
      assert.deepEqual(
        broker.messages('t').map(({ text }) => text),
        ['bytes', 'text', long, huge, '17', 'null', '[1,"two"]'],
      );
    }));

  it('shares batches among messages that are sent together', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer();
      const receipts = await Promise.all(
        Array.from({ length: 100 }, (_, index) => producer.send({ topic: 't', body: `${index}` })),
      );
      assert.equal(broker.sends.length, 1);
      assert.equal(broker.sends[0]?.count, 100);
      assert.deepEqual(
        receipts.map(({ queueOffset }) => queueOffset),
        Array.from({ length: 100 }, (_, index) => index),
      );
    }));

  it('keeps the order of each key over many batches, queues and turns', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      const sends: Promise<unknown>[] = [];
      for (let index = 0; index < 3000; index += 1)
        sends.push(producer.send({ topic: 't', key: `k${index % 7}`, body: `${index}` }));
      await Promise.all(sends);
      assertOrderPerKey(broker.messages('t'), 3000);
    }));

  it('spreads messages without a key over the queues, a batch at a time', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ batchBytes: 1024, lingerMs: 0 });
      await producer.sendBatch(
        Array.from({ length: 400 }, () => ({ topic: 't', body: 'x'.repeat(100) })),
      );
      const counts = broker.topic('t').queues.map((queue) => queue.nextOffset);
      assert.equal(
        counts.reduce((sum, count) => sum + count),
        400,
      );
      assert.ok(
        counts.every((count) => count > 50),
        `spread: ${counts.join(' ')}`,
      );
    }));

  it('refuses what is wrong with a message, and stores nothing of it', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer();
      broker.limits = { ...broker.limits, bodyBytes: 1000 };
      const bad: [object, string][] = [
        [{ topic: 'a b', body: 1 }, 'INVALID_NAME'],
        [{ body: 1 }, 'INVALID_NAME'],
        [{ topic: 't' }, 'INVALID_ARGUMENT'],
        [{ topic: 't', body: () => 1 }, 'INVALID_ARGUMENT'],
        [{ topic: 't', body: 1n }, 'INVALID_ARGUMENT'],
        [{ topic: 't', body: 1, key: 5 }, 'INVALID_ARGUMENT'],
        [{ topic: 't', body: 1, key: 'k'.repeat(1025) }, 'MESSAGE_TOO_LARGE'],
        [{ topic: 't', body: 1, tag: 't'.repeat(256) }, 'MESSAGE_TOO_LARGE'],
        [{ topic: 't', body: 1, properties: { a: 1 } }, 'INVALID_ARGUMENT'],
        [{ topic: 't', body: new Uint8Array(5_000_000) }, 'MESSAGE_TOO_LARGE'],
      ];
      for (const [message, code] of bad)
        assert.equal(codeOf(await rejection(producer.send(message as never))), code);
      assert.equal(codeOf(await rejection(producer.send(undefined as never))), 'INVALID_ARGUMENT');
      assert.equal(broker.sends.length, 0);
      await producer.send({ topic: 't', body: 'good' });
      assert.equal(broker.messages('t').length, 1);
    }));

  it('keeps to the body size that the broker allows', () =>
    withClient(async ({ broker, client }) => {
      broker.limits = { ...broker.limits, bodyBytes: 1000 };
      broker.drop();
      await until(() => client.isConnected && broker.connectionCount === 2);
      const error = await rejection(
        client.producer().send({ topic: 't', body: new Uint8Array(1001) }),
      );
      assert.equal(codeOf(error), 'MESSAGE_TOO_LARGE');
    }));

  it('sends a message that is larger than a batch on its own', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 1;
      const producer = client.producer({ batchBytes: 1024 });
      await Promise.all([
        producer.send({ topic: 't', body: 'before' }),
        producer.send({ topic: 't', body: 'y'.repeat(1_000_000) }),
        producer.send({ topic: 't', body: 'after' }),
      ]);
      assert.deepEqual(
        broker.messages('t').map(({ text }) => text.length),
        [6, 1_000_000, 5],
      );
    }));

  it('stops waiting when its signal aborts or its time is over; the message may go on', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer();
      // The topic is known: what is sent now goes into a batch at once, however short its time is.
      await producer.send({ topic: 't', body: 0 });
      broker.react = () => 'hold-answer';
      const controller = new AbortController();
      const { signal } = controller;
      const aborted = rejection(producer.send({ topic: 't', body: 1 }, { signal }));
      const late = rejection(producer.send({ topic: 't', body: 2 }, { timeoutMs: 5 }));
      const good = producer.send({ topic: 't', body: 3 });
      await until(() => broker.sends.length === 2);
      controller.abort(new Error('enough'));
      assert.equal(((await aborted) as Error).message, 'enough');
      assert.equal(codeOf(await late), 'TIMEOUT');
      broker.react = () => 'store';
      broker.release();
      assert.equal((await good).queueOffset, 2);
    }));

  it('that was aborted before it came into a batch is never sent', () =>
    withClient(async ({ broker, client }) => {
      broker.refuse = ({ op }) => (op === 'topic' ? 'BUSY' : undefined);
      const producer = client.producer();
      const controller = new AbortController();
      const aborted = producer.send({ topic: 't', body: 'no' }, { signal: controller.signal });
      const sent = producer.send({ topic: 't', body: 'yes' });
      controller.abort();
      assert.equal(((await rejection(aborted)) as Error).name, 'AbortError');
      const before = AbortSignal.abort();
      assert.equal(
        ((await rejection(producer.send({ topic: 't', body: 'no' }, { signal: before }))) as Error)
          .name,
        'AbortError',
      );
      broker.refuse = () => undefined;
      await sent;
      assert.deepEqual(
        broker.messages('t').map(({ text }) => text),
        ['yes'],
      );
    }));

  it('rejects with TIMEOUT when there is no answer in sendTimeoutMs, and goes on trying', () => {
    let waitedMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + waitedMs };
    return withClient(
      async ({ broker, client }) => {
        broker.react = () => 'hold-answer';
        const producer = client.producer({ sendTimeoutMs: 60_000 });
        const late = rejection(producer.send({ topic: 't', body: 1 }));
        await until(() => broker.sends.length === 1);
        waitedMs = 60_000;
        assert.equal(codeOf(await late), 'TIMEOUT');
        broker.release();
        broker.react = () => 'store';
        await producer.flush();
        assert.equal(broker.messages('t').length, 1);
      },
      {},
      { clock },
    );
  });

  it('rejects when the topic does not exist, and succeeds once it does', () =>
    withClient(async ({ broker, client }) => {
      broker.refuse = ({ op }) => (op === 'topic' ? 'TOPIC_NOT_FOUND' : undefined);
      const producer = client.producer();
      const error = await rejection(producer.send({ topic: 't', body: 1 }));
      assert.equal(codeOf(error), 'TOPIC_NOT_FOUND');
      broker.refuse = () => undefined;
      await producer.send({ topic: 't', body: 2 });
    }));

  it('finds a topic again that was deleted and made anew', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer();
      await producer.send({ topic: 't', key: 'k', body: 1 });
      broker.topics.delete('t');
      assert.equal(
        codeOf(await rejection(producer.send({ topic: 't', key: 'k', body: 2 }))),
        'TOPIC_NOT_FOUND',
      );
      const receipt = await producer.send({ topic: 't', key: 'k', body: 3 });
      assert.equal(receipt.queueOffset, 0);
      assert.equal(broker.messages('t')[0]?.text, '3');
    }));
});

describe('sendBatch', () => {
  it('gives the receipts in the order of the messages, whatever queues they went to', () =>
    withClient(async ({ broker, client }) => {
      const messages = Array.from({ length: 500 }, (_, index) => ({
        topic: index % 3 === 0 ? 'a' : 'b',
        key: `k${index % 11}`,
        body: `${index}`,
      }));
      const receipts = await client.producer({ batchBytes: 1024 }).sendBatch(messages);
      assert.equal(receipts.length, 500);
      const all = [...receipts];
      assert.equal(all.length, 500);
      all.forEach((receipt, index) => {
        const queue = broker.topic(receipt.topic).queues[receipt.queueId];
        assert.equal(queue?.messages[receipt.queueOffset]?.text, `${index}`);
        assert.equal(receipts.at(index)?.queueOffset, receipt.queueOffset);
      });
      assert.equal(receipts.at(500), undefined);
      assert.equal(receipts.at(-1), undefined);
    }));

  it('of nothing is done at once', () =>
    withClient(async ({ client }) => {
      assert.equal((await client.producer().sendBatch([])).length, 0);
    }));

  it('stores the good ones and tells how many were not', () =>
    withClient(async ({ broker, client }) => {
      const error = await rejection(
        client.producer().sendBatch([
          { topic: 't', body: 'good' },
          { topic: 'not good', body: 'bad' },
          { topic: 't', body: 'good too' },
        ]),
      );
      assert.equal(codeOf(error), 'INVALID_NAME');
      assert.deepEqual((error as SluiceError).facts, { failed: 1, messages: 3 });
      assert.equal(broker.messages('t').length, 2);
    }));

  it('waits for memory, in order, and never holds more than its bound', () =>
    withClient(async ({ broker, client }) => {
      broker.queueCount = 2;
      const bufferBytes = 8192;
      const producer = client.producer({ bufferBytes, batchBytes: 1024 });
      let most = 0;
      broker.react = () => {
        most = Math.max(most, producer.bufferedBytes);
        return 'store';
      };
      const messages = Array.from({ length: 2000 }, (_, index) => ({
        topic: 't',
        key: `k${index % 5}`,
        body: `${index}`,
      }));
      const [first, second] = await Promise.all([
        producer.sendBatch(messages.slice(0, 1000)),
        producer.sendBatch(messages.slice(1000)),
      ]);
      assert.equal(first.length + second.length, 2000);
      assert.ok(most > 4000 && most <= bufferBytes, `held ${most}`);
      assertOrderPerKey(broker.messages('t'), 2000);
    }));
});
