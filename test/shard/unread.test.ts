/** A delivery that the disk did not give: it comes again at growing intervals, with the same attempt number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../src/base/units.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import * as envelope from '../../src/protocol/envelope-layout.ts';
import { type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const T = 1;
const G = 1;
const SUBSCRIPTION = 3;
type Delivery = Extract<RigReply, { kind: 'deliver' }>;

class Lab {
  readonly clock: SimClock = new SimClock();
  readonly rig: ShardRig = new ShardRig(new MemoryStorage(64 * MIB), this.clock);
  private readonly replies: RigReply[] = [];

  constructor(ordered: boolean) {
    const { rig } = this;
    rig.settle();
    rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
    const group = { groupId: G, group: 'g', maxAttempts: 2, retryBackoffMs: [0] };
    rig.control({ op: 'putGroup', group });
    for (const body of ['a', 'b']) rig.produce(T, 0, [{ body, bodyKind: BODY_TEXT }]);
    rig.settle();
    rig.control({
      ...{ op: 'attach', subscription: SUBSCRIPTION, groupId: G, topicId: T, filter: null },
      ...{ from: { kind: 'earliest' }, credit: 1000, leaseMs: 600_000, ordered },
    });
    rig.control({ op: 'assign', groupId: G, topicId: T, queues: [[0, SUBSCRIPTION]] });
  }

  run(ms: number): void {
    for (let at = 0; at < ms; at += 1) {
      this.clock.advance(1);
      this.rig.agent.doWork();
      this.rig.flusher.doWork();
      this.rig.stepJob();
      this.replies.push(...this.rig.take());
    }
  }

  /** The next delivery, and milliseconds until it came. */
  next(msMax = 6000): { one: Delivery; afterMs: number } {
    for (let afterMs = 0; afterMs <= msMax; afterMs += 1) {
      const at = this.replies.findIndex(({ kind }) => kind === 'deliver');
      if (at >= 0) return { one: this.replies.splice(at, 1)[0] as Delivery, afterMs };
      this.run(1);
    }
    throw new Error(`nothing was delivered within ${msMax} ms`);
  }

  settle(action: number, { queueId, leaseId, extents }: Delivery): void {
    const { firstOffset: offset = 0, count = 0 } = extents[0] ?? {};
    this.rig.settleRange(action, G, T, { queueId, offset, count, leaseId });
  }
}

test('it comes again at growing intervals, as the same attempt, until it is read', () => {
  const lab = new Lab(false);
  let { one } = lab.next();
  assert.equal(one.records[0]?.body, 'a');
  lab.settle(envelope.SETTLE_ACK, lab.next().one);
  const pauses: number[] = [];
  for (let time = 0; time < 9; time += 1) {
    lab.settle(envelope.SETTLE_UNREAD, one);
    const again = lab.next();
    one = again.one;
    assert.deepEqual([one.attempt, one.records[0]?.body], [1, 'a']);
    pauses.push(again.afterMs);
  }
  // As the shard counts: what a few cycles of the rig take comes to it.
  for (const [index, least] of [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000].entries())
    assert.ok((pauses[index] ?? 0) >= least && (pauses[index] ?? 0) < least + 10, `${pauses}`);
  lab.settle(envelope.SETTLE_NACK, one);
  one = lab.next().one;
  assert.equal(one.attempt, 2);
  lab.settle(envelope.SETTLE_UNREAD, one);
  const first = lab.next();
  assert.ok(first.one.attempt === 2 && first.afterMs < 110, 'a delivery begins the pauses anew');
});

test('in an ordered queue nothing passes it', () => {
  const lab = new Lab(true);
  const { one } = lab.next();
  assert.equal(one.records[0]?.body, 'a');
  lab.settle(envelope.SETTLE_UNREAD, one);
  const again = lab.next();
  assert.deepEqual([again.one.records[0]?.body, again.one.attempt], ['a', 1]);
  lab.settle(envelope.SETTLE_ACK, again.one);
  assert.equal(lab.next().one.records[0]?.body, 'b');
});
