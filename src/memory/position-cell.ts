/**
 * One log position shared between threads: one writer, any readers, only growing. A 64-bit atomic costs some 20 ns, so
 * positions cross threads once per duty cycle and live as plain numbers inside a thread.
 */
import { invariant } from '../base/assert.ts';

/** Bytes between two cells: two cache lines, so that writers of neighbours do not disturb each other. */
export const CELL_BYTES = 128;

export class PositionCell {
  private readonly word: BigInt64Array;

  /** @param byteOffset - a multiple of CELL_BYTES */
  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    invariant(
      byteOffset % CELL_BYTES === 0,
      'a position cell is aligned to its spacing',
      byteOffset,
    );
    this.word = new BigInt64Array(memory, byteOffset, 1);
  }

  /** Writer only. Publishes: everything written before this call. */
  publish(position: number): void {
    Atomics.store(this.word, 0, BigInt(position));
  }

  /** Observes: everything written before the matching publish. */
  observe(): number {
    return Number(Atomics.load(this.word, 0));
  }
}
