/**
 * Puts a log together from the files that a master sends, in a directory whose old log was thrown away. Until the last piece is
 * on the disk a start finds nothing, and begins again (log/cut-tail.ts). The shard is closed meanwhile.
 */
import { getU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { beginReplacing, endReplacing } from '../log/cut-tail.ts';
import { segmentName, snapshotName } from '../log/file-names.ts';
import type { Storage, StorageFile } from '../log/storage.ts';
import type { Frame } from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

const ZEROS_BYTES: number = layout.RUN_BYTES_TARGET;
/** Bytes of the largest snapshot that is taken. */
const SNAPSHOT_BYTES_MAX = 1_073_741_824;

export type FileTaken = 'taken' | 'done' | 'wrong';

export class FileReceiver {
  private readonly storage: Storage;
  private readonly segmentBytes: number;
  private readonly session: number;
  private file: StorageFile | undefined;
  private kind = 0;
  private number = -1;
  private byteOffset = 0;

  /** Throws the old log away. @throws STORAGE_IO, STORAGE_FULL */
  constructor(storage: Storage, segmentBytes: number, session: number) {
    this.storage = storage;
    this.segmentBytes = segmentBytes;
    this.session = session;
    beginReplacing(storage);
  }

  /** @param frame - a FILE frame @throws STORAGE_IO, STORAGE_FULL */
  take({ bytes, view, at, length }: Frame): FileTaken {
    const piece = length - layout.FILE_PIECE;
    const start = at + layout.FILE_PIECE;
    if (view.getUint32(at + layout.FILE_SESSION, true) !== this.session) return 'wrong';
    if (crc32(bytes, start, at + length) !== view.getUint32(at + layout.FILE_CRC, true))
      return 'wrong';
    const kind = view.getUint16(at + layout.FILE_KIND, true);
    const number = getU64(view, at + layout.FILE_NUMBER);
    const byteOffset = getU64(view, at + layout.FILE_BYTE_OFFSET);
    if (number < 0 || byteOffset < 0) return 'wrong';
    if (kind === layout.FILE_END) return this.end(number);
    if (!this.isNext(kind, number, byteOffset, piece)) return 'wrong';
    if (byteOffset === 0) this.begin(kind, number);
    this.file?.write(bytes.subarray(start, at + length), byteOffset);
    this.byteOffset = byteOffset + piece;
    return 'taken';
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }

  private isNext(kind: number, number: number, byteOffset: number, piece: number): boolean {
    const bytesMax = kind === layout.FILE_SEGMENT ? this.segmentBytes : SNAPSHOT_BYTES_MAX;
    if (piece === 0 || byteOffset + piece > bytesMax) return false;
    if (byteOffset > 0)
      return kind === this.kind && number === this.number && byteOffset === this.byteOffset;
    if (kind === layout.FILE_SNAPSHOT) return this.kind === layout.FILE_SEGMENT;
    // Segments come in order; numbers beyond any position are none.
    if (kind !== layout.FILE_SEGMENT || !Number.isSafeInteger(number * this.segmentBytes))
      return false;
    return this.kind === 0 || (this.kind === layout.FILE_SEGMENT && number > this.number);
  }

  private begin(kind: number, number: number): void {
    this.finishFile();
    this.kind = kind;
    this.number = number;
    const name = kind === layout.FILE_SEGMENT ? segmentName(number) : snapshotName(number);
    this.file = this.storage.open(name, true);
    if (kind !== layout.FILE_SEGMENT) return;
    const zeros = new Uint8Array(Math.min(ZEROS_BYTES, this.segmentBytes));
    for (let from = 0; from < this.segmentBytes; from += zeros.length)
      this.file.write(zeros.subarray(0, Math.min(zeros.length, this.segmentBytes - from)), from);
  }

  private end(position: number): FileTaken {
    if (this.kind !== layout.FILE_SNAPSHOT || position !== this.number) return 'wrong';
    this.finishFile();
    endReplacing(this.storage, position);
    return 'done';
  }

  private finishFile(): void {
    this.file?.sync();
    this.close();
  }
}
