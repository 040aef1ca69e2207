import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import type { BatchReceipt } from '../../src/client/receipt.ts';
import { assertOrderPerKey, rejection, until, withClient } from '../../src/testing/client-rig.ts';

const codeOf = (error: unknown): string => {
  assert.ok(error instanceof SluiceError, String(error));
  return error.code;
};

describe('push and flush', () => {
  it('sends without a promise a message; flush waits for all', () =>
    withClient(async ({ broker, client }) => {
      const receipts: BatchReceipt[] = [];
      const producer = client.producer({ onReceipt: (receipt) => receipts.push(receipt) });
      for (let index = 0; index < 1000; index += 1)
        assert.ok(producer.push({ topic: 't', key: `k${index % 5}`, body: `${index}` }));
      await producer.flush();
      assertOrderPerKey(broker.messages('t'), 1000);
      assert.equal(
        receipts.reduce((sum, { messageCount }) => sum + messageCount, 0),
        1000,
      );
      await producer.flush();
    }));

  it('refuses when memory is used up, and takes again when ready', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ bufferBytes: 8192, batchBytes: 1024 });
      await producer.send({ topic: 't', body: 0 });
      broker.react = () => 'hold-answer';
      let pushed = 0;
      while (producer.push({ topic: 't', body: 'x'.repeat(100) })) pushed += 1;
      assert.ok(pushed > 10 && pushed < 100, `${pushed} fit`);
      assert.ok(producer.bufferedBytes <= 8192);
      const ready = producer.ready();
      await until(() => broker.sends.length > 1);
      broker.react = () => 'store';
      broker.release();
      await ready;
      assert.ok(producer.push({ topic: 't', body: 'again' }));
      await producer.flush();
      assert.equal(broker.messages('t').length, pushed + 2);
    }));

  it('bounds what waits for an unknown topic too', () =>
    withClient(async ({ broker, client }) => {
      broker.refuse = ({ op }) => (op === 'topic' ? 'BUSY' : undefined);
      const producer = client.producer({ bufferBytes: 8192 });
      let pushed = 0;
      while (producer.push({ topic: 't', body: 'x'.repeat(100) })) pushed += 1;
      assert.ok(pushed > 10 && pushed < 100, `${pushed} fit`);
      broker.refuse = () => undefined;
      await producer.flush();
      assert.equal(broker.messages('t').length, pushed);
    }));

  it('tells by flush of what was refused', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => ({ code: 'FORBIDDEN' });
      const producer = client.producer();
      for (let index = 0; index < 5; index += 1) producer.push({ topic: 't', body: index });
      const error = await rejection(producer.flush());
      assert.equal(codeOf(error), 'FORBIDDEN');
      assert.equal((error as SluiceError).facts['failed'], 5);
      await producer.flush();
    }));

  it('tells onFailure instead, if it is there', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => ({ code: 'FORBIDDEN' });
      const failures: string[] = [];
      const producer = client.producer({
        onFailure: ({ error, topic, messageCount }) =>
          failures.push(`${error.code} ${topic} ${messageCount}`),
      });
      for (let index = 0; index < 5; index += 1) producer.push({ topic: 't', body: index });
      await producer.flush();
      assert.deepEqual(failures, ['FORBIDDEN t 5']);
    }));

  it('stops waiting for a flush when told to', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => 'hold-answer';
      const producer = client.producer();
      producer.push({ topic: 't', body: 1 });
      assert.equal(codeOf(await rejection(producer.flush({ timeoutMs: 5 }))), 'TIMEOUT');
      await until(() => broker.sends.length === 1);
      broker.release();
      await producer.flush();
    }));
});

describe('close', () => {
  it('of a producer sends what it was given and takes no more', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ lingerMs: 60_000 });
      const sent = producer.send({ topic: 't', body: 1 });
      await producer.close();
      assert.equal((await sent).queueOffset, 0);
      assert.equal(codeOf(await rejection(producer.send({ topic: 't', body: 2 }))), 'CLOSED');
      assert.throws(() => producer.push({ topic: 't', body: 2 }), { code: 'CLOSED' });
      assert.equal(broker.messages('t').length, 1);
      await producer.close();
    }));

  it('of a producer fails what is not answered in time', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => 'hold-answer';
      const producer = client.producer();
      const sent = rejection(producer.send({ topic: 't', body: 1 }));
      await producer.close({ timeoutMs: 10 });
      assert.equal(codeOf(await sent), 'CLOSED');
      assert.equal(producer.bufferedBytes, 0);
    }));

  it('of the client wins over everything that is being retried', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => ({ code: 'BUSY', retryAfterMs: 1 });
      const producer = client.producer({ bufferBytes: 2048, batchBytes: 1024 });
      const sends = Array.from({ length: 50 }, () =>
        rejection(producer.send({ topic: 't', body: 'x'.repeat(100) })),
      );
      await until(() => broker.sends.length > 3);
      await client.close();
      for (const send of sends) assert.equal(codeOf(await send), 'CLOSED');
      assert.equal(await client.closed, undefined);
      assert.throws(() => client.producer(), { code: 'CLOSED' });
    }));

  it('by drain sends what producers were given', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ lingerMs: 60_000 });
      for (let index = 0; index < 10; index += 1) producer.push({ topic: 't', body: index });
      await client.drain();
      assert.equal(broker.messages('t').length, 10);
      assert.equal(client.isConnected, false);
    }));

  it('by await using does the same', () =>
    withClient(async ({ broker, client }) => {
      {
        await using producer = client.producer({ lingerMs: 60_000 });
        producer.push({ topic: 't', body: 1 });
      }
      assert.equal(broker.messages('t').length, 1);
    }));
});
