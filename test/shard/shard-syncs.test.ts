/** A shard on a fast disk under SYNC_FLUSH: it syncs itself, and takes over what came while the flusher did. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { SHARD_SYNC_MICROS_MAX } from '../../src/commit/shard-share.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { RIG_CONFIG, type RigReply, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const TOPIC = 1;

describe('a shard on a fast disk', () => {
  let rig: ShardRig;

  beforeEach(() => {
    const clock = new SimClock();
    const storage = new SimStorage({ prng: seededPrng(1), clock });
    const config = { ...RIG_CONFIG, shardSyncMicrosMax: SHARD_SYNC_MICROS_MAX };
    rig = new ShardRig(storage, clock, config);
    rig.settle();
    rig.control({ op: 'putTopic', topic: rigTopic(TOPIC, 'orders', 1) });
    rig.settle();
  });

  function send(body: string): number {
    return rig.produce(TOPIC, 0, [{ body, bodyKind: BODY_TEXT }]);
  }

  function answered(replies: readonly RigReply[]): readonly number[] {
    return replies.flatMap((reply) => (reply.kind === 'produced' ? reply.correlation : []));
  }

  it('answers in the cycle in which it took the message, without the flusher', () => {
    const sent = send('a');
    rig.agent.doWork();
    assert.deepEqual(answered(rig.take()), [sent]);
    assert.ok(!rig.flusher.hasWork());
  });

  it('syncs what came while the flusher had the turn, though nothing more comes', () => {
    const { memory } = rig;
    assert.ok(memory.claimWriting(), 'as the flusher does');
    const sent = send('a');
    rig.agent.doWork();
    assert.deepEqual(answered(rig.take()), []);
    assert.ok(!rig.agent.hasWork(), 'it may sleep until the turn is free');
    memory.releaseWriting();
    assert.ok(rig.agent.hasWork(), 'it does not sleep any more');
    rig.agent.doWork();
    assert.deepEqual(answered(rig.take()), [sent]);
  });
});
