import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { FileStorage } from '../../src/log/file-storage.ts';

const folder = mkdtempSync(join(tmpdir(), 'file-storage-'));
after(() => rmSync(folder, { recursive: true }));

function caught(action: () => void): SluiceError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof SluiceError, String(error));
    return error;
  }
  assert.fail('nothing was thrown');
}

test('the directory is created with all its parents, for its owner only', () => {
  const storage = new FileStorage(join(folder, 'x/y/z'));
  storage.open('a', true).close();
  assert.equal(statSync(join(folder, 'x/y/z')).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, 'x/y/z/a')).mode & 0o777, 0o600);
  assert.equal(new FileStorage(join(folder, 'x/y/z')).exists('a'), true);
});

test('a file where the directory should be is refused', () => {
  writeFileSync(join(folder, 'plain'), '');
  assert.equal(caught(() => new FileStorage(join(folder, 'plain'))).code, 'STORAGE_IO');
  assert.equal(caught(() => new FileStorage(join(folder, 'plain/below'))).code, 'STORAGE_IO');
});

test('what is not a file of the broker is not listed and not opened', () => {
  const storage = new FileStorage(join(folder, 'foreign'));
  const outside = join(folder, 'outside');
  writeFileSync(outside, 'untouched');
  symlinkSync(outside, join(storage.location, 'link'));
  mkdirSync(join(storage.location, 'sub'));
  writeFileSync(join(storage.location, 'README.TXT'), '');
  storage.open('a', true).close();
  assert.deepEqual(storage.list(), ['a']);
  assert.equal(storage.exists('sub'), false);
  assert.equal(storage.exists('link'), false);
  const error = caught(() => storage.open('link', true));
  assert.equal(error.code, 'STORAGE_IO');
  assert.match(error.hint, /symbolic link/);
  assert.equal(caught(() => storage.open('sub', true)).code, 'STORAGE_IO');
  assert.equal(readFileSync(outside, 'utf8'), 'untouched');
});

test('bytes are in the file before the call returns, without a sync', () => {
  const storage = new FileStorage(join(folder, 'plain-bytes'));
  const file = storage.open('a', true);
  file.write(Buffer.from('hello'), 2);
  assert.equal(readFileSync(join(storage.location, 'a'), 'latin1'), '\0\0hello');
});

test('an error names call, path and reason, and keeps its cause', () => {
  const storage = new FileStorage(join(folder, 'gone'));
  rmSync(storage.location, { recursive: true });
  const error = caught(() => storage.open('a', true));
  assert.equal(error.code, 'STORAGE_IO');
  assert.equal(error.message, `open ${join(storage.location, 'a')}: ENOENT`);
  assert.deepEqual(error.facts, {
    operation: 'open',
    file: join(storage.location, 'a'),
    reason: 'ENOENT',
  });
  assert.ok(error.cause instanceof Error);
  assert.equal(caught(() => storage.list()).code, 'STORAGE_IO');
  assert.equal(caught(() => storage.space()).code, 'STORAGE_IO');
  assert.equal(caught(() => storage.syncDirectory()).code, 'STORAGE_IO');
});

test('a full disk is STORAGE_FULL with volume and bytes free', {
  skip: !existsSync('/dev/full'),
}, () => {
  // /dev/full answers every write with ENOSPC; the directory of its volume is /dev.
  const storage = new FileStorage('/dev');
  const error = caught(() => {
    const file = storage.open('full', false);
    try {
      file.write(new Uint8Array(10), 0);
    } finally {
      file.close();
    }
  });
  assert.equal(error.code, 'STORAGE_FULL');
  assert.equal(error.retryable, true);
  assert.equal(error.facts['volume'], '/dev');
  assert.equal(typeof error.facts['freeBytes'], 'number');
  assert.match(error.message, /write \/dev\/full: the volume of \/dev is full, \d+ bytes are free/);
});

test('a failed sync stays failed: the second one does not ask the kernel', {
  skip: !existsSync('/dev/full'),
}, () => {
  // fdatasync on a character device is EINVAL: a failure that a retry would report again, so the text tells them apart.
  const file = new FileStorage('/dev').open('full', false);
  try {
    const first = caught(() => file.sync());
    const second = caught(() => file.sync());
    assert.equal(first.code, 'STORAGE_IO');
    assert.equal(first.stored, 'unknown');
    assert.match(first.message, /EINVAL/);
    assert.equal(second.code, 'STORAGE_IO');
    assert.match(second.message, /an earlier sync failed/);
  } finally {
    file.close();
  }
});
