/** A set of whole numbers as sorted, disjoint runs that never touch: what is settled above a low-water mark. */

export class RangeSet {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];

  /** Number of runs. */
  get size(): number {
    return this.starts.length;
  }

  /** Adds `start` (inclusive) to `end` (exclusive), merging with what it touches. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const first = this.firstEndingAtOrAfter(start);
    let last = first;
    let mergedStart = start;
    let mergedEnd = end;
    while (last < this.starts.length && (this.starts[last] as number) <= end) {
      mergedStart = Math.min(mergedStart, this.starts[last] as number);
      mergedEnd = Math.max(mergedEnd, this.ends[last] as number);
      last += 1;
    }
    this.starts.splice(first, last - first, mergedStart);
    this.ends.splice(first, last - first, mergedEnd);
  }

  /** Takes `start` to `end` out, splitting runs where needed. @returns how many numbers were in the set */
  remove(start: number, end: number): number {
    if (start >= end) return 0;
    const first = this.firstEndingAtOrAfter(start + 1);
    const keptStarts: number[] = [];
    const keptEnds: number[] = [];
    let removed = 0;
    let last = first;
    for (; last < this.starts.length && (this.starts[last] as number) < end; last += 1) {
      const runStart = this.starts[last] as number;
      const runEnd = this.ends[last] as number;
      removed += Math.min(runEnd, end) - Math.max(runStart, start);
      if (runStart < start) {
        keptStarts.push(runStart);
        keptEnds.push(start);
      }
      if (runEnd > end) {
        keptStarts.push(end);
        keptEnds.push(runEnd);
      }
    }
    this.starts.splice(first, last - first, ...keptStarts);
    this.ends.splice(first, last - first, ...keptEnds);
    return removed;
  }

  has(value: number): boolean {
    const index = this.firstEndingAtOrAfter(value + 1);
    return index < this.starts.length && (this.starts[index] as number) <= value;
  }

  /** First number at or above `from` that is not in the set. */
  firstMissing(from: number): number {
    const index = this.firstEndingAtOrAfter(from + 1);
    return index < this.starts.length && (this.starts[index] as number) <= from
      ? (this.ends[index] as number)
      : from;
  }

  /** Start of the first run above `from`; Infinity when there is none. */
  nextStart(from: number): number {
    const index = this.firstEndingAtOrAfter(from + 1);
    const start = this.starts[index];
    if (start !== undefined && start <= from)
      return this.starts[index + 1] ?? Number.POSITIVE_INFINITY;
    return start ?? Number.POSITIVE_INFINITY;
  }

  /** If the lowest run touches `mark` or lies below, takes it out and returns the new mark. */
  absorb(mark: number): number {
    let raised = mark;
    let count = 0;
    for (; count < this.starts.length && (this.starts[count] as number) <= raised; count += 1)
      raised = Math.max(raised, this.ends[count] as number);
    this.starts.splice(0, count);
    this.ends.splice(0, count);
    return raised;
  }

  clear(): void {
    this.starts.length = 0;
    this.ends.length = 0;
  }

  /** The parts of runs that lie from `start` (inclusive) to `end` (exclusive), as pairs, in order. */
  within(start: number, end: number): [start: number, end: number][] {
    const parts: [start: number, end: number][] = [];
    for (
      let index = this.firstEndingAtOrAfter(start + 1);
      index < this.starts.length && (this.starts[index] as number) < end;
      index += 1
    ) {
      const runStart = this.starts[index] as number;
      const runEnd = this.ends[index] as number;
      parts.push([Math.max(runStart, start), Math.min(runEnd, end)]);
    }
    return parts;
  }

  /** The runs as [start, end) pairs, in order. */
  runs(): [start: number, end: number][] {
    return this.starts.map((start, index) => [start, this.ends[index] as number]);
  }

  private firstEndingAtOrAfter(value: number): number {
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ends[middle] as number) >= value) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
