/**
 * Hands the bytes that a shard appended to the operating system. Two threads may: the flusher, and under ASYNC_FLUSH the
 * shard itself, where waking another thread would cost more than the write. Who claims the turn has it alone, and moves the
 * written position. A failed write is final (research: reliability 2.3, point 6): it is reported and never tried again.
 */
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';
import { segmentName } from '../log/file-names.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
import type { TailWindow } from '../log/tail-window.ts';

/** More than this is worth a thread that has nothing else to do. */
export const SMALL_WRITE_BYTES_MAX: number = 64 * KIB;

export type LogWriterOptions = {
  readonly storage: Storage;
  readonly tail: TailWindow;
  readonly memory: LogMemory;
  readonly segmentBytes: number;
};

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

/** The shard's end under ASYNC_FLUSH: writes what is little, into a segment that the flusher has begun. */
export class SmallWriter {
  /** Why it stopped; undefined while it runs. */
  failure: SluiceError | undefined;
  private readonly options: LogWriterOptions;
  private readonly open: OpenSegment;
  private readonly pieceBytes: number;

  constructor(options: LogWriterOptions) {
    this.options = options;
    this.open = new OpenSegment(options.storage);
    this.pieceBytes = pieceBytesOf(options);
  }

  /**
   * Writes everything appended, if it is little and the flusher does nothing.
   *
   * @returns false: the flusher must
   */
  write(): boolean {
    const { memory } = this.options;
    if (this.failure !== undefined || !memory.claimWriting()) return false;
    try {
      return this.writePiece(memory.written.observe(), memory.appended.observe());
    } catch (error) {
      this.failure = toSluiceError(error, 'STORAGE_IO');
      memory.reportFault('STORAGE_IO');
      return false;
    } finally {
      memory.releaseWriting();
    }
  }

  private writePiece(written: number, appended: number): boolean {
    const { memory, tail, segmentBytes } = this.options;
    const length = appended - written;
    const place = written % segmentBytes;
    if (place === 0 || length > SMALL_WRITE_BYTES_MAX) return false;
    if ((written % this.pieceBytes) + length > this.pieceBytes) return false;
    this.open.of(Math.floor(written / segmentBytes)).write(tail.at(written, length), place);
    // Publishes: the operating system has the bytes, so a killed process loses none of them.
    memory.written.publish(appended);
    return true;
  }
}

/** What is in one piece both in memory and in its file. */
function pieceBytesOf({ segmentBytes, tail }: LogWriterOptions): number {
  return Math.min(segmentBytes, tail.windowBytes);
}
