/** Where pulling groups stand: set as their members say, in the log, after a restart, from a snapshot, on another's replay. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KIB, MIB } from '../../src/base/units.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import type { GroupOffset, PositionEntry } from '../../src/protocol/shard-control.ts';
import { type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const T = 1;
const G = 1;
const H = 2;
/** So long that a snapshot is written; so long that retention looks, and no snapshot is due. */
const UPKEEP_MS = 6000;
const RETENTION_MS = 1100;

function start(disk = new MemoryStorage(64 * MIB)): { rig: ShardRig; disk: MemoryStorage } {
  return { rig: new ShardRig(disk, new SimClock()), disk };
}

function withTopic(rig: ShardRig): void {
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 2) });
  for (const [groupId, group] of [[G, 'billing'] as const, [H, 'audit'] as const])
    rig.control({ op: 'putGroup', group: { groupId, group, maxAttempts: 3, retryBackoffMs: [1] } });
  rig.settle();
}

function send(rig: ShardRig, count: number, body = 'm'): void {
  for (let index = 0; index < count; index += 1) {
    rig.produce(T, 0, [{ body, bodyKind: BODY_TEXT }]);
    rig.settle();
  }
}

function answers(replies: readonly RigReply[]): unknown[] {
  return replies.flatMap((reply) => (reply.kind === 'control' ? [reply.result] : []));
}

function commit(rig: ShardRig, ...positions: PositionEntry[]): void {
  rig.control({ op: 'commitOffsets', positions });
  assert.deepEqual(answers(rig.settle()), [{}]);
}

function ask(rig: ShardRig, groupId: number, queueId = 0): GroupOffset | null {
  rig.control({ op: 'groupOffset', groupId, topicId: T, queueId });
  return answers(rig.settle())[0] as GroupOffset | null;
}

test('a group stands where its members said last, forward or back, also after a crash', () => {
  const { rig, disk } = start();
  withTopic(rig);
  send(rig, 10);
  assert.equal(ask(rig, G)?.offset, null);
  commit(rig, [G, T, 0, 7], [H, T, 0, 2]);
  commit(rig, [G, T, 0, 4], [G, T, 1, 0]);
  for (const one of [rig, start(disk).rig]) {
    one.settle();
    assert.equal(ask(one, G)?.offset, 4);
    assert.equal(ask(one, G, 1)?.offset, 0);
    assert.equal(ask(one, H)?.offset, 2);
    assert.equal(ask(one, H, 1)?.offset, null);
    one.control({ op: 'groupStatus', groupId: G });
    const [status] = answers(one.settle()) as [{ queues: { ackedThrough: number; lag: number }[] }];
    assert.deepEqual(
      status.queues.map(({ ackedThrough, lag }) => [ackedThrough, lag]),
      [
        [4, 6],
        [0, 0],
      ],
      'what operators see is the same state',
    );
  }
});

test('positions are in the snapshot that a clean stop leaves', () => {
  const { rig, disk } = start();
  withTopic(rig);
  send(rig, 3);
  commit(rig, [G, T, 0, 3]);
  rig.control({ op: 'drain' });
  rig.settle();
  const again = start(disk).rig;
  again.settle();
  assert.equal(ask(again, G)?.offset, 3);
});

test('nothing beyond the end of a queue is passed over, and what is gone is left alone', () => {
  const { rig } = start();
  withTopic(rig);
  send(rig, 5);
  commit(rig, [G, T, 0, 100], [99, T, 0, 1], [G, 99, 0, 1], [G, T, 9, 1]);
  assert.equal(ask(rig, G)?.offset, 5);
  assert.equal(ask(rig, G, 9), null);
});

test('the same offset again costs no record', () => {
  const { rig } = start();
  withTopic(rig);
  send(rig, 5);
  commit(rig, [G, T, 0, 5]);
  const { appended } = rig.agent.context.log;
  for (let turn = 0; turn < 10; turn += 1) commit(rig, [G, T, 0, 5]);
  assert.equal(rig.agent.context.log.appended, appended);
});

test('a queue is young as long as its first message is near the end of the log', () => {
  const { rig } = start();
  withTopic(rig);
  assert.equal(ask(rig, G)?.isYoung, true);
  send(rig, 5);
  assert.equal(ask(rig, G)?.isYoung, true);
  send(rig, 50, 'x'.repeat(1000));
  assert.deepEqual(ask(rig, G), { offset: null, minOffset: 0, maxOffset: 55, isYoung: false });
});

test('a client whose queue another one has locked does not move the group, also after a restart; an operator does', () => {
  const { rig, disk } = start();
  withTopic(rig);
  send(rig, 10);
  commit(rig, [G, T, 0, 3, 'slow']);
  rig.control({ op: 'lockQueues', groupId: G, client: 'quick', queues: [[T, 0]] });
  rig.settle();
  for (const one of [rig, start(disk).rig]) {
    one.settle();
    const before = ask(one, G)?.offset;
    one.control({
      ...{ op: 'commitOffsets' },
      positions: [
        [G, T, 0, 9, 'slow'],
        [G, T, 1, 0, 'slow'],
      ],
    });
    const refused = [{ groupId: G, topicId: T, queueId: 0, holder: 'quick' }];
    assert.deepEqual(answers(one.settle()), [{ refused }]);
    assert.equal(ask(one, G)?.offset, before);
    assert.equal(ask(one, G, 1)?.offset, 0);
    commit(one, [G, T, 0, 6, 'quick']);
    commit(one, [G, T, 0, 5]);
    assert.equal(ask(one, G)?.offset, 5);
  }
});

test('an offset to which retention has already moved the group is in the log: a crash brings back what was let go, not the group', () => {
  const disk = new MemoryStorage(64 * MIB);
  const clock = new SimClock();
  const rig = new ShardRig(disk, clock);
  withTopic(rig);
  send(rig, 400, 'x'.repeat(500));
  commit(rig, [G, T, 0, 1]);
  // The newest snapshot is from before retention comes.
  clock.advance(UPKEEP_MS);
  rig.settle();
  rig.control({ op: 'putTopic', topic: { ...rigTopic(T, 'orders', 2), retentionBytes: 64 * KIB } });
  rig.settle();
  clock.advance(RETENTION_MS);
  rig.settle();
  const minOffset = ask(rig, G)?.minOffset ?? 0;
  assert.ok(minOffset > 1, 'something was let go');
  rig.control({
    op: 'attach',
    subscription: 1,
    groupId: G,
    topicId: T,
    filter: null,
    from: { kind: 'earliest' },
    credit: 1,
    leaseMs: 1000,
  });
  rig.settle();
  rig.control({ op: 'assign', groupId: G, topicId: T, queues: [[0, 1]] });
  rig.settle();
  assert.equal(ask(rig, G)?.offset, minOffset, 'retention has moved the group, in memory');
  commit(rig, [G, T, 0, minOffset]);
  const again = new ShardRig(disk, clock);
  const { state } = again.agent.context;
  assert.ok((state.queue(T, 0)?.minOffset ?? 0) < minOffset, 'what was let go is there again');
  assert.equal(state.groupQueue(G, T, 0)?.settledThrough, minOffset);
});
