/**
 * Recovery against a model of the log: batches of one size, so that stale ones line up with new ones, on a disk that loses,
 * tears and keeps what was not synced, fails syncs, and takes the power away from recovery as well.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { KIB } from '../../src/base/units.ts';
import { CheckpointWriter, readCheckpoint } from '../../src/log/checkpoint.ts';
import { segmentName } from '../../src/log/file-names.ts';
import { type RecoveredLog, recoverLog } from '../../src/log/recovery.ts';
import { repairDirectory } from '../../src/log/repair-directory.ts';
import { runSideJob } from '../../src/log/run-side-job.ts';
import { SimCrash } from '../../src/testing/sim-faults.ts';
import { SimStorage } from '../../src/testing/sim-storage.ts';
import {
  FILLED_BATCH_BYTES,
  filledBatch,
  filledBatchId,
} from '../../src/testing/stored-batches.ts';

/** Without the mark of overwriting the seeds 96, 547 and 750 fail; when nobody looks at it, 317. */
const SEEDS = Number(process.env['SEEDS'] ?? 800);
const LIVES = 8;
const SEGMENT_BYTES: number = 8 * KIB;
/** Attempts to recover of which all but the last may be disturbed. */
const ATTEMPTS = 4;
/** Changes of the disk within which a crash is planned. */
const BOUNDARIES = 6;

/** One log, and what must be in it. */
class Model {
  readonly storage: SimStorage;
  private readonly prng: Prng;
  /** Ids in log order: those that recovery found, then those that were written since. */
  private ids: number[] = [];
  /** So many of them no fault may take. */
  private safe = 0;
  private position = 0;
  private preparedEnd = 0;
  private nextId = 1;

  constructor(seed: number) {
    this.prng = seededPrng(seed);
    this.storage = new SimStorage({ prng: this.prng });
  }

  /** Recovers, through crashes and failing syncs of the recovery; what is found must be what the model says. */
  recover(): void {
    for (let attempt = 1; attempt < ATTEMPTS; attempt += 1) {
      if (this.prng.chance(0.5)) this.disturb();
      try {
        this.attempt();
        return;
      } catch (error) {
        const isDisk = error instanceof SluiceError && error.code === 'STORAGE_IO';
        if (!(error instanceof SimCrash) && !isDisk) throw error;
      } finally {
        this.storage.faults.clear();
      }
      this.end();
    }
    this.attempt();
  }

  /** Appends some batches, and syncs some of them. */
  append(): void {
    const { prng } = this;
    const count = prng.integer(14);
    const failing = prng.chance(0.2) ? prng.integer(3) : -1;
    for (let batch = 0; batch < count; batch += 1) {
      this.prepare();
      this.write();
      if (!prng.chance(0.15)) continue;
      const isFailing = failing === batch;
      if (isFailing) this.failSync(1);
      try {
        this.sync();
      } catch (error) {
        // A failed sync fences: this life writes no more.
        if (isFailing && error instanceof SluiceError) return;
        throw error;
      }
    }
  }

  /** The process dies, or the power does. */
  end(): void {
    if (this.prng.chance(0.3)) this.storage.kill();
    else this.storage.crash(this.prng);
  }

  private disturb(): void {
    const { faults } = this.storage;
    const where = this.prng.chance(0.5) ? 'before' : 'middle';
    if (this.prng.chance(0.3))
      faults.crashAt(faults.boundary + this.prng.integer(BOUNDARIES), where);
    else this.failSync(3);
  }

  /** One of the next syncs fails. */
  private failSync(within: number): void {
    const { faults } = this.storage;
    faults.readsAfterFailedSync = this.prng.chance(0.5) ? 'new' : 'mixed';
    faults.failNth('sync', faults.count('sync') + this.prng.integer(within), 'STORAGE_IO');
  }

