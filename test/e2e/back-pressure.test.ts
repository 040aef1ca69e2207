/**
 * Senders that are faster than the disk, on both transports: they are paused or answered BUSY with a time to wait, the
 * broker's memory has a bound, and what was tried again is stored once and in order. And consumers that are slower than
 * everybody: they cost the senders nothing.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { sleep } from '../../src/base/clock.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import type { Client } from '../../src/client/node.ts';
import { sendBatchFrame } from '../../src/testing/batch-frames.ts';
import { BrokerProcess, setDiskHooks, until } from '../../src/testing/e2e-broker.ts';
import type { DiskHooks } from '../../src/testing/e2e-process-hooks.ts';
import { RawSession } from '../../src/testing/e2e-session.ts';
import { connect } from '../../src/testing/patient-client.ts';

const TOPIC = 'flood';
const SYNC_DELAY_MS = 150;
/** A small store: the log in memory and the ring fill within a moment. */
const SMALL = {
  shards: 1,
  segmentBytes: 4 * MIB,
  tailBytes: 2 * MIB,
  ringBytes: MIB,
  maxMessageSize: 64 * KIB,
};
const BODY = 'x'.repeat(8 * KIB);
/** Per lane of the producers that send in order. */
const MESSAGES = 120;
const LANES = 8;
const PRODUCERS = 4;
/** Beside what it has on an empty start: rings, tail, and what waits for sockets. */
const GROWTH_BYTES_MAX = 160 * MIB;

const directories: string[] = [];

after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

type World = { readonly broker: BrokerProcess; readonly setDisk: (hooks: DiskHooks) => void };

async function start(transport: string): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-flood-'));
  directories.push(directory);
  const disk = join(directory, 'disk.json');
  const setDisk = (hooks: DiskHooks): void => setDiskHooks(disk, hooks);
  setDisk({});
  const broker = await BrokerProcess.start({
    dataDir: join(directory, 'data'),
    settings: { ...SMALL, transport },
    hasHooks: true,
    environment: { E2E_DISK: disk },
  });
  return { broker, setDisk };
}

/** Sends in order per lane, as fast as it is let, and reads everything back: each once, in order. */
async function floodAndCheck(client: Client): Promise<void> {
  const producers = Array.from({ length: PRODUCERS }, () => client.producer({ sendTimeoutMs: 0 }));
  const sends = producers.flatMap((producer, p) =>
    Array.from({ length: LANES * MESSAGES }, (_, n) => {
      const lane = n % LANES;
      const body = `${p}-${lane} ${Math.floor(n / LANES)} ${BODY}`;
      return producer.send({ topic: TOPIC, key: `${p}-${lane}`, body });
    }),
  );
  await Promise.all(sends);
  const next = new Map<string, number>();
  const { queues } = await client.topic(TOPIC);
  for (let queueId = 0; queueId < queues; queueId += 1) {
    for (let offset = 0; ; ) {
      const page = await client.fetch({ topic: TOPIC, queueId, offset, max: 200 });
      for (const message of page.messages) {
        const [lane = '', n] = String(message.body).split(' ');
        assert.equal(Number(n), next.get(lane) ?? 0, `lane ${lane}`);
        next.set(lane, Number(n) + 1);
      }
      offset = page.nextOffset;
      if (offset >= page.maxOffset) break;
    }
  }
  assert.equal(next.size, PRODUCERS * LANES);
  for (const [lane, count] of next) assert.equal(count, MESSAGES, `lane ${lane}`);
}

