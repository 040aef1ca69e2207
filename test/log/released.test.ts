/** The marks of segments that were let go: on the disk before the files go, whatever the disk does meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { indexName, segmentName } from '../../src/log/file-names.ts';
import { markReleased, releasedSegments, removeReleased } from '../../src/log/released.ts';
import { WORST_CRASH } from '../../src/testing/sim-faults.ts';
import { code, durableFile, simStorage } from '../../src/testing/storage-probe.ts';

for (const hasIndex of [true, false])
  test(`a mark whose names the disk did not take is made anew ${hasIndex ? 'after' : 'without'} an index`, () => {
    const storage = simStorage();
    durableFile(storage, segmentName(3), 10, 1).close();
    if (hasIndex) durableFile(storage, indexName(3), 10, 2).close();
    storage.faults.failedSyncPersisted = 0;
    storage.faults.failNth('syncDirectory', storage.faults.count('syncDirectory'), 'STORAGE_IO');
    assert.throws(() => markReleased(storage, [3]), code('STORAGE_IO'));
    assert.deepEqual(releasedSegments(storage), [], 'what may not be there for good is taken back');
    markReleased(storage, [3]);
    removeReleased(storage, [3]);
    storage.crash(seededPrng(1), WORST_CRASH);
    assert.deepEqual(releasedSegments(storage), [3]);
    assert.equal(storage.exists(segmentName(3)), false);
  });
