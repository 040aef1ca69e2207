/** The data directory: one broker at a time, taken over from a dead one; a shape that never changes; a version that is known. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { MIB } from '../../src/base/units.ts';
import { openDataDirectory } from '../../src/broker/data-directory.ts';
import { takeLock } from '../../src/broker/directory-lock.ts';
import { BrokerProcess } from '../../src/testing/e2e-broker.ts';

const SHAPE = { shards: 2, segmentBytes: 4 * MIB, chunkBytes: 2 * MIB };
const directories: string[] = [];

after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-directory-'));
  directories.push(directory);
  return directory;
}

/** What `action` throws. */
function refusal(action: () => unknown): SluiceError {
  try {
    action();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

test('a new directory gets its shape, and keeps it for those who do not ask', () => {
  const path = join(newDirectory(), 'made', 'with', 'parents');
  const made = openDataDirectory(path, { ...SHAPE, shards: undefined }, 3);
  assert.equal(made.shape.shards, 3);
  assert.ok(existsSync(made.shardPath(2)));
  made.release();
  const again = openDataDirectory(path, { ...SHAPE, shards: undefined }, 8);
  assert.deepEqual(again.shape, { ...SHAPE, shards: 3 });
  again.release();
});

const CHANGES = [
  { what: 'shards', wanted: { ...SHAPE, shards: 4 }, asked: 4, has: 2 },
  {
    what: 'segmentBytes',
    wanted: { ...SHAPE, segmentBytes: 8 * MIB },
    asked: 8 * MIB,
    has: 4 * MIB,
  },
  { what: 'tailBytes', wanted: { ...SHAPE, chunkBytes: MIB }, asked: MIB, has: 2 * MIB },
];

for (const { what, wanted, asked, has } of CHANGES) {
  test(`other ${what} than the store was made with are refused, both numbers named`, () => {
    const path = newDirectory();
    openDataDirectory(path, SHAPE, 1).release();
    const error = refusal(() => openDataDirectory(path, wanted, 1));
    assert.equal(error.code, 'INVALID_ARGUMENT');
    assert.match(error.message, new RegExp(`${what}.* ${asked} was asked for.*made with ${has}$`));
    assert.match(error.hint, new RegExp(`with ${has}`));
    openDataDirectory(path, SHAPE, 1).release();
  });
}

test('a format of another version is refused, and left as it is', () => {
  const path = newDirectory();
  const meta = JSON.stringify({ format: 7, ...SHAPE });
  writeFileSync(join(path, 'meta.json'), meta);
  const error = refusal(() => openDataDirectory(path, SHAPE, 1));
  assert.equal(error.code, 'UNSUPPORTED_VERSION');
  assert.match(error.message, /the format 7; this version reads 1/);
  assert.equal(readFileSync(join(path, 'meta.json'), 'utf8'), meta);
});

for (const [what, content] of [
  ['is cut off', '{"format":1,"sha'],
  ['is empty', ''],
  ['holds something else', '[]'],
  ['has a number missing', '{"format":1,"shards":2}'],
  ['has a number that cannot be', '{"format":1,"shards":-1,"segmentBytes":4194304,"chunkBytes":1}'],
] as const) {
  test(`a shape file that ${what} is refused by name, and nothing is guessed`, () => {
    const path = newDirectory();
    writeFileSync(join(path, 'meta.json'), content);
    const error = refusal(() => openDataDirectory(path, { ...SHAPE, shards: undefined }, 1));
    assert.equal(error.code, 'RECORD_CORRUPT');
    assert.match(error.message, /meta\.json/);
    assert.equal(readFileSync(join(path, 'meta.json'), 'utf8'), content);
    takeLock(path)();
  });
}

test('a path that is a file is refused by name', () => {
  const path = join(newDirectory(), 'file');
  writeFileSync(path, '');
  const error = refusal(() => openDataDirectory(path, SHAPE, 1));
  assert.equal(error.code, 'STORAGE_IO');
  assert.ok(error.message.includes(path));
});

test('a directory in use is refused with the holder, and free again after release', () => {
  const path = newDirectory();
  const first = openDataDirectory(path, SHAPE, 1);
  const error = refusal(() => openDataDirectory(path, SHAPE, 1));
  assert.equal(error.code, 'INVALID_ARGUMENT');
  assert.match(error.message, new RegExp(`in use by the broker with process id ${process.pid}`));
  first.release();
  openDataDirectory(path, SHAPE, 1).release();
});

test('a lock of a dead process, of a number given out anew, or half written is taken over', () => {
  const path = newDirectory();
  const lock = join(path, 'lock');
  const startedAt = (): unknown => JSON.parse(readFileSync(lock, 'utf8'));
  takeLock(path)();
  // No system gives out this number.
  for (const content of [
    JSON.stringify({ pid: 2 ** 30, startedAt: '' }),
    JSON.stringify({ pid: process.pid, startedAt: '1@another-boot' }),
    '',
    '{"pid":',
    'null',
    JSON.stringify({ pid: 0, startedAt: '' }),
    JSON.stringify({ pid: -1, startedAt: '' }),
  ]) {
    writeFileSync(lock, content);
    const release = takeLock(path);
    assert.equal((startedAt() as { pid: number }).pid, process.pid, content);
    release();
    assert.ok(!existsSync(lock));
  }
});

test('two processes: the second is refused with exit code 1, and comes in after a kill -9 of the first', async () => {
  const dataDir = newDirectory();
  const first = await BrokerProcess.start({ dataDir, settings: { shards: 1 } });
  try {
    const { ended, error } = await BrokerProcess.startRefused({ dataDir });
    assert.equal(ended.code, 1);
    assert.equal(error['code'], 'INVALID_ARGUMENT');
    assert.match(String(error['message']), new RegExp(`process id ${first.pid}$`));
    assert.ok(first.isRunning, 'the first one goes on');
    assert.equal((await fetch(`${first.http}/readyz`)).status, 200);
  } finally {
    await first.kill();
  }
  assert.ok(existsSync(join(dataDir, 'lock')), 'nobody was there to take it away');
  const second = await BrokerProcess.start({ dataDir });
  assert.equal((await second.stop()).code, 0);
  assert.ok(!existsSync(join(dataDir, 'lock')));
});
