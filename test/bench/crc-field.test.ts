import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from '../../src/base/crc32-native.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { CrcField } from '../../src/bench/crc-field.ts';

const prng = seededPrng(7);

/** Any bytes, with zeros where the field stands. */
function base(length: number, places: readonly number[], width: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, () => prng.integer(256));
  for (const place of places) bytes.fill(0, place, place + width);
  return bytes;
}

describe('a checksum after a field has changed', () => {
  it('is what reading everything again gives, for one place and for many', () => {
    for (const places of [[0], [13], [252], [0, 4, 100, 200], [1, 11, 21, 31, 41]]) {
      const bytes = base(256, places, 4);
      const view = new DataView(bytes.buffer);
      const field = new CrcField(bytes.length, places, 4);
      const before = crc32(bytes, 0, bytes.length);
      for (const value of [0, 1, 0xff, 0x8000_0000, 0xffff_ffff, prng.integer(2 ** 32)]) {
        for (const place of places) view.setUint32(place, value, true);
        assert.equal((before ^ field.delta(value)) >>> 0, crc32(bytes, 0, bytes.length));
      }
    }
  });

  it('is right for fields of two words', () => {
    const bytes = base(64, [24], 8);
    const view = new DataView(bytes.buffer);
    const field = new CrcField(bytes.length, [24], 8);
    const before = crc32(bytes, 0, bytes.length);
    for (let round = 0; round < 100; round += 1) {
      const [low, high] = [prng.integer(2 ** 32), prng.integer(2 ** 21)];
      view.setUint32(24, low, true);
      view.setUint32(28, high, true);
      assert.equal((before ^ field.delta(low, high)) >>> 0, crc32(bytes, 0, bytes.length));
    }
  });
});
