/** A log is cut, or it is not: whatever interrupts it, and what was cut is in quarantine before it is gone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { cutTail } from '../../src/log/cut-tail.ts';
import { CUTTING_NAME, quarantineName, segmentName } from '../../src/log/file-names.ts';
import type { Storage } from '../../src/log/storage.ts';
import type { ShardReplication } from '../../src/shard/shard-config.ts';
import { RIG_CONFIG, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimCrash } from '../../src/testing/sim-faults.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SLAVE: ShardReplication = {
  ...{ ack: 'ASYNC_MASTER', inSyncReplicas: 1, syncFlushTimeoutMs: 500 },
  role: 'slave',
};
const { segmentBytes } = RIG_CONFIG;

/** A stopped shard's disk, the places where its batches end, and all bytes of its log. */
function writtenLog(): { storage: SimStorage; ends: number[]; bytes: Uint8Array } {
  const clock = new SimClock();
  const storage = new SimStorage({ prng: seededPrng(3), clock });
  const rig = new ShardRig(storage, clock);
  rig.control({ op: 'putTopic', topic: rigTopic(1, 'topic', 1) });
  rig.settle();
  const ends: number[] = [];
  for (let batch = 0; batch < 60; batch += 1) {
    rig.produce(1, 0, [{ body: 'x'.repeat(2500), bodyKind: 1, key: '', tag: '' }]);
    rig.settle();
    ends.push(rig.memory.flushed.observe());
  }
  rig.flusher.close();
  storage.kill();
  return { storage, ends, bytes: logBytes(storage, ends.at(-1) as number) };
}

function logBytes(storage: Storage, end: number): Uint8Array {
  const bytes = new Uint8Array(end);
  for (let at = 0; at < end; at += segmentBytes) {
    const file = storage.open(segmentName(at / segmentBytes), false);
    file.read(bytes.subarray(at, Math.min(end, at + segmentBytes)), 0);
    file.close();
  }
  return bytes;
}

function quarantined(storage: Storage, position: number): Uint8Array | undefined {
  const name = quarantineName(position, 1);
  if (!storage.exists(name)) return undefined;
  const file = storage.open(name, false);
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  file.close();
  return bytes.subarray(24);
}

/** Opens the log as a slave does after a start, and gives its end. */
function reopen(storage: SimStorage): number {
  const config = { ...RIG_CONFIG, replication: SLAVE };
  return new ShardRig(storage, new SimClock(), config).memory.appended.observe();
}

describe('cutting a log', () => {
  const { storage: original, ends, bytes } = writtenLog();
  const end = ends.at(-1) as number;
  const position = ends[20] as number;
  const cut = { position, end, segmentBytes };

  it('keeps what is before, moves what is behind into quarantine, and opens', () => {
    const storage = original.clone(seededPrng(5));
    assert.equal(cutTail(storage, cut), position);
    assert.deepEqual(quarantined(storage, position), bytes.slice(position));
    assert.equal(reopen(storage), position);
    assert.deepEqual(logBytes(storage, position), bytes.slice(0, position));
  });

  it('ends at 0 when nothing that is kept could be read', () => {
    const storage = original.clone(seededPrng(5));
    storage.remove(segmentName(0));
    assert.equal(cutTail(storage, { ...cut, position: ends[40] as number }), 0);
    assert.equal(reopen(storage), 0);
  });

  it('ends at 0 when the first segment is there and one behind it was let go', () => {
    const storage = original.clone(seededPrng(5));
    storage.remove(segmentName(1));
    assert.equal(cutTail(storage, { ...cut, position: ends[55] as number }), 0);
    assert.equal(reopen(storage), 0);
  });

  for (const where of ['before', 'middle'] as const) {
    it(`leaves a log that is whole when the power fails ${where} any change of the disk`, () => {
      let isOver = false;
      let cutCount = 0;
      for (let boundary = 0; !isOver; boundary += 1) {
        assert.ok(boundary < 200, 'the cut comes to an end');
        const storage = original.clone(seededPrng(boundary));
        storage.faults.crashAt(storage.faults.boundary + boundary, where);
        try {
          cutTail(storage, cut);
          isOver = true;
        } catch (error) {
          assert.ok(error instanceof SimCrash);
        }
        storage.faults.clear();
        storage.crash(seededPrng(boundary + 1000));
        const found = reopen(storage);
        assert.ok(found === end || found === position, `the log ends at ${found}`);
        assert.equal(storage.exists(CUTTING_NAME), false);
        if (found === position) cutCount += 1;
        if (found === position)
          assert.deepEqual(quarantined(storage, position), bytes.slice(position));
        assert.deepEqual(logBytes(storage, found), bytes.slice(0, found));
      }
      assert.ok(cutCount > 3, 'some were cut by the start after');
    });
  }
});
