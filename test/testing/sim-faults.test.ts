/** Each aimed or random fault, shown to hit what it was aimed at. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';
import { code, durableFile, filled, simStorage } from '../../src/testing/storage-probe.ts';

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

test('under ignoreSync a sync reports success and nothing is durable', () => {
  const storage = simStorage();
  storage.faults.ignoreSync = true;
  durableFile(storage, 'a', 1000, 1);
  storage.crash(seededPrng(1), WORST_CRASH);
  assert.deepEqual(storage.list(), []);
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
