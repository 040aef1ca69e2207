/** `sluice inspect` on the directories of real brokers: whole, in use, damaged, and parts of them. */
import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ReadOnlyStorage } from '../../src/cli/read-only-storage.ts';
import type { Storage } from '../../src/log/storage.ts';
import {
  CliBroker,
  type CliResult,
  runCli,
  temporaryDirectory,
} from '../../src/testing/cli-run.ts';

type Value = Readonly<Record<string, unknown>>;

const directory = temporaryDirectory();
const shard = join(directory.path, 'shard-0');
const segment = join(shard, 'log-000000000000.seg');
const SEGMENT_BYTES = 1024 * 1024 * 8;

function inspect(path: string, ...args: string[]): Promise<CliResult> {
  return runCli(['inspect', path, '--json', ...args]);
}

const ofType = ({ values }: CliResult, type: string): Value[] =>
  values.filter((value) => value['type'] === type);
const dataOf = (result: CliResult): Value[] =>
  ofType(result, 'batch').filter(({ kind }) => kind === 'data');

/** Changes bytes of a file and gives back what was there. */
function overwrite(path: string, at: number, bytes: Uint8Array): Uint8Array {
  const before = readFileSync(path).subarray(at, at + bytes.length);
  const descriptor = openSync(path, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, at);
  closeSync(descriptor);
  return before;
}

before(async () => {
  const sizes = ['--segment-bytes', String(SEGMENT_BYTES), '--tail-bytes', '8m'];
  const broker = await CliBroker.start(['--data', directory.path, '--shards', '1', ...sizes]);
  const input = Array.from({ length: 50 }, (_, index) => `{"n":${index}}\n`).join('');
  await runCli(['produce', 'orders', '--producer-id', 'till-1', '--url', broker.ws], { input });
  const consume = ['consume', 'orders', '--group', 'billing', '--from', 'earliest', '--max', '20'];
  await runCli([...consume, '--url', broker.ws]);
  // While it runs, and changes nothing.
  const live = await inspect(directory.path, '--verify');
  assert.equal(live.code, 0, live.stdout);
  assert.equal(ofType(live, 'store')[0]?.['holderPid'], broker.child.pid);
  await broker.stop();
});

after(() => directory.remove());

describe('a whole store', () => {
  test('shows store, snapshots, checkpoint, batches and control records with their names', async () => {
    const result = await inspect(directory.path);
    assert.equal(result.code, 0, result.stderr);
    const [store] = ofType(result, 'store');
    assert.deepEqual(
      [store?.['format'], store?.['shards'], store?.['segmentBytes'], store?.['holderPid']],
      [1, 1, SEGMENT_BYTES, null],
    );
    assert.ok(ofType(result, 'snapshot').every(({ isIntact }) => isIntact === true));
    assert.equal(ofType(result, 'checkpoint').length, 1);
    const data = dataOf(result);
    const [first] = data;
    assert.deepEqual(
      [first?.['topic'], first?.['baseOffset'], first?.['checksumOk'], first?.['producer']],
      ['orders', 0, true, { id: 'till-1', epoch: 0, sequence: 1 }],
    );
    const count = data.reduce((sum, { recordCount }) => sum + Number(recordCount), 0);
    assert.equal(count, 50);
    const records = ofType(result, 'batch').flatMap((batch) => (batch['records'] ?? []) as Value[]);
    const settled = records.filter(({ type }) => type === 'settled');
    assert.equal(
      settled.reduce((sum, range) => sum + Number(range['count']), 0),
      20,
    );
    assert.ok(settled.every(({ group, topic }) => group === 'billing' && topic === 'orders'));
    assert.deepEqual(result.values.at(-1), {
      type: 'summary',
      batches: ofType(result, 'batch').length,
      messages: 50,
      damaged: 0,
    });
    const [log] = ofType(result, 'log');
    assert.equal(log?.['end'], log?.['flushed']);
  });

  test('is a line a batch for people', async () => {
    const { stdout } = await runCli(['inspect', directory.path]);
    assert.match(
      stdout,
      /\n +\d+ {2}data +[\d.]+ K?i?B {2}\S+Z {2}orders:\d+ {2}offset 0-49 {2}50 messages {2}by till-1 epoch 0 sequence 1\n/,
    );
    assert.match(stdout, /settled billing orders:\d offset \d+-\d+/);
    assert.match(stdout, /no damage\n$/);
  });

  test('--from, --max and one file show a part of it', async () => {
    const whole = ofType(await inspect(directory.path), 'batch');
    const third = whole[2];
    const part = await inspect(directory.path, '--from', String(third?.['position']), '--max', '2');
    assert.deepEqual(ofType(part, 'batch'), whole.slice(2, 4));
    assert.deepEqual(ofType(await inspect(segment), 'batch'), whole);
    assert.deepEqual(ofType(await inspect(shard), 'batch'), whole);
    const checkpoint = await inspect(join(shard, 'checkpoint'));
    assert.deepEqual(
      [ofType(checkpoint, 'checkpoint').length, ofType(checkpoint, 'batch').length],
      [1, 0],
    );
  });

  test('a shard directory of which nobody knows the shape is read all the same', async () => {
    const copy = temporaryDirectory();
    mkdirSync(join(copy.path, 'copied'));
    for (const name of readdirSync(shard))
      copyFileSync(join(shard, name), join(copy.path, 'copied', name));
    const result = await inspect(join(copy.path, 'copied'));
    assert.equal(
      dataOf(result).reduce((sum, { recordCount }) => sum + Number(recordCount), 0),
      50,
    );
    copy.remove();
  });

  test('is left as it was', async () => {
    const times = (): number[] =>
      readdirSync(shard).map((name) => statSync(join(shard, name)).mtimeMs);
    const before = times();
    await inspect(directory.path, '--verify');
    assert.deepEqual(times(), before);
    const storage: Storage = new ReadOnlyStorage(shard);
    const file = storage.open('checkpoint', false);
    for (const change of [
      () => file.write(new Uint8Array(1), 0),
      () => file.sync(),
      () => storage.remove('checkpoint'),
      () => storage.rename('checkpoint', 'other'),
      () => storage.syncDirectory(),
      () => storage.open('new', true),
    ])
      assert.throws(change, { code: 'INVARIANT' });
    file.close();
    assert.throws(() => storage.open('missing', false), { code: 'STORAGE_IO' });
  });
});

