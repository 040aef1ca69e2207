import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SluiceError } from '../../src/base/errors.ts';
import type { Client } from '../../src/client/client.ts';
import type { OutboxEntry, OutboxTopic } from '../../src/client/outbox.ts';
import {
  IndexedDbOutbox,
  type IndexedDbOutboxOptions,
} from '../../src/client/outbox-indexed-db.ts';
import type { Producer } from '../../src/client/producer.ts';
import type { PushFailure } from '../../src/client/types.ts';
import { rejection, until } from '../../src/testing/client-rig.ts';
import { FakeBroker } from '../../src/testing/fake-broker.ts';
import { MemoryIndexedDb, type MemoryPage } from '../../src/testing/memory-indexed-db.ts';
import { connect } from '../../src/testing/patient-client.ts';

type Tab = {
  readonly page: MemoryPage;
  readonly client: Client;
  readonly producer: Producer;
  /** Codes of the outbox's failures as the status tells them. */
  readonly faults: string[];
};

async function openTab(
  storage: MemoryIndexedDb,
  url: string,
  options: IndexedDbOutboxOptions = {},
  onFailure?: (failure: PushFailure) => void,
): Promise<Tab> {
  const page = storage.page();
  const faults: string[] = [];
  const client = await connect({
    servers: url,
    waitForConnection: false,
    reconnectMinMs: 1,
    reconnectMaxMs: 2,
    onStatus: (event) => {
      if (event.type === 'outbox-failed') faults.push(event.error.code);
    },
  });
  const outbox = new IndexedDbOutbox(options, page);
  const producer = client.producer({ outbox, batchBytes: 1024, lingerMs: 0, onFailure });
  return { page, client, producer, faults };
}

/** The tab is closed without a word, in the middle of whatever it did. */
function kill({ page, client }: Tab): void {
  page.kill();
  // The client's end is not waited for: a dead page's storage never answers.
  void client.close();
}

