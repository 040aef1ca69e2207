/** What power loss and failed syncs do to names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { EVEN_CRASH, SimCrash, WORST_CRASH } from '../../src/testing/sim-faults.ts';
import {
  code,
  contentOf,
  durableFile,
  filled,
  simStorage,
} from '../../src/testing/storage-probe.ts';

test('creations, renames and removals may each be lost until the directory is synced', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 80; seed += 1) {
    const storage = simStorage(seed);
    durableFile(storage, 'old', 10, 1).close();
    durableFile(storage, 'victim', 10, 2).close();
    const created = storage.open('new', true);
    created.write(filled(10, 3), 0);
    created.sync();
    storage.rename('old', 'moved');
    storage.remove('victim');
    assert.equal(storage.atRisk().namesAtRisk, 3);
    storage.crash(seededPrng(seed), EVEN_CRASH);
    outcomes.add(storage.list().sort().join(' '));
  }
  assert.equal(outcomes.size, 8, 'each of three changes is kept or lost by itself');
  const storage = simStorage();
  storage.open('a', true).sync();
  storage.syncDirectory();
  storage.rename('a', 'b');
  storage.syncDirectory();
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), ['b']);
});

test('a lost rename over a file brings the replaced one back', () => {
  const storage = simStorage();
  durableFile(storage, 'state', 10, 1);
  const next = storage.open('state-tmp', true);
  next.write(filled(10, 2), 0);
  next.sync();
  storage.rename('state-tmp', 'state');
  assert.equal(contentOf(storage, 'state')[0], 2);
  const kept = storage.clone(seededPrng(1));
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), ['state']);
  assert.equal(contentOf(storage, 'state')[0], 1);
  kept.crash(seededPrng(1), { ...WORST_CRASH, namesKept: 1 });
  assert.deepEqual(kept.list(), ['state']);
  assert.equal(contentOf(kept, 'state')[0], 2);
});

test('a temp file renamed without its own sync is empty after power loss, directory synced or not', () => {
  const storage = simStorage();
  durableFile(storage, 'state', 10, 1);
  storage.open('state-tmp', true).write(filled(10, 2), 0);
  storage.rename('state-tmp', 'state');
  storage.syncDirectory();
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), ['state']);
  assert.equal(contentOf(storage, 'state').length, 0);
});

test('a crash in the middle of a change of a name is that it happened or not', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 20; seed += 1) {
    const storage = simStorage(seed);
    storage.open('a', true);
    storage.faults.crashAt(1, 'middle');
    assert.throws(() => storage.rename('a', 'b'), SimCrash);
    storage.kill();
    outcomes.add(storage.list().join(' '));
  }
  assert.deepEqual([...outcomes].sort(), ['a', 'b']);
});

test('a crash in the middle of a directory sync leaves some names, never an older one over a newer', () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 200; seed += 1) {
    const storage = simStorage(seed);
    for (const value of [1, 2]) {
      const file = storage.open('tmp', true);
      file.write(filled(10, value), 0);
      file.sync();
      file.close();
      storage.rename('tmp', 'state');
    }
    storage.faults.crashAt(storage.faults.boundary, 'middle');
    assert.throws(() => storage.syncDirectory(), SimCrash);
    storage.kill();
    // After a kill, what still waits goes with the next sync: the newest wins.
    storage.syncDirectory();
    storage.crash(seededPrng(seed), WORST_CRASH);
    outcomes.add(
      storage
        .list()
        .map((name) => `${name}=${contentOf(storage, name)[0]}`)
        .join(' '),
    );
  }
  assert.deepEqual([...outcomes], ['state=2']);
});

test('what a failed directory sync did not bring to the disk is not brought by the next', () => {
  const storage = simStorage();
  storage.open('a', true).sync();
  storage.faults.failedSyncPersisted = 0;
  storage.faults.failNth('syncDirectory', 0, 'STORAGE_IO');
  assert.throws(() => storage.syncDirectory(), code('STORAGE_IO'));
  assert.deepEqual(storage.list(), ['a']);
  storage.open('b', true).sync();
  storage.syncDirectory();
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), ['b']);
});

test('only what a process before it has left waits for the next', () => {
  const storage = simStorage();
  storage.open('a', true).sync();
  storage.kill();
  storage.open('b', true).sync();
  storage.faults.failedSyncPersisted = 0;
  storage.faults.failNth('syncDirectory', 0, 'STORAGE_IO');
  assert.throws(() => storage.syncDirectory(), code('STORAGE_IO'));
  storage.syncDirectory();
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), ['a']);
});
