/**
 * Memory for frames that are on their way out: pieces that are filled from the front, one frame behind the other, so that the
 * answers of one turn leave as one run of bytes. No byte is used twice: whoever sends it may keep it for as long as the socket
 * takes. Browser-safe.
 */
import { KIB } from '../../base/units.ts';

/** About as many answers as a busy client has under way; what one of them pins while its client does not read. */
const PIECE_BYTES: number = 16 * KIB;

export class FrameSpace {
  /** The piece of the last frame. */
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  /** Where the last frame ends in it. */
  end = 0;
  private readonly pieceBytes: number;

  /** @param pieceBytes - of memory that is taken at once; a larger frame has a piece of its own */
  constructor(pieceBytes: number = PIECE_BYTES) {
    this.pieceBytes = pieceBytes;
  }

  /** @returns where in `bytes` the next frame begins, for which there is room then */
  claim(frameBytes: number): number {
    let start = this.end;
    if (start + frameBytes > this.bytes.length) {
      this.bytes = new Uint8Array(Math.max(frameBytes, this.pieceBytes));
      this.view = new DataView(this.bytes.buffer);
      start = 0;
    }
    this.end = start + frameBytes;
    return start;
  }
}