const texts = (broker: FakeBroker): string[] => broker.messages('t').map(({ text }) => text.trim());
const numbers = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${index}`);
const body = (index: number): string => `${index}`.padEnd(70, ' ');
/** Messages that were kept so far, sent or not: their sequences are used up. */
const keptSoFar = (storage: MemoryIndexedDb): number =>
  (storage.rows('topics') as OutboxTopic[]).reduce((sum, topic) => sum + topic.nextSequence, 0);
const kept = (storage: MemoryIndexedDb): OutboxEntry[] => storage.rows('batches') as OutboxEntry[];

async function withStorage(
  run: (broker: FakeBroker, storage: MemoryIndexedDb) => Promise<void>,
): Promise<void> {
  const broker = await FakeBroker.start();
  try {
    await run(broker, new MemoryIndexedDb());
  } finally {
    await broker.close();
  }
}

describe('an outbox', () => {
  it('is empty again when everything was acknowledged', () =>
    withStorage(async (broker, storage) => {
      const { client, producer } = await openTab(storage, broker.url);
      for (let index = 0; index < 50; index += 1)
        assert.ok(producer.push({ topic: 't', body: body(index) }));
      await producer.flush();
      await producer.close();
      assert.deepEqual(texts(broker), numbers(50));
      assert.equal(kept(storage).length, 0);
      await client.close();
    }));

  it('keeps all messages of a topic in order, with or without keys', () =>
    withStorage(async (broker, storage) => {
      const { client, producer } = await openTab(storage, broker.url);
      await producer.sendBatch(
        Array.from({ length: 100 }, (_, index) => ({
          topic: 't',
          ...(index % 2 === 0 ? { key: `k${index}` } : {}),
          body: body(index),
        })),
      );
      assert.deepEqual(texts(broker), numbers(100));
      await client.close();
    }));

  it('keeps what was not sent over a reload, and sends it with the same identity', () =>
    withStorage(async (broker, storage) => {
      broker.isSilent = true;
      const first = await openTab(storage, broker.url);
      for (let index = 0; index < 50; index += 1)
        first.producer.push({ topic: 't', body: body(index) });
      await until(() => keptSoFar(storage) === 50);
      kill(first);
      broker.isSilent = false;
      const second = await openTab(storage, broker.url);
      await second.producer.send({ topic: 't', body: body(50) });
      assert.deepEqual(texts(broker), numbers(51));
      assert.equal(new Set(broker.sends.map(({ producerId }) => producerId)).size, 1);
      assert.equal(second.producer.producerId, broker.sends[0]?.producerId);
      await second.client.close();
    }));

  it('stores nothing twice that was sent, and whose answer the page did not live to see', () =>
    withStorage(async (broker, storage) => {
      broker.react = () => 'lose-answer';
      const first = await openTab(storage, broker.url);
      for (let index = 0; index < 20; index += 1)
        first.producer.push({ topic: 't', body: body(index) });
      await until(() => broker.sends.length > 0 && keptSoFar(storage) === 20);
      kill(first);
      broker.react = () => 'store';
      const second = await openTab(storage, broker.url);
      await second.producer.send({ topic: 't', body: body(20) });
      await second.producer.flush();
      assert.deepEqual(texts(broker), numbers(21));
      await second.producer.close();
      assert.equal(kept(storage).length, 0);
      await second.client.close();
    }));

  it('never sends a batch before it is kept', () =>
    withStorage(async (broker, storage) => {
      const sequences = new Set<number>();
      broker.react = ({ sequence }) => {
        assert.ok(
          kept(storage).some((entry) => entry.sequence === sequence) || sequences.has(sequence),
          `sequence ${sequence} is kept`,
        );
        sequences.add(sequence);
        return 'store';
      };
      const { client, producer } = await openTab(storage, broker.url);
      for (let index = 0; index < 100; index += 1) await producer.send({ topic: 't', body: index });
      assert.equal(sequences.size, 100);
      await client.close();
    }));

  it('loses and repeats nothing, whenever the page is killed', () =>
    withStorage(async (broker, storage) => {
      let sent = 0;
      for (let life = 0; life < 12; life += 1) {
        const tab = await openTab(storage, broker.url);
        const target = broker.sends.length + 1 + (life % 4);
        for (let index = 0; index < 15; index += 1)
          tab.producer.push({ topic: 't', body: body(sent + index) });
        sent += 15;
        // Until everything is kept: what was not is lost with its page, and nobody was told otherwise.
        // In the middle of its sending, or at its end when it needs fewer batches.
        const isFarEnough = (): boolean =>
          broker.sends.length >= target || kept(storage).length === 0;
        await until(() => keptSoFar(storage) === sent && isFarEnough());
        kill(tab);
      }
      const last = await openTab(storage, broker.url);
      await last.producer.send({ topic: 't', body: body(sent) });
      await last.producer.flush();
      assert.deepEqual(texts(broker), numbers(sent + 1));
      await last.client.close();
    }));

  it('works for a page that starts offline', () =>
    withStorage(async (other, storage) => {
      const offline = await openTab(storage, 'ws://127.0.0.1:9');
      for (let index = 0; index < 30; index += 1)
        offline.producer.push({ topic: 't', body: body(index) });
      await until(() => keptSoFar(storage) === 30);
      await offline.client.drain();
      const online = await openTab(storage, other.url);
      await online.producer.flush();
      assert.deepEqual(texts(other), numbers(30));
      await online.client.close();
    }));

  it('refuses what does not fit, and keeps what came before', () =>
    withStorage(async (broker, storage) => {
      broker.isSilent = true;
      const refused: number[] = [];
      const onFailure = ({ error, messageCount }: PushFailure): void => {
        assert.equal(error.code, 'STORAGE_FULL');
        refused.push(messageCount);
      };
      const { client, producer, faults } = await openTab(
        storage,
        broker.url,
        { bytesMax: 3000 },
        onFailure,
      );
      for (let index = 0; index < 100; index += 1) producer.push({ topic: 't', body: body(index) });
      await until(() => refused.length > 0 && keptSoFar(storage) > 0);
      assert.deepEqual([...new Set(faults)], ['STORAGE_FULL']);
      broker.isSilent = false;
      broker.drop();
      await producer.flush();
      const stored = texts(broker);
      assert.equal(stored.length, 100 - refused.reduce((sum, count) => sum + count));
      assert.deepEqual(stored, numbers(stored.length));
      assert.ok(stored.length >= 20, `${stored.length}`);
      await client.close();
    }));

  it('drops the oldest to make room, if told so', () =>
    withStorage(async (broker, storage) => {
      broker.isSilent = true;
      let dropped = 0;
      const onFailure = ({ messageCount }: PushFailure): void => {
        dropped += messageCount;
      };
      const options = { bytesMax: 5000, policy: 'drop-oldest' } as const;
      const { client, producer } = await openTab(storage, broker.url, options, onFailure);
      for (let index = 0; index < 100; index += 1) producer.push({ topic: 't', body: body(index) });
      await until(() => dropped > 0 && keptSoFar(storage) === 100);
      broker.isSilent = false;
      broker.drop();
      await producer.flush();
      const stored = texts(broker);
      assert.equal(stored.length, 100 - dropped);
      assert.deepEqual(stored, numbers(100).slice(-stored.length));
      assert.ok(stored.length >= 20, `${stored.length}`);
      await client.close();
    }));

  it('gives every tab its own place, and what one left to the next that opens', () =>
    withStorage(async (broker, storage) => {
      const one = await openTab(storage, broker.url);
      const two = await openTab(storage, broker.url);
      await one.producer.send({ topic: 't', body: 'one' });
      await two.producer.send({ topic: 't', body: 'two' });
      assert.notEqual(one.producer.producerId, two.producer.producerId);
      broker.isSilent = true;
      two.producer.push({ topic: 't', body: 'left behind' });
      await until(() => keptSoFar(storage) === 3);
      kill(two);
      await one.producer.close({ timeoutMs: 1 });
      await one.client.close();
      broker.isSilent = false;
      // Both places are free; the second has something in it.
      const three = await openTab(storage, broker.url);
      await until(() => three.producer.producerId === two.producer.producerId);
      await three.producer.flush();
      assert.equal(texts(broker).filter((text) => text === 'left behind').length, 1);
      await three.client.close();
    }));

  it('keeps the epoch to which a refusal has brought it', () =>
    withStorage(async (broker, storage) => {
      broker.queueCount = 1;
      const first = await openTab(storage, broker.url);
      await first.producer.send({ topic: 't', body: body(0) });
      broker.react = ({ epoch }) => (epoch === 0 ? { code: 'FORBIDDEN' } : 'hold-answer');
      first.producer.push({ topic: 't', body: body(1) });
      await rejection(first.producer.flush());
      first.producer.push({ topic: 't', body: body(2) });
      await until(() => broker.sends.some(({ epoch }) => epoch === 1));
      kill(first);
      broker.react = () => 'store';
      const second = await openTab(storage, broker.url);
      await second.producer.send({ topic: 't', body: body(3) });
      assert.deepEqual(texts(broker), ['0', '2', '3']);
      assert.equal(broker.sends.at(-1)?.epoch, 1);
      await second.client.close();
    }));

  it('fails the messages that cannot be kept', () =>
    withStorage(async (broker, storage) => {
      const tab = await openTab(storage, broker.url);
      await tab.producer.send({ topic: 't', body: 'good' });
      tab.page.failure = new Error('QuotaExceededError');
      const error = await rejection(tab.producer.send({ topic: 't', body: 'bad' }));
      assert.equal((error as SluiceError).code, 'STORAGE_IO');
      assert.deepEqual([...new Set(tab.faults)], ['STORAGE_IO']);
      tab.page.failure = Object.assign(new Error('no room'), { name: 'QuotaExceededError' });
      const full = await rejection(tab.producer.send({ topic: 't', body: 'bad' }));
      assert.equal((full as SluiceError).code, 'STORAGE_FULL');
      assert.deepEqual([...new Set(tab.faults)], ['STORAGE_IO', 'STORAGE_FULL']);
      tab.page.failure = undefined;
      await tab.producer.send({ topic: 't', body: 'good again' });
      assert.deepEqual(texts(broker), ['good', 'good again']);
      await tab.client.close();
    }));

  it('keeps what was pushed right before the client was closed, and frees its place', () =>
    withStorage(async (broker, storage) => {
      const failures: PushFailure[] = [];
      const first = await openTab(storage, broker.url, {}, (failure) => failures.push(failure));
      await first.producer.send({ topic: 't', body: body(0) });
      first.producer.push({ topic: 't', body: body(1) });
      await first.client.close();
      assert.deepEqual(failures, []);
      await until(() => storage.locked.size === 0);
      const second = await openTab(storage, broker.url);
      await second.producer.flush();
      assert.equal(second.producer.producerId, first.producer.producerId);
      assert.deepEqual(texts(broker), numbers(2));
      await second.client.close();
      assert.equal(storage.databases.size, 1);
    }));

  it('holds many small events in the memory that they need', () =>
    withStorage(async (broker, storage) => {
      const { client, producer } = await openTab(storage, 'ws://127.0.0.1:9');
      // Each event is a batch of its own, as clicks are.
      for (let index = 0; index < 150; index += 1) {
        assert.ok(producer.push({ topic: 't', body: body(index) }));
        await until(() => keptSoFar(storage) > index);
      }
      assert.ok(producer.bufferedBytes < 150 * 300, `${producer.bufferedBytes} bytes`);
      await client.drain();
      const online = await openTab(storage, broker.url);
      await online.producer.flush();
      assert.deepEqual(texts(broker), numbers(150));
      await online.client.close();
    }));

  it('closes also when its storage does not answer any more', () =>
    withStorage(async (broker, storage) => {
      const { page, client, producer } = await openTab(storage, broker.url);
      await producer.send({ topic: 't', body: 1 });
      page.kill();
      producer.push({ topic: 't', body: 2 });
      await producer.close({ timeoutMs: 1 });
      await client.close();
    }));

  it('that is closed while it opens leaves its place to the next', () =>
    withStorage(async (broker, storage) => {
      const { client, producer } = await openTab(storage, broker.url);
      const waiting = rejection(producer.send({ topic: 't', body: 1 }));
      await client.close();
      assert.equal(((await waiting) as SluiceError).code, 'CLOSED');
      await until(() => storage.databases.size === 1 && storage.locked.size === 0);
    }));

  it('is refused where tabs cannot be told apart', () =>
    withStorage(async (broker, storage) => {
      const client = await connect({ servers: broker.url });
      const { indexedDB } = storage.page();
      const outbox = new IndexedDbOutbox({}, { indexedDB, locks: undefined });
      const error = await rejection(client.producer({ outbox }).send({ topic: 't', body: 1 }));
      assert.equal((error as SluiceError).code, 'UNSUPPORTED');
      await client.close();
    }));

  it('that cannot be opened closes its producer with the reason', () =>
    withStorage(async (broker) => {
      const client = await connect({ servers: broker.url });
      const outbox = new IndexedDbOutbox({}, { indexedDB: undefined, locks: undefined });
      const producer = client.producer({ outbox });
      const error = await rejection(producer.send({ topic: 't', body: 1 }));
      assert.equal((error as SluiceError).code, 'UNSUPPORTED');
      await client.drain();
    }));
});