for (const transport of ['ws', 'uws'] as const) {
  describe(`on ${transport}, with a disk that takes ${SYNC_DELAY_MS} ms for a sync`, () => {
    let world: World;

    before(async () => {
      world = await start(transport);
    });

    after(() => world.broker.kill());

    test('producers that flood are held back, lose nothing, and store each message once and in order', async () => {
      const { broker, setDisk } = world;
      const refusals = new Set<string>();
      const client = await connect({
        servers: broker.ws,
        onStatus: (event) => {
          if (event.type === 'held-back') refusals.add(event.error.code);
        },
      });
      await client.topic(TOPIC);
      await broker.memory();
      const before = broker.residentBytes().now;
      broker.forgetPeak();
      // At first so slow that it is slower than any machine sends.
      setDisk({ syncDelayMs: 10 * SYNC_DELAY_MS });
      const flooding = floodAndCheck(client);
      await until('senders are not read for a while, or would not be', async () => {
        const pauses = await broker.metric('sluice_pauses_total');
        return (pauses.get('') ?? 0) > 0;
      });
      setDisk({ syncDelayMs: SYNC_DELAY_MS });
      await flooding;
      setDisk({});
      const { peak } = broker.residentBytes();
      assert.ok(peak - before < GROWTH_BYTES_MAX, `it grew by ${peak - before} bytes`);
      assert.ok(
        [...refusals].every((code) => code === 'BUSY'),
        [...refusals].join(),
      );
      await client.close();
    });

    test('who does not listen to BUSY is told each time how long to wait, and costs no memory', async () => {
      const { broker, setDisk } = world;
      const session = await RawSession.open(broker.ws);
      const { topicId } = await session.ask({ op: 'topic', topic: TOPIC });
      const messages = Array.from({ length: 6 }, () => BODY);
      const frame = (correlationId: number): Uint8Array =>
        sendBatchFrame({ topicId: Number(topicId), correlationId, messages });
      await broker.memory();
      const before = broker.residentBytes().now;
      broker.forgetPeak();
      setDisk({ syncDelayMs: 10 * SYNC_DELAY_MS });
      const count = 800;
      for (let correlationId = 1; correlationId <= count; correlationId += 1)
        session.socket.send(frame(correlationId));
      // On ws the rest waits at the sender until the disk is well again.
      await sleep(5 * SYNC_DELAY_MS);
      const { peak } = broker.residentBytes();
      setDisk({});
      const answered = (): number => session.stored.length + session.frames.length;
      await until('each frame is answered', () => answered() === count);
      assert.equal(new Set(session.stored).size, session.stored.length);
      for (const refusal of session.frames) {
        assert.equal(refusal['op'], 'error');
        assert.ok(
          ['BUSY', 'WINDOW_FULL'].includes(String(refusal['code'])),
          String(refusal['code']),
        );
        assert.equal(refusal['retryable'], true);
        assert.equal(refusal['stored'], false);
        if (refusal['code'] === 'BUSY') assert.ok(Number(refusal['retryAfterMs']) > 0);
      }
      assert.ok(peak - before < GROWTH_BYTES_MAX, `it grew by ${peak - before} bytes`);
      session.close();
    });
  });
}

describe('slow subscribers', () => {
  /** Never ack: their credit is used up after a few messages. */
  const NEVER_ACK = 96;
  /** Never read their socket, and have credit for more than their buffer holds. */
  const NEVER_READ = 4;
  const WINDOW_MS = 700;
  const ROUNDS_MAX = 8;
  /** Of what the senders do alone. */
  const RATIO_MIN = 0.4;
  let world: World;

  before(async () => {
    world = await start('auto');
  });

  after(() => world.broker.kill());

  /** Messages that are stored within a window of time, by a sender that never pauses. */
  async function rate(client: Client): Promise<number> {
    const producer = client.producer();
    let [stored, isOver] = [0, false];
    const lanes = Array.from({ length: LANES }, async (_, lane) => {
      while (!isOver) {
        const messages = Array.from({ length: 20 }, () => ({
          topic: TOPIC,
          key: `${lane}`,
          body: 'x',
        }));
        await producer.sendBatch(messages);
        if (!isOver) stored += messages.length;
      }
    });
    await sleep(WINDOW_MS);
    isOver = true;
    await Promise.all(lanes);
    await producer.close();
    return stored;
  }

  async function subscribe(group: string, credit: number): Promise<RawSession> {
    const session = await RawSession.open(world.broker.ws);
    const subscribed = await session.ask({ op: 'subscribe', topic: TOPIC, group, credit });
    assert.equal(subscribed['op'], 'subscribed');
    return session;
  }

  test(`${NEVER_ACK} that never ack and ${NEVER_READ} that never read do not slow the senders down`, async () => {
    const { broker } = world;
    const client = await connect({ servers: broker.ws });
    await client.topic(TOPIC);
    const groups = Array.from({ length: NEVER_ACK + NEVER_READ }, (_, n) => n);
    const alone: number[] = [];
    const beside: number[] = [];
    await rate(client);
    const ratio = (): number => Math.max(...beside) / Math.max(...alone);
    // What slows senders down does so in every round; a machine that does something else meanwhile, in some.
    for (let round = 0; round < ROUNDS_MAX && !(round > 1 && ratio() > RATIO_MIN); round += 1) {
      alone.push(await rate(client));
      const sessions = await Promise.all(
        groups.map((n) => subscribe(`g${n}`, n < NEVER_ACK ? 10 : 100_000)),
      );
      for (const session of sessions.slice(NEVER_ACK)) session.socket.pause();
      const messages = Array.from({ length: 2500 }, (_, n) => ({
        topic: TOPIC,
        key: `${n}`,
        body: BODY,
      }));
      await client.producer({ sendTimeoutMs: 0 }).sendBatch(messages);
      await until('the buffers of those who do not read are full', async () => {
        const held = await broker.metric('sluice_connections_held');
        return held.get('') === NEVER_READ;
      });
      beside.push(await rate(client));
      for (const session of sessions) session.close();
      await until('they are gone', async () => {
        const connections = await broker.metric('sluice_connections');
        return connections.get('') === 1;
      });
    }
    const text = `with them ${beside}, without ${alone} messages in ${WINDOW_MS} ms`;
    assert.ok(ratio() > RATIO_MIN, text);
    await client.close();
  });
});
