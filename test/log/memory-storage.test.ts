import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { KIB } from '../../src/base/units.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';

const CHUNK = 64 * KIB;

function isFull(error: unknown): boolean {
  return error instanceof SluiceError && error.code === 'STORAGE_FULL';
}

test('a write beyond the capacity is STORAGE_FULL and the file holds what fitted', () => {
  const storage = new MemoryStorage(2 * CHUNK);
  const file = storage.open('a', true);
  assert.throws(() => file.write(new Uint8Array(3 * CHUNK).fill(1), 0), isFull);
  assert.equal(file.size(), 2 * CHUNK);
  assert.deepEqual(storage.space(), { freeBytes: 0, totalBytes: 2 * CHUNK });
  file.write(Uint8Array.of(2), 5);
  const target = new Uint8Array(3);
  file.read(target, 4);
  assert.deepEqual([...target], [1, 2, 1]);
});

test('holes cost nothing until they are written', () => {
  const storage = new MemoryStorage(2 * CHUNK);
  const file = storage.open('a', true);
  file.write(Uint8Array.of(1), 100 * CHUNK);
  assert.equal(storage.space().freeBytes, CHUNK);
  file.write(Uint8Array.of(1), 0);
  assert.throws(() => file.write(Uint8Array.of(1), 50 * CHUNK), isFull);
});

test('space comes back when the last name and the last handle are gone', () => {
  const storage = new MemoryStorage(4 * CHUNK);
  const file = storage.open('a', true);
  const other = storage.open('a', false);
  file.write(new Uint8Array(3 * CHUNK), 0);
  storage.remove('a');
  file.close();
  assert.equal(storage.space().freeBytes, CHUNK);
  other.close();
  other.close();
  assert.equal(storage.space().freeBytes, 4 * CHUNK);
});

test('a replaced file gives its space back', () => {
  const storage = new MemoryStorage(4 * CHUNK);
  for (const name of ['a', 'b']) {
    const file = storage.open(name, true);
    file.write(new Uint8Array(2 * CHUNK), 0);
    file.close();
  }
  assert.equal(storage.space().freeBytes, 0);
  storage.rename('a', 'b');
  assert.equal(storage.space().freeBytes, 2 * CHUNK);
});

test('a capacity that holds nothing is refused', () => {
  assert.throws(() => new MemoryStorage(CHUNK - 1), /capacityBytes is 65535/);
});
