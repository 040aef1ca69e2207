/**
 * A disk that fills up: sends are refused with the volume, the bytes free and the rule, reads and acks go on, and the broker
 * takes messages again by itself once there is room. On a small tmpfs where there is root, and over memory with a capacity.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { recordingLogger } from '../../src/base/log-sink.ts';
import { KIB, MIB } from '../../src/base/units.ts';
import { RunningBroker } from '../../src/broker/broker.ts';
import type { Broker } from '../../src/broker/create-broker.ts';
import type { Client } from '../../src/client/node.ts';
import { checkConfig } from '../../src/config/config-check.ts';
import { BrokerProcess, until } from '../../src/testing/e2e-broker.ts';
import { startEmbedded } from '../../src/testing/e2e-embedded.ts';
import { type Frame, RawSession } from '../../src/testing/e2e-session.ts';
import { Volume, volumeObstacle } from '../../src/testing/e2e-volume.ts';
import { connect } from '../../src/testing/patient-client.ts';

const SMALL = {
  shards: 1,
  segmentBytes: MIB,
  tailBytes: MIB,
  ringBytes: MIB,
  maxMessageSize: 64 * KIB,
} as const;
const TOPIC = 'orders';
const GROUP = 'billing';
const BODY = 'x'.repeat(32 * KIB);
const VOLUME_MIB = 24;
const noVolume = volumeObstacle('tmpfs') ?? false;

const send = (session: RawSession, topic = TOPIC): Promise<Frame> =>
  session.ask({ op: 'send', topic, queueId: 0, body: BODY });

/** Sends until it is refused. @returns how many were stored, and the refusal */
async function fillUp(session: RawSession): Promise<{ stored: number; refusal: Frame }> {
  for (let stored = 0; ; stored += 1) {
    const answer = await send(session);
    if (answer['op'] === 'error') return { stored, refusal: answer };
  }
}

/** The refusal says everything that somebody needs to know who is woken up by it. */
function assertFull(refusal: Frame, volume: string): void {
  assert.equal(refusal['code'], 'STORAGE_FULL', JSON.stringify(refusal));
  assert.equal(refusal['stored'], false);
  assert.equal(refusal['retryable'], true);
  assert.ok(Number(refusal['retryAfterMs']) > 0);
  const text = String(refusal['message']);
  assert.ok(text.includes(volume), text);
  assert.match(text, /\d+(\.\d+)? % full with \d+ bytes free/);
  assert.match(text, /a new segment of \d+ bytes is made only below 95\.0 % and with room for two/);
  assert.match(text, /retention frees/);
  assert.match(String(refusal['hint']), /Reads and acks go on/);
}

/** Gets and acks `count` messages, each ack answered. */
async function consume(client: Client, count: number, topic = TOPIC): Promise<void> {
  let acked = 0;
  for await (const message of client.consumer({ topic, group: GROUP, from: 'earliest' })) {
    await message.ack();
    acked += 1;
    if (acked === count) break;
  }
}

describe('on a small volume', { skip: noVolume }, () => {
  const volumes: Volume[] = [];

  after(() => {
    for (const volume of volumes) volume.remove();
  });

  function newVolume(): Volume {
    const volume = new Volume('tmpfs', VOLUME_MIB);
    volumes.push(volume);
    return volume;
  }

  test('a full disk refuses sends by the rule, serves reads and acks, and takes messages again by itself', async () => {
    const volume = newVolume();
    volume.fill(12 * MIB);
    const dataDir = join(volume.path, 'data');
    const { broker, lines, remove } = await startEmbedded({ dataDir, config: SMALL });
    const session = await RawSession.open(broker.ready.ws);
    const client = await connect({ servers: broker.ready.ws });
    const { stored, refusal } = await fillUp(session);
    assertFull(refusal, dataDir);
    assert.ok(stored * BODY.length > 4 * MIB, 'it took what there was room for');
    assert.ok(volume.freeBytes > 0, 'the broker itself does not fill the disk');
    assert.ok(lines.some((line) => line.event === 'read-only' && line.level === 'warn'));
    await consume(client, stored);
    const page = await client.fetch({ topic: TOPIC, queueId: 0, offset: stored - 1 });
    assert.equal(page.messages[0]?.body, BODY);
    assert.equal((await fetch(`${broker.ready.http}/livez`)).status, 200);
    assert.equal((await send(session))['code'], 'STORAGE_FULL', 'still');
    volume.unfill();
    await until('sends are taken again', async () => (await send(session))['op'] === 'sent');
    assert.ok(lines.some((line) => line.event === 'writable'));
    await client.close();
    session.close();
    await remove();
  });

  test('a disk that others fill to the last byte loses nothing, not even over a kill -9', async () => {
    const volume = newVolume();
    const options = { dataDir: join(volume.path, 'data'), settings: SMALL };
    const first = await BrokerProcess.start(options);
    const session = await RawSession.open(first.ws);
    for (let count = 0; count < 40; count += 1) assert.equal((await send(session))['op'], 'sent');
    volume.fill(0);
    const { stored, refusal } = await fillUp(session);
    assertFull(refusal, options.dataDir);
    const messages = 40 + stored;
    await first.kill();
    const second = await BrokerProcess.start(options);
    const client = await connect({ servers: second.ws });
    await consume(client, messages);
    const again = await RawSession.open(second.ws);
    assertFull((await fillUp(again)).refusal, options.dataDir);
    volume.unfill();
    await until('sends are taken again', async () => (await send(again))['op'] === 'sent');
    const { maxOffset } = await client.fetch({ topic: TOPIC, queueId: 0, offset: 0 });
    assert.ok(maxOffset > messages);
    await client.close();
    assert.deepEqual(await second.stop(), { code: 0, signal: null });
  });

  test('a full disk does not hold up a drain', async () => {
    const volume = newVolume();
    const options = { dataDir: join(volume.path, 'data'), settings: SMALL };
    const broker = await BrokerProcess.start(options);
    const session = await RawSession.open(broker.ws);
    await send(session);
    volume.fill(0);
    await fillUp(session);
    assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  });
});

