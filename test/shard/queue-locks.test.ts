/**
 * Queue locks of a production shard under clients that believe in what they were told: late answers, members that come and go,
 * crashes and clean stops. Never do two clients believe that a queue is theirs; and locks that a restart forgets are caught.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUEUE_LOCK_MS } from '../../src/base/limits.ts';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import type { LockAnswer } from '../../src/protocol/shard-control.ts';
import { rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const G = 1;
const T = 1;
const QUEUES = 3;
const CLIENTS = 4;
const STEPS = 150;
/** As long as a client believes in an answer, and the longest that it waits for one. @source RocketMQ ProcessQueue */
const BELIEF_MS = 30_000;
const ANSWER_MS_MAX = 3000;
const SEED = Number(process.env['SEED'] ?? 1);

type Belief = { readonly client: string; readonly fence: number; readonly untilMs: number };

class World {
  private readonly disk = new MemoryStorage(64 * 1024 * 1024);
  private readonly clock = new SimClock();
  private readonly prng: Prng;
  private readonly forgets: boolean;
  private rig: ShardRig;
  private readonly beliefs: (Belief | undefined)[] = [];
  private readonly fences = new Array<number>(QUEUES).fill(0);
  grants = 0;

  constructor(seed: number, forgets: boolean) {
    this.prng = seededPrng(seed);
    this.forgets = forgets;
    this.rig = new ShardRig(this.disk, this.clock);
    this.rig.settle();
    this.rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', QUEUES) });
    const group = { groupId: G, group: 'g', maxAttempts: 3, retryBackoffMs: [1] };
    this.rig.control({ op: 'putGroup', group });
    this.rig.settle();
  }

  step(): void {
    const { prng, clock } = this;
    const client = `c${prng.integer(CLIENTS)}`;
    const queueId = prng.integer(QUEUES);
    if (prng.chance(0.6)) this.lock(client, queueId);
    else if (prng.chance(0.3)) this.unlock(client, queueId);
    else if (prng.chance(0.15)) this.restart();
    else clock.advance(prng.integer(25_000));
  }

  private lock(client: string, queueId: number): void {
    this.rig.control({ op: 'lockQueues', groupId: G, client, queues: [[T, queueId]] });
    // The answer may be slow, and time goes on meanwhile.
    const replies = this.rig.settle();
    const slowMs = this.prng.integer(ANSWER_MS_MAX);
    this.clock.advance(slowMs);
    const nowMs = this.clock.monotonicMs();
    for (const reply of replies) {
      if (reply.kind !== 'control') continue;
      const [answer] = (reply.result as { locks: readonly LockAnswer[] }).locks;
      if (answer?.isHeld !== true) continue;
      this.grants += 1;
      const other = this.beliefs[queueId];
      if (other !== undefined && other.client !== client && other.untilMs > nowMs)
        throw new Error(`${client} was given queue ${queueId}, which ${other.client} believes in`);
      const last = this.fences[queueId] as number;
      const isSame = other?.client === client && answer.fence === last;
      if (!isSame && answer.fence <= last) throw new Error(`the fence fell to ${answer.fence}`);
      this.fences[queueId] = answer.fence;
      this.beliefs[queueId] = { client, fence: answer.fence, untilMs: nowMs + BELIEF_MS };
    }
  }

  private unlock(client: string, queueId: number): void {
    // A client stops consuming before it gives up what it has; what others have it cannot give up.
    if (this.beliefs[queueId]?.client === client) this.beliefs[queueId] = undefined;
    this.rig.control({ op: 'unlockQueues', groupId: G, client, queues: [[T, queueId]] });
    this.rig.settle();
  }

  private restart(): void {
    if (this.prng.chance(0.5)) {
      this.rig.control({ op: 'drain' });
      this.rig.settle();
    }
    this.clock.advance(this.prng.integer(5000));
    this.rig = new ShardRig(this.disk, this.clock);
    this.rig.settle();
    if (this.forgets) this.rig.agent.context.state.locks.dropGroup(G);
  }
}

