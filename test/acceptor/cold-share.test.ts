/** Old messages while new ones flood in: a share of the flood, and no limit without one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ColdShare } from '../../src/acceptor/cold-share.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';

const READ_BYTES = 16_384;

/** Reads as much as it may for a second, while so many bytes come in. @returns bytes read */
function readFor(bytesPerMs: number): number {
  const clock = new SimClock();
  let bytesIn = 0;
  let read = 0;
  const share = new ColdShare(clock, () => bytesIn);
  for (let ms = 0; ms < 2000; ms += 1) {
    clock.advance(1);
    bytesIn += bytesPerMs;
    share.look();
    for (let reads = 0; reads < 100 && share.isOpen; reads += 1) {
      share.take(READ_BYTES);
      if (ms >= 1000) read += READ_BYTES;
    }
  }
  return read;
}

test('without a flood nothing is held back', () => {
  const most = 1000 * 100 * READ_BYTES;
  assert.equal(readFor(0), most);
  assert.equal(readFor(20_000), most);
});

test('a flood leaves a quarter of its own bytes to readers, never nothing', () => {
  for (const bytesPerMs of [100_000, 400_000]) {
    const read = readFor(bytesPerMs);
    const share = read / (1000 * bytesPerMs);
    assert.ok(share > 0.2 && share < 0.3, `${share}`);
  }
});
