/**
 * The consume queue of one queue: queue offset → batch. Entries of recent segments are in memory; those of older, sealed
 * segments are in the segments' index files and come a page at a time through a side job. Derived from the log, never the
 * truth. Shard thread; never blocks.
 */
import {
  ENTRY_NUMBERS,
  EntryTable,
  emptyEntry,
  type QueueEntry,
  readEntry,
} from './entry-table.ts';

/** What one sealed segment holds of this queue. */
export type QueueSegment = {
  readonly segment: number;
  readonly firstOffset: number;
  /** One past the last. */
  readonly endOffset: number;
  readonly firstStoredAtMs: number;
  /** Bytes of this queue's batches in the segment. */
  readonly bytes: number;
};

/** A page of entries of one sealed segment, as the side job brings it. */
export type EntryPage = {
  readonly segment: number;
  /** The offset that was asked for: the page holds the first entry that ends above it. */
  readonly from: number;
  readonly numbers: Float64Array;
};

/** `loading`: asked for, try again. `end`: at or above the last offset. `gone`: below the first that is kept. */
export type LookUp = 'found' | 'loading' | 'end' | 'gone';

/** Pages kept per queue: one being read and the one before or after. */
const PAGES_MAX = 2;

export class ConsumeQueue {
  readonly topicId: number;
  readonly queueId: number;
  /** Smallest offset that is kept. */
  minOffset = 0;
  /** Offset of the next message to be appended. */
  endOffset = 0;
  /** One past the last message that is stored; below `endOffset` when damage has taken what came after it. */
  storedEnd = 0;
  /** Consumers see messages below this: what lies under the commit position. */
  visibleEnd = 0;
  /** Bytes of the batches that are kept. */
  keptBytes = 0;
  lastStoredAtMs = -1;
  private readonly recent = new EntryTable();
  private segments: QueueSegment[] = [];
  private pages: EntryPage[] = [];
  private readonly scratch: QueueEntry = emptyEntry();

  constructor(topicId: number, queueId: number) {
    this.topicId = topicId;
    this.queueId = queueId;
  }

  /** Adds the batch that was just appended (or found by recovery). */
  push(entry: QueueEntry): void {
    if (this.keptCount === 0 && this.endOffset === 0) this.minOffset = entry.baseOffset;
    this.recent.push(entry);
    this.endOffset = entry.baseOffset + entry.count;
    this.storedEnd = this.endOffset;
    this.keptBytes += entry.bytes;
    this.lastStoredAtMs = entry.storedAtMs;
  }

  /**
   * Finds the batch that holds `offset`, or the next one when damage left a hole there.
   *
   * @param load - called with the segment to load a page of, when it is not in memory
   */
  find(offset: number, out: QueueEntry, load: (segment: number, offset: number) => void): LookUp {
    if (offset < this.minOffset) return 'gone';
    if (offset >= this.endOffset) return 'end';
    const index = this.recent.findOffset(offset);
    const last = this.segments.at(-1);
    if (last === undefined || offset >= last.endOffset) {
      if (index >= this.recent.length) return 'end';
      this.recent.read(index, out);
      return 'found';
    }
    return this.findSealed(offset, out, load);
  }

  /**
   * Offset of the first message stored at or after `epochMs`; in sealed segments to the segment's precision from below, so
   * that nothing is skipped.
   */
  offsetAtTime(epochMs: number): number {
    const last = this.segments.at(-1);
    const index = this.recent.findTime(epochMs);
    if (index > 0 || last === undefined) {
      if (index >= this.recent.length) return this.endOffset;
      this.recent.read(index, this.scratch);
      return this.scratch.baseOffset;
    }
    // The first recent batch is late enough: an earlier one may be in the sealed segments.
    let found = last.firstOffset;
    for (let at = this.segments.length - 1; at >= 0; at -= 1) {
      const segment = this.segments[at] as QueueSegment;
      found = segment.firstOffset;
      if (segment.firstStoredAtMs < epochMs) break;
    }
    return Math.max(found, this.minOffset);
  }

  /** A page has come from a side job. */
  addPage(page: EntryPage): void {
    this.pages = [page, ...this.pages].slice(0, PAGES_MAX);
  }

  dropPages(): void {
    this.pages = [];
  }

