/**
 * A log at rest is damaged in one place, recovered, and read: nothing damaged is ever served, no undamaged record is lost,
 * what follows is not cut, and the damage is reported. Every byte of headers, and a sample of everything else;
 * `FLIPS=all npm test -- simulation/bit-flips --test-timeout=36000000` turns over every bit, one after another.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { BATCH_HEADER_BYTES, STORED_HEADER_BYTES } from '../../src/protocol/batch/batch-layout.ts';
import type { SimDamage } from '../../src/testing/sim-damage.ts';
import { SECTOR_BYTES } from '../../src/testing/sim-page.ts';
import { type RotFinding, RottenLog } from '../../src/testing/sim-rotten-log.ts';

const IS_EXHAUSTIVE: boolean = process.env['FLIPS'] === 'all';
const SAMPLE = 500;
const BITS = 8;

const log = new RottenLog();
const segments = log.files.filter((name) => name.endsWith('.seg'));
const derived = log.files.filter((name) => !name.endsWith('.seg'));
const end: number = Math.max(...log.batches.map(({ position, bytes }) => position + bytes));

function check(text: string, change: (damage: SimDamage) => void): RotFinding {
  try {
    return log.check(change);
  } catch (error) {
    assert.fail(`${text}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function flip(position: number, bit: number): RotFinding {
  const [name, byteOffset] = log.placeOf(position);
  return check(`bit ${bit} of position ${position}`, (damage) =>
    damage.flipBit(name, byteOffset, bit),
  );
}

function sectorsOf(name: string): number[] {
  const count = Math.ceil(log.sizeOf(name) / SECTOR_BYTES);
  return Array.from({ length: count }, (_, sector) => sector);
}

describe('damage to a log at rest', () => {
  test('the log has all there is: sealed segments, a tail, snapshots, an index, a checkpoint', () => {
    const kinds = new Set(log.batches.map(({ kind }) => kind));
    assert.deepEqual(kinds, new Set(['data', 'control', 'padding']));
    assert.ok(segments.length >= 4 && log.recordCount > 50);
    const endings = derived.map((name) => name.replace(/.*\./, '')).sort();
    assert.deepEqual(new Set(endings), new Set(['checkpoint', 'idx', 'snap']));
    assert.equal(endings.filter((ending) => ending === 'snap').length, 2);
    assert.equal(check('nothing', () => {}).isReported, false);
  });

  test('a bit anywhere', (context) => {
    const prng = seededPrng(20_261);
    let missing = 0;
    for (let round = 0; round < SAMPLE; round += 1)
      missing += flip(prng.integer(end), prng.integer(BITS)).missing;
    assert.ok(missing > SAMPLE / 2, 'most flips hit a record');
    context.diagnostic(`${SAMPLE} flips in ${end} bytes, ${missing} records not served`);
  });

  test('each byte of the headers of a batch of each kind, in a sealed segment and in the tail', () => {
    for (const kind of ['data', 'control', 'padding'] as const) {
      const ofKind = log.batches.filter((batch) => batch.kind === kind);
      const headerBytes = STORED_HEADER_BYTES + (kind === 'data' ? BATCH_HEADER_BYTES : 0);
      for (const batch of new Set([ofKind[0], ofKind.at(-1)]))
        for (let at = 0; at < headerBytes && batch !== undefined; at += 1) {
          const finding = flip(batch.position + at, at % BITS);
          assert.equal(finding.damagedBatches, 1);
          assert.ok(finding.missing <= batch.recordCount);
        }
    }
  });

  test('each sector, forgotten by the medium', () => {
    for (const name of segments)
      for (const sector of sectorsOf(name))
        check(`zeros in sector ${sector} of ${name}`, (damage) => damage.zeroSector(name, sector));
  });

  test('each sector, overwritten by another one', () => {
    for (const name of segments)
      for (const sector of sectorsOf(name)) {
        const from = (sector + 7) % sectorsOf(name).length;
        check(`sector ${from} over ${sector} of ${name}`, (damage) =>
          damage.misdirectSector(name, from, sector),
        );
      }
  });

  test('each segment, cut short', () => {
    for (const name of segments)
      for (let size = 0; size < log.sizeOf(name); size += 1500)
        check(`${name} ends at ${size}`, (damage) => damage.truncate(name, size));
  });

  test('two segments under each other’s name', () => {
    segments.slice(1).forEach((name, index) => {
      const before = segments[index] as string;
      check(`${before} and ${name}`, (damage) => damage.swap(before, name));
    });
  });

  test('a file that only repeats what the log says: nothing is missing', () => {
    const prng = seededPrng(7);
    const intact = (text: string, change: (damage: SimDamage) => void): void =>
      assert.deepEqual([check(text, change).missing, text], [0, text]);
    for (const name of derived) {
      const size = log.sizeOf(name);
      const places = Array.from({ length: 40 }, () => prng.integer(size));
      for (const at of new Set([...Array(32).keys(), ...places]))
        intact(`a bit of byte ${at} of ${name}`, (damage) =>
          damage.flipBit(name, at, prng.integer(BITS)),
        );
      for (const sector of sectorsOf(name))
        intact(`zeros in sector ${sector} of ${name}`, (damage) => damage.zeroSector(name, sector));
      for (const cut of [0, 7, size >>> 1, size - 1])
        intact(`${name} ends at ${cut}`, (damage) => damage.truncate(name, cut));
    }
  });
});

describe('every bit of a log, one after another', { skip: !IS_EXHAUSTIVE }, () => {
  for (const [index, name] of segments.entries()) {
    test(name, (context) => {
      const from = index * log.config.segmentBytes;
      const to = Math.min(from + log.config.segmentBytes, end);
      let missing = 0;
      for (let position = from; position < to; position += 1)
        for (let bit = 0; bit < BITS; bit += 1) missing += flip(position, bit).missing;
      context.diagnostic(`${Math.max(0, to - from) * BITS} flips, ${missing} records not served`);
    });
  }
});