describe('over memory with a capacity', () => {
  const CAPACITY = 8 * MIB;
  const started: { close(): Promise<void> }[] = [];

  after(async () => {
    for (const one of started.reverse()) await one.close();
  });

  async function startSmall(
    settings: object = {},
    memoryCapacityBytes: number = CAPACITY,
  ): Promise<{ broker: Broker; client: Client; session: RawSession }> {
    const config = checkConfig({
      ...SMALL,
      ...settings,
      ...{ memory: true, frontDoorPort: 0, autoCreateTopicEnable: true },
    });
    const broker = new RunningBroker({
      config,
      directory: undefined,
      log: recordingLogger().logger,
      clock: systemClock,
      memoryCapacityBytes,
    });
    // A case that fails must not hold the process: what it started ends all the same.
    started.push(broker);
    await broker.start();
    const client = await connect({ servers: broker.ready.ws });
    started.push(client);
    const session = await RawSession.open(broker.ready.ws);
    return { broker, client, session };
  }

  async function minOffset(client: Client): Promise<number> {
    const { queues } = await client.admin.topic(TOPIC);
    return Number((queues as { minOffset: number }[])[0]?.minOffset);
  }

  test('refuse: full is full, until something else makes room', async () => {
    const { broker, client, session } = await startSmall();
    const { stored, refusal } = await fillUp(session);
    assertFull(refusal, 'memory');
    await consume(client, stored);
    assert.equal((await send(session))['code'], 'STORAGE_FULL', 'consuming alone frees nothing');
    await client.close();
    await broker.close();
  });

  test('retention by size keeps up with the load, however fast that was', async () => {
    const kept = 4 * MIB;
    const { broker, client } = await startSmall({ retentionBytes: kept }, 64 * MIB);
    const messages = Array.from({ length: 640 }, () => ({ topic: TOPIC, key: 'k', body: BODY }));
    await client.producer({ sendTimeoutMs: 0 }).sendBatch(messages);
    const log = async (): Promise<{ readonly logStart: number; readonly appended: number }> => {
      const { shards } = await client.admin.broker();
      const [shard] = shards as { logStart: number; appended: number }[];
      return { logStart: Number(shard?.logStart), appended: Number(shard?.appended) };
    };
    assert.ok((await log()).appended > 16 * MIB, 'more than is kept');
    await until('the log is short', async () => {
      const { logStart, appended } = await log();
      return appended - logStart <= kept + 3 * MIB;
    });
    await client.close();
    await broker.close();
  });

  test('drop-oldest: sends are taken for ever, the newest messages are there, the oldest went', async () => {
    const { broker, client } = await startSmall({ diskSoftRatio: 0.5 });
    await client.admin.createTopic({ topic: TOPIC, queues: 1, whenFull: 'drop-oldest' });
    const producer = client.producer();
    const count = Math.ceil((2 * CAPACITY) / BODY.length);
    let last = -1;
    for (let n = 0; n < count; n += 1) {
      const { queueOffset } = await producer.send({ topic: TOPIC, body: BODY });
      assert.equal(queueOffset, last + 1);
      last = queueOffset;
    }
    const oldest = await minOffset(client);
    assert.ok(oldest > 0 && oldest < last, `the oldest is ${oldest} of ${last}`);
    const newest = await client.fetch({ topic: TOPIC, queueId: 0, offset: last });
    assert.equal(newest.messages[0]?.body, BODY);
    await client.close();
    await broker.close();
  });

  test('drop-consumed: what a group has not consumed stays and sends are refused; what all have makes room', async () => {
    const { broker, client, session } = await startSmall();
    await client.admin.createTopic({ topic: TOPIC, queues: 1, whenFull: 'drop-consumed' });
    const early = client.consumer({ topic: TOPIC, group: GROUP, from: 'earliest', credit: 1 });
    await early.ready();
    await early.close();
    const { stored, refusal } = await fillUp(session);
    assertFull(refusal, 'memory');
    assert.equal(
      (await client.fetch({ topic: TOPIC, queueId: 0, offset: 0, max: 1 })).minOffset,
      0,
    );
    await consume(client, stored);
    await until('sends are taken again', async () => (await send(session))['op'] === 'sent');
    assert.ok((await minOffset(client)) > 0);
    await client.close();
    await broker.close();
  });
});
