/** What a start does to the directory before it reads the log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { KIB } from '../../src/base/units.ts';
import { indexName, releasedName, segmentName } from '../../src/log/file-names.ts';
import { repairDirectory } from '../../src/log/repair-directory.ts';
import { runSideJob } from '../../src/log/run-side-job.ts';
import { SimCrash, WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SEGMENT_BYTES: number = 8 * KIB;

function disk(): SimStorage {
  return new SimStorage({ prng: seededPrng(1) });
}

/** A process that makes a segment is killed at its n-th change of the disk. @returns false when it came to its end */
function killedWhilePreparing(storage: SimStorage, nth: number): boolean {
  storage.faults.crashAt(storage.faults.boundary + nth, 'before');
  let error: unknown;
  try {
    error = runSideJob(storage, {
      ...{ kind: 'prepare-segment', job: 0, segment: 0, segmentBytes: SEGMENT_BYTES },
      ...{ recycle: null, usedRatioMax: 1 },
    }).error;
  } catch (crash) {
    if (!(crash instanceof SimCrash)) throw crash;
    error = crash;
  }
  storage.faults.clear();
  storage.kill();
  return error !== undefined;
}

test('a segment whose name a killed process did not sync keeps it in a power cut, and what was flushed into it', () => {
  let named = 0;
  for (let nth = 0; ; nth += 1) {
    const storage = disk();
    const wasKilled = killedWhilePreparing(storage, nth);
    repairDirectory(storage);
    if (storage.exists(segmentName(0))) {
      if (wasKilled) named += 1;
      const file = storage.open(segmentName(0), false);
      file.write(new Uint8Array([7]), 0);
      file.sync();
      file.close();
      storage.crash(seededPrng(nth), WORST_CRASH);
      assert.ok(storage.exists(segmentName(0)), `killed at change ${nth}: the segment is there`);
    }
    if (!wasKilled) break;
  }
  assert.ok(named > 0, 'one kill fell between the name and its sync');
});

test('half-made files, and indexes and marks that tell nothing, are removed; the others stay', () => {
  const storage = disk();
  const kept = [segmentName(1), indexName(1), releasedName(0), 'checkpoint'];
  const removed = ['checkpoint.tmp', indexName(0), releasedName(1)];
  for (const name of [...kept, ...removed]) storage.open(name, true).close();
  repairDirectory(storage);
  assert.deepEqual(storage.list().sort(), [...kept].sort());
});
