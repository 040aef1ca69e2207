/**
 * Keeps segment files ahead of need, and says when the disk is too full for more: sends are then refused with the reason,
 * reads and acks go on in what is prepared, and it resumes by itself. Shard thread; files are made by side jobs.
 */
import type { SideJobResult } from '../log/side-job.ts';
import type { ShardContext } from './shard-context.ts';

/** Milliseconds between two attempts to make a segment on a full disk. */
const RETRY_MS = 500;
/** Freed segments kept to be used again; more are removed. */
const RECYCLED_MAX = 2;
/** Segments for which there must be room before another is made. */
const ROOM_SEGMENTS = 2;

export class VolumeKeeper {
  private readonly context: ShardContext;
  private isPreparing = false;
  private notBeforeMs = 0;
  private readonly recycled: number[] = [];
  private isMeasuring = false;
  /** Segments that are being removed. */
  private removingCount = 0;
  private freeBytes = 0;
  /** 0: not known yet. */
  private totalBytes = 0;
  /** Share of the volume in use when it was last measured, 0 to 1. */
  usedRatio = 0;
  /** Sends are refused until there is room for a segment. */
  isFull = false;

  constructor(context: ShardContext) {
    this.context = context;
  }

  /** Is the disk so full that old messages should go early where their topics allow it? */
  get isUnderPressure(): boolean {
    return this.isFull || this.usedRatio > this.context.config.diskSoftRatio;
  }

  /** How many segments have to go to end the pressure, beside those that are going. */
  get excessSegments(): number {
    const { diskSoftRatio, segmentBytes } = this.context.config;
    const overSoftBytes = (this.usedRatio - diskSoftRatio) * this.totalBytes;
    const missingBytes = this.isFull ? ROOM_SEGMENTS * segmentBytes - this.freeBytes : 0;
    const count = Math.ceil(Math.max(overSoftBytes, missingBytes) / segmentBytes);
    return Math.max(this.isFull ? 1 : 0, count) - this.removingCount;
  }

  /** Asks for the segment after the one that is written, once that is begun. */
  doWork(nowMs: number): void {
    const { config, log } = this.context;
    const wanted = log.appended - (log.appended % config.segmentBytes) + 2 * config.segmentBytes;
    if (this.isPreparing || log.preparedEnd >= wanted || nowMs < this.notBeforeMs) return;
    if (this.context.fenced !== undefined) return;
    this.isPreparing = true;
    const segment = log.preparedEnd / config.segmentBytes;
    const recycle = this.recycled.shift() ?? null;
    const job = {
      kind: 'prepare-segment',
      segment,
      segmentBytes: config.segmentBytes,
      recycle,
      usedRatioMax: config.diskHardRatio,
    } as const;
    this.context.submit(job, (result) => this.onPrepared(result));
  }

  /** Segments that nobody needs any more: some are used again, the others removed. */
  release(segments: readonly number[]): void {
    const removed: number[] = [];
    for (const segment of segments) {
      if (this.recycled.length < RECYCLED_MAX && !this.isUnderPressure) this.recycled.push(segment);
      else removed.push(segment);
    }
    // A full disk gets back what was kept for later.
    if (this.isUnderPressure) removed.push(...this.recycled.splice(0));
    if (removed.length === 0) return;
    this.removingCount += removed.length;
    this.context.submit({ kind: 'remove-segments', segments: removed }, (result) => {
      this.removingCount -= removed.length;
      this.onMeasured(result);
      this.notBeforeMs = 0;
    });
  }

  measure(): void {
    if (this.isMeasuring) return;
    this.isMeasuring = true;
    this.context.submit({ kind: 'measure-volume' }, (result) => {
      this.isMeasuring = false;
      this.onMeasured(result);
    });
  }

  private onPrepared(result: SideJobResult): void {
    this.isPreparing = false;
    this.onMeasured(result);
    if (result.error === undefined) {
      this.context.log.preparedEnd += this.context.config.segmentBytes;
      if (this.isFull) this.resume();
      return;
    }
    this.notBeforeMs = this.context.clock.monotonicMs() + RETRY_MS;
    if (result.error.code !== 'STORAGE_FULL') {
      const { code, message } = result.error;
      this.context.emit({ event: 'fenced', code, message });
      this.context.fenced = { code: 'STORAGE_IO', text: message };
      this.context.refusal = this.context.fenced;
    } else if (!this.isFull) {
      this.isFull = true;
      const text = `${result.error.message}; retention frees the oldest segment when its time is over`;
      this.context.refusal = { code: 'STORAGE_FULL', text };
      this.context.emit({ event: 'read-only', message: text });
    }
  }

  private resume(): void {
    this.isFull = false;
    if (this.context.refusal?.code === 'STORAGE_FULL') this.context.refusal = undefined;
    this.context.emit({ event: 'writable' });
  }

  private onMeasured(result: SideJobResult): void {
    const { usedRatio, freeBytes } = result;
    if (usedRatio === undefined || freeBytes === undefined) return;
    this.usedRatio = usedRatio;
    this.freeBytes = freeBytes;
    if (usedRatio < 1) this.totalBytes = freeBytes / (1 - usedRatio);
  }
}
