/**
 * Writes what the shard appended and makes it durable: one barrier for everything that has gathered, which is group
 * commit. Has a thread of its own, because the barrier blocks. A failed write or sync is final (research: reliability 2.3,
 * point 6): nothing is retried, the positions stop, the shard is told.
 */
import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { CheckpointWriter } from '../log/checkpoint.ts';
import { segmentName } from '../log/file-names.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
import type { TailWindow } from '../log/tail-window.ts';

/** When the disk is told to keep what was written: before each ack, or at an interval. @source RocketMQ FlushDiskType */
export type FlushMode = 'SYNC_FLUSH' | 'ASYNC_FLUSH';

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
  /** Told of each barrier: how long it took, how many bytes it covered. */
  readonly onFlush?: (durationMs: number, bytes: number) => void;
};

export class FlusherAgent {
  private readonly options: FlusherOptions;
  private readonly checkpoint: CheckpointWriter;
  private readonly pieceBytes: number;
  private file: StorageFile | undefined;
  private fileSegment = -1;
  private written: number;
  private flushed: number;
  private flushedAtMs = 0;
  private checkpointAtMs = 0;
  private checkpointed: number;
  /** Why it stopped; undefined while it runs. */
  failure: SluiceError | undefined;

  constructor(options: FlusherOptions) {
    this.options = options;
    this.checkpoint = new CheckpointWriter(options.storage, options.epoch);
    this.written = options.position;
    this.flushed = options.position;
    this.checkpointed = options.position;
    this.pieceBytes = Math.min(options.segmentBytes, options.tail.windowBytes);
  }

  /** Writes and flushes once. @returns bytes written or flushed; 0 when there was nothing to do */
  doWork(): number {
    if (this.failure !== undefined) return 0;
    try {
      const before = this.flushed;
      const written = this.write();
      if (this.isBarrierDue()) this.flush();
      this.writeCheckpoint();
      return written + (this.flushed - before);
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
    return this.options.memory.appended.observe() > this.written || this.isBarrierDue();
  }

  /** Milliseconds until the next barrier is due under ASYNC_FLUSH; how long the thread may sleep. */
  msUntilDue(): number {
    if (this.flushed === this.written) return CHECKPOINT_INTERVAL_MS;
    const dueAt = this.flushedAtMs + this.options.flushIntervalMs;
    return Math.max(0, dueAt - this.options.clock.monotonicMs());
  }

  /** Flushes everything, writes the checkpoint and closes the files. */
  close(): void {
    if (this.failure === undefined) {
      this.write();
      if (this.flushed < this.written) this.flush();
      // Clean, when the log was this broker's own: whoever follows this log knows that nothing he has of it is missing here.
      this.checkpoint.write(this.flushed, this.options.memory.isLeading);
    }
    this.file?.close();
    this.file = undefined;
    this.checkpoint.close();
  }

  private write(): number {
    // Observes: batch bytes before the appended position.
    const appended = this.options.memory.appended.observe();
    const before = this.written;
    while (this.written < appended) {
      const pieceLeft = this.pieceBytes - (this.written % this.pieceBytes);
      const length = Math.min(appended - this.written, pieceLeft);
      const file = this.segmentFile(Math.floor(this.written / this.options.segmentBytes));
      file.write(
        this.options.tail.at(this.written, length),
        this.written % this.options.segmentBytes,
      );
      this.written += length;
    }
    // Publishes: the operating system has the bytes, so a killed process loses none of them.
    if (this.written > before) this.options.memory.written.publish(this.written);
    return this.written - before;
  }

  private isBarrierDue(): boolean {
    if (this.flushed === this.written) return false;
    if (this.options.mode === 'SYNC_FLUSH') return true;
    return this.options.clock.monotonicMs() - this.flushedAtMs >= this.options.flushIntervalMs;
  }

  private flush(): void {
    const startedAt = this.options.clock.monotonicMs();
    const bytes = this.written - this.flushed;
    invariant(this.file !== undefined, 'a file is open when there are bytes to flush');
    this.file.sync();
    this.flushed = this.written;
    this.flushedAtMs = this.options.clock.monotonicMs();
    // Publishes: these bytes survive a power cut. The only place where the position moves, after a successful sync.
    this.options.memory.flushed.publish(this.flushed);
    this.options.onFlush?.(this.flushedAtMs - startedAt, bytes);
  }

  private writeCheckpoint(): void {
    if (this.checkpointed === this.flushed) return;
    const now = this.options.clock.monotonicMs();
    if (now - this.checkpointAtMs < CHECKPOINT_INTERVAL_MS) return;
    this.checkpoint.write(this.flushed);
    this.checkpointed = this.flushed;
    this.checkpointAtMs = now;
  }

  /** The file of a segment; the one before is synced first, because a barrier covers one file. */
  private segmentFile(segment: number): StorageFile {
    if (this.file !== undefined && this.fileSegment === segment) return this.file;
    if (this.file !== undefined) {
      this.file.sync();
      this.file.close();
    }
    this.file = this.options.storage.open(segmentName(segment), false);
    this.fileSegment = segment;
    return this.file;
  }
}
