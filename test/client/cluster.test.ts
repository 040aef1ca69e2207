/** A client over several brokers: who gets which message, what moves when a broker is away, and what stays. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { fnv1a } from '../../src/base/fnv1a.ts';
import type { Client } from '../../src/client/client.ts';
import { connectWith } from '../../src/client/connect.ts';
import type { Message } from '../../src/client/message.ts';
import { nodeRuntime } from '../../src/client/node.ts';
import type { StatusEvent } from '../../src/client/types.ts';
import { claimPort } from '../../src/cluster/claimed-port.ts';
import { rejection, until } from '../../src/testing/client-rig.ts';
import { FakeBroker } from '../../src/testing/fake-broker.ts';

const QUEUES = 4;

/** Two brokers, and NameServers that say what the test wants. */
class World {
  readonly brokers: FakeBroker[] = [];
  readonly events: StatusEvent[] = [];
  /** In the route of the topic `t`, by index of the broker; permission 6, or what is said. */
  readonly perms = new Map<number, number>([
    [0, 6],
    [1, 6],
  ]);
  isDown = false;
  asked = 0;
  nowMs = 0;
  client!: Client;

  static async start(t: TestContext): Promise<World> {
    const world = new World();
    for (const name of ['a', 'b']) {
      // A port that it may have again: links dial it meanwhile, and one that the system gives out could answer itself.
      const broker = await FakeBroker.start(await claimPort());
      broker.name = name;
      world.brokers.push(broker);
    }
    const clock = {
      epochMs: () => Date.now(),
      monotonicMs: () => performance.now() + world.nowMs,
    };
    world.client = await connectWith(
      { ...nodeRuntime(), clock, httpGet: async (url) => world.answer(url) },
      {
        ...{ nameServers: ['one', 'two'], routeRefreshMs: 20 },
        ...{ reconnectMinMs: 1, reconnectMaxMs: 5 },
        onStatus: (event) => world.events.push(event),
      },
    );
    t.after(async () => {
      await world.client.close();
      await Promise.all(world.brokers.map((broker) => broker.close()));
    });
    return world;
  }

  broker(index: number): FakeBroker {
    return this.brokers[index] as FakeBroker;
  }

  private answer(url: string): { status: number; text: string } {
    this.asked += 1;
    if (this.isDown) throw new Error('connection refused');
    if (url.includes('/v1/route?topic=') && !url.endsWith('topic=t')) {
      const error = new SluiceError('TOPIC_NOT_FOUND', 'no broker has it').toBody();
      return { status: 404, text: JSON.stringify({ error }) };
    }
    const brokers = [...this.perms].map(([index, perm]) => ({
      ...{ brokerName: this.broker(index).name, cluster: 'c', perm },
      ...{ readQueueNums: QUEUES, writeQueueNums: QUEUES },
      members: [
        {
          ...{ brokerId: 0, brokerAddr: 'x:1', epoch: 1, role: 'ASYNC_MASTER', position: 1 },
          webSocketAddrs: [new URL(this.broker(index).url).host],
        },
      ],
    }));
    return { status: 200, text: JSON.stringify({ brokers }) };
  }
}

/** A key of a queue of the broker number `index`. */
function keyOf(index: number): string {
  for (let number = 0; ; number += 1) {
    const key = `k${number}`;
    if (Math.floor((fnv1a(key) % (2 * QUEUES)) / QUEUES) === index) return key;
  }
}

const count = (broker: FakeBroker): number => broker.messages('t').length;