describe('a damaged store', () => {
  test('--verify says where, and exits with 1; the rest is still shown', async () => {
    const [victim] = dataOf(await inspect(directory.path));
    const position = Number(victim?.['position']);
    const before = overwrite(segment, position + 150, Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
    const verified = await inspect(directory.path, '--verify');
    assert.equal(verified.code, 1);
    const [damage] = ofType(verified, 'damage');
    assert.deepEqual(
      [damage?.['shard'], damage?.['from'], damage?.['to']],
      [0, position, position + Number(victim?.['bytes'])],
    );
    const shown = await inspect(directory.path);
    assert.equal(shown.code, 0);
    assert.deepEqual(
      ofType(shown, 'batch')
        .filter(({ checksumOk }) => checksumOk === false)
        .map((batch) => batch['position']),
      [position],
    );
    overwrite(segment, position + 150, before);
    assert.equal((await inspect(directory.path, '--verify')).code, 0);
  });

  test('damaged snapshots and checkpoints are named', async () => {
    const snapshot = readdirSync(shard).find((name) => name.endsWith('.snap')) ?? '';
    const beforeSnapshot = overwrite(join(shard, snapshot), 40, Uint8Array.of(0xff));
    const beforeCheckpoint = overwrite(join(shard, 'checkpoint'), 0, new Uint8Array(4600));
    const result = await inspect(directory.path, '--verify');
    assert.equal(result.code, 1);
    const damaged = result.values
      .filter(({ isIntact }) => isIntact === false)
      .map(({ file }) => file);
    assert.deepEqual(damaged.toSorted(), ['checkpoint', snapshot]);
    overwrite(join(shard, snapshot), 40, beforeSnapshot);
    overwrite(join(shard, 'checkpoint'), 0, beforeCheckpoint);
  });

  test('a missing segment is damage', async () => {
    const copy = temporaryDirectory();
    mkdirSync(join(copy.path, 'shard-0'));
    copyFileSync(join(directory.path, 'meta.json'), join(copy.path, 'meta.json'));
    for (const name of readdirSync(shard))
      copyFileSync(join(shard, name), join(copy.path, 'shard-0', name));
    unlinkSync(join(copy.path, 'shard-0', 'log-000000000000.seg'));
    const result = await inspect(copy.path, '--verify');
    assert.equal(result.code, 1);
    assert.equal(ofType(result, 'damage').length >= 1, true);
    copy.remove();
  });
});
