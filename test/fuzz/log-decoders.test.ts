/** Files of the log after any damage: their readers give nothing, or something that was written; they never throw or hang. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { CheckpointWriter, readCheckpoint } from '../../src/log/checkpoint.ts';
import { ControlWriter, readControl } from '../../src/log/control-record.ts';
import { CHECKPOINT_NAME, indexName, snapshotName } from '../../src/log/file-names.ts';
import { IndexBuilder, IndexReader } from '../../src/log/index-file.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { encodeSnapshot, readSnapshot, writeSnapshot } from '../../src/log/snapshot.ts';
import type { Storage } from '../../src/log/storage.ts';
import { isStoredHeader, isStoredPayload } from '../../src/log/stored-header.ts';

const ROUNDS = Number(process.env['FUZZ'] ?? 3000);
const SEED = Number(process.env['SEED'] ?? 11);

function storage(): Storage {
  return new MemoryStorage(1 << 24);
}

function read(disk: Storage, name: string): Uint8Array {
  const file = disk.open(name, false);
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  file.close();
  return bytes;
}

function replace(disk: Storage, name: string, bytes: Uint8Array): void {
  disk.remove(name);
  const file = disk.open(name, true);
  file.write(bytes, 0);
  file.close();
}

/** Flips, overwrites, cuts or lengthens. */
function damage(bytes: Uint8Array, prng: Prng): Uint8Array {
  const cut = prng.chance(0.2) ? prng.integer(bytes.length + 1) : bytes.length;
  const damaged = new Uint8Array(prng.chance(0.1) ? cut + prng.integer(64) : cut);
  damaged.set(bytes.subarray(0, damaged.length));
  for (let change = prng.integer(4); change >= 0 && damaged.length > 4; change -= 1) {
    const at = prng.integer(damaged.length - 3);
    if (prng.chance(0.5)) damaged[at] = (damaged[at] as number) ^ (1 << prng.integer(8));
    else
      new DataView(damaged.buffer).setUint32(
        at,
        [0, 0xffff_ffff, 0x7fff_ffff, 8, 1e6][prng.integer(5)] as number,
        true,
      );
  }
  return damaged;
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

test('a damaged snapshot is no snapshot', () => {
  const prng = seededPrng(SEED);
  const disk = storage();
  writeSnapshot(disk, 4096, encodeSnapshot(4096, { topics: [1, 2, 3], text: 'x'.repeat(200) }));
  const honest = read(disk, snapshotName(4096));
  for (let round = 0; round < ROUNDS; round += 1) {
    const damaged = damage(honest, prng);
    replace(disk, snapshotName(4096), damaged);
    const found = readSnapshot(disk);
    assert.equal(found !== undefined, isSame(honest, damaged), `round ${round}`);
  }
});

test('a damaged checkpoint slot is passed over for the other', () => {
  const prng = seededPrng(SEED);
  const disk = storage();
  const writer = new CheckpointWriter(disk, 1);
  writer.write(1000);
  writer.write(2000);
  writer.close();
  const honest = read(disk, CHECKPOINT_NAME);
  for (let round = 0; round < ROUNDS; round += 1) {
    replace(disk, CHECKPOINT_NAME, damage(honest, prng));
    const found = readCheckpoint(disk);
    assert.ok(
      found === undefined || found.flushed === 1000 || found.flushed === 2000,
      `round ${round}`,
    );
  }
});

test('a damaged index is no index, or fails its verification', () => {
  const prng = seededPrng(SEED);
  const disk = storage();
  new IndexBuilder().write(disk, 3);
  const honest = read(disk, indexName(3));
  for (let round = 0; round < ROUNDS; round += 1) {
    const damaged = damage(honest, prng);
    replace(disk, indexName(3), damaged);
    const reader = IndexReader.open(disk, 3);
    if (reader === undefined) continue;
    if (reader.verify()) assert.equal(reader.page(1, 0, 0, 10)?.length, 0);
    reader.close();
  }
});

test('hostile control payloads end the walk, never the shard', () => {
  const prng = seededPrng(SEED);
  const writer = new ControlWriter();
  writer.settled(1, 2, 3, [{ start: 5, count: 6 }]);
  writer.retry(1, 2, 3, [{ start: 5, count: 6, attempt: 2, dueAtMs: 77 }]);
  writer.positions([{ groupId: 1, topicId: 2, queueId: 3, offset: 4 }]);
  const honest = writer.finish().slice();
  let calls = 0;
  const count = (): void => {
    calls += 1;
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const damaged = damage(honest, prng);
    const view = new DataView(damaged.buffer);
    if (damaged.length < 8) continue;
    // The checksum was right, so length and bytes agree: what lies inside may still be anything.
    view.setUint32(4, damaged.length, true);
    try {
      readControl(damaged, view, 0, {
        ...{ metadata: count, settled: count, retry: count, position: count, deferred: count },
      });
    } catch (error) {
      assert.ok(error instanceof SluiceError && error.code === 'RECORD_CORRUPT', String(error));
    }
  }
  assert.ok(calls > 0);
});

test('random bytes are no stored batch', () => {
  const prng = seededPrng(SEED);
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let at = 0; at < 64; at += 1) bytes[at] = prng.integer(256);
    assert.equal(
      isStoredHeader(bytes, view, 0, 0, bytes.length) && isStoredPayload(bytes, view, 0),
      false,
    );
  }
});
