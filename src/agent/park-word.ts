/**
 * Parking and waking a thread. The thread says that it is parked, looks once more for work, and only then waits; a waker
 * publishes work first and looks at the flag after, so that one of the two always sees the other.
 */
import { CELL_BYTES } from '../memory/position-cell.ts';

/** Bytes of one park word: the flag and the wake count, each on lines of its own. */
export const PARK_WORD_BYTES: number = 2 * CELL_BYTES;

export class ParkWord {
  private readonly parked: Int32Array;
  private readonly wakes: Int32Array;

  constructor(memory: SharedArrayBuffer, byteOffset: number) {
    this.parked = new Int32Array(memory, byteOffset, 1);
    this.wakes = new Int32Array(memory, byteOffset + CELL_BYTES, 1);
  }

  /**
   * Owner only, on a thread that may block. Waits until woken or `timeoutMs` passed.
   *
   * @param hasWork - looked at once more after the flag is up; true cancels the wait
   */
  park(timeoutMs: number, hasWork: () => boolean): void {
    const seen = Atomics.load(this.wakes, 0);
    Atomics.store(this.parked, 0, 1);
    if (!hasWork()) Atomics.wait(this.wakes, 0, seen, timeoutMs);
    Atomics.store(this.parked, 0, 0);
  }

  /** Owner only, on a thread with an event loop: says that it sleeps; false when there is work after all. */
  announce(hasWork: () => boolean): boolean {
    Atomics.store(this.parked, 0, 1);
    if (!hasWork()) return true;
    Atomics.store(this.parked, 0, 0);
    return false;
  }

  /** Owner only: it is awake. */
  retract(): void {
    Atomics.store(this.parked, 0, 0);
  }

  /** Any thread, after publishing work: wakes the owner if it waits in `park`. */
  wake(): void {
    if (Atomics.load(this.parked, 0) === 0) return;
    Atomics.add(this.wakes, 0, 1);
    Atomics.notify(this.wakes, 0);
  }

  /** Any thread, after publishing work: should the owner's event loop be sent a message? True for one caller only. */
  takeAnnouncement(): boolean {
    if (Atomics.load(this.parked, 0) === 0) return false;
    return Atomics.exchange(this.parked, 0, 0) === 1;
  }
}
