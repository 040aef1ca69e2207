/** Each fault of the simulated disk, shown to do what it says: a test with a gentle disk proves nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { MIB } from '../../src/base/units.ts';
import type { Storage, StorageFile } from '../../src/log/storage.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { EVEN_CRASH, SimCrash, WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { SECTOR_BYTES } from '../../src/testing/sim-page.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SECTOR = SECTOR_BYTES;
const PAGE = 4096;
const ALL_KEPT = { sectorKept: 1, sectorTorn: 0, sizeKept: 1, namesKept: 1 } as const;

function simStorage(seed = 1, capacityBytes: number = 64 * MIB): SimStorage {
  return new SimStorage({ prng: seededPrng(seed), capacityBytes });
}

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

function bytesOf(file: StorageFile): Uint8Array {
  const target = new Uint8Array(file.size());
  file.read(target, 0);
  return target;
}

function contentOf(storage: Storage, name: string): Uint8Array {
  const file = storage.open(name, false);
  const bytes = bytesOf(file);
  file.close();
  return bytes;
}

/** A file whose name, size and bytes (all of one value) are durable. */
function durableFile(
  storage: SimStorage,
  name: string,
  length: number,
  value: number,
): StorageFile {
  const file = storage.open(name, true);
  file.write(filled(length, value), 0);
  file.sync();
  storage.syncDirectory();
  return file;
}

/** How a sector of value `old` looks after `fresh` was written over it and the power failed. */
function fateOf(
  sector: Uint8Array,
  old: number,
  fresh: number,
): 'kept' | 'dropped' | 'torn' | 'strange' {
  if (sector.every((byte) => byte === fresh)) return 'kept';
  if (sector.every((byte) => byte === old)) return 'dropped';
  let changes = 0;
  for (let index = 1; index < sector.length; index += 1) {
    if (sector[index] !== sector[index - 1]) changes += 1;
  }
  return changes === 1 && sector.every((byte) => byte === old || byte === fresh)
    ? 'torn'
    : 'strange';
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof SluiceError && error.code === expected;
}

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

test('the n-th call of a kind fails, once', () => {
  for (const operation of [
    'read',
    'write',
    'sync',
    'create',
    'rename',
    'remove',
    'syncDirectory',
  ] as const) {
    const storage = simStorage();
    durableFile(storage, 'a', 10, 1);
    const attempt = (round: number): void => {
      const file = storage.open('a', false);
      file.read(new Uint8Array(1), 0);
      file.write(Uint8Array.of(2), 0);
      file.sync();
      storage.open(`b${round}`, true);
      storage.rename(`b${round}`, `c${round}`);
      storage.remove(`c${round}`);
      storage.syncDirectory();
    };
    attempt(0);
    storage.faults.failNth(operation, storage.faults.count(operation) + 1, 'STORAGE_IO');
    attempt(1);
    assert.throws(() => attempt(2), code('STORAGE_IO'), operation);
    attempt(3);
  }
});

test('calls fail by chance, and not after clear', () => {
  const storage = simStorage();
  const file = durableFile(storage, 'a', 10, 1);
  storage.faults.errorChance.read = 0.3;
  let failures = 0;
  for (let round = 0; round < 200; round += 1) {
    try {
      file.read(new Uint8Array(1), 0);
    } catch (error) {
      assert.ok(code('STORAGE_IO')(error));
      failures += 1;
    }
  }
  assert.ok(failures > 30 && failures < 90, String(failures));
  storage.faults.clear();
  for (let round = 0; round < 200; round += 1) file.read(new Uint8Array(1), 0);
});

test('a failed write may leave a part', () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 20; seed += 1) {
    const storage = simStorage(seed);
    const file = storage.open('a', true);
    storage.faults.failNth('write', 0, 'STORAGE_IO');
    assert.throws(() => file.write(filled(10_000, 1), 0), code('STORAGE_IO'));
    lengths.add(file.size());
  }
  assert.ok(lengths.size > 15);
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

test('a failed directory sync forgets the changes: the retry succeeds and they are lost', () => {
  const storage = simStorage();
  storage.open('a', true).sync();
  storage.faults.failedSyncPersisted = 0;
  storage.faults.failNth('syncDirectory', 0, 'STORAGE_IO');
  assert.throws(() => storage.syncDirectory(), code('STORAGE_IO'));
  storage.syncDirectory();
  assert.deepEqual(storage.list(), ['a']);
  storage.crash(seededPrng(1), ALL_KEPT);
  assert.deepEqual(storage.list(), []);
});

test('under ignoreSync a sync reports success and nothing is durable', () => {
  const storage = simStorage();
  storage.faults.ignoreSync = true;
  durableFile(storage, 'a', 1000, 1);
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), []);
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

test('an injected full disk hits names too', () => {
  const storage = simStorage();
  storage.faults.failNth('create', 0, 'STORAGE_FULL');
  assert.throws(() => storage.open('a', true), code('STORAGE_FULL'));
  assert.deepEqual(storage.list(), []);
  storage.open('a', true);
  storage.faults.failNth('rename', 0, 'STORAGE_FULL');
  assert.throws(() => storage.rename('a', 'b'), code('STORAGE_FULL'));
  assert.deepEqual(storage.list(), ['a']);
});

test('a slow disk moves the clock', () => {
  const clock = new SimClock();
  const storage = new SimStorage({ prng: seededPrng(1), clock });
  const file = durableFile(storage, 'a', 10, 1);
  storage.faults.latencyMs.sync = 300;
  file.sync();
  file.sync();
  assert.equal(clock.monotonicMs(), 600);
  storage.faults.hiccupChance = 1;
  storage.faults.hiccupMs = 60_000;
  file.read(new Uint8Array(1), 0);
  assert.equal(clock.monotonicMs(), 60_600);
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
