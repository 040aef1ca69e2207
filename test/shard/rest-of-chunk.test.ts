/**
 * The rest of a chunk that has no room for a header: what stands there is zeros, whoever has passed over it and whatever was in
 * the window or in the file before, so that two logs with the same batches are the same bytes; and a log that ends in front of
 * one ends there for recovery too, as it did for the shard.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { recoverLog } from '../../src/log/recovery.ts';
import { BODY_TEXT } from '../../src/protocol/batch/batch-layout.ts';
import { fillToRest } from '../../src/testing/chunk-rest.ts';
import { RIG_CONFIG, rigTopic, ShardRig } from '../../src/testing/shard-rig.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';
import { FILLED_BATCH_BYTES, filledBatch } from '../../src/testing/stored-batches.ts';

const T = 1;
const CHUNK_BYTES = RIG_CONFIG.tailBytes;
const REST_BYTES = 32;

type Rig = { readonly rig: ShardRig; readonly clock: SimClock; readonly disk: SimStorage };

/** A log that ends in front of the rest of its second chunk. The window is as long as a chunk. */
function filled(): Rig {
  const clock = new SimClock();
  const disk = new SimStorage({ prng: seededPrng(1) });
  const rig = new ShardRig(disk, clock);
  rig.settle();
  rig.control({ op: 'putTopic', topic: rigTopic(T, 'orders', 1) });
  rig.settle();
  // The first chunk has a message where the second has its rest.
  for (const restBytes of [0, REST_BYTES])
    fillToRest(rig, { topicId: T, restBytes, settle: () => rig.settle(6) });
  assert.equal(rig.memory.appended.observe(), 2 * CHUNK_BYTES - REST_BYTES);
  return { rig, clock, disk };
}

function passOver(rig: ShardRig): void {
  rig.produce(T, 0, [{ body: 'the next', bodyKind: BODY_TEXT }]);
  rig.settle();
}

/** What the files hold between two positions. */
function bytesAt(disk: SimStorage, from: number, length: number): number[] {
  const { segmentBytes } = RIG_CONFIG;
  const bytes = new Uint8Array(length);
  const file = disk.open(segmentName(Math.floor(from / segmentBytes)), false);
  file.read(bytes, from % segmentBytes);
  file.close();
  return [...bytes];
}

const ZEROS: readonly number[] = Array.from({ length: REST_BYTES }, () => 0);

describe('the rest of a chunk', () => {
  it('is zeros, not what stood in the window before', () => {
    const { rig, disk } = filled();
    passOver(rig);
    assert.deepEqual(bytesAt(disk, 2 * CHUNK_BYTES - REST_BYTES, REST_BYTES), ZEROS);
  });

  it('is zeros when a start comes in between, not what stood in the file before', () => {
    const { rig, clock, disk } = filled();
    const end = rig.memory.appended.observe();
    disk.kill();
    // A file that was used before has its old bytes.
    const file = disk.open(segmentName(Math.floor(end / RIG_CONFIG.segmentBytes)), false);
    file.write(new Uint8Array(REST_BYTES).fill(7), end % RIG_CONFIG.segmentBytes);
    file.close();
    const next = new ShardRig(disk, clock);
    assert.equal(next.memory.appended.observe(), end, 'the log ends where it ended');
    passOver(next);
    assert.deepEqual(bytesAt(disk, end, REST_BYTES), ZEROS);
    assert.deepEqual(next.agent.context.state.epochs, [{ epoch: 1, first: 0 }]);
  });
});

describe('recovery of a log that ends at the rest of a chunk', () => {
  /** One batch and then the rest of a chunk, in a file of two chunks or of one. */
  const chunkBytes = FILLED_BATCH_BYTES + REST_BYTES;
  const recovered = (chunks: number, flushed: number): { position: number; rot: unknown } => {
    const storage = new SimStorage({ prng: seededPrng(1) });
    const file = storage.open(segmentName(0), true);
    file.write(new Uint8Array(chunks * chunkBytes), 0);
    file.write(filledBatch({ position: 0, baseOffset: 0, id: 1, flushed: 0 }), 0);
    file.close();
    const { position, rot } = recoverLog({
      ...{ storage, segmentBytes: chunks * chunkBytes, chunkBytes, from: 0, flushed },
      confirm: () => {},
      visit: () => {},
    });
    return { position, rot };
  };

  for (const chunks of [1, 2]) {
    it(`ends behind its last batch, ${chunks} chunks in the file`, () => {
      for (const flushed of [0, FILLED_BATCH_BYTES])
        assert.deepEqual(recovered(chunks, flushed), { position: FILLED_BATCH_BYTES, rot: [] });
    });

    it(`keeps the rest when that was flushed, as a slave does that got it, ${chunks} chunks in the file`, () => {
      assert.deepEqual(recovered(chunks, chunkBytes), { position: chunkBytes, rot: [] });
    });
  }
});
