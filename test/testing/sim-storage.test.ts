/** Crashes at every boundary, space, and clones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import type { Storage } from '../../src/log/storage.ts';
import { SimCrash, WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { SECTOR_BYTES } from '../../src/testing/sim-page.ts';
import {
  code,
  contentOf,
  durableFile,
  filled,
  simStorage,
} from '../../src/testing/storage-probe.ts';

const SECTOR = SECTOR_BYTES;
const PAGE = 4096;

test('a process crash loses nothing and closes every handle', () => {
  const storage = simStorage();
  const file = storage.open('a', true);
  file.write(filled(5000, 4), 0);
  storage.kill();
  assert.throws(() => file.read(new Uint8Array(1), 0), SimCrash);
  assert.throws(() => file.write(new Uint8Array(1), 0), SimCrash);
  file.close();
  assert.ok(contentOf(storage, 'a').every((byte) => byte === 4));
  assert.deepEqual(storage.atRisk(), { sectorsAtRisk: 10, namesAtRisk: 1 });
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), []);
});

/** A script with one call of every kind. */
function script(storage: Storage): void {
  const file = storage.open('tmp', true);
  file.write(filled(3 * SECTOR, 1), 0);
  file.sync();
  file.close();
  storage.rename('tmp', 'log');
  storage.syncDirectory();
  const log = storage.open('log', false);
  log.write(filled(SECTOR, 2), SECTOR);
  log.sync();
  storage.remove('log');
  storage.syncDirectory();
}

test('every change of the disk is a boundary, and crashAt stops exactly there', () => {
  const storage = simStorage();
  const seen: string[] = [];
  storage.faults.onBoundary = (boundary, operation, name) =>
    seen.push(`${boundary} ${operation} ${name}`);
  script(storage);
  assert.deepEqual(seen, [
    '0 create tmp',
    '1 write tmp',
    '2 sync tmp',
    '3 rename tmp',
    '4 syncDirectory ',
    '5 write log',
    '6 sync log',
    '7 remove log',
    '8 syncDirectory ',
  ]);
  for (let boundary = 0; boundary < seen.length; boundary += 1) {
    const crashed = simStorage();
    crashed.faults.crashAt(boundary, 'before');
    assert.throws(() => script(crashed), SimCrash);
    assert.equal(crashed.faults.boundary, boundary + 1);
    assert.throws(() => crashed.list(), SimCrash, 'down until it is restarted');
    assert.throws(() => crashed.open('other', true), SimCrash);
    crashed.kill();
    const expected = boundary === 0 || boundary === 8 ? [] : boundary < 4 ? ['tmp'] : ['log'];
    assert.deepEqual(crashed.list(), expected, `boundary ${boundary}`);
    if (boundary === 1) assert.equal(contentOf(crashed, 'tmp').length, 0);
    if (boundary === 5) assert.equal(contentOf(crashed, 'log')[SECTOR], 1);
    if (boundary === 6) assert.equal(contentOf(crashed, 'log')[SECTOR], 2);
  }
});

test('a crash in the middle of a write leaves a part of it', () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 20; seed += 1) {
    const storage = simStorage(seed);
    const file = storage.open('a', true);
    storage.faults.crashAt(1, 'middle');
    assert.throws(() => file.write(filled(10_000, 1), 0), SimCrash);
    storage.kill();
    lengths.add(contentOf(storage, 'a').length);
  }
  assert.ok(lengths.size > 15);
});

test('a crash in the middle of a sync leaves some sectors on the medium', () => {
  const counts = new Set<number>();
  for (let seed = 0; seed < 20; seed += 1) {
    const storage = simStorage(seed);
    const file = durableFile(storage, 'a', 64 * SECTOR, 1);
    file.write(filled(64 * SECTOR, 2), 0);
    storage.faults.crashAt(storage.faults.boundary, 'middle');
    assert.throws(() => file.sync(), SimCrash);
    storage.crash(seededPrng(seed), WORST_CRASH);
    counts.add(contentOf(storage, 'a').filter((byte) => byte === 2).length / SECTOR);
  }
  assert.ok([...counts].every(Number.isInteger));
  assert.ok(counts.size > 10);
});

test('a full disk takes a part of a write, then refuses; overwriting goes on', () => {
  const storage = simStorage(1, 4 * PAGE);
  const file = storage.open('a', true);
  assert.throws(() => file.write(filled(6 * PAGE, 1), 100), code('STORAGE_FULL'));
  assert.equal(file.size(), 4 * PAGE);
  assert.deepEqual(storage.space(), { freeBytes: 0, totalBytes: 4 * PAGE });
  file.write(filled(4 * PAGE, 2), 0);
  assert.throws(() => file.write(filled(1, 1), 4 * PAGE), code('STORAGE_FULL'));
  storage.setCapacity(5 * PAGE);
  file.write(filled(1, 1), 4 * PAGE);
});

test('a sparse file fails at its first write on a full disk, a preallocated one does not', () => {
  const storage = simStorage(1, 8 * PAGE);
  const sparse = storage.open('sparse', true);
  sparse.write(Uint8Array.of(0), 6 * PAGE);
  const allocated = storage.open('allocated', true);
  allocated.write(filled(7 * PAGE, 0), 0);
  assert.equal(storage.space().freeBytes, 0);
  assert.throws(() => sparse.write(Uint8Array.of(1), 0), code('STORAGE_FULL'));
  allocated.write(filled(7 * PAGE, 1), 0);
});

test('space comes back when a file is gone, by removal, replacement or power loss', () => {
  const storage = simStorage(1, 10 * PAGE);
  const file = durableFile(storage, 'a', 2 * PAGE, 1);
  durableFile(storage, 'b', 3 * PAGE, 1).close();
  storage.remove('a');
  assert.equal(storage.space().freeBytes, 5 * PAGE, 'an open handle holds it');
  file.close();
  assert.equal(storage.space().freeBytes, 7 * PAGE);
  storage.open('c', true).write(filled(PAGE, 1), 0);
  storage.rename('c', 'b');
  assert.equal(storage.space().freeBytes, 9 * PAGE);
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list().sort(), ['a', 'b']);
  assert.equal(storage.space().freeBytes, 5 * PAGE);
  storage.open('b', false).write(filled(4 * PAGE, 1), 3 * PAGE);
  assert.equal(storage.space().freeBytes, PAGE);
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.equal(storage.space().freeBytes, 5 * PAGE);
});

test('clones have separate futures and share no writable page', () => {
  const storage = simStorage();
  const file = durableFile(storage, 'a', 4 * PAGE, 1);
  file.write(filled(PAGE, 2), PAGE);
  const clone = storage.clone(seededPrng(2));
  assert.deepEqual(clone.atRisk(), storage.atRisk());
  clone.open('a', false).write(filled(4 * PAGE, 9), 0);
  clone.damage.flipBit('a', 0, 0);
  clone.open('extra', true);
  file.write(filled(PAGE, 3), 2 * PAGE);
  const expected = [1, 2, 3, 1];
  assert.deepEqual(
    expected,
    [0, 1, 2, 3].map((page) => contentOf(storage, 'a')[page * PAGE]),
  );
  assert.deepEqual(storage.list(), ['a']);
  file.sync();
  clone.crash(seededPrng(1), WORST_CRASH);
  assert.ok(
    contentOf(clone, 'a')
      .subarray(1)
      .every((byte) => byte === 1),
  );
  assert.deepEqual(
    expected,
    [0, 1, 2, 3].map((page) => contentOf(storage, 'a')[page * PAGE]),
  );
});
