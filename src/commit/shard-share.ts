/**
 * What a shard writes itself, and under SYNC_FLUSH syncs: little, into a segment that the flusher has begun, and on a disk that syncs in
 * less time than two threads need to wake each other. Both threads go by this rule; the flusher leaves such bytes to the shard.
 */
import { KIB } from '../base/units.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { TailWindow } from '../log/tail-window.ts';
import type { FlushMode } from './commit-policy.ts';

/** More than this is worth a thread that has nothing else to do. */
export const SMALL_WRITE_BYTES_MAX: number = 64 * KIB;
/** Microseconds that a sync takes on average, at most, where the shard does it: meanwhile it does nothing else. */
export const SHARD_SYNC_MICROS_MAX = 250;

export type ShardShareOptions = {
  readonly memory: LogMemory;
  readonly tail: TailWindow;
  readonly segmentBytes: number;
  readonly mode: FlushMode;
  /** Instead of SHARD_SYNC_MICROS_MAX; 0: all syncs are the flusher's. */
  readonly shardSyncMicrosMax?: number | undefined;
};

export class ShardShare {
  private readonly options: ShardShareOptions;
  private readonly pieceBytes: number;
  private readonly syncMicrosMax: number;

  constructor(options: ShardShareOptions) {
    this.options = options;
    this.pieceBytes = pieceBytesOf(options);
    this.syncMicrosMax = options.shardSyncMicrosMax ?? SHARD_SYNC_MICROS_MAX;
  }

  /** Are the bytes between the two positions the shard's to write? */
  covers(written: number, appended: number): boolean {
    const length = appended - written;
    if (length === 0 || length > SMALL_WRITE_BYTES_MAX) return false;
    // The first bytes of a segment are the flusher's, so that it knows which files it must sync.
    if (written % this.options.segmentBytes === 0) return false;
    if ((written % this.pieceBytes) + length > this.pieceBytes) return false;
    return this.options.mode === 'ASYNC_FLUSH' || this.isDiskFast();
  }

  /** Is something appended that only the shard writes? Under ASYNC_FLUSH the flusher takes what it finds. */
  isLeftToShard(): boolean {
    const { memory, mode } = this.options;
    if (mode === 'ASYNC_FLUSH') return false;
    const written = memory.written.observe();
    // Bytes that are written and not flushed are the flusher's: somebody else's barrier would not say for which file.
    return memory.flushed.observe() === written && this.covers(written, memory.appended.observe());
  }

  /** Nobody knows before the first sync of a life. */
  private isDiskFast(): boolean {
    const micros = this.options.memory.syncMicros();
    return micros > 0 && micros <= this.syncMicrosMax;
  }
}

/** Bytes of the largest piece that is in one piece both in memory and in its file. */
export function pieceBytesOf(options: Pick<ShardShareOptions, 'segmentBytes' | 'tail'>): number {
  return Math.min(options.segmentBytes, options.tail.windowBytes);
}
