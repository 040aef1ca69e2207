/** What a flusher says of its stop: clean only where the broker wrote the log itself, and so knows that it is missing nothing. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { KIB } from '../../src/base/units.ts';
import { FlusherAgent } from '../../src/commit/flusher-agent.ts';
import { readCheckpoint } from '../../src/log/checkpoint.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { LOG_MEMORY_BYTES, LogMemory } from '../../src/log/log-memory.ts';
import { TailWindow } from '../../src/log/tail-window.ts';
import { SimClock } from '../../src/testing/sim-clock.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';

const SEGMENT_BYTES: number = 64 * KIB;

for (const isLeading of [true, false]) {
  const who = isLeading
    ? 'a log of its own ends with a clean stop'
    : 'one that only followed does not';
  it(who, () => {
    const clock = new SimClock();
    const storage = new SimStorage({ prng: seededPrng(1), clock });
    storage.open(segmentName(0), true).write(new Uint8Array(SEGMENT_BYTES), 0);
    const memory = new LogMemory(new SharedArrayBuffer(LOG_MEMORY_BYTES), 0);
    const flusher = new FlusherAgent({
      ...{ storage, memory, clock, tail: new TailWindow(new SharedArrayBuffer(SEGMENT_BYTES)) },
      ...{ segmentBytes: SEGMENT_BYTES, mode: 'SYNC_FLUSH', flushIntervalMs: 500 },
      ...{ epoch: 1, position: 0 },
    });
    if (isLeading) memory.markLeading();
    memory.appended.publish(64);
    flusher.close();
    const checkpoint = readCheckpoint(storage);
    assert.equal(checkpoint?.flushed, 64);
    assert.equal(checkpoint.isClean, isLeading);
  });
}
