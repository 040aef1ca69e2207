/**
 * Cuts a stream of chunks into frames by a rule that the protocol gives. A frame that lies whole in one chunk is handed
 * on where it is; one that comes in pieces is gathered in a buffer that grows with what has come, not with what was
 * announced. Pure.
 */
import { KIB } from '../base/units.ts';

/** How the frames of a protocol are found in a stream. */
export type FrameRule = {
  /** Bytes of a frame from which its length is known. */
  readonly headBytes: number;
  /**
   * Bytes of the frame that begins at `start`, head included; FRAME_REFUSED or FRAME_OVERSIZED when there is none.
   * @param start - at least `headBytes` bytes follow it
   */
  readonly frameBytes: (bytes: Uint8Array, start: number) => number;
};

/** These bytes begin no frame of the protocol. */
export const FRAME_REFUSED = -1;
/** They begin a frame that is larger than the protocol allows. */
export const FRAME_OVERSIZED = -2;

/** Bytes of frames that are not whole yet, of all connections of one listener. */
export class PartialBudget {
  readonly bytesMax: number;
  bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** @returns false when there is not so much left; nothing is taken then */
  take(bytes: number): boolean {
    if (this.bytes + bytes > this.bytesMax) return false;
    this.bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.bytes -= bytes;
  }
}

/** `ok`, or why no more frames can come out of this stream. */
export type CutVerdict = 'ok' | 'bad-frame' | 'frame-too-large' | 'partial-bytes';

const GROW_BYTES_MIN: number = 4 * KIB;
const NO_BYTES = new Uint8Array(0);

export class FrameCutter {
  private readonly rule: FrameRule;
  private readonly budget: PartialBudget;
  /** The beginning of a frame that is not whole; its first `filled` bytes. */
  private partial: Uint8Array = NO_BYTES;
  private filled = 0;
  /** Bytes that the partial frame will have; 0 while its head is not whole. */
  private wanted = 0;

  constructor(rule: FrameRule, budget: PartialBudget) {
    this.rule = rule;
    this.budget = budget;
  }

  /** Is a frame begun and not whole? */
  get isPartial(): boolean {
    return this.filled > 0;
  }

  /**
   * Takes the next chunk and calls `onFrame` for each frame that becomes whole.
   *
   * @param onFrame - its bytes are borrowed until it returns; false stops the cutting and drops the rest
   */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array) => boolean): CutVerdict {
    let at = 0;
    while (at < chunk.length) {
      if (this.filled > 0) {
        const taken = this.fill(chunk, at);
        if (typeof taken === 'string') return taken;
        at += taken;
        if (this.wanted === 0 || this.filled < this.wanted) continue;
        const frame = this.partial.subarray(0, this.filled);
        this.release();
        if (!onFrame(frame)) return 'ok';
        continue;
      }
      const length = this.lengthAt(chunk, at);
      if (length < 0) return length === FRAME_OVERSIZED ? 'frame-too-large' : 'bad-frame';
      if (length > 0 && length <= chunk.length - at) {
        at += length;
        if (!onFrame(chunk.subarray(at - length, at))) return 'ok';
        continue;
      }
      const taken = this.begin(chunk, at, length);
      if (typeof taken === 'string') return taken;
      at += taken;
    }
    return 'ok';
  }

  /** Gives back what a partial frame holds. To be called when the connection closes. */
  release(): void {
    this.budget.giveBack(this.partial.length);
    this.partial = NO_BYTES;
    this.filled = 0;
    this.wanted = 0;
  }

  /** Length of the frame at `at`; 0 while its head is not whole. */
  private lengthAt(bytes: Uint8Array, at: number): number {
    return bytes.length - at < this.rule.headBytes ? 0 : this.rule.frameBytes(bytes, at);
  }

  private begin(chunk: Uint8Array, at: number, wanted: number): number | CutVerdict {
    const rest = chunk.length - at;
    if (!this.grow(Math.max(rest, this.rule.headBytes))) return 'partial-bytes';
    this.wanted = wanted;
    this.partial.set(chunk.subarray(at), 0);
    this.filled = rest;
    return rest;
  }

  /** Adds to the partial frame what it lacks, first of its head, then of its rest. */
  private fill(chunk: Uint8Array, at: number): number | CutVerdict {
    const target = this.wanted === 0 ? this.rule.headBytes : this.wanted;
    const taken = Math.min(target - this.filled, chunk.length - at);
    if (this.filled + taken > this.partial.length && !this.grow(this.filled + taken))
      return 'partial-bytes';
    this.partial.set(chunk.subarray(at, at + taken), this.filled);
    this.filled += taken;
    if (this.wanted !== 0 || this.filled < target) return taken;
    this.wanted = this.rule.frameBytes(this.partial, 0);
    if (this.wanted < 0) return this.wanted === FRAME_OVERSIZED ? 'frame-too-large' : 'bad-frame';
    return taken;
  }

  /** Makes the buffer at least so large: twice what it was, so that a long frame is copied a few times only. */
  private grow(bytesMin: number): boolean {
    const doubled = Math.max(bytesMin, this.partial.length * 2, GROW_BYTES_MIN);
    const bytes = this.wanted > 0 ? Math.max(bytesMin, Math.min(doubled, this.wanted)) : doubled;
    if (!this.budget.take(bytes - this.partial.length)) return false;
    const grown = new Uint8Array(bytes);
    grown.set(this.partial.subarray(0, this.filled));
    this.partial = grown;
    return true;
  }
}
