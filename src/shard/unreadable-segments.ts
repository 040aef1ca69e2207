/**
 * Segments whose entries cannot be read: since when, why, who waits, and when it is tried again. Each is told once, and once
 * more when it is over. Shard thread.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { segmentName } from '../log/file-names.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import { READ_AGAIN_MS_MAX, readAgainMs } from './read-again.ts';

/** The page that holds an entry, or the one that follows it. */
export type Place = {
  readonly queue: ConsumeQueue;
  readonly segment: number;
  readonly offset: number;
};

/** What went wrong with a page, and what is done about it. */
export type Unreadable = {
  /** The one page of the segment that is tried again, for all of them. */
  place: Place;
  code: ErrorCode;
  /** What happened and what to do. */
  text: string;
  failures: number;
  /** Milliseconds between the last failure and the next attempt. */
  retryMs: number;
  /** Infinity while it is being tried. */
  retryAtMs: number;
  /** Queues that need entries of the segment. */
  readonly waiting: Set<ConsumeQueue>;
};

export class UnreadableSegments {
  private readonly segmentBytes: number;
  private readonly emit: (event: ShardEvent) => boolean;
  private readonly segments = new Map<number, Unreadable>();
  /** Those that the broker knows of. */
  private readonly told = new Set<number>();

  /** @param emit - returns false when nobody was told */
  constructor(segmentBytes: number, emit: (event: ShardEvent) => boolean) {
    this.segmentBytes = segmentBytes;
    this.emit = emit;
  }

  get count(): number {
    return this.segments.size;
  }

  /** Why the first of them cannot be read. */
  get reason(): string | undefined {
    for (const { text } of this.segments.values()) return text;
    return undefined;
  }

  get(segment: number): Unreadable | undefined {
    return this.segments.get(segment);
  }

  failed(
    place: Place,
    error: { readonly code: ErrorCode; readonly message: string },
    nowMs: number,
  ): void {
    const known = this.segments.get(place.segment);
    // Another queue's load was under way already when the first one failed: it does not count as an attempt.
    if (known !== undefined && known.place !== place) {
      known.waiting.add(place.queue);
      return;
    }
    const failures = (known?.failures ?? 0) + 1;
    const retryMs = readAgainMs(failures);
    const state = { failures, retryMs, retryAtMs: nowMs + retryMs };
    const seen = { code: error.code, text: this.textOf(place.segment, error) };
    if (known !== undefined) Object.assign(known, state, seen);
    else {
      const waiting = new Set([place.queue]);
      this.segments.set(place.segment, { place, ...state, ...seen, waiting });
    }
  }

  end(segment: number): void {
    this.segments.delete(segment);
  }

  /** Those to be tried again now. */
  due(nowMs: number): Unreadable[] {
    return [...this.segments.values()].filter(({ retryAtMs }) => retryAtMs <= nowMs);
  }

  nextTimerMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { retryAtMs } of this.segments.values()) next = Math.min(next, retryAtMs);
    return next;
  }

  /** Says what nobody was told yet. */
  tell(): void {
    for (const [segment, { code, text }] of this.segments) {
      if (this.told.has(segment)) continue;
      const position = segment * this.segmentBytes;
      if (!this.emit({ event: 'unreadable', position, code, message: text })) return;
      this.told.add(segment);
    }
    for (const segment of this.told) {
      if (this.segments.has(segment)) continue;
      const position = segment * this.segmentBytes;
      const message = `${segmentName(segment)} can be read again, or is needed no more: consumers go on`;
      if (!this.emit({ event: 'readable', position, message })) return;
      this.told.delete(segment);
    }
  }

  private textOf(segment: number, { code, message }: { code: ErrorCode; message: string }): string {
    const position = segment * this.segmentBytes;
    return (
      `the queues' entries in ${segmentName(segment)}, position ${position} to ${position + this.segmentBytes}, cannot be read ` +
      `(${code}: ${message}). Consumers that need them wait, nothing is skipped, and it is tried again every ${READ_AGAIN_MS_MAX} ms. ` +
      'Check the disk and the file; one that is lost for good is given up by moving it away and starting the broker again'
    );
  }
}
