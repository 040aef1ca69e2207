/**
 * Writes what the shard appended and makes it durable: one barrier for everything that has gathered, which is group
 * commit. Has a thread of its own, because the barrier blocks. A failed write or sync is final (research: reliability 2.3,
 * point 6): nothing is retried, the positions stop, the shard is told.
 */
import type { Clock } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { CheckpointWriter } from '../log/checkpoint.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { Storage } from '../log/storage.ts';
import type { TailWindow } from '../log/tail-window.ts';
import type { FlushMode } from './commit-policy.ts';
import { barrier, LogWriter, type OnFlush } from './log-writer.ts';
import { ShardShare } from './shard-share.ts';

/** Milliseconds between two checkpoints, at least. */
const CHECKPOINT_INTERVAL_MS = 1000;

export type FlusherOptions = {
  readonly storage: Storage;
  readonly tail: TailWindow;
  readonly memory: LogMemory;
  readonly clock: Clock;
  readonly mode: FlushMode;
  /** Milliseconds between barriers under ASYNC_FLUSH. */
  readonly flushIntervalMs: number;
  readonly segmentBytes: number;
  readonly epoch: number;
  /** End of the recovered log. */
  readonly position: number;
  readonly onFlush?: OnFlush;
  readonly shardSyncMicrosMax?: number | undefined;
};

export class FlusherAgent {
  private readonly options: FlusherOptions;
  private readonly checkpoint: CheckpointWriter;
  private readonly writer: LogWriter;
  private readonly share: ShardShare;
  private flushedAtMs = 0;
  private checkpointAtMs = 0;
  private checkpointed: number;
  /** Why it stopped; undefined while it runs. */
  failure: SluiceError | undefined;

  constructor(options: FlusherOptions) {
    this.options = options;
    this.checkpoint = new CheckpointWriter(options.storage, options.epoch);
    this.checkpointed = options.position;
    this.writer = new LogWriter(options);
    this.share = new ShardShare(options);
  }

  /** Writes and flushes once. @returns bytes written or flushed; 0 when there was nothing to do */
  doWork(): number {
    if (this.failure !== undefined || this.hasShardFailed()) return 0;
    try {
      const bytes = this.advance();
      this.writeCheckpoint();
      return bytes;
    } catch (error) {
      this.failure = toSluiceError(error, 'STORAGE_IO');
      // Whatever it was, a full disk too: bytes may have been written, so nobody may be told that nothing was stored.
      this.options.memory.reportFault('STORAGE_IO');
      return 0;
    }
  }

  /** Is there something to write or to flush now? */
  hasWork(): boolean {
    if (this.failure !== undefined) return false;
    const { memory } = this.options;
    if (memory.faultCode() !== undefined) return true;
    // The shard has the turn: what it leaves it announces when it has given it back.
    if (memory.isWriting || this.share.isLeftToShard()) return false;
    return memory.appended.observe() > memory.written.observe() || this.isBarrierDue();
  }

  /** Milliseconds until the next barrier is due under ASYNC_FLUSH; how long the thread may sleep. */
  msUntilDue(): number {
    if (this.options.mode === 'SYNC_FLUSH') return CHECKPOINT_INTERVAL_MS;
    // What the shard writes by itself is announced by nobody.
    if (!this.isDirty) return Math.min(this.options.flushIntervalMs, CHECKPOINT_INTERVAL_MS);
    const dueAt = this.flushedAtMs + this.options.flushIntervalMs;
    return Math.max(0, dueAt - this.options.clock.monotonicMs());
  }

  /** Flushes everything, writes the checkpoint and closes the files. What the shard still appends is written by nobody. */
  close(): void {
    if (this.failure === undefined && this.takeTurn()) {
      // The turn is not given back: what comes now would be in no checkpoint.
      this.writer.write();
      if (this.isDirty) this.flush();
      // Clean, when the log was this broker's own: whoever follows this log knows that nothing he has of it is missing here.
      this.checkpoint.write(this.flushed, this.options.memory.isLeading);
    }
    this.writer.close();
    this.checkpoint.close();
  }

  /** Moves the positions, when the shard has not the turn and nothing is its own to write. A shard that wants the turn meanwhile does not wait for it. */
  private advance(): number {
    const { memory } = this.options;
    if (this.share.isLeftToShard() || !memory.claimWriting()) return 0;
    try {
      const before = this.progress;
      this.writer.write();
      if (this.isBarrierDue()) this.flush();
      return this.progress - before;
    } finally {
      memory.releaseWriting();
    }
  }

  /** Waits for the turn: a write or a sync of the shard is over soon. @returns false when the disk has refused it */
  private takeTurn(): boolean {
    while (!this.hasShardFailed()) if (this.options.memory.claimWriting()) return true;
    return false;
  }

  /** The disk has refused the shard: what it could not write or sync stays as it is. */
  private hasShardFailed(): boolean {
    const code = this.options.memory.faultCode();
    if (code === undefined) return false;
    this.failure = new SluiceError(code, 'the disk refused a write or a sync of the shard');
    return true;
  }

  private get flushed(): number {
    return this.options.memory.flushed.observe();
  }

  private get progress(): number {
    return this.options.memory.written.observe() + this.flushed;
  }

  /** Has anything been written that is not flushed? */
  private get isDirty(): boolean {
    return this.options.memory.written.observe() > this.flushed;
  }

  private isBarrierDue(): boolean {
    if (!this.isDirty) return false;
    if (this.options.mode === 'SYNC_FLUSH') return true;
    return this.options.clock.monotonicMs() - this.flushedAtMs >= this.options.flushIntervalMs;
  }

  private flush(): void {
    const written = this.options.memory.written.observe();
    barrier(this.options, written, () => this.writer.sync(written));
    this.flushedAtMs = this.options.clock.monotonicMs();
  }

  private writeCheckpoint(): void {
    const { flushed } = this;
    if (this.checkpointed === flushed) return;
    const now = this.options.clock.monotonicMs();
    if (now - this.checkpointAtMs < CHECKPOINT_INTERVAL_MS) return;
    this.checkpoint.write(flushed);
    this.checkpointed = flushed;
    this.checkpointAtMs = now;
  }
}
