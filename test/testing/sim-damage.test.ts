import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { SECTOR_BYTES } from '../../src/testing/sim-page.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const LENGTH = 10 * SECTOR_BYTES + 100;

/** A synced file whose sectors differ, and its bytes. */
function createFile(storage: SimStorage, name: string): Uint8Array {
  const bytes = Uint8Array.from(
    { length: LENGTH },
    (_, index) => 1 + Math.floor(index / SECTOR_BYTES),
  );
  const file = storage.open(name, true);
  file.write(bytes, 0);
  file.sync();
  file.close();
  storage.syncDirectory();
  return bytes;
}

function contentOf(storage: SimStorage, name: string): Uint8Array {
  const file = storage.open(name, false);
  const target = new Uint8Array(file.size());
  file.read(target, 0);
  file.close();
  return target;
}

function differences(a: Uint8Array, b: Uint8Array): number[] {
  return [...a.keys()].filter((index) => a[index] !== b[index]);
}

test('a flipped bit changes that bit only, and survives power loss', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  const bytes = createFile(storage, 'a');
  storage.damage.flipBit('a', 5000, 3);
  const after = contentOf(storage, 'a');
  assert.deepEqual(differences(bytes, after), [5000]);
  assert.equal((after[5000] as number) ^ (bytes[5000] as number), 8);
  storage.crash(seededPrng(1));
  assert.deepEqual(contentOf(storage, 'a'), after);
  storage.damage.flipBit('a', 5000, 3);
  assert.deepEqual(contentOf(storage, 'a'), bytes);
});

test('damage to bytes that are not yet synced shows as well', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  const file = storage.open('a', true);
  file.write(new Uint8Array(100), 0);
  storage.damage.flipBit('a', 50, 7);
  assert.deepEqual(differences(new Uint8Array(100), contentOf(storage, 'a')), [50]);
  file.sync();
  assert.deepEqual(differences(new Uint8Array(100), contentOf(storage, 'a')), [50]);
});

test('a zeroed sector is zero and its neighbours are not', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  const bytes = createFile(storage, 'a');
  storage.damage.zeroSector('a', 3);
  const after = contentOf(storage, 'a');
  assert.equal(differences(bytes, after).length, SECTOR_BYTES);
  assert.ok(after.subarray(3 * SECTOR_BYTES, 4 * SECTOR_BYTES).every((byte) => byte === 0));
  storage.damage.zeroSector('a', 10);
  assert.equal(contentOf(storage, 'a').length, LENGTH);
});

test('a misdirected sector lies in two places', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  createFile(storage, 'a');
  storage.damage.misdirectSector('a', 2, 7);
  const after = contentOf(storage, 'a');
  const sectors = Array.from({ length: 10 }, (_, sector) => after[sector * SECTOR_BYTES]);
  assert.deepEqual(sectors, [1, 2, 3, 4, 5, 6, 7, 3, 9, 10]);
});

test('a truncated file ends early and reads as zeros when it grows again', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  createFile(storage, 'a');
  storage.open('a', false).write(new Uint8Array(10).fill(99), 1500);
  storage.damage.truncate('a', 1000);
  assert.equal(contentOf(storage, 'a').length, 1000);
  storage.open('a', false).write(Uint8Array.of(1), 3000);
  assert.ok(
    contentOf(storage, 'a')
      .subarray(1000, 3000)
      .every((byte) => byte === 0),
  );
});

test('swapped files lie under each other’s names, for good', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  createFile(storage, 'a');
  const file = storage.open('b', true);
  file.write(Uint8Array.of(42), 0);
  file.sync();
  storage.syncDirectory();
  storage.damage.swap('a', 'b');
  assert.deepEqual([...contentOf(storage, 'a')], [42]);
  storage.crash(seededPrng(1));
  assert.deepEqual([...contentOf(storage, 'a')], [42]);
  assert.equal(contentOf(storage, 'b').length, LENGTH);
});

test('random damage stays within what it reports, and knows every kind', () => {
  const prng = seededPrng(7);
  const kinds = new Set<string>();
  for (let round = 0; round < 200; round += 1) {
    const storage = new SimStorage({ prng });
    const bytes = createFile(storage, 'a');
    const report = storage.damage.random(prng, 'a');
    kinds.add(report.kind);
    const after = contentOf(storage, 'a');
    const end = report.byteOffset + report.byteCount;
    for (const index of differences(bytes, after)) {
      assert.ok(index >= report.byteOffset && index < end, `${report.kind} at ${index}`);
    }
    if (report.kind === 'truncate') assert.equal(after.length, report.byteOffset);
    else assert.equal(after.length, bytes.length);
    if (report.kind === 'flip') assert.equal(differences(bytes, after).length, 1);
  }
  assert.deepEqual([...kinds].sort(), ['flip', 'misdirected-sector', 'truncate', 'zero-sector']);
});
