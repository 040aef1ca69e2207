/** What power loss and failed syncs do to bytes, shown to be what they say: a gentle disk proves nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { EVEN_CRASH, WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { SECTOR_BYTES } from '../../src/testing/sim-page.ts';
import {
  ALL_KEPT,
  bytesOf,
  code,
  contentOf,
  durableFile,
  fateOf,
  filled,
  simStorage,
} from '../../src/testing/storage-probe.ts';

const SECTOR = SECTOR_BYTES;
const PAGE = 4096;

test('what was synced survives every power loss', () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const storage = simStorage(seed);
    const file = durableFile(storage, 'a', 10_000, 7);
    file.write(filled(100, 8), 9900);
    file.sync();
    storage.crash(seededPrng(seed));
    const bytes = contentOf(storage, 'a');
    assert.equal(bytes.length, 10_000);
    assert.ok(bytes.subarray(0, 9900).every((byte) => byte === 7));
    assert.ok(bytes.subarray(9900).every((byte) => byte === 8));
  }
});

test('a power loss keeps, drops or tears each unsynced sector by itself', () => {
  const seen = { kept: 0, dropped: 0, torn: 0, strange: 0 };
  const pairs = new Set<string>();
  for (let seed = 0; seed < 40; seed += 1) {
    const storage = simStorage(seed);
    const file = durableFile(storage, 'a', 32 * SECTOR, 1);
    file.write(filled(32 * SECTOR, 2), 0);
    assert.deepEqual(storage.atRisk(), { sectorsAtRisk: 32, namesAtRisk: 0 });
    const report = storage.crash(seededPrng(seed), EVEN_CRASH);
    assert.deepEqual(report, { sectorsAtRisk: 32, namesAtRisk: 0 });
    const bytes = contentOf(storage, 'a');
    let before = '';
    for (let sector = 0; sector < 32; sector += 1) {
      const fate = fateOf(bytes.subarray(sector * SECTOR, (sector + 1) * SECTOR), 1, 2);
      seen[fate] += 1;
      pairs.add(`${before} ${fate}`);
      before = fate;
    }
  }
  assert.equal(seen.strange, 0);
  // 1280 sectors at 0.4, 0.4, 0.2: each within a wide margin of its share.
  assert.ok(seen.kept > 420 && seen.kept < 610, String(seen.kept));
  assert.ok(seen.dropped > 420 && seen.dropped < 610, String(seen.dropped));
  assert.ok(seen.torn > 180 && seen.torn < 340, String(seen.torn));
  for (const pair of ['dropped kept', 'kept dropped', 'torn kept', 'dropped torn']) {
    assert.ok(
      pairs.has(pair),
      `a later sector survives an earlier one and the other way round: ${pair}`,
    );
  }
});

test('a torn sector is new on either side of the cut', () => {
  const firsts = new Set<number>();
  for (let seed = 0; seed < 20; seed += 1) {
    const storage = simStorage(seed);
    const file = durableFile(storage, 'a', SECTOR, 1);
    file.write(filled(SECTOR, 2), 0);
    storage.crash(seededPrng(seed), { ...EVEN_CRASH, sectorKept: 0, sectorTorn: 1 });
    const bytes = contentOf(storage, 'a');
    assert.equal(fateOf(bytes, 1, 2), 'torn');
    firsts.add(bytes[0] as number);
  }
  assert.deepEqual([...firsts].sort(), [1, 2]);
});

test('the same seed gives the same crash, another seed another one', () => {
  const run = (seed: number): string => {
    const storage = simStorage();
    const file = durableFile(storage, 'a', 64 * SECTOR, 1);
    file.write(filled(64 * SECTOR, 2), 0);
    storage.crash(seededPrng(seed), EVEN_CRASH);
    return Buffer.from(contentOf(storage, 'a')).toString('base64');
  };
  assert.equal(run(5), run(5));
  assert.notEqual(run(5), run(6));
});

test('an unsynced size is kept, lost or kept in part', () => {
  const sizes = new Set<number>();
  for (let seed = 0; seed < 60; seed += 1) {
    const storage = simStorage(seed);
    const file = durableFile(storage, 'a', 1000, 1);
    file.write(filled(1000, 2), 1000);
    storage.crash(seededPrng(seed), { ...EVEN_CRASH, sectorKept: 1, sectorTorn: 0, sizeKept: 0.3 });
    const bytes = contentOf(storage, 'a');
    sizes.add(bytes.length);
    assert.ok(bytes.subarray(0, 1000).every((byte) => byte === 1));
    assert.ok(bytes.subarray(1000).every((byte) => byte === 2));
  }
  assert.ok(sizes.has(1000) && sizes.has(2000));
  assert.ok(sizes.size > 4, 'sizes in between');
});

test('bytes behind a lost size do not come back when the file grows again', () => {
  const storage = simStorage();
  durableFile(storage, 'a', 100, 1).write(filled(20_000, 2), 100);
  storage.crash(seededPrng(1), { ...ALL_KEPT, sizeKept: 0 });
  const size = contentOf(storage, 'a').length;
  storage.open('a', false).write(Uint8Array.of(3), 30_000);
  const bytes = contentOf(storage, 'a');
  assert.ok(bytes.subarray(size, 30_000).every((byte) => byte === 0));
});

test('a dropped sector in a region that was preallocated reads as zeros with later ones intact', () => {
  const storage = simStorage();
  const file = durableFile(storage, 'a', 100 * PAGE, 0);
  file.write(filled(40 * PAGE, 5), 50 * PAGE);
  // As sync_file_range did in the measurement: pages 60 and 80 reach the medium, 50 to 59 do not.
  for (const page of [60, 80]) storage.writeBack('a', page * PAGE, PAGE);
  storage.crash(seededPrng(1), WORST_CRASH);
  const bytes = contentOf(storage, 'a');
  const full = [];
  for (let page = 0; page < 100; page += 1) if (bytes[page * PAGE] === 5) full.push(page);
  assert.deepEqual(full, [60, 80]);
  assert.equal(bytes.length, 100 * PAGE);
});

test('the kernel may write back early: an older version of a sector can survive a newer one', () => {
  const storage = simStorage();
  const file = durableFile(storage, 'a', SECTOR, 1);
  storage.faults.writeBackChance = 1;
  file.write(filled(SECTOR, 2), 0);
  storage.faults.clear();
  file.write(filled(SECTOR, 3), 0);
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.equal(contentOf(storage, 'a')[0], 2);
});

for (const reads of ['new', 'old'] as const) {
  test(`after a failed sync a retry succeeds, readers see ${reads} bytes, and the medium has the old`, () => {
    const storage = simStorage();
    const file = durableFile(storage, 'a', 16 * SECTOR, 1);
    storage.faults.readsAfterFailedSync = reads;
    storage.faults.failedSyncPersisted = 0;
    file.write(filled(16 * SECTOR, 2), 0);
    storage.faults.failNth('sync', storage.faults.count('sync'), 'STORAGE_IO');
    assert.throws(() => file.sync(), code('STORAGE_IO'));
    file.sync();
    const visible = reads === 'new' ? 2 : 1;
    assert.ok(bytesOf(file).every((byte) => byte === visible));
    // The cache survives the process, so a restarted broker may read bytes that the disk never had.
    storage.kill();
    assert.ok(contentOf(storage, 'a').every((byte) => byte === visible));
    const dropped = storage.clone(seededPrng(1));
    dropped.dropCache();
    assert.ok(contentOf(dropped, 'a').every((byte) => byte === 1));
    storage.crash(seededPrng(1), ALL_KEPT);
    assert.ok(contentOf(storage, 'a').every((byte) => byte === 1));
  });
}

test('a failed sync can persist some sectors, and readers can see a mixture of pages', () => {
  const onMedium = new Set<number>();
  let mixtures = 0;
  for (let seed = 0; seed < 20; seed += 1) {
    const storage = simStorage(seed);
    const file = durableFile(storage, 'a', 16 * PAGE, 1);
    file.write(filled(16 * PAGE, 2), 0);
    storage.faults.failNth('sync', storage.faults.count('sync'), 'STORAGE_IO');
    assert.throws(() => file.sync(), code('STORAGE_IO'));
    const seen = bytesOf(file).filter((byte) => byte === 2).length;
    storage.crash(seededPrng(seed), WORST_CRASH);
    const kept = contentOf(storage, 'a').filter((byte) => byte === 2).length;
    onMedium.add(kept);
    if (seen > kept && seen < 16 * PAGE) mixtures += 1;
  }
  assert.ok(onMedium.size > 10);
  assert.ok(mixtures > 15);
});

test('writing the lost bytes again and syncing makes them durable', () => {
  const storage = simStorage();
  const file = durableFile(storage, 'a', 4 * PAGE, 1);
  storage.faults.readsAfterFailedSync = 'new';
  file.write(filled(4 * PAGE, 2), 0);
  storage.faults.failNth('sync', storage.faults.count('sync'), 'STORAGE_IO');
  assert.throws(() => file.sync(), code('STORAGE_IO'));
  const bytes = bytesOf(file);
  file.write(bytes.subarray(0, 2 * PAGE), 0);
  file.sync();
  file.write(filled(SECTOR, 3), 3 * PAGE);
  file.sync();
  storage.crash(seededPrng(1), WORST_CRASH);
  const after = contentOf(storage, 'a');
  assert.ok(after.subarray(0, 2 * PAGE).every((byte) => byte === 2));
  assert.ok(after.subarray(3 * PAGE, 3 * PAGE + SECTOR).every((byte) => byte === 3));
});

test('a model of bytes agrees with the disk under random writes, syncs, write-back, kills and clones', () => {
  for (let seed = 0; seed < 30; seed += 1) {
    const prng = seededPrng(seed);
    let storage = simStorage(seed);
    storage.faults.writeBackChance = seed % 2 === 0 ? 0.2 : 0;
    let file = durableFile(storage, 'a', 20_000, 0);
    const cache = new Uint8Array(20_000);
    /** Every value a byte may have after power loss. */
    const possible = Array.from({ length: 20_000 }, () => new Set([0]));
    for (let step = 0; step < 60; step += 1) {
      const byteOffset = prng.integer(18_000);
      const length = 1 + prng.integer(2000);
      const value = prng.integer(4) === 0 ? 0 : 1 + prng.integer(255);
      file.write(filled(length, value), byteOffset);
      cache.fill(value, byteOffset, byteOffset + length);
      for (let index = byteOffset; index < byteOffset + length; index += 1)
        possible[index]?.add(value);
      if (prng.chance(0.1)) {
        file.sync();
        for (let index = 0; index < cache.length; index += 1)
          possible[index] = new Set([cache[index] as number]);
      }
      if (prng.chance(0.1)) {
        if (prng.chance(0.5)) storage = storage.clone(prng);
        else storage.kill();
        storage.dropCache();
        file = storage.open('a', false);
      }
      assert.equal(Buffer.compare(bytesOf(file), cache), 0);
    }
    storage.crash(prng);
    const bytes = contentOf(storage, 'a');
    for (let index = 0; index < bytes.length; index += 1) {
      assert.ok(possible[index]?.has(bytes[index] as number), `seed ${seed}, byte ${index}`);
    }
  }
});
