/**
 * Sends a log as files, to a slave that ends before the first segment that is left: all segments up to the newest snapshot, then
 * that snapshot. What comes behind it is streamed as always once the slave has opened it.
 */
import { setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import { segmentName, segmentOfName, snapshotName } from '../log/file-names.ts';
import { snapshotPositions } from '../log/snapshot.ts';
import type { Storage } from '../log/storage.ts';
import type { ByteLink } from './byte-link.ts';
import { sealFrame } from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

const PIECE_BYTES: number = layout.RUN_BYTES_TARGET;
const PIECES_PER_TURN = 8;

/** `gone`: retention was faster; the slave has to begin again. */
export type FileResult = number | 'done' | 'gone';

type Part = { readonly kind: number; readonly number: number; readonly bytes: number };

export class FileSender {
  private readonly storage: Storage;
  private readonly link: ByteLink;
  private readonly session: number;
  private readonly parts: Part[] = [];
  private readonly bytes: Uint8Array = new Uint8Array(layout.FILE_PIECE + PIECE_BYTES);
  private readonly view: DataView = new DataView(this.bytes.buffer);
  private part = 0;
  private byteOffset = 0;
  /** Length of a frame that found the connection full; 0: none. */
  private unsent = 0;

  constructor(options: {
    readonly storage: Storage;
    readonly link: ByteLink;
    readonly session: number;
    readonly segmentBytes: number;
  }) {
    this.storage = options.storage;
    this.link = options.link;
    this.session = options.session;
    const { segmentBytes } = options;
    const snapshot = snapshotPositions(options.storage)[0] ?? 0;
    for (const number of presentSegments(options.storage)) {
      const bytes = Math.min(segmentBytes, snapshot - number * segmentBytes);
      if (bytes > 0) this.parts.push({ kind: layout.FILE_SEGMENT, number, bytes });
    }
    const bytes = this.sizeOf(snapshotName(snapshot));
    this.parts.push({ kind: layout.FILE_SNAPSHOT, number: snapshot, bytes });
    this.parts.push({ kind: layout.FILE_END, number: snapshot, bytes: 0 });
  }

  doWork(): FileResult {
    for (let pieces = 0; pieces < PIECES_PER_TURN; pieces += 1) {
      if (this.unsent === 0) {
        const part = this.parts[this.part];
        if (part === undefined) return 'done';
        if (!this.write(part)) return 'gone';
      }
      if (!this.link.send(this.bytes.subarray(0, this.unsent))) return pieces;
      this.unsent = 0;
    }
    return PIECES_PER_TURN;
  }

  private write(part: Part): boolean {
    const length = Math.min(PIECE_BYTES, part.bytes - this.byteOffset);
    const { bytes, view } = this;
    if (
      length > 0 &&
      !this.read(part, bytes.subarray(layout.FILE_PIECE, layout.FILE_PIECE + length))
    )
      return false;
    view.setUint32(layout.FILE_SESSION, this.session, true);
    view.setUint16(layout.FILE_KIND, part.kind, true);
    view.setUint16(layout.FILE_RESERVED, 0, true);
    setU64(view, layout.FILE_NUMBER, part.number);
    setU64(view, layout.FILE_BYTE_OFFSET, this.byteOffset);
    view.setUint32(
      layout.FILE_CRC,
      crc32(bytes, layout.FILE_PIECE, layout.FILE_PIECE + length),
      true,
    );
    view.setUint32(layout.FILE_RESERVED_44, 0, true);
    this.unsent = layout.FILE_PIECE + length;
    sealFrame(bytes, view, layout.FILE, this.unsent);
    this.byteOffset += length;
    if (this.byteOffset < part.bytes) return true;
    this.part += 1;
    this.byteOffset = 0;
    return true;
  }

  private read(part: Part, target: Uint8Array): boolean {
    const name =
      part.kind === layout.FILE_SEGMENT ? segmentName(part.number) : snapshotName(part.number);
    if (!this.storage.exists(name)) return false;
    const file = this.storage.open(name, false);
    try {
      return file.read(target, this.byteOffset) === target.length;
    } finally {
      file.close();
    }
  }

  private sizeOf(name: string): number {
    if (!this.storage.exists(name)) return 0;
    const file = this.storage.open(name, false);
    try {
      return file.size();
    } finally {
      file.close();
    }
  }
}

/** In order; retention may have let one in the middle go. */
function presentSegments(storage: Storage): number[] {
  return storage
    .list()
    .map(segmentOfName)
    .filter((segment) => segment !== undefined)
    .sort((left, right) => left - right);
}
