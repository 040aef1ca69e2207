/**
 * Keeps segment files ahead of need, and says when the disk is too full for more: sends are then refused with the reason,
 * reads and acks go on in what is prepared, and it resumes by itself. Shard thread; files are made by side jobs.
 */
import type { SideJobResult } from '../log/side-job.ts';
import type { ShardContext } from './shard-context.ts';

/** Milliseconds between two attempts to make a segment on a full disk. */
const RETRY_MS = 500;
/** A shard that takes no more than this is calm: segments are then made ahead without disturbing anybody. */
const CALM_BYTES_PER_MS = 4096;
const CALM_INTERVAL_MS = 1000;
/** Freed segments kept to be used again, at least; more are removed. */
const RECYCLED_MIN = 2;
/** Segments for which there must be room before another is made. */
const ROOM_SEGMENTS = 2;

export class VolumeKeeper {
  private readonly context: ShardContext;
  private isPreparing = false;
  /** Segments are made until as many are ahead as should be. */
  private isRefilling = true;
  private looked = { atMs: 0, appended: 0, isCalm: true };
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

  /**
   * Asks for the next segment. What a burst has used up is made again when half of it is gone or the burst is over: zeros
   * that are written meanwhile would take the disk from it.
   */
  doWork(nowMs: number): void {
    const { config, log } = this.context;
    if (this.isPreparing || nowMs < this.notBeforeMs) return;
    const written = log.appended - (log.appended % config.segmentBytes) + config.segmentBytes;
    const ahead = (log.preparedEnd - written) / config.segmentBytes;
    if (ahead >= config.segmentsAhead) this.isRefilling = false;
    else if (ahead <= Math.floor(config.segmentsAhead / 2) || this.isCalm(nowMs))
      this.isRefilling = true;
    if (!this.isRefilling) return;
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

  /**
   * Segments that nobody needs any more: some are used again, the others removed, once it is written down that they were
   * let go.
   */
  release(segments: readonly number[], done: () => void): void {
    const removed: number[] = [];
    const reused: number[] = [];
    const kept = Math.max(RECYCLED_MIN, this.context.config.segmentsAhead);
    for (const segment of segments) {
      if (this.recycled.length + reused.length < kept && !this.isUnderPressure)
        reused.push(segment);
      else removed.push(segment);
    }
    // A full disk gets back what was kept for later.
    if (this.isUnderPressure) removed.push(...this.recycled.splice(0));
    this.removingCount += removed.length;
    const job = { kind: 'release-segments', released: segments, removed } as const;
    this.context.submit(job, (result) => {
      this.removingCount -= removed.length;
      this.onMeasured(result);
      if (removed.length > 0) this.notBeforeMs = 0;
      if (result.error === undefined) this.recycled.push(...reused);
      done();
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

  /** Did little come in the last second? */
  private isCalm(nowMs: number): boolean {
    const { looked } = this;
    const elapsedMs = nowMs - looked.atMs;
    if (elapsedMs >= CALM_INTERVAL_MS) {
      const { appended } = this.context.log;
      looked.isCalm = (appended - looked.appended) / elapsedMs <= CALM_BYTES_PER_MS;
      looked.atMs = nowMs;
      looked.appended = appended;
    }
    return looked.isCalm;
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