  /** Moves entries of a sealed and indexed segment out of memory. @returns true when the queue had some */
  seal(segment: number, segmentEnd: number): boolean {
    const count = this.recent.findPosition(segmentEnd);
    if (count === 0) return false;
    this.recent.read(0, this.scratch);
    const { baseOffset: firstOffset, storedAtMs: firstStoredAtMs } = this.scratch;
    let bytes = 0;
    for (let index = 0; index < count; index += 1) {
      this.recent.read(index, this.scratch);
      bytes += this.scratch.bytes;
    }
    const endOffset = this.scratch.baseOffset + this.scratch.count;
    this.segments.push({ segment, firstOffset, endOffset, firstStoredAtMs, bytes });
    this.recent.dropFirst(count);
    return true;
  }

  /**
   * Lets go of the oldest sealed segments as long as `isExpired` says so.
   *
   * @returns the numbers of the segments that this queue needs no longer
   */
  expire(isExpired: (segment: QueueSegment, nextStoredAtMs: number) => boolean): number[] {
    const dropped: number[] = [];
    for (let first = this.segments[0]; first !== undefined; first = this.segments[0]) {
      const next = this.segments[1]?.firstStoredAtMs ?? this.firstRecentStoredAtMs();
      if (!isExpired(first, next)) break;
      this.segments.shift();
      this.keptBytes -= first.bytes;
      this.minOffset = Math.max(this.minOffset, first.endOffset);
      dropped.push(first.segment);
    }
    if (dropped.length > 0)
      this.pages = this.pages.filter((page) => !dropped.includes(page.segment));
    return dropped;
  }

  /**
   * Takes out the sealed segments whose files are not there; what is behind them is served.
   *
   * @param isReleased - retention has let it go, and so all before it: one of those may be there still, for its file to be used again
   */
  dropMissing(
    isMissing: (segment: number) => boolean,
    isReleased: (segment: number) => boolean = () => false,
  ): void {
    const last = this.segments.findLast(({ segment }) => isMissing(segment) && isReleased(segment));
    if (last !== undefined) this.expire(({ segment }) => segment <= last.segment);
    this.expire(({ segment }) => isMissing(segment));
    for (const one of this.segments) if (isMissing(one.segment)) this.keptBytes -= one.bytes;
    this.segments = this.segments.filter(({ segment }) => !isMissing(segment));
  }

  /** For the snapshot. */
  sealedSegments(): readonly QueueSegment[] {
    return this.segments;
  }

  /** From the snapshot. */
  restore(
    segments: readonly QueueSegment[],
    offsets: { minOffset: number; endOffset: number; storedEnd: number },
  ): void {
    this.segments = [...segments];
    this.minOffset = offsets.minOffset;
    this.endOffset = offsets.endOffset;
    this.storedEnd = offsets.storedEnd;
    this.visibleEnd = offsets.storedEnd;
    this.keptBytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  private get keptCount(): number {
    return this.recent.length + this.segments.length;
  }

  private firstRecentStoredAtMs(): number {
    if (this.recent.length === 0) return this.lastStoredAtMs;
    this.recent.read(0, this.scratch);
    return this.scratch.storedAtMs;
  }

  private findSealed(
    offset: number,
    out: QueueEntry,
    load: (segment: number, offset: number) => void,
  ): LookUp {
    const segment = this.segmentOf(offset);
    // Between two segments there may be a hole that damage has left: then the next message is the segment's first.
    const from = Math.max(offset, segment.firstOffset);
    for (const page of this.pages) {
      const isNear = page.segment === segment.segment && page.from <= from;
      if (isNear && findInPage(page, segment, from, out)) return 'found';
    }
    load(segment.segment, from);
    return 'loading';
  }

  private segmentOf(offset: number): QueueSegment {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.segments[middle] as QueueSegment).endOffset > offset) high = middle;
      else low = middle + 1;
    }
    return this.segments[low] as QueueSegment;
  }
}

/** The first entry of a page that ends above `offset`; false when it may lie behind the page. */
function findInPage(
  page: EntryPage,
  segment: QueueSegment,
  offset: number,
  out: QueueEntry,
): boolean {
  const { numbers } = page;
  const count = numbers.length / ENTRY_NUMBERS;
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * ENTRY_NUMBERS;
    if ((numbers[at] as number) + (numbers[at + 1] as number) > offset) high = middle;
    else low = middle + 1;
  }
  if (low < count) {
    readEntry(numbers, low, out);
    return true;
  }
  if (page.from > offset || (count > 0 && page.from < offset)) return false;
  // The segment holds nothing more of this queue, although it should: damage. What comes next is in the next segment.
  out.baseOffset = segment.endOffset;
  out.count = 0;
  return true;
}
