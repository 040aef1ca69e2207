/**
 * Reads runs of a shard's log for whoever follows it: from the tail window while the bytes are there, else from the segment
 * file. It takes no lease, so a slow reader never stops the shard: it copies, and looks afterwards whether the shard has begun
 * to give those bytes up. Replication thread; reading a file blocks for the time of one read.
 */
import { getU64 } from '../base/bytes.ts';
import { segmentName, segmentOfName } from '../log/file-names.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
import { isStoredHeader, isStoredPayload } from '../log/stored-header.ts';
import type { TailWindow } from '../log/tail-window.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { RUN_BYTES_MAX, RUN_BYTES_TARGET } from './transfer-layout.ts';

/** `none`: nothing to read. `gone`: retention has let it go. `damaged`: what is there is no batch. */
export type ReadResult = number | 'none' | 'gone' | 'damaged';

export type LogShape = { readonly segmentBytes: number; readonly chunkBytes: number };

export class LogSource {
  private readonly storage: Storage;
  private readonly memory: LogMemory;
  private readonly tail: TailWindow;
  readonly shape: LogShape;
  private file: StorageFile | undefined;
  private fileSegment = -1;
  /** The last run that was read, from its start. */
  bytes: Uint8Array = new Uint8Array(RUN_BYTES_TARGET);
  private view: DataView = new DataView(this.bytes.buffer);

  constructor(storage: Storage, memory: LogMemory, tail: TailWindow, shape: LogShape) {
    this.storage = storage;
    this.memory = memory;
    this.tail = tail;
    this.shape = shape;
  }

  /** First position from which the segment files hold everything: retention may have let a segment in the middle go. */
  start(): number {
    const present = new Set(this.storage.list().map(segmentOfName));
    let segment = Math.floor(this.memory.appended.observe() / this.shape.segmentBytes);
    while (present.has(segment - 1)) segment -= 1;
    return segment * this.shape.segmentBytes;
  }

  /**
   * Reads whole batches from `position` into `bytes`, as many as fit a run of the usual size, at least one; padding and the rest
   * of a chunk come with them.
   *
   * @param end - a position where a batch ends: nothing behind it is read
   * @returns bytes of the run
   */
  read(position: number, end: number): ReadResult {
    if (position >= end) return 'none';
    const { chunkBytes } = this.shape;
    const chunkLeft = chunkBytes - (position % chunkBytes);
    const left = Math.min(chunkLeft, end - position);
    const wanted = Math.min(left, RUN_BYTES_TARGET);
    const result = this.fill(position, wanted);
    if (typeof result !== 'boolean') return result;
    const whole = this.wholeBatches(position, wanted, chunkLeft, result);
    if (whole > 0 || whole === -1) return whole === -1 ? 'damaged' : whole;
    // The first batch alone is longer than that.
    const bytes = this.view.getUint32(layout.STORED_BYTES, true);
    if (bytes > Math.min(left, RUN_BYTES_MAX)) return 'damaged';
    const again = this.fill(position, bytes);
    if (typeof again !== 'boolean') return again;
    const one = this.wholeBatches(position, bytes, chunkLeft, again);
    return one > 0 ? one : 'damaged';
  }

  /** The checksum in the batch header at a position, and where that batch ends. */
  headerAt(position: number): { readonly crc: number; readonly end: number } | undefined {
    const chunkLeft = this.shape.chunkBytes - (position % this.shape.chunkBytes);
    if (chunkLeft < layout.STORED_HEADER_BYTES) return undefined;
    if (typeof this.fill(position, layout.STORED_HEADER_BYTES) !== 'boolean') return undefined;
    if (!isStoredHeader(this.bytes, this.view, 0, position, chunkLeft)) return undefined;
    const end = position + this.view.getUint32(layout.STORED_BYTES, true);
    return { crc: this.view.getUint32(layout.STORED_CRC, true), end };
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }

  /** @returns true when the bytes came from the window, whose payloads were checked when they were appended */
  private fill(position: number, length: number): boolean | 'gone' {
    if (length > this.bytes.length) {
      this.bytes = new Uint8Array(length);
      this.view = new DataView(this.bytes.buffer);
    }
    if (position >= this.memory.hotStart.observe()) {
      this.bytes.set(this.tail.at(position, length));
      // Observes: had the shard begun to overwrite these bytes, it would have said so before.
      if (position >= this.memory.hotStart.observe()) return true;
    }
    return this.readFile(position, length) ? false : 'gone';
  }

  private readFile(position: number, length: number): boolean {
    const segment = Math.floor(position / this.shape.segmentBytes);
    if (segment !== this.fileSegment || this.file === undefined) {
      this.close();
      const name = segmentName(segment);
      if (!this.storage.exists(name)) return false;
      this.file = this.storage.open(name, false);
      this.fileSegment = segment;
    }
    const target = this.bytes.subarray(0, length);
    target.fill(0, this.file.read(target, position % this.shape.segmentBytes));
    // An open file may have been let go meanwhile and be used for another segment.
    const isOld =
      length >= 8 + layout.STORED_POSITION &&
      getU64(this.view, layout.STORED_POSITION) > position &&
      !this.storage.exists(segmentName(segment));
    if (isOld) this.close();
    return !isOld;
  }

  /** Bytes of the whole batches at the start of `bytes`; 0: the first is longer; -1: there is none. */
  private wholeBatches(
    position: number,
    length: number,
    chunkLeft: number,
    isHot: boolean,
  ): number {
    let at = 0;
    while (at < length) {
      if (chunkLeft - at < layout.STORED_HEADER_BYTES) return length === chunkLeft ? length : at;
      if (length - at < layout.STORED_HEADER_BYTES) return at;
      if (!isStoredHeader(this.bytes, this.view, at, position + at, chunkLeft - at))
        return at > 0 ? at : -1;
      const bytes = this.view.getUint32(at + layout.STORED_BYTES, true);
      if (at + bytes > length) return at;
      if (!isHot && !isStoredPayload(this.bytes, this.view, at)) return at > 0 ? at : -1;
      at += bytes;
    }
    return at;
  }
}
