/** What a disk that gives nothing, late, or damage costs a consumer that lags: time, and no delivery attempt but for damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AcceptorConfig } from '../../src/acceptor/acceptor-options.ts';
import { SluiceError } from '../../src/base/errors.ts';
import { COLD_READS_PER_SUBSCRIPTION_MAX } from '../../src/base/limits.ts';
import { KIB } from '../../src/base/units.ts';
import { storageIoError } from '../../src/log/storage-rules.ts';
import { AcceptorRig } from '../../src/testing/acceptor-rig.ts';
import type { FakeConnection } from '../../src/testing/fake-connection.ts';

const BODY = 'x'.repeat(4000);

/** A group whose consumer lags: `count` messages of a queue, the older of which must be read from files. */
async function lagging(count: number, config: Partial<AcceptorConfig>): Promise<AcceptorRig> {
  const rig = await AcceptorRig.start({ shards: 1, config, shardConfig: { tailBytes: 64 * KIB } });
  const producer = rig.connect();
  for (let body = 0; body < count; body += 1)
    await rig.ask(producer, {
      ...{ op: 'send', topic: 't', queueId: 0 },
      messages: [{ body, properties: { pad: BODY } }],
    });
  return rig;
}

async function lateSubscriber(rig: AcceptorRig, leaseMs = 600_000): Promise<FakeConnection> {
  const client = rig.connect();
  const from = { from: 'earliest', credit: 1000, leaseMs };
  await rig.ask(client, { op: 'subscribe', topic: 't', group: 'g', ...from });
  return client;
}

/** Reads of files fail as long as `refuses` says so. */
function failReads(rig: AcceptorRig, refuses: (position: number) => Error | undefined): void {
  const [shard] = rig.shards;
  assert.ok(shard);
  const readCold = shard.readCold.bind(shard);
  shard.readCold = (position, bytes) => {
    const error = refuses(position);
    if (error !== undefined) throw error;
    return readCold(position, bytes);
  };
}

const FEW_ATTEMPTS = { defaultMaxAttempts: 2, defaultRetryBackoffMs: [0] } as const;
const ioError = (): Error => storageIoError('read', 'log-000000000000.seg', 'EIO');

test('a disk that gives nothing old for a minute costs no delivery attempt', async () => {
  const rig = await lagging(60, FEW_ATTEMPTS);
  let isIll = true;
  failReads(rig, () => (isIll ? ioError() : undefined));
  const client = await lateSubscriber(rig);
  await rig.pass(60_000, 500);
  const hot = client.take('message');
  assert.ok(hot.length > 0 && hot.length < 30, `${hot.length} were in memory`);
  // Six while the pause grows, then one every five seconds.
  assert.ok(rig.coldReads < (60 - hot.length) * 20, `${rig.coldReads} reads`);
  const lines = (event: string): number => rig.lines.filter((line) => line.event === event).length;
  assert.deepEqual([lines('cold-reads-fail'), lines('cold-read-failed')], [1, 0]);
  isIll = false;
  await rig.pass(6000, 500);
  const all = [...hot, ...client.take('message')];
  assert.deepEqual(new Set(all.map((message) => message['body'])).size, 60);
  assert.equal(all.length, 60);
  assert.ok(all.every((message) => message['attempt'] === 1));
  assert.deepEqual(rig.events, [], 'nothing is a dead letter');
  await rig.pass(31_000, 1000);
  assert.deepEqual([lines('cold-reads-fail'), lines('cold-reads-work')], [1, 1]);
});

test('a batch that the disk does not give does not stop the others, and comes when it does', async () => {
  const rig = await lagging(60, FEW_ATTEMPTS);
  let failing: number | undefined;
  let isIll = true;
  failReads(rig, (position) => {
    failing ??= position;
    return isIll && position === failing ? ioError() : undefined;
  });
  const client = await lateSubscriber(rig);
  await rig.pass(20_000, 500);
  assert.equal(client.take('message').length, 59);
  isIll = false;
  await rig.pass(6000, 500);
  const [last, ...more] = client.take('message');
  assert.deepEqual([last?.['body'], last?.['attempt'], more], [0, 1, []]);
  assert.deepEqual(rig.events, []);
});

test('a damaged batch counts as a failed attempt and does not stop the others', async () => {
  const rig = await lagging(60, FEW_ATTEMPTS);
  let failing: number | undefined;
  failReads(rig, (position) => {
    failing ??= position;
    return position === failing ? new SluiceError('RECORD_CORRUPT') : undefined;
  });
  const client = await lateSubscriber(rig);
  await rig.pass(500, 100);
  assert.equal(client.take('message').length, 59);
  assert.ok(rig.lines.some((line) => line.event === 'cold-read-failed'));
  const fetched = await rig.ask(client, { op: 'fetch', topic: '%DLQ%g', queueId: 0, offset: 0 });
  const [letter] = fetched['messages'] as { properties: Record<string, string> }[];
  assert.equal(letter?.properties['DLQ_REASON'], 'RECORD_CORRUPT');
});

test('a consumer that goes away before the disk gave it anything has seen nothing', async () => {
  const rig = await lagging(60, FEW_ATTEMPTS);
  let open: () => void = () => {};
  rig.coldGate = new Promise((resolve) => {
    open = resolve;
  });
  for (let turn = 0; turn < 4; turn += 1) {
    const client = await lateSubscriber(rig);
    await rig.settle();
    assert.deepEqual(client.take('message'), [], 'the tail waits behind the files');
    rig.disconnect(client);
    await rig.settle();
  }
  open();
  const client = await lateSubscriber(rig);
  await rig.pass(500, 100);
  const messages = client.take('message');
  assert.deepEqual(
    messages.map((message) => [message['body'], message['attempt']]),
    Array.from({ length: 60 }, (_, body) => [body, 1]),
  );
});

test('a disk that answers later than a lease lasts costs no delivery attempt, no order and no memory', async () => {
  const rig = await lagging(60, FEW_ATTEMPTS);
  let open: () => void = () => {};
  rig.coldGate = new Promise((resolve) => {
    open = resolve;
  });
  const client = await lateSubscriber(rig, 10_000);
  await rig.pass(120_000, 500);
  assert.deepEqual(client.take('message'), []);
  // What nobody waits for any more is still being read: no more than that is begun.
  const { counters, coldReads } = rig.acceptor.core;
  const begun = counters.coldReads + coldReads.waitingCount;
  assert.ok(begun <= COLD_READS_PER_SUBSCRIPTION_MAX, `${begun} reads`);
  open();
  await rig.pass(500, 100);
  assert.deepEqual(
    client.take('message').map((message) => [message['body'], message['attempt']]),
    Array.from({ length: 60 }, (_, body) => [body, 1]),
  );
  assert.equal(coldReads.budgetUsed, 0);
});
