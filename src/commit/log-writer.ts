/**
 * Hands the bytes that a shard appended to the operating system, and makes them durable. Two threads may: the flusher, and the
 * shard itself where waking another thread would cost more (`shard-share.ts`). Who claims the turn has it alone, and moves the
 * written and the flushed position. A failed write or sync is final (research: reliability 2.3, point 6): it is reported and never
 * tried again.
 */
import type { Clock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { segmentName } from '../log/file-names.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
import type { TailWindow } from '../log/tail-window.ts';
import { pieceBytesOf, ShardShare, type ShardShareOptions } from './shard-share.ts';

/** Told of each barrier: how long it took, how many bytes it covered. */
export type OnFlush = (durationMs: number, bytes: number) => void;

export type LogWriterOptions = {
  readonly storage: Storage;
  readonly tail: TailWindow;
  readonly memory: LogMemory;
  readonly segmentBytes: number;
};

export type BarrierParts = {
  readonly memory: LogMemory;
  readonly clock: Clock;
  readonly onFlush?: OnFlush | undefined;
};

/**
 * One barrier, by whoever has the turn.
 *
 * @param written - everything below is in files that `sync` covers, or that were synced before
 * @throws STORAGE_IO
 */
export function barrier(parts: BarrierParts, written: number, sync: () => void): void {
  const { memory, clock, onFlush } = parts;
  const startedAt = clock.monotonicMs();
  const bytes = written - memory.flushed.observe();
  sync();
  const durationMs = clock.monotonicMs() - startedAt;
  // Publishes: these bytes survive a power cut. The only place where the position moves, after a successful sync.
  memory.flushed.publish(written);
  memory.noteSync(durationMs * 1000);
  onFlush?.(durationMs, bytes);
}

/** The open file of one segment: the one that bytes went to last. */
class OpenSegment {
  segment = -1;
  file: StorageFile | undefined;
  private readonly storage: Storage;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  of(segment: number): StorageFile {
    if (this.file !== undefined && this.segment === segment) return this.file;
    this.close();
    this.file = this.storage.open(segmentName(segment), false);
    this.segment = segment;
    return this.file;
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }
}

/** The flusher's end: writes everything, and syncs. */
export class LogWriter {
  private readonly options: LogWriterOptions;
  private readonly open: OpenSegment;
  private readonly pieceBytes: number;

  constructor(options: LogWriterOptions) {
    this.options = options;
    this.open = new OpenSegment(options.storage);
    this.pieceBytes = pieceBytesOf(options);
  }

  /** Only with the turn. @returns the written position @throws STORAGE_IO, STORAGE_FULL */
  write(): number {
    const { memory, tail, segmentBytes } = this.options;
    // Observes: batch bytes before the appended position.
    const appended = memory.appended.observe();
    const before = memory.written.observe();
    let written = before;
    while (written < appended) {
      const pieceLeft = this.pieceBytes - (written % this.pieceBytes);
      const length = Math.min(appended - written, pieceLeft);
      const file = this.fileOf(Math.floor(written / segmentBytes));
      file.write(tail.at(written, length), written % segmentBytes);
      written += length;
    }
    // Publishes: the operating system has the bytes, so a killed process loses none of them.
    if (written > before) memory.written.publish(written);
    return written;
  }

  /** Makes everything up to the written position durable; it is above 0. @throws STORAGE_IO */
  sync(written: number): void {
    this.open.of(Math.floor((written - 1) / this.options.segmentBytes)).sync();
  }

  close(): void {
    this.open.close();
  }

  /** The segment before is synced first, whoever wrote to it last: a barrier covers one file. */
  private fileOf(segment: number): StorageFile {
    const start = segment * this.options.segmentBytes;
    if (this.open.segment !== segment && this.options.memory.flushed.observe() < start)
      this.sync(start);
    return this.open.of(segment);
  }
}

export type SmallWriterOptions = LogWriterOptions & BarrierParts & ShardShareOptions;

/** The shard's end: writes what is its share, and syncs it under SYNC_FLUSH. */
export class SmallWriter {
  /** Why it stopped; undefined while it runs. */
  failure: SluiceError | undefined;
  private readonly options: SmallWriterOptions;
  private readonly open: OpenSegment;
  private readonly share: ShardShare;

  constructor(options: SmallWriterOptions) {
    this.options = options;
    this.open = new OpenSegment(options.storage);
    this.share = new ShardShare(options);
  }

  /** Is there something that the flusher leaves to it, and has nobody the turn? */
  hasWork(): boolean {
    const { memory } = this.options;
    if (memory.faultCode() !== undefined || memory.isWriting) return false;
    return this.share.isLeftToShard();
  }

  /**
   * Writes everything appended, if it is the shard's share and the flusher does nothing.
   *
   * @returns false: the flusher must
   */
  write(): boolean {
    const { memory } = this.options;
    if (!memory.claimWriting()) return false;
    try {
      const [written, appended] = [memory.written.observe(), memory.appended.observe()];
      if (!this.share.covers(written, appended)) return false;
      this.writePiece(written, appended);
      return true;
    } catch (error) {
      this.failure = toSluiceError(error, 'STORAGE_IO');
      memory.reportFault('STORAGE_IO');
      return false;
    } finally {
      memory.releaseWriting();
    }
  }

  private writePiece(written: number, appended: number): void {
    const { memory, tail, segmentBytes, mode } = this.options;
    const file = this.open.of(Math.floor(written / segmentBytes));
    file.write(tail.at(written, appended - written), written % segmentBytes);
    // Publishes: the operating system has the bytes, so a killed process loses none of them.
    memory.written.publish(appended);
    if (mode === 'SYNC_FLUSH') barrier(this.options, appended, () => file.sync());
  }
}
