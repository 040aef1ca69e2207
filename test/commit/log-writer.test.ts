/** The two who may write to segment files and sync them: the flusher, and the shard itself when it is little. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { KIB } from '../../src/base/units.ts';
import type { FlushMode } from '../../src/commit/commit-policy.ts';
import { FlusherAgent } from '../../src/commit/flusher-agent.ts';
import { SmallWriter } from '../../src/commit/log-writer.ts';
import { SHARD_SYNC_MICROS_MAX, SMALL_WRITE_BYTES_MAX } from '../../src/commit/shard-share.ts';
import { readCheckpoint } from '../../src/log/checkpoint.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { LOG_MEMORY_BYTES, LogMemory } from '../../src/log/log-memory.ts';
import { TailWindow } from '../../src/log/tail-window.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SEGMENT_BYTES: number = 256 * KIB;
const INTERVAL_MS = 500;

describe('who writes to segment files', () => {
  let storage: SimStorage;
  let clock: SimClock;
  let memory: LogMemory;
  let tail: TailWindow;
  let shard: SmallWriter;
  let flusher: FlusherAgent;

  function open(mode: FlushMode): void {
    clock = new SimClock();
    storage = new SimStorage({ prng: seededPrng(1), clock });
    for (const segment of [0, 1]) {
      const file = storage.open(segmentName(segment), true);
      file.write(new Uint8Array(SEGMENT_BYTES), 0);
      file.sync();
    }
    storage.syncDirectory();
    memory = new LogMemory(new SharedArrayBuffer(LOG_MEMORY_BYTES), 0);
    tail = new TailWindow(new SharedArrayBuffer(2 * SEGMENT_BYTES));
    const shape = { storage, tail, memory, segmentBytes: SEGMENT_BYTES, clock, mode };
    shard = new SmallWriter(shape);
    flusher = new FlusherAgent({
      ...{ ...shape, flushIntervalMs: INTERVAL_MS, epoch: 1, position: 0 },
    });
  }

  beforeEach(() => open('ASYNC_FLUSH'));

  /** Bytes that tell their position. */
  function append(bytes: number): void {
    const from = memory.appended.observe();
    tail.at(from, bytes).fill(1 + ((from / 8) % 250));
    memory.appended.publish(from + bytes);
  }

  function positions(): [written: number, flushed: number] {
    return [memory.written.observe(), memory.flushed.observe()];
  }

  function stored(position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const file = storage.open(segmentName(Math.floor(position / SEGMENT_BYTES)), false);
    file.read(bytes, position % SEGMENT_BYTES);
    return bytes;
  }

  /** The first bytes of the log, written and flushed by the flusher. */
  function begin(): void {
    clock.advance(INTERVAL_MS);
    append(64);
    flusher.doWork();
    assert.deepEqual(positions(), [64, 64]);
  }

  it('the shard writes what is little, and the flusher makes it durable within the interval', () => {
    begin();
    append(128);
    assert.equal(shard.write(), true);
    assert.deepEqual(positions(), [192, 64]);
    assert.deepEqual(stored(64, 128), tail.at(64, 128).slice());
    assert.ok(flusher.msUntilDue() <= INTERVAL_MS, 'nobody wakes it for this');
    flusher.doWork();
    assert.deepEqual(positions(), [192, 64], 'before its time');
    clock.advance(INTERVAL_MS);
    assert.ok(flusher.hasWork());
    flusher.doWork();
    assert.deepEqual(positions(), [192, 192]);
  });

  it("the first bytes of a segment, much, and what lies in two segments is the flusher's", () => {
    append(64);
    assert.equal(shard.write(), false, 'nobody has begun the segment');
    flusher.doWork();
    append(SMALL_WRITE_BYTES_MAX + 8);
    assert.equal(shard.write(), false, 'it is much');
    flusher.doWork();
    append(SEGMENT_BYTES - memory.appended.observe() - 64);
    flusher.doWork();
    append(128);
    assert.equal(shard.write(), false, 'it ends in another segment');
    flusher.doWork();
    assert.equal(memory.written.observe(), SEGMENT_BYTES + 64);
    append(64);
    assert.equal(shard.write(), true);
    assert.deepEqual(stored(SEGMENT_BYTES + 64, 64), tail.at(SEGMENT_BYTES + 64, 64).slice());
  });

  it('a segment that the shard has ended is synced before the flusher goes on to the next', () => {
    begin();
    append(SEGMENT_BYTES - 64 - 128);
    flusher.doWork();
    append(128);
    assert.equal(shard.write(), true);
    clock.advance(INTERVAL_MS);
    append(64);
    flusher.doWork();
    assert.deepEqual(positions(), [SEGMENT_BYTES + 64, SEGMENT_BYTES + 64]);
    storage.crash(seededPrng(2), WORST_CRASH);
    assert.deepEqual(stored(SEGMENT_BYTES - 128, 128), tail.at(SEGMENT_BYTES - 128, 128).slice());
  });

  it('whoever has the turn has it alone', () => {
    begin();
    append(64);
    assert.ok(memory.claimWriting());
    assert.equal(shard.write(), false);
    assert.equal(flusher.doWork(), 0);
    memory.releaseWriting();
    assert.ok(flusher.hasWork(), 'it looks again');
    assert.equal(shard.write(), true);
    assert.ok(memory.claimWriting(), 'it gave the turn back');
  });

  it('the shard does not wait for a sync', () => {
    begin();
    append(64);
    assert.equal(shard.write(), true);
    clock.advance(INTERVAL_MS);
    let isWritten: boolean | undefined;
    storage.duringSync = () => {
      append(64);
      isWritten = shard.write();
      storage.duringSync = undefined;
    };
    flusher.doWork();
    assert.equal(isWritten, false);
    assert.deepEqual(positions(), [128, 128]);
    assert.ok(flusher.hasWork());
  });

  it('the shard writes nothing any more once the flusher has closed', () => {
    begin();
    append(64);
    flusher.close();
    assert.deepEqual(positions(), [128, 128]);
    append(64);
    assert.equal(shard.write(), false);
    assert.deepEqual(positions(), [128, 128]);
  });

  it('a write that the disk has refused is final for both', () => {
    begin();
    append(64);
    storage.faults.failNth('write', storage.faults.count('write'), 'STORAGE_IO');
    assert.equal(shard.write(), false);
    assert.equal(memory.faultCode(), 'STORAGE_IO');
    assert.match(String(shard.failure?.message), /write/);
    assert.equal(flusher.doWork(), 0);
    assert.equal(flusher.failure?.code, 'STORAGE_IO');
    append(64);
    assert.equal(shard.write(), false);
    flusher.close();
    assert.deepEqual(positions(), [64, 64]);
  });

  describe('under SYNC_FLUSH', () => {
    beforeEach(() => {
      open('SYNC_FLUSH');
      append(64);
      assert.equal(shard.write(), false, 'nobody has begun the segment, or knows the disk');
      flusher.doWork();
      assert.deepEqual(positions(), [64, 64]);
    });

    it('the shard syncs what is little, and it survives a power cut', () => {
      append(128);
      assert.equal(shard.write(), true);
      assert.deepEqual(positions(), [192, 192]);
      storage.crash(seededPrng(2), WORST_CRASH);
      assert.deepEqual(stored(64, 128), tail.at(64, 128).slice());
    });

    it('the flusher leaves it what is little, and does not stay awake for it', () => {
      append(128);
      assert.ok(shard.hasWork());
      assert.ok(!flusher.hasWork());
      assert.equal(flusher.doWork(), 0);
      assert.deepEqual(positions(), [64, 64]);
      append(SMALL_WRITE_BYTES_MAX);
      assert.ok(!shard.hasWork());
      assert.ok(flusher.hasWork());
      flusher.doWork();
      assert.deepEqual(positions(), [SMALL_WRITE_BYTES_MAX + 192, SMALL_WRITE_BYTES_MAX + 192]);
    });

    it('what came while the flusher synced is the shard’s when the turn is free, and not before', () => {
      const seen: boolean[] = [];
      storage.duringSync = () => {
        append(64);
        seen.push(shard.write(), shard.hasWork());
        storage.duringSync = undefined;
      };
      append(SMALL_WRITE_BYTES_MAX + 8);
      flusher.doWork();
      assert.deepEqual(seen, [false, false]);
      assert.ok(!flusher.hasWork());
      assert.ok(shard.hasWork(), 'or both would sleep');
      assert.equal(shard.write(), true);
      assert.equal(memory.flushed.observe(), memory.appended.observe());
    });

    it('the flusher does nothing while the shard syncs, and sleeps', () => {
      let work = -1;
      let isAwake = true;
      storage.duringSync = () => {
        work = flusher.doWork();
        isAwake = flusher.hasWork();
        storage.duringSync = undefined;
      };
      append(64);
      assert.equal(shard.write(), true);
      assert.deepEqual([work, isAwake], [0, false]);
    });

    it('syncs of a disk that has become slow are the flusher’s until it is fast again', () => {
      const sync = (ms: number): boolean => {
        storage.duringSync = () => clock.advance(ms);
        append(64);
        const isOwn = shard.write();
        if (!isOwn) flusher.doWork();
        assert.equal(memory.flushed.observe(), memory.appended.observe());
        return isOwn;
      };
      const slowMs = SHARD_SYNC_MICROS_MAX / 100;
      assert.ok(sync(slowMs), 'that it would be slow nobody knew');
      assert.ok(!sync(slowMs));
      assert.ok(!sync(slowMs));
      for (let round = 0; round < 30; round += 1) sync(0.05);
      assert.ok(sync(0.05));
    });

    it('a sync that the disk has refused is final for both', () => {
      append(64);
      storage.faults.failNth('sync', storage.faults.count('sync'), 'STORAGE_IO');
      assert.equal(shard.write(), false);
      assert.equal(memory.faultCode(), 'STORAGE_IO');
      assert.match(String(shard.failure?.message), /sync/);
      assert.equal(flusher.doWork(), 0);
      append(64);
      assert.equal(shard.write(), false);
      flusher.close();
      assert.equal(memory.flushed.observe(), 64);
    });

    it('nobody goes on behind a sync of the other that the disk has refused, though the next one would succeed', () => {
      append(SMALL_WRITE_BYTES_MAX + 8);
      storage.faults.failNth('sync', storage.faults.count('sync'), 'STORAGE_IO');
      flusher.doWork();
      assert.equal(memory.faultCode(), 'STORAGE_IO');
      append(64);
      assert.equal(shard.write(), false);
      assert.equal(memory.flushed.observe(), 64);
    });

    it('the shard sleeps over what nobody writes any more', () => {
      append(SMALL_WRITE_BYTES_MAX + 8);
      storage.faults.failNth('write', storage.faults.count('write'), 'STORAGE_IO');
      flusher.doWork();
      assert.equal(memory.faultCode(), 'STORAGE_IO');
      memory.appended.publish(128);
      assert.ok(!shard.hasWork());
    });

    it('nor in between: the disk refuses a sync of the shard while the flusher waits for the turn', () => {
      append(64);
      storage.faults.failNth('sync', storage.faults.count('sync'), 'STORAGE_IO');
      const claim = memory.claimWriting.bind(memory);
      memory.claimWriting = () => {
        memory.claimWriting = claim;
        assert.equal(shard.write(), false);
        return claim();
      };
      flusher.close();
      assert.equal(memory.flushed.observe(), 64);
    });

    it('the flusher tells in the checkpoint how far the shard has synced', () => {
      append(64);
      assert.equal(shard.write(), true);
      clock.advance(2000);
      flusher.doWork();
      assert.equal(readCheckpoint(storage)?.flushed, 128);
    });
  });
});
