/**
 * Cuts what a connection brings into frames. Holds at most one frame of the size allowed and what arrived with it; memory
 * grows with bytes that came, never with a length that somebody claims.
 */
import { type Frame, isFrame } from './transfer-codec.ts';
import * as layout from './transfer-layout.ts';

const BYTES_FIRST = 4096;

export class FrameReader {
  /** Bytes of the longest frame that is taken now. */
  frameBytesMax: number = layout.GREETING_BYTES_MAX;
  private bytes: Uint8Array = new Uint8Array(BYTES_FIRST);
  private view: DataView = new DataView(this.bytes.buffer);
  private start = 0;
  private end = 0;

  /** Bytes that wait. The connection should be read no further while a whole frame waits. */
  get heldBytes(): number {
    return this.end - this.start;
  }

  push(more: Uint8Array): void {
    if (this.end + more.length > this.bytes.length) this.makeRoom(more.length);
    this.bytes.set(more, this.end);
    this.end += more.length;
  }

  /**
   * Hands over whole frames one after the other, as long as the connection is open.
   *
   * @param take - `taken`; `later`: the frame stays; anything else says what is wrong with it
   * @returns frames taken, and what was wrong with the one after them
   */
  drain(
    isOpen: () => boolean,
    take: (frame: Frame) => string,
  ): { readonly taken: number; readonly wrong: string | undefined } {
    let taken = 0;
    while (isOpen()) {
      const frame = this.peek();
      if (frame === 'more') break;
      if (frame === 'broken') return { taken, wrong: 'bytes that are no frame' };
      const result = take(frame);
      if (result === 'later') break;
      if (result !== 'taken') return { taken, wrong: result };
      this.shift(frame);
      taken += 1;
    }
    return { taken, wrong: undefined };
  }

  /** The frame that is next, left where it is; `more`: not all of it is there; `broken`: these bytes are none. */
  peek(): Frame | 'more' | 'broken' {
    if (this.heldBytes < layout.FRAME_HEADER_BYTES) return 'more';
    const length = this.view.getUint32(this.start + layout.FRAME_BYTES, true);
    if (length < layout.FRAME_HEADER_BYTES || length > this.frameBytesMax) return 'broken';
    if (this.heldBytes < length) return 'more';
    if (!isFrame(this.bytes, this.view, this.start, length)) return 'broken';
    const type = this.view.getUint16(this.start + layout.FRAME_TYPE, true);
    return { type, bytes: this.bytes, view: this.view, at: this.start, length };
  }

  /** Done with the frame that `peek` gave. */
  shift(frame: Frame): void {
    this.start += frame.length;
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
    }
  }

  private makeRoom(bytes: number): void {
    const held = this.heldBytes;
    const isEnough = held + bytes <= this.bytes.length;
    const target = isEnough
      ? this.bytes
      : new Uint8Array(Math.max(held + bytes, this.bytes.length * 2));
    target.set(this.bytes.subarray(this.start, this.end));
    this.bytes = target;
    this.view = new DataView(target.buffer);
    this.start = 0;
    this.end = held;
  }
}
