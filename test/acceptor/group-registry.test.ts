/** Members and their queues: even, sticky, the same for the same history; and filters that must agree. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupRegistry } from '../../src/acceptor/group-registry.ts';
import { assignQueues } from '../../src/acceptor/queue-assignment.ts';
import { seededPrng } from '../../src/base/prng.ts';
import type { GroupRecord, TopicRecord } from '../../src/protocol/shard-control.ts';

const group: GroupRecord = { groupId: 1, group: 'g', maxAttempts: 3, retryBackoffMs: [1] };
const topic: TopicRecord = {
  topicId: 1,
  topic: 't',
  queues: 4,
  retentionMs: null,
  retentionBytes: null,
  whenFull: 'refuse',
  deadLetterOf: null,
};

test('every queue has one member, shares differ by one at most, and few queues move', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const prng = seededPrng(seed);
    const queues = 1 + prng.integer(64);
    const members = new Set<number>();
    let owners: ReadonlyMap<number, number> = new Map();
    for (let change = 0; change < 20; change += 1) {
      const member = 1 + prng.integer(12);
      const isJoin = !members.delete(member);
      if (isJoin) members.add(member);
      const before = owners;
      owners = assignQueues(queues, [...members], before);
      assert.deepEqual(owners, assignQueues(queues, [...members].reverse(), before));
      assert.equal(owners.size, members.size === 0 ? 0 : queues);
      const counts = [...members].map(
        (one) => [...owners.values()].filter((owner) => owner === one).length,
      );
      if (counts.length > 0) assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
      // A join moves what the new member gets; a leave what the old one had.
      const moved = [...owners].filter(
        ([queueId, owner]) => before.has(queueId) && before.get(queueId) !== owner,
      ).length;
      const touched = [...(isJoin ? owners : before).values()].filter((owner) => owner === member);
      assert.ok(moved <= touched.length, `seed ${seed}: ${moved} moved, ${touched.length} had to`);
    }
  }
});

test('members get queues once they are active, and give them up when they leave', () => {
  const registry = new GroupRegistry();
  registry.join(group, topic, 7, { filter: null, ordered: false });
  assert.equal(registry.owners(1, 1).size, 0);
  registry.activate(1, topic, 7);
  registry.join(group, topic, 8, { filter: null, ordered: false });
  assert.deepEqual([...registry.owners(1, 1).values()], [7, 7, 7, 7]);
  registry.activate(1, topic, 8);
  assert.deepEqual([...registry.owners(1, 1).values()].toSorted(), [7, 7, 8, 8]);
  registry.leave(1, topic, 7);
  assert.deepEqual([...registry.owners(1, 1).values()], [8, 8, 8, 8]);
  assert.ok(registry.hasMembers(1));
  registry.leave(1, topic, 8);
  assert.ok(!registry.hasMembers(1));
  assert.deepEqual([...registry.pairs()], []);
});

test('a filter must be that of the group, as long as somebody reads with it', () => {
  const registry = new GroupRegistry();
  registry.join(group, topic, 1, { filter: ['a', 'b'], ordered: false });
  assert.throws(
    () => registry.join(group, topic, 2, { filter: ['a'], ordered: false }),
    (error: { code: string; message: string }) =>
      error.code === 'SUBSCRIPTION_MISMATCH' &&
      error.message.includes('"a || b"') &&
      error.message.includes('"a"'),
  );
  registry.join(group, topic, 3, { filter: ['a', 'b'], ordered: false });
  registry.leave(1, topic, 1);
  registry.leave(1, topic, 3);
  registry.join(group, topic, 4, { filter: null, ordered: false });
});

test('who wants one message at a time joins nobody who does not', () => {
  const registry = new GroupRegistry();
  registry.join(group, topic, 1, { filter: null, ordered: true });
  assert.throws(
    () => registry.join(group, topic, 2, { filter: null, ordered: false }),
    (error: { code: string; message: string }) =>
      error.code === 'SUBSCRIPTION_MISMATCH' && error.message.includes('in order'),
  );
});
