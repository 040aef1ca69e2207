/**
 * Which offsets of a queue have been delivered: the next one in order, and runs beyond it when something was left out or
 * came too early. Tells what is new from what comes again.
 */
import { RangeSet } from '../base/range-set.ts';

export class QueueCursor {
  /** All offsets below were delivered. */
  next = 0;
  private readonly beyond = new RangeSet();

  /**
   * Offsets `start` to `start + count - 1` were delivered.
   *
   * @returns how many of them, counted from the start, had been delivered before: all, some, or none
   */
  take(start: number, count: number): number {
    const end = start + count;
    if (start === this.next && this.beyond.size === 0) {
      this.next = end;
      return 0;
    }
    let before = Math.max(0, Math.min(this.next, end) - start);
    while (before < count && this.beyond.has(start + before)) before += 1;
    this.beyond.add(Math.max(start, this.next), end);
    this.next = this.beyond.absorb(this.next);
    return before;
  }
}
