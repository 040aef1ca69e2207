/**
 * The newest bytes of a shard's log in memory shared by all threads: position p stands at p modulo the window. A batch
 * never crosses a chunk (the smaller of window and segment), so every batch is one piece, in memory and in its file.
 * The shard writes; flusher and acceptor read. What may be overwritten is decided by `shard-log.ts`.
 */
import { invariant } from '../base/assert.ts';
import { isPowerOfTwo } from '../base/units.ts';

/** The window is divided so that readers hold back only the part they read. */
export const TAIL_SLOTS = 16;

export class TailWindow {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly windowBytes: number;
  readonly slotBytes: number;

  constructor(memory: SharedArrayBuffer) {
    invariant(
      isPowerOfTwo(memory.byteLength),
      'the tail window is a power of two',
      memory.byteLength,
    );
    this.windowBytes = memory.byteLength;
    this.slotBytes = memory.byteLength / TAIL_SLOTS;
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
  }

  /** Byte offset of a position in `bytes`. */
  place(position: number): number {
    return position % this.windowBytes;
  }

  /** The bytes from `position`, in place. The caller knows that they are in the window and in one chunk. */
  at(position: number, length: number): Uint8Array {
    const place = this.place(position);
    return this.bytes.subarray(place, place + length);
  }

  /** Index of the slot that holds a position. */
  slotOf(position: number): number {
    return Math.floor(this.place(position) / this.slotBytes);
  }
}