describe('a client of a cluster', () => {
  it('spreads messages without keys over all brokers, and keeps keys where they are', async (t) => {
    const { client, brokers } = await World.start(t);
    const producer = client.producer({ lingerMs: 0 });
    await producer.send({ topic: 't', body: 'first' });
    await until(() => brokers.every(({ connectionCount }) => connectionCount === 1));
    for (let index = 0; index < 32; index += 1) await producer.send({ topic: 't', body: '' });
    for (const broker of brokers) assert.ok(count(broker) >= 8, `${count(broker)}`);
    for (const [index, broker] of brokers.entries())
      for (let turn = 0; turn < 5; turn += 1) {
        const receipt = await producer.send({ topic: 't', key: keyOf(index), body: '' });
        assert.equal(receipt.broker, broker.name);
      }
  });

  it('moves what was not sent, and keys stay until their broker is back', async (t) => {
    const world = await World.start(t);
    const { client } = world;
    const producer = client.producer({ lingerMs: 0 });
    await producer.send({ topic: 't', key: keyOf(0), body: '' });
    await producer.send({ topic: 't', key: keyOf(1), body: '' });
    const before = world.broker(0);
    const port = Number(new URL(before.url).port);
    await before.close();
    await until(() => world.events.some(({ type }) => type === 'reconnecting'));
    const key = producer.send({ topic: 't', key: keyOf(0), body: 'kept' });
    for (let index = 0; index < 8; index += 1) {
      const { broker } = await producer.send({ topic: 't', body: '' });
      assert.equal(broker, 'b');
    }
    assert.equal(producer.unansweredCount, 1);
    const after = await FakeBroker.start(port);
    after.name = 'a';
    world.brokers[0] = after;
    assert.equal((await key).broker, 'a');
  });

  it('sends keys elsewhere where that is asked for', async (t) => {
    const world = await World.start(t);
    const producer = world.client.producer({ lingerMs: 0, keyOrder: 'available' });
    for (const index of [0, 1]) await producer.send({ topic: 't', key: keyOf(index), body: '' });
    await world.broker(0).close();
    await until(() => world.events.some(({ type }) => type === 'reconnecting'));
    assert.equal((await producer.send({ topic: 't', key: keyOf(0), body: '' })).broker, 'b');
  });

  it('sends what a lost broker may have to another after a while, and says that it is in doubt', async (t) => {
    const world = await World.start(t);
    const producer = world.client.producer({ lingerMs: 0, moveInDoubtMs: 1 });
    for (const index of [0, 1]) await producer.send({ topic: 't', key: keyOf(index), body: '' });
    for (const broker of world.brokers) broker.react = () => 'lose-answer';
    const sent = producer.sendBatch([{ topic: 't', body: 'x' }]);
    await until(() => world.brokers.some((broker) => broker.sends.length === 2));
    const index = world.broker(0).sends.length === 2 ? 0 : 1;
    for (const broker of world.brokers) broker.react = () => 'store';
    await world.broker(index).close();
    const [receipt] = await sent;
    assert.equal(receipt?.broker, world.broker(1 - index).name);
    assert.deepEqual(
      world.events.flatMap((event) => (event.type === 'moved' ? [event.inDoubt] : [])),
      [true],
    );
  });

  it('sends past a broker that refuses, and past one that may not be written', async (t) => {
    const world = await World.start(t);
    const producer = world.client.producer({ lingerMs: 0 });
    for (const index of [0, 1]) await producer.send({ topic: 't', key: keyOf(index), body: '' });
    world.broker(0).react = () => ({ code: 'STORAGE_FULL' });
    for (let index = 0; index < 12; index += 1)
      assert.equal((await producer.send({ topic: 't', body: '' })).broker, 'b');
    world.broker(0).react = () => 'store';
    world.perms.set(1, 4);
    await until(() => world.broker(0).sends.length > 0);
    const seen = world.asked;
    await until(() => world.asked > seen + 1);
    for (let index = 0; index < 12; index += 1)
      assert.equal((await producer.send({ topic: 't', body: '' })).broker, 'a');
  });

  it('stays with a broker that may have a message, whatever it says of later tries', async (t) => {
    const world = await World.start(t);
    const producer = world.client.producer({ lingerMs: 0 });
    for (const index of [0, 1]) await producer.send({ topic: 't', key: keyOf(index), body: '' });
    const tries = world.brokers.map((broker, index) => {
      const answers = [
        'FLUSH_SLAVE_TIMEOUT',
        'SLAVE_NOT_AVAILABLE',
        'SLAVE_NOT_AVAILABLE',
      ] as const;
      broker.react = () => {
        const code = answers[tries[index] as number];
        tries[index] = (tries[index] as number) + 1;
        return code === undefined ? 'store' : { code };
      };
      return 0;
    });
    const { broker } = await producer.send({ topic: 't', body: 'x' });
    assert.deepEqual(tries, broker === 'a' ? [4, 0] : [0, 4]);
    assert.ok(world.events.every(({ type }) => type !== 'moved'));
  });

  it('goes on with the routes that it has when no NameServer answers', async (t) => {
    const world = await World.start(t);
    const producer = world.client.producer({ lingerMs: 0 });
    await producer.send({ topic: 't', body: '' });
    world.isDown = true;
    await until(() => world.events.some(({ type }) => type === 'route-failed'));
    for (let index = 0; index < 16; index += 1) await producer.send({ topic: 't', body: '' });
    world.isDown = false;
    const seen = world.asked;
    await until(() => world.asked > seen);
    await producer.send({ topic: 't', body: '' });
    assert.equal(world.events.filter(({ type }) => type === 'route-failed').length, 1);
  });

  it('keeps a broker that is missing in the routes for two minutes, and ends its link then', async (t) => {
    const world = await World.start(t);
    const producer = world.client.producer({ lingerMs: 0 });
    for (const index of [0, 1]) await producer.send({ topic: 't', key: keyOf(index), body: '' });
    world.perms.delete(0);
    let seen = world.asked;
    await until(() => world.asked > seen + 1);
    assert.equal((await producer.send({ topic: 't', key: keyOf(0), body: '' })).broker, 'a');
    world.nowMs += 120_001;
    seen = world.asked;
    await until(() => world.asked > seen + 1 && world.broker(0).connections.size === 0);
    assert.equal((await producer.send({ topic: 't', key: keyOf(0), body: '' })).broker, 'b');
  });

  it('refuses a topic that no broker has, for sending and for receiving', async (t) => {
    const { client } = await World.start(t);
    const code = async (promise: Promise<unknown>): Promise<string> =>
      ((await rejection(promise)) as SluiceError).code;
    assert.equal(
      await code(client.producer().send({ topic: 'none', body: '' })),
      'TOPIC_NOT_FOUND',
    );
    assert.equal(await code(client.topic('none')), 'TOPIC_NOT_FOUND');
    const consumer = client.consumer({ topic: 'none', group: 'g' });
    assert.equal(await code(consumer.ready()), 'TOPIC_NOT_FOUND');
  });

  it('gives a group the messages of all brokers, in turn, with credit shared', async (t) => {
    const world = await World.start(t);
    const { client, brokers } = world;
    const producer = client.producer({ lingerMs: 0 });
    for (const index of [0, 1])
      for (let turn = 0; turn < 10; turn += 1)
        await producer.send({ topic: 't', key: keyOf(index), body: `${index}` });
    const consumer = client.consumer({ topic: 't', group: 'g', from: 'earliest', credit: 10 });
    const from = new Map<string, number>();
    for await (const message of consumer) {
      from.set(message.broker, (from.get(message.broker) ?? 0) + 1);
      message.ack();
      if ((from.get('a') ?? 0) + (from.get('b') ?? 0) === 20) break;
    }
    assert.deepEqual([...from].sort(), [
      ['a', 10],
      ['b', 10],
    ]);
    for (const broker of brokers)
      assert.equal(broker.requests.find(({ op }) => op === 'subscribe')?.['credit'], 5);
  });

  it('shares its credit anew when a broker joins or leaves, and has never more out', async (t) => {
    const world = await World.start(t);
    const { client, brokers } = world;
    const producer = client.producer({ lingerMs: 0 });
    for (const index of [0, 1])
      for (let turn = 0; turn < 60; turn += 1)
        await producer.send({ topic: 't', key: keyOf(index), body: `${index}` });
    world.perms.set(1, 2);
    let seen = world.asked;
    await until(() => world.asked > seen + 1);
    const consumer = client.consumer({ topic: 't', group: 'g', from: 'earliest', credit: 20 });
    await consumer.ready();
    const unused = (): number[] => brokers.map((broker) => broker.creditOf('g'));
    const messages = consumer[Symbol.asyncIterator]();
    // All of the credit is here, and none is settled.
    const held: Message[] = [];
    for (let count = 0; count < 16; count += 1) held.push((await messages.next()).value as Message);
    world.perms.set(1, 6);
    await until(() => brokers[1]?.requests.some(({ op }) => op === 'subscribe') === true);
    // What is settled goes to the broker that has come, and no more than one before.
    await until(() => brokers[1]?.takenBy('g') === 1);
    for (const message of held.splice(0)) message.ack();
    await until(() => brokers.every((broker) => broker.takenBy('g') + broker.creditOf('g') === 10));
    for (let acked = 16; acked < 120; acked += 1) {
      const { value } = await messages.next();
      const out = brokers.reduce((sum, { creditGiven }) => sum + creditGiven, 0) - acked;
      assert.ok(out <= 20, `${out} are out`);
      (value as Message).ack();
    }
    const next = messages.next();
    await until(() => unused().join() === '10,10');
    // Nothing is out: what a broker has not used is taken back, and the other one gets it.
    world.perms.set(1, 2);
    seen = world.asked;
    await until(() => world.asked > seen + 1 && brokers[0]?.creditOf('g') === 20);
    world.perms.set(1, 6);
    await until(() => unused().join() === '10,10');
    await consumer.close();
    assert.equal((await next).done, true);
  });

  it('wants either servers or nameServers, no outbox, and a broker for an offset', async (t) => {
    const { client } = await World.start(t);
    const refused = async (promise: Promise<unknown>): Promise<string> =>
      ((await rejection(promise)) as SluiceError).code;
    const both = { servers: 'a', nameServers: 'b' };
    assert.equal(await refused(connectWith(nodeRuntime(), both)), 'INVALID_ARGUMENT');
    assert.equal(await refused(connectWith(nodeRuntime(), {})), 'INVALID_ARGUMENT');
    assert.equal(
      await refused(client.fetch({ topic: 't', queueId: 0, offset: 0 })),
      'INVALID_ARGUMENT',
    );
    await client.producer().send({ topic: 't', key: keyOf(1), body: 'x' });
    const queueId = (fnv1a(keyOf(1)) % (2 * QUEUES)) - QUEUES;
    const fetched = await client.fetch({ topic: 't', broker: 'b', queueId, offset: 0 });
    assert.equal(fetched.messages.length, 1);
  });
});
