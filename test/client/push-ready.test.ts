/** `push` and `ready` under every mix of sizes, keys, topics and moods of the broker: no live-lock, memory bounded. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Producer } from '../../src/client/producer.ts';
import type { OutgoingMessage } from '../../src/client/types.ts';
import { rejection, until, withClient } from '../../src/testing/client-rig.ts';
import type { FakeReaction } from '../../src/testing/fake-broker.ts';

/** Bytes of the frame header that a batch counts besides. */
const BATCH_SLACK_BYTES = 256;

const moods: readonly FakeReaction[] = [
  'store',
  'store',
  'store',
  'store-and-drop',
  'drop',
  { code: 'BUSY', retryAfterMs: 1 },
];

type Plan = {
  readonly bufferBytes: number;
  readonly batchBytes: number;
  readonly lingerMs: number;
  /** Bodies: their sizes, keys and topics. */
  readonly messages: readonly { size: number; key: number; topic: number; isJson: boolean }[];
  readonly moods: readonly number[];
  /** Loops that push at the same time. */
  readonly pushers: number;
};

const plans = fc.record<Plan>({
  bufferBytes: fc.integer({ min: 1024, max: 12_000 }),
  batchBytes: fc.integer({ min: 1024, max: 4096 }),
  lingerMs: fc.constantFrom(0, 1, 60_000),
  messages: fc.array(
    fc.record({
      size: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })),
      key: fc.integer({ min: 0, max: 5 }),
      topic: fc.integer({ min: 0, max: 1 }),
      isJson: fc.boolean(),
    }),
    { minLength: 1, maxLength: 80 },
  ),
  moods: fc.array(fc.nat({ max: moods.length - 1 }), { maxLength: 20 }),
  pushers: fc.integer({ min: 1, max: 3 }),
});

function messageOf({ size, key, topic, isJson }: Plan['messages'][number]): OutgoingMessage {
  const text = 'x'.repeat(size);
  return {
    topic: `t${topic}`,
    ...(key === 0 ? {} : { key: `k${key}` }),
    body: isJson ? { text } : text,
  };
}

/** Pushes all; after `ready` a lone pusher must succeed with its next try. */
async function pushAll(
  producer: Producer,
  messages: readonly OutgoingMessage[],
  isAlone: boolean,
  check: () => void,
): Promise<void> {
  for (const message of messages) {
    let tries = 0;
    while (!producer.push(message)) {
      tries += 1;
      assert.ok(!isAlone || tries === 1, 'the push after ready was refused');
      check();
      await producer.ready();
    }
    check();
  }
}

describe('push and ready', () => {
  it('never live-lock, and keep memory below its bound', () =>
    fc.assert(
      fc.asyncProperty(plans, (plan) =>
        withClient(
          async ({ broker, client }) => {
            const { bufferBytes, batchBytes, lingerMs, pushers } = plan;
            broker.react = ({ index }) => moods[plan.moods[index] ?? 0] ?? 'store';
            const messages = plan.messages.map(messageOf);
            const sizeMax = Math.max(...plan.messages.map(({ size }) => size));
            const producer = client.producer({
              bufferBytes,
              batchBytes,
              lingerMs,
              sendTimeoutMs: 0,
            });
            // What is larger than the bound goes alone; what waits for its topic may have one batch in front of it.
            const bytesMax =
              Math.max(bufferBytes, sizeMax) +
              Math.max(batchBytes, sizeMax) +
              2 * BATCH_SLACK_BYTES;
            const check = (): void =>
              assert.ok(producer.bufferedBytes <= bytesMax, `${producer.bufferedBytes} bytes held`);
            const shares = Array.from({ length: pushers }, (_, pusher) =>
              messages.filter((_message, index) => index % pushers === pusher),
            );
            await Promise.all(
              shares.map((share) => pushAll(producer, share, pushers === 1, check)),
            );
            await producer.flush();
            assert.equal(
              broker.messages('t0').length + broker.messages('t1').length,
              messages.length,
            );
            assert.equal(producer.bufferedBytes, 0);
          },
          { reconnectMaxMs: 2 },
        ),
      ),
      { numRuns: 60 },
    ));

  it('let the event loop turn: answers come in while a loop waits', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ bufferBytes: 1024, batchBytes: 1024 });
      let turns = 0;
      const timer = setInterval(() => {
        turns += 1;
      }, 0);
      broker.react = () => 'hold-answer';
      const loop = (async () => {
        for (let index = 0; index < 30; index += 1) {
          const message = { topic: 't', body: 'x'.repeat(500) };
          while (!producer.push(message)) await producer.ready();
        }
      })();
      await until(() => turns > 20 && broker.sends.length > 0);
      broker.react = () => 'store';
      broker.release();
      await loop;
      clearInterval(timer);
      await producer.flush();
      assert.equal(broker.messages('t').length, 30);
    }));

  it('waits for a message as large as the one that was refused', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ bufferBytes: 16_384, batchBytes: 1024, lingerMs: 0 });
      await producer.send({ topic: 't', body: 0 });
      broker.react = () => 'hold-answer';
      for (let index = 0; index < 10; index += 1) {
        assert.ok(producer.push({ topic: 't', key: 'k', body: 'x'.repeat(900) }));
        await until(() => broker.sends.length >= 2);
      }
      assert.equal(producer.push({ topic: 't', body: 'y'.repeat(15_000) }), false);
      let isReady = false;
      const ready = producer.ready().then(() => {
        isReady = true;
      });
      assert.ok(producer.push({ topic: 't', body: 'small' }), 'there is room for a small one');
      // One batch at a time until the broker knows the producer: each release lets the next ones out.
      broker.release();
      await until(() => broker.sends.length > 2);
      assert.equal(isReady, false);
      broker.react = () => 'store';
      broker.release();
      await ready;
      assert.ok(producer.push({ topic: 't', body: 'y'.repeat(15_000) }));
      await producer.flush();
    }));

  it('seals what waits for company when memory is short', () =>
    withClient(async ({ broker, client }) => {
      const producer = client.producer({ bufferBytes: 1024, batchBytes: 1024, lingerMs: 60_000 });
      for (let index = 0; index < 50; index += 1) {
        const message = { topic: 't', key: `k${index}`, body: 'x'.repeat(100) };
        while (!producer.push(message)) await producer.ready();
      }
      await producer.flush();
      assert.equal(broker.messages('t').length, 50);
    }));

  it('ends with the producer, a signal or a time', () =>
    withClient(async ({ broker, client }) => {
      broker.react = () => 'hold-answer';
      const producer = client.producer({ bufferBytes: 1024, batchBytes: 1024 });
      await producer.ready();
      while (producer.push({ topic: 't', body: 'x'.repeat(100) }));
      const controller = new AbortController();
      const aborted = rejection(producer.ready({ signal: controller.signal }));
      controller.abort(new Error('enough'));
      assert.equal(((await aborted) as Error).message, 'enough');
      const late = (await rejection(producer.ready({ timeoutMs: 1 }))) as { code?: string };
      assert.equal(late.code, 'TIMEOUT');
      const closed = rejection(producer.ready());
      const failed = rejection(producer.close({ timeoutMs: 10 }));
      assert.equal(((await closed) as { code?: string }).code, 'CLOSED');
      // Nobody else was told of what was pushed and not answered.
      assert.equal(((await failed) as { code?: string }).code, 'CLOSED');
      assert.equal(((await rejection(producer.ready())) as { code?: string }).code, 'CLOSED');
    }));
});
