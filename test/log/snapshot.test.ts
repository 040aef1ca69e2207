/** Snapshots under power losses: there is always one that can be read, and never an older one than is known to be there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { encodeSnapshot, readSnapshot, writeSnapshot } from '../../src/log/snapshot.ts';
import { SimCrash } from '../../src/testing/sim-faults.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 300);
/** Changes of the disk that one snapshot makes, and some: the crash falls into it, or after it. */
const BOUNDARIES = 10;

function encoded(position: number): Uint8Array {
  return encodeSnapshot(position, { position, filler: 'x'.repeat(6000) });
}

test('whenever the power fails, the snapshot before or the new one is whole, and a finished one is the new one', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const prng = seededPrng(seed);
    const storage = new SimStorage({ prng });
    let last = 8;
    writeSnapshot(storage, last, encoded(last));
    for (let position = 16; position < 80; position += 8) {
      storage.faults.crashAt(
        storage.faults.boundary + prng.integer(BOUNDARIES),
        prng.chance(0.5) ? 'before' : 'middle',
      );
      let isFinished = true;
      try {
        writeSnapshot(storage, position, encoded(position));
      } catch (error) {
        if (!(error instanceof SimCrash)) throw error;
        isFinished = false;
      }
      storage.faults.clear();
      storage.crash(prng);
      const found = readSnapshot(storage);
      assert.ok(found !== undefined, `seed ${seed}: no snapshot at ${position}`);
      assert.deepEqual(found.state, { position: found.position, filler: 'x'.repeat(6000) });
      const allowed = isFinished ? [position] : [last, position];
      assert.ok(
        allowed.includes(found.position),
        `seed ${seed}: ${found.position} is found, expected ${allowed}`,
      );
      last = found.position;
    }
  }
});