  private attempt(): void {
    const { storage } = this;
    repairDirectory(storage);
    const found: number[] = [];
    const recovered = recoverLog({
      ...{ storage, segmentBytes: SEGMENT_BYTES, chunkBytes: SEGMENT_BYTES, from: 0 },
      flushed: readCheckpoint(storage)?.flushed ?? 0,
      confirm: (flushed) => {
        const checkpoint = new CheckpointWriter(storage, 1);
        checkpoint.write(flushed);
        checkpoint.close();
      },
      visit: (_bytes, view, at) => found.push(filledBatchId(view, at)),
    });
    this.check(found, recovered);
    this.ids = found;
    this.safe = found.length;
    this.position = recovered.position;
    this.preparedEnd = recovered.preparedEnd;
  }

  private check(found: readonly number[], { position, rot }: RecoveredLog): void {
    assert.deepEqual(rot, [], 'a torn write is no rot');
    assert.equal(position, found.length * FILLED_BATCH_BYTES, 'the log ends behind what was found');
    assert.ok(
      found.length >= this.safe,
      `${this.safe} batches are safe, ${found.length} are found`,
    );
    // Neither something that was cut before, nor something out of its place.
    assert.deepEqual(found, this.ids.slice(0, found.length));
  }

  private prepare(): void {
    if (this.position < this.preparedEnd) return;
    const { error } = runSideJob(this.storage, {
      ...{ kind: 'prepare-segment', job: 0, segment: this.position / SEGMENT_BYTES },
      ...{ segmentBytes: SEGMENT_BYTES, recycle: null, usedRatioMax: 1 },
    });
    assert.equal(error, undefined);
    this.preparedEnd += SEGMENT_BYTES;
  }

  private write(): void {
    const { position, nextId: id } = this;
    const flushed = this.safe * FILLED_BATCH_BYTES;
    const bytes = filledBatch({ position, baseOffset: this.ids.length, id, flushed });
    const file = this.storage.open(segmentName(Math.floor(position / SEGMENT_BYTES)), false);
    file.write(bytes, position % SEGMENT_BYTES);
    file.close();
    this.ids.push(id);
    this.nextId += 1;
    this.position += FILLED_BATCH_BYTES;
  }

  /** Syncs every segment that has unsynced batches, as the flusher does. */
  private sync(): void {
    const first = Math.floor((this.safe * FILLED_BATCH_BYTES) / SEGMENT_BYTES);
    for (let segment = first; segment * SEGMENT_BYTES < this.position; segment += 1) {
      const file = this.storage.open(segmentName(segment), false);
      file.sync();
      file.close();
    }
    this.safe = this.ids.length;
  }
}

test('after any crash the log is a beginning of what was written, with all that was synced, and nothing that was cut', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const model = new Model(seed);
    try {
      for (let life = 0; life < LIVES; life += 1) {
        model.recover();
        model.append();
        model.end();
      }
      model.recover();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${seed}: ${text}`, { cause: error });
    }
  }
});

test('what only the header of a torn batch knows to be flushed is kept, and damage in it is rot', () => {
  const storage = new SimStorage({ prng: seededPrng(1) });
  const count = 4;
  const flushed = 3 * FILLED_BATCH_BYTES;
  const file = storage.open(segmentName(0), true);
  file.write(new Uint8Array(SEGMENT_BYTES), 0);
  for (let index = 0; index < count; index += 1) {
    const position = index * FILLED_BATCH_BYTES;
    const isLast = index === count - 1;
    const bytes = filledBatch({
      ...{ position, baseOffset: index, id: index + 1, flushed: isLast ? flushed : 0 },
    });
    // The first is damaged since, the last was torn when the power went; the checkpoint is older than both.
    if (index === 0 || isLast) bytes[FILLED_BATCH_BYTES - 1] = 255 - index;
    file.write(bytes, position);
  }
  file.close();
  const seen: number[] = [];
  let confirmed = 0;
  const { position, rot } = recoverLog({
    ...{ storage, segmentBytes: SEGMENT_BYTES, chunkBytes: SEGMENT_BYTES, from: 0, flushed: 0 },
    confirm: (mark) => {
      confirmed = mark;
    },
    visit: (_bytes, _view, _at, at) => seen.push(at),
  });
  assert.equal(position, flushed);
  assert.equal(confirmed, flushed);
  assert.deepEqual(rot, [{ from: 0, to: FILLED_BATCH_BYTES }]);
  assert.deepEqual(seen, [FILLED_BATCH_BYTES, 2 * FILLED_BATCH_BYTES]);
});
