/**
 * Bits turned over on a simulated disk while nobody runs on it: in stored batches, in the files that are derived from them,
 * and behind the flushed position, where they are nothing but a torn write.
 */
import type { Prng } from '../base/prng.ts';
import { readCheckpoint } from '../log/checkpoint.ts';
import { CHECKPOINT_NAME, segmentName } from '../log/file-names.ts';
import { type InspectedBatch, LogWalk } from '../log/log-inspect.ts';
import { snapshotPositions } from '../log/snapshot.ts';
import { chunkBytesOf, type ShardConfig } from '../shard/shard-config.ts';
import { WORST_CRASH } from './sim-faults.ts';
import type { SimStorage } from './sim-storage.ts';

/** A log at rest, as a walk over it sees it. */
export type LogAtRest = {
  readonly batches: readonly InspectedBatch[];
  /** Everything below is known to have been flushed: damage there is rot. */
  readonly flushed: number;
  readonly end: number;
  readonly snapshotPosition: number;
};

export function readLog(storage: SimStorage, config: ShardConfig): LogAtRest {
  const walk = new LogWalk({
    storage,
    segmentBytes: config.segmentBytes,
    chunkBytes: chunkBytesOf(config),
    flushed: readCheckpoint(storage)?.flushed ?? 0,
    completeFrom: 0,
  });
  const batches: InspectedBatch[] = [];
  for (const item of walk.items()) if (item.type === 'batch') batches.push(item.batch);
  const snapshotPosition = snapshotPositions(storage)[0] ?? 0;
  const { flushed, end } = walk.verdict();
  return { batches, flushed: Math.max(flushed, snapshotPosition), end, snapshotPosition };
}

/** Turns a bit over at a log position. */
export function flipAt(
  storage: SimStorage,
  config: ShardConfig,
  position: number,
  bit: number,
): void {
  const segment = Math.floor(position / config.segmentBytes);
  storage.damage.flipBit(segmentName(segment), position % config.segmentBytes, bit);
}

/**
 * Damages one flushed batch of messages.
 *
 * @param rotten - positions that were damaged before
 * @returns it; undefined when there is none
 */
export function rotBatch(
  storage: SimStorage,
  config: ShardConfig,
  prng: Prng,
  rotten: readonly number[] = [],
): InspectedBatch | undefined {
  // What is known to be flushed must be known after a power cut as well: one more fault would be two. A copy of the disk
  // is asked, so that planned faults do not hit us.
  const durable = storage.clone(prng);
  durable.crash(prng, WORST_CRASH);
  const log = readLog(durable, config);
  const data = log.batches.filter(
    (batch) =>
      batch.kind === 'data' && batch.isIntact && batch.position + batch.bytes <= log.flushed,
  );
  const batch = data[prng.integer(data.length)];
  if (batch === undefined) return undefined;
  const flips = Array.from({ length: 1 + prng.integer(3) }, () => ({
    ...{ place: batch.position + prng.integer(batch.bytes), bit: prng.integer(8) },
  }));
  // Nor may it be the last that tells of itself or of another damaged batch that they were flushed: what is left of the disk would
  // then be what a torn write leaves, byte for byte, and no reader could know better. Looked at after the very flips, on what a walk
  // over the log still finds (headers, both checkpoints, snapshots), so that everything short of it is done: in 300 seeds 38 of 38.
  for (const { place, bit } of flips) flipAt(durable, config, place, bit);
  const known = readLog(durable, config).flushed;
  if ([...rotten, batch.position].some((position) => position >= known)) return undefined;
  for (const { place, bit } of flips) flipAt(storage, config, place, bit);
  return batch;
}

/** Turns a bit over behind everything that was flushed. @param flushed - what the shard had flushed for certain */
export function rotTail(
  storage: SimStorage,
  config: ShardConfig,
  prng: Prng,
  flushed: number,
): void {
  const segment = Math.floor(flushed / config.segmentBytes);
  if (!storage.exists(segmentName(segment))) return;
  const from = flushed % config.segmentBytes;
  const place = from + prng.integer(Math.min(2048, config.segmentBytes - from));
  storage.damage.flipBit(segmentName(segment), place, prng.integer(8));
}

/** Turns a bit over in a file that only repeats what the log says. @returns its name; undefined without such a file */
export function rotDerived(storage: SimStorage, prng: Prng): string | undefined {
  const names = storage
    .list()
    .filter((name) => name === CHECKPOINT_NAME || name.endsWith('.snap') || name.endsWith('.idx'));
  const name = names[prng.integer(names.length)];
  if (name === undefined) return undefined;
  const file = storage.open(name, false);
  const size = file.size();
  file.close();
  if (size === 0) return undefined;
  storage.damage.flipBit(name, prng.integer(size), prng.integer(8));
  return name;
}
