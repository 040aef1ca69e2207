import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  boolean,
  bytes,
  bytesPowerOfTwo,
  choice,
  durationHours,
  durationMs,
  formatBytes,
  formatDuration,
  integer,
  type Kind,
  list,
  ratio,
} from '../../src/config/setting-kinds.ts';
import { address, host, name, origin, path, token } from '../../src/config/text-kinds.ts';

const REFUSED = 'refused';

/** What comes out for each way of writing. */
function assertRead<Value>(kind: Kind<Value>, expected: readonly [unknown, unknown][]): void {
  for (const [written, value] of expected) {
    const read = kind.schema.safeParse(written);
    assert.deepEqual(read.success ? read.data : REFUSED, value, JSON.stringify(written));
  }
}

describe('a kind of setting', () => {
  it('reads sizes as numbers and with units, powers of 1024', () => {
    assertRead(bytes(1, 1024 ** 3), [
      [4096, 4096],
      ['4096', 4096],
      ['16k', 16_384],
      ['64 KiB', 65_536],
      ['1.5m', 1_572_864],
      ['1GiB', 1_073_741_824],
      ['0', REFUSED],
      ['2g', REFUSED],
      ['0.3b', REFUSED],
      // Is a thousand or 1024 meant? Not ours to guess.
      ['64MB', REFUSED],
      ['', REFUSED],
      ['-1k', REFUSED],
      [true, REFUSED],
      [null, REFUSED],
      ['1constructor', REFUSED],
    ]);
  });

  it('takes only powers of two where it must', () => {
    assertRead(bytesPowerOfTwo(1024, 65_536), [
      ['4k', 4096],
      [5000, REFUSED],
      ['512', REFUSED],
    ]);
  });

  it('reads durations as milliseconds and with units', () => {
    assertRead(durationMs(1, 86_400_000), [
      [500, 500],
      ['500', 500],
      ['500ms', 500],
      ['0.5s', 500],
      ['3h', 10_800_000],
      ['1D', 86_400_000],
      ['2d', REFUSED],
      ['0.1ms', REFUSED],
      ['5 weeks', REFUSED],
    ]);
    assertRead(durationHours(1, 100), [
      [72, 72],
      ['72', 72],
      ['3d', 72],
      ['30m', REFUSED],
    ]);
  });

  it('reads numbers, also from text', () => {
    assertRead(integer('', -5, 70), [
      ['-5', -5],
      [70, 70],
      ['71', REFUSED],
      ['6.5', REFUSED],
      ['0x10', REFUSED],
      ['', REFUSED],
      [Number.NaN, REFUSED],
    ]);
    assertRead(ratio(0.1, 0.9), [
      ['0.85', 0.85],
      [1, REFUSED],
    ]);
  });

  it('reads true and false in any case, and nothing like them', () => {
    assertRead(boolean(), [
      ['TRUE', true],
      [false, false],
      ['yes', REFUSED],
      [1, REFUSED],
    ]);
  });

  it('reads one of its words or another spelling', () => {
    assertRead(choice(['SYNC_FLUSH', 'ASYNC_FLUSH'], { sync: 'SYNC_FLUSH' }), [
      ['sync_flush', 'SYNC_FLUSH'],
      ['Sync', 'SYNC_FLUSH'],
      ['constructor', REFUSED],
      [0, REFUSED],
    ]);
  });

  it('reads lists from lists and from text', () => {
    assertRead(list(durationMs(1, 60_000), 1, 3), [
      ['1s,5s', [1000, 5000]],
      ['1s 5s', [1000, 5000]],
      [
        [250, '1s'],
        [250, 1000],
      ],
      [500, [500]],
      ['', REFUSED],
      ['1,2,3,4', REFUSED],
      ['1s,x', REFUSED],
    ]);
  });

  it('writes what it would read', () => {
    assert.equal(formatBytes(67_108_864), '64MiB');
    assert.equal(formatBytes(1000), '1000');
    assert.equal(formatDuration(90_000), '90s');
    assert.equal(formatDuration(0), '0');
    assert.equal(list(durationMs(1, 60_000), 1, 3).format([1000, 60_000]), '1s,1m');
  });

  it('knows addresses, hosts, origins, names, paths and tokens', () => {
    assertRead(address, [
      ['::1', '::1'],
      ['0.0.0.0', '0.0.0.0'],
      [' broker.example ', 'broker.example'],
      ['127.0.0.1:80', REFUSED],
      ['a b', REFUSED],
    ]);
    assertRead(host, [
      ['mq.example:8880', 'mq.example:8880'],
      ['[::1]:8880', '[::1]:8880'],
      ['MQ.example', REFUSED],
      ['http://mq', REFUSED],
    ]);
    assertRead(origin, [
      ['https://shop.example', 'https://shop.example'],
      ['http://localhost:3000', 'http://localhost:3000'],
      ['*', '*'],
      ['null', 'null'],
      ['https://shop.example/', REFUSED],
      ['https://shop.example:443', REFUSED],
      ['https://Shop.example', REFUSED],
      ['https://*.example', REFUSED],
    ]);
    assertRead(name, [
      ['broker-a', 'broker-a'],
      ['../a', REFUSED],
    ]);
    assertRead(path, [
      ['./data', './data'],
      ['', REFUSED],
      ['a\0b', REFUSED],
    ]);
    assertRead(token, [
      ['0123456789abcdef\n', '0123456789abcdef'],
      ['short', REFUSED],
      ['0123456789 abcdef', REFUSED],
    ]);
  });
});
