/** A segment that the disk does not give: it is said once, tried again at growing intervals, and nothing is passed over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import type { ShardStatus } from '../../src/protocol/shard-control.ts';
import { type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const T = 1;
const G = 7;
const SUBSCRIPTION = 3;
const MESSAGES = 900;
const BODY_BYTES = 400;
const UPKEEP_MS = 6000;

class Lab {
  readonly clock: SimClock = new SimClock();
  readonly disk: SimStorage = new SimStorage({ prng: seededPrng(1) });
  readonly rig: ShardRig = new ShardRig(this.disk, this.clock);
  readonly replies: RigReply[] = [];

  /** Several sealed segments, and nothing of them in memory. */
  constructor() {
    this.run(10);
    this.rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 2) });
    for (let at = 0; at < MESSAGES; at += 1) {
      const body = `m${at}`.padEnd(BODY_BYTES, '.');
      this.rig.produce(T, 0, [{ body, bodyKind: BODY_TEXT }]);
      if (at % 3 === 0) this.rig.produce(T, 1, [{ body, bodyKind: BODY_TEXT }]);
      this.run(6);
    }
    for (let round = 0; round < 3; round += 1) {
      this.clock.advance(UPKEEP_MS);
      this.run(100);
    }
    assert.ok(this.sealed > 2, `${this.sealed} sealed segments`);
    this.replies.length = 0;
  }

  get sealed(): number {
    return this.rig.agent.context.state.queue(T, 0)?.sealedSegments().length ?? 0;
  }

  /** @returns how many side jobs were carried out in `ms` */
  run(ms: number): number {
    const { rig } = this;
    let jobs = 0;
    for (let at = 0; at < ms; at += 1) {
      this.clock.advance(1);
      rig.agent.doWork();
      rig.flusher.doWork();
      if (rig.stepJob()) jobs += 1;
      this.replies.push(...rig.take());
    }
    return jobs;
  }

  subscribe(): void {
    const { rig } = this;
    const group = { groupId: G, group: 'g', maxAttempts: 16, retryBackoffMs: [1000] };
    rig.control({ op: 'putGroup', group });
    rig.control({
      op: 'attach',
      subscription: SUBSCRIPTION,
      groupId: G,
      topicId: T,
      filter: null,
      credit: 100_000,
      leaseMs: 600_000,
      from: { kind: 'earliest' },
    });
    const queues = [0, 1].map((queueId) => [queueId, SUBSCRIPTION] as const);
    rig.control({ op: 'assign', groupId: G, topicId: T, queues });
    this.run(20);
  }

  /** Offsets that were delivered of a queue, in the order in which they were. */
  delivered(queueId: number): number[] {
    return this.replies.flatMap((reply) =>
      reply.kind === 'deliver' && reply.queueId === queueId
        ? reply.records.map(({ offset }) => offset)
        : [],
    );
  }

  events(kind: string): RigReply[] {
    return this.replies.filter((reply) => reply.kind === 'event' && reply.event.event === kind);
  }

  status(): ShardStatus {
    const correlation = this.rig.control({ op: 'shardStatus' });
    this.run(5);
    const answer = this.replies.find(
      (reply) => reply.kind === 'control' && reply.correlation === correlation,
    );
    assert.ok(answer?.kind === 'control');
    return answer.result as ShardStatus;
  }
}

test('a page that the disk does not give is asked for at growing intervals, and said once', () => {
  const lab = new Lab();
  lab.disk.faults.errorChance.read = 1;
  lab.subscribe();
  const jobs = lab.run(60_000);
  // Every 5 s once they have grown, and the upkeep's own work: measuring each second, a scrub a minute.
  assert.ok(jobs < 60 + 25, `${jobs} jobs in a minute`);
  const told = lab.events('unreadable');
  assert.equal(told.length, 1);
  assert.ok(told[0]?.kind === 'event' && told[0].event.event === 'unreadable');
  const { code, position, message } = told[0].event;
  assert.deepEqual([code, position], ['STORAGE_IO', 0]);
  assert.match(message, /cannot be read.*nothing is skipped.*Check the disk/s);
  assert.deepEqual(lab.delivered(0), []);
  const { unreadableSegments, reason, state } = lab.status();
  assert.deepEqual([unreadableSegments, state], [1, 'running']);
  assert.match(reason ?? '', /cannot be read/);
});

test('the thread may sleep while a page cannot be loaded', () => {
  const lab = new Lab();
  lab.disk.faults.errorChance.read = 1;
  lab.subscribe();
  lab.run(10_000);
  let busy = 0;
  for (let turn = 0; turn < 1000; turn += 1) {
    lab.clock.advance(lab.rig.agent.msUntilDue());
    if (lab.rig.agent.doWork() > 0) busy += 1;
    lab.rig.stepJob();
    lab.rig.take();
  }
  assert.ok(busy < 500, `${busy} of 1000 cycles had work`);
});

test('when the disk gives the page again, everything is delivered in order', () => {
  const lab = new Lab();
  lab.disk.faults.errorChance.read = 1;
  lab.subscribe();
  lab.run(3000);
  lab.disk.faults.errorChance.read = 0;
  lab.run(8000);
  assert.deepEqual(
    lab.delivered(0),
    Array.from({ length: MESSAGES }, (_, offset) => offset),
  );
  assert.deepEqual(
    lab.delivered(1),
    Array.from({ length: MESSAGES / 3 }, (_, offset) => offset),
  );
  assert.equal(lab.events('readable').length, 1);
  assert.deepEqual([lab.status().unreadableSegments, lab.status().reason], [0, null]);
});

test('a fetch is told why, and when to come again', () => {
  const lab = new Lab();
  lab.disk.faults.errorChance.read = 1;
  const correlation = lab.rig.fetch(T, 0, 0, 10, 30_000);
  lab.run(50);
  const [answer] = lab.replies.filter(
    (reply) => 'correlation' in reply && reply.correlation === correlation,
  );
  assert.ok(answer?.kind === 'failed', JSON.stringify(answer));
  assert.equal(answer.code, 'STORAGE_IO');
  assert.match(answer.text, /cannot be read/);
  lab.disk.faults.errorChance.read = 0;
  lab.run(5000);
  const again = lab.rig.fetch(T, 0, 0, 10);
  lab.run(50);
  const fetched = lab.replies.find(
    (reply) => 'correlation' in reply && reply.correlation === again,
  );
  assert.ok(fetched?.kind === 'fetched' && fetched.records[0]?.offset === 0);
});

test('a segment that nobody holds any more is tried no longer', () => {
  const lab = new Lab();
  lab.disk.faults.errorChance.read = 1;
  lab.subscribe();
  lab.run(1000);
  assert.equal(lab.events('unreadable').length, 1);
  lab.rig.control({ op: 'deleteTopic', topicId: T });
  lab.run(6000);
  assert.equal(lab.status().unreadableSegments, 0);
});
