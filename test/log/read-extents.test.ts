/** Extents of the log read from segment files, neighbours with one call. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { segmentName } from '../../src/log/file-names.ts';
import { MemoryStorage } from '../../src/log/memory-storage.ts';
import { storageIoError } from '../../src/log/storage-rules.ts';
import { readExtents } from '../../src/log/stored-read.ts';

const SEGMENT_BYTES = 64;

function segments(...numbers: readonly number[]): MemoryStorage {
  const storage = new MemoryStorage(1024 * 1024);
  for (const number of numbers) {
    const file = storage.open(segmentName(number), true);
    file.write(new Uint8Array(SEGMENT_BYTES).fill(number + 1), 0);
    file.close();
  }
  return storage;
}

test('neighbours on both sides of the end of a segment are read from the file of each', () => {
  const extents = [
    { position: 32, bytes: 16 },
    { position: 48, bytes: 16 },
    { position: 64, bytes: 16 },
    { position: 80, bytes: 16 },
  ];
  const bytes = new Uint8Array(64);
  assert.ok(readExtents(segments(0, 1), extents, SEGMENT_BYTES, bytes).every((one) => !one));
  assert.deepEqual([...bytes], [...Array(32).fill(1), ...Array(32).fill(2)]);
  // Retention has let the first go: what is behind it is there.
  const failures = readExtents(segments(1), extents, SEGMENT_BYTES, bytes.fill(0));
  assert.deepEqual(
    failures.map((one) => one?.code),
    ['MESSAGE_NOT_FOUND', 'MESSAGE_NOT_FOUND', undefined, undefined],
  );
  assert.deepEqual([...bytes], [...Array(32).fill(0), ...Array(32).fill(2)]);
});

test('a read that fails leaves no file open', () => {
  const storage = segments(0);
  const open = storage.open.bind(storage);
  let opened = 0;
  storage.open = (name, create) => {
    const file = open(name, create);
    const close = file.close.bind(file);
    opened += 1;
    file.close = (): void => {
      opened -= 1;
      close();
    };
    file.read = (): never => {
      throw storageIoError('read', name, 'EIO');
    };
    return file;
  };
  const extents = [{ position: 0, bytes: 16 }];
  assert.throws(() => readExtents(storage, extents, SEGMENT_BYTES, new Uint8Array(16)));
  assert.equal(opened, 0);
});
