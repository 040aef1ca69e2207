import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import * as envelope from '../../src/protocol/envelope-layout.ts';
import { type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const T = 1;
const G = 1;

function open(storage: MemoryStorage, clock = new SimClock()): ShardRig {
  return new ShardRig(storage, clock);
}

function storage(): MemoryStorage {
  return new MemoryStorage(64 * 1024 * 1024);
}

function only<Kind extends RigReply['kind']>(
  replies: readonly RigReply[],
  kind: Kind,
): Extract<RigReply, { kind: Kind }>[] {
  return replies.filter((reply): reply is Extract<RigReply, { kind: Kind }> => reply.kind === kind);
}

function withTopic(rig: ShardRig, queues = 1): void {
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', queues) });
  rig.control({
    op: 'putGroup',
    group: { groupId: G, group: 'billing', maxAttempts: 3, retryBackoffMs: [100] },
  });
  rig.settle();
}

function subscribe(
  rig: ShardRig,
  subscription: number,
  credit: number,
  filter: string[] | null = null,
): void {
  rig.control({
    op: 'attach',
    subscription,
    groupId: G,
    topicId: T,
    filter,
    from: { kind: 'earliest' },
    credit,
    leaseMs: 30_000,
  });
  rig.control({ op: 'assign', groupId: G, topicId: T, queues: [[0, subscription]] });
}

test('a batch is stored, acknowledged with its offsets, fetched back and survives a restart', () => {
  const disk = storage();
  const rig = open(disk);
  withTopic(rig);
  rig.produce(T, 0, [
    { body: 'a', bodyKind: BODY_TEXT, key: 'k', tag: 't', properties: { p: 'v' } },
    { body: 'b', bodyKind: BODY_TEXT },
  ]);
  const [produced] = only(rig.settle(), 'produced');
  assert.equal(produced?.baseOffset, 0);
  assert.equal(produced?.count, 2);
  assert.equal(produced?.durability, envelope.DURABILITY_DISK);
  const again = open(disk);
  assert.equal(again.metadata.topics[0]?.topic, 'orders');
  again.fetch(T, 0, 0);
  const [fetched] = only(again.settle(), 'fetched');
  assert.deepEqual(
    fetched?.records.map((record) => [record.offset, record.body, record.key]),
    [
      [0, 'a', 'k'],
      [1, 'b', ''],
    ],
  );
});

test('thousands of batches over many segments come back in order, hot, cold and after a restart', () => {
  const disk = storage();
  const rig = open(disk);
  withTopic(rig);
  let sent = 0;
  let acked = 0;
  for (let round = 0; round < 3000; round += 1) {
    const id = rig.produce(T, 0, [{ body: `m${sent}`.padEnd(100, '.'), bodyKind: BODY_TEXT }]);
    if (id !== 0) sent += 1;
    acked += only(rig.settle(4), 'produced').length;
  }
  acked += only(rig.settle(), 'produced').length;
  assert.equal(acked, sent);
  for (const one of [rig, open(disk)]) {
    let next = 0;
    while (next < sent) {
      one.fetch(T, 0, next);
      const [fetched] = only(one.settle(), 'fetched');
      assert.ok(fetched !== undefined && fetched.records.length > 0, `at ${next}`);
      for (const record of fetched.records) {
        assert.equal(record.offset, next);
        assert.ok(record.body.startsWith(`m${next}.`));
        next += 1;
      }
    }
  }
});

test('a group gets what was sent, once, and not again after ack and restart', () => {
  const disk = storage();
  const rig = open(disk);
  withTopic(rig);
  for (let index = 0; index < 5; index += 1)
    rig.produce(T, 0, [{ body: `m${index}`, bodyKind: BODY_TEXT }]);
  rig.settle();
  subscribe(rig, 7, 3);
  const delivered = only(rig.settle(), 'deliver');
  assert.deepEqual(
    delivered.flatMap((one) => one.records.map((record) => record.body)),
    ['m0', 'm1', 'm2'],
  );
  for (const one of delivered) {
    rig.settleRange(envelope.SETTLE_ACK, G, T, {
      queueId: 0,
      offset: one.records[0]?.offset ?? -1,
      count: 1,
      leaseId: one.leaseId,
    });
  }
  assert.equal(only(rig.settle(), 'settled').length, 3);
  const again = open(disk);
  subscribe(again, 8, 10);
  assert.deepEqual(
    only(again.settle(), 'deliver').flatMap((one) => one.records.map((record) => record.body)),
    ['m3', 'm4'],
  );
});

test('an ack with a lease that has ended is refused, and the message comes again with the next attempt', () => {
  const clock = new SimClock();
  const rig = open(storage(), clock);
  withTopic(rig);
  rig.produce(T, 0, [{ body: 'once', bodyKind: BODY_TEXT }]);
  rig.settle();
  subscribe(rig, 7, 10);
  const [first] = only(rig.settle(), 'deliver');
  clock.advance(31_000);
  const [second] = only(rig.settle(), 'deliver');
  assert.equal(second?.attempt, 2);
  rig.settleRange(envelope.SETTLE_ACK, G, T, {
    queueId: 0,
    offset: 0,
    count: 1,
    leaseId: first?.leaseId ?? 0,
  });
  const [failed] = only(rig.settle(), 'failed');
  assert.equal(failed?.code, 'LEASE_EXPIRED');
});

test('after the last attempt a message goes to the dead-letter topic with its reason, and redrive brings it back', () => {
  const clock = new SimClock();
  const rig = open(storage(), clock);
  withTopic(rig);
  rig.produce(T, 0, [{ body: 'poison', bodyKind: BODY_TEXT, properties: { shop: '7' } }]);
  rig.settle();
  subscribe(rig, 7, 100);
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    const [one] = only(rig.settle(), 'deliver');
    assert.equal(one?.attempt, attempt);
    rig.settleRange(
      envelope.SETTLE_NACK,
      G,
      T,
      { queueId: 0, offset: 0, count: 1, leaseId: one?.leaseId ?? 0 },
      50,
      'no stock',
    );
    rig.settle();
    clock.advance(60);
  }
  const events = only(rig.settle(), 'event');
  assert.ok(events.some((one) => one.event.event === 'needs-dead-letter-topic'));
  rig.control({ op: 'putTopic', topic: rigTopic(9, '%DLQ%billing', 1, G) });
  rig.settle();
  rig.fetch(9, 0, 0);
  const [letters] = only(rig.settle(), 'fetched');
  assert.equal(letters?.records[0]?.body, 'poison');
  assert.equal(letters?.records[0]?.properties['DLQ_REASON'], 'no stock');
  assert.equal(letters?.records[0]?.properties['DLQ_ATTEMPTS'], '3');
  // Asked for twice, because the first answer was slow to come: it waits for the disk.
  for (let turn = 0; turn < 2; turn += 1) rig.control({ op: 'redrive', groupId: G, max: 10 });
  for (let cycle = 0; cycle < 5; cycle += 1) {
    rig.agent.doWork();
    rig.stepJob();
  }
  assert.deepEqual(only(rig.take(), 'control'), []);
  const redriven = rig.settle();
  assert.deepEqual(
    only(redriven, 'control').map(({ result }) => result),
    [{ redriven: 1 }, { redriven: 0 }],
  );
  const [back] = only(redriven.concat(rig.settle()), 'deliver');
  assert.equal(back?.records[0]?.body, 'poison');
  assert.deepEqual({ ...back?.records[0]?.properties }, { shop: '7' });
});

test('a producer that sends again gets the first offset back, over restarts; gaps and old epochs are refused', () => {
  const disk = storage();
  let rig = open(disk);
  withTopic(rig);
  const send = (epoch: number, sequence: number): RigReply | undefined => {
    rig.produce(T, 0, [{ body: `s${sequence}`, bodyKind: BODY_TEXT }], {
      id: 'tab-1',
      epoch,
      sequence,
    });
    return rig.settle().find((reply) => reply.kind === 'produced' || reply.kind === 'failed');
  };
  assert.equal((send(0, 40) as { baseOffset?: number }).baseOffset, 0);
  assert.equal((send(0, 41) as { baseOffset?: number }).baseOffset, 1);
  rig = open(disk);
  const again = send(0, 40);
  assert.ok(again?.kind === 'produced' && again.isDuplicate && again.baseOffset === 0);
  const gap = send(0, 43);
  assert.ok(gap?.kind === 'failed' && gap.code === 'SEQUENCE_GAP');
  assert.equal((send(1, 7) as { baseOffset?: number }).baseOffset, 2);
  const stale = send(0, 42);
  assert.ok(stale?.kind === 'failed' && stale.code === 'STALE_PRODUCER_EPOCH');
});
