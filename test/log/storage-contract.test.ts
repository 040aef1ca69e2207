/** One suite over every implementation of `Storage`: what the broker relies on, wherever the bytes are. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { MIB } from '../../src/base/units.ts';
import { FileStorage } from '../../src/log/file-storage.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import type { Storage, StorageFile } from '../../src/log/storage.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const folder = mkdtempSync(join(tmpdir(), 'storage-contract-'));
after(() => rmSync(folder, { recursive: true }));

let folderCount = 0;
const IMPLEMENTATIONS: Readonly<Record<string, () => Storage>> = {
  FileStorage: () => {
    folderCount += 1;
    return new FileStorage(join(folder, `data-${folderCount}`));
  },
  MemoryStorage: () => new MemoryStorage(64 * MIB),
  SimStorage: () => new SimStorage({ prng: seededPrng(1) }),
};

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof SluiceError && error.code === code;
}

function bytesOf(file: StorageFile): number[] {
  const target = new Uint8Array(file.size());
  assert.equal(file.read(target, 0), target.length);
  return [...target];
}

/** Bytes in which every position can be told from its neighbours. */
function pattern(length: number, seed: number): Uint8Array {
  const prng = seededPrng(seed);
  return Uint8Array.from({ length }, () => prng.integer(256));
}