function run(seed: number, forgets: boolean): Error | undefined {
  const world = new World(seed, forgets);
  try {
    for (let step = 0; step < STEPS; step += 1) world.step();
  } catch (error) {
    return error as Error;
  }
  assert.ok(world.grants > 10, `seed ${seed} granted ${world.grants}`);
  return undefined;
}

test(`no two clients ever hold one queue, and the fence rises (SEED=${SEED})`, () => {
  for (let seed = SEED; seed < SEED + 20; seed += 1) assert.equal(run(seed, false), undefined);
});

test('locks that a restart forgets are caught', () => {
  const caught = Array.from({ length: 20 }, (_, n) => run(n + 1, true)).filter(Boolean);
  assert.ok(caught.length > 0);
});

test('a lock is free again when its lease is over, and at once when it was given up', () => {
  const clock = new SimClock();
  const rig = new ShardRig(new MemoryStorage(64 * 1024 * 1024), clock);
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
  const group = { groupId: G, group: 'g', maxAttempts: 3, retryBackoffMs: [1] };
  rig.control({ op: 'putGroup', group });
  rig.settle();
  const lock = (client: string): [boolean, string, number] => {
    rig.control({ op: 'lockQueues', groupId: G, client, queues: [[T, 0]] });
    const [reply] = rig.settle();
    assert.equal(reply?.kind, 'control');
    const [answer] = (reply.result as { locks: readonly LockAnswer[] }).locks;
    return [answer?.isHeld === true, answer?.holder ?? '', answer?.fence ?? 0];
  };
  assert.deepEqual(lock('a'), [true, 'a', 1]);
  assert.deepEqual(lock('b'), [false, 'a', 1]);
  clock.advance(QUEUE_LOCK_MS / 2);
  assert.deepEqual(lock('a'), [true, 'a', 1], 'renewed');
  clock.advance(QUEUE_LOCK_MS - 1000);
  assert.deepEqual(lock('b'), [false, 'a', 1]);
  clock.advance(1000);
  assert.deepEqual(lock('b'), [true, 'b', 2]);
  for (const client of ['a', 'b']) {
    rig.control({ op: 'unlockQueues', groupId: G, client, queues: [[T, 0]] });
    rig.settle();
    if (client === 'a') assert.deepEqual(lock('a'), [false, 'b', 2], 'only the holder unlocks');
  }
  assert.deepEqual(lock('a'), [true, 'a', 3]);
});

test('queues that are named over and over cost one answer each, and no answer is too long for its ring', () => {
  const rig = new ShardRig(new MemoryStorage(64 * 1024 * 1024), new SimClock());
  rig.settle();
  for (let topicId = 1; topicId <= 8; topicId += 1)
    rig.control({ op: 'putTopic', topic: rigTopic(topicId, `t${topicId}`, 64) });
  const group = { groupId: G, group: 'g', maxAttempts: 3, retryBackoffMs: [1] };
  rig.control({ op: 'putGroup', group });
  rig.settle();
  const twice = Array.from({ length: 2000 }, () => [1, 0] as const);
  rig.control({ op: 'lockQueues', groupId: G, client: 'a', queues: twice });
  const [one] = rig.settle();
  assert.equal(one?.kind, 'control');
  assert.equal((one.result as { locks: readonly LockAnswer[] }).locks.length, 1);
  const all = Array.from({ length: 512 }, (_, n) => [1 + Math.floor(n / 64), n % 64] as const);
  rig.control({ op: 'lockQueues', groupId: G, client: 'c'.repeat(255), queues: all });
  const [many] = rig.settle();
  assert.equal(many?.kind, 'failed');
  assert.equal(many.code, 'LIMIT_REACHED');
  rig.control({ op: 'shardStatus' });
  assert.equal(rig.settle()[0]?.kind, 'control');
});