for (const [name, create] of Object.entries(IMPLEMENTATIONS)) {
  describe(name, () => {
    test('a missing file is opened only with create', () => {
      const storage = create();
      assert.throws(() => storage.open('a', false), hasCode('STORAGE_IO'));
      assert.equal(storage.exists('a'), false);
      storage.open('a', true).close();
      assert.equal(storage.exists('a'), true);
      storage.open('a', false).close();
      assert.deepEqual(storage.list(), ['a']);
    });

    test('open with create keeps what is there', () => {
      const storage = create();
      const file = storage.open('a', true);
      file.write(Uint8Array.of(1, 2, 3), 0);
      file.close();
      assert.deepEqual(bytesOf(storage.open('a', true)), [1, 2, 3]);
    });

    test('a read ends at the end of the file', () => {
      const file = create().open('a', true);
      file.write(Uint8Array.of(1, 2, 3, 4, 5), 0);
      const target = new Uint8Array(4).fill(9);
      assert.equal(file.read(target, 3), 2);
      assert.deepEqual([...target], [4, 5, 9, 9]);
      assert.equal(file.read(target, 5), 0);
      assert.equal(file.read(target, 1_000_000), 0);
      assert.equal(file.read(new Uint8Array(0), 0), 0);
    });

    test('a write behind the end leaves a hole of zeros', () => {
      const file = create().open('a', true);
      file.write(Uint8Array.of(7), 200_000);
      assert.equal(file.size(), 200_001);
      const target = new Uint8Array(200_001).fill(9);
      assert.equal(file.read(target, 0), 200_001);
      assert.equal(target[200_000], 7);
      assert.ok(target.subarray(0, 200_000).every((byte) => byte === 0));
    });

    test('an empty write changes nothing', () => {
      const file = create().open('a', true);
      file.write(new Uint8Array(0), 100);
      assert.equal(file.size(), 0);
    });

    test('two handles of one name see each other at once', () => {
      const storage = create();
      const first = storage.open('a', true);
      const second = storage.open('a', false);
      first.write(Uint8Array.of(5, 6), 0);
      assert.deepEqual(bytesOf(second), [5, 6]);
      second.write(Uint8Array.of(8), 1);
      first.close();
      assert.deepEqual(bytesOf(second), [5, 8]);
    });

    test('writes at random places read back like an array', () => {
      const prng = seededPrng(42);
      const storage = create();
      const file = storage.open('a', true);
      let model = new Uint8Array(0);
      for (let step = 0; step < 200; step += 1) {
        const byteOffset = prng.integer(300_000);
        const source = pattern(1 + prng.integer(step % 10 === 0 ? 100_000 : 3000), step);
        if (step % 7 === 0) source.fill(0);
        file.write(source, byteOffset);
        if (byteOffset + source.length > model.length) {
          const longer = new Uint8Array(byteOffset + source.length);
          longer.set(model);
          model = longer;
        }
        model.set(source, byteOffset);
        if (step % 20 === 0) file.sync();
      }
      const target = new Uint8Array(model.length);
      assert.equal(file.size(), model.length);
      file.read(target, 0);
      assert.equal(Buffer.compare(target, model), 0);
    });

    test('views over shared memory are read and written in place', () => {
      const shared = new Uint8Array(new SharedArrayBuffer(20_000));
      shared.set(pattern(10_000, 3), 5000);
      const file = create().open('a', true);
      file.write(shared.subarray(5000, 15_000), 0);
      const target = new Uint8Array(new SharedArrayBuffer(10_000));
      assert.equal(file.read(target, 0), 10_000);
      assert.deepEqual([...target], [...pattern(10_000, 3)]);
    });

    test('the source may be changed after the write', () => {
      const file = create().open('a', true);
      const source = new Uint8Array(4096).fill(1);
      file.write(source, 0);
      source.fill(2);
      file.sync();
      assert.ok(bytesOf(file).every((byte) => byte === 1));
    });

    test('rename replaces, and open handles follow the bytes', () => {
      const storage = create();
      const old = storage.open('state', true);
      old.write(Uint8Array.of(1), 0);
      const next = storage.open('state.tmp', true);
      next.write(Uint8Array.of(2), 0);
      next.sync();
      storage.rename('state.tmp', 'state');
      storage.syncDirectory();
      assert.deepEqual(storage.list(), ['state']);
      assert.deepEqual(bytesOf(storage.open('state', false)), [2]);
      assert.deepEqual(bytesOf(old), [1]);
      assert.deepEqual(bytesOf(next), [2]);
      assert.throws(() => storage.rename('state.tmp', 'state'), hasCode('STORAGE_IO'));
    });

    test('a file renamed to its own name stays', () => {
      const storage = create();
      storage.open('a', true).write(Uint8Array.of(4), 0);
      storage.rename('a', 'a');
      assert.deepEqual(bytesOf(storage.open('a', false)), [4]);
    });

    test('a removed file is gone by name and readable by handle', () => {
      const storage = create();
      const file = storage.open('a', true);
      file.write(Uint8Array.of(3), 0);
      storage.remove('a');
      assert.equal(storage.exists('a'), false);
      assert.deepEqual(bytesOf(file), [3]);
      assert.throws(() => storage.remove('a'), hasCode('STORAGE_IO'));
      assert.equal(storage.open('a', true).size(), 0);
    });

    test('a name that could lead elsewhere is refused by every call', () => {
      const storage = create();
      storage.open('good', true).close();
      const names = [
        '',
        '.',
        '..',
        '../a',
        'a/b',
        'a\\b',
        '.a',
        '-a',
        'A',
        'ä',
        'a\0',
        'a b',
        'a'.repeat(128),
      ];
      for (const bad of names) {
        assert.throws(() => storage.open(bad, true), hasCode('INVALID_ARGUMENT'), bad);
        assert.throws(() => storage.exists(bad), hasCode('INVALID_ARGUMENT'), bad);
        assert.throws(() => storage.remove(bad), hasCode('INVALID_ARGUMENT'), bad);
        assert.throws(() => storage.rename(bad, 'a'), hasCode('INVALID_ARGUMENT'), bad);
        assert.throws(() => storage.rename('good', bad), hasCode('INVALID_ARGUMENT'), bad);
      }
      assert.deepEqual(storage.list(), ['good']);
      storage.open('a'.repeat(127), true).close();
    });

    test('a closed handle is a bug; closing twice is not', () => {
      const file = create().open('a', true);
      file.close();
      file.close();
      assert.throws(() => file.size(), hasCode('INVARIANT'));
      assert.throws(() => file.read(new Uint8Array(1), 0), hasCode('INVARIANT'));
      assert.throws(() => file.write(new Uint8Array(1), 0), hasCode('INVARIANT'));
      assert.throws(() => file.sync(), hasCode('INVARIANT'));
    });

    test('an offset that is no offset is a bug', () => {
      const file = create().open('a', true);
      for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
        assert.throws(() => file.read(new Uint8Array(1), bad), hasCode('INVARIANT'));
        assert.throws(() => file.write(new Uint8Array(1), bad), hasCode('INVARIANT'));
      }
    });

    test('space is what can still be written', () => {
      const { freeBytes, totalBytes } = create().space();
      assert.ok(freeBytes > 0);
      assert.ok(totalBytes >= freeBytes);
    });
  });
}
