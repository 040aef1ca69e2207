/**
 * What happens to a segment after it was written: its index is built and its entries leave memory, a snapshot makes it
 * unnecessary for recovery, retention lets it go, scrubbing looks for damage. Shard thread; the work itself is side jobs.
 */

import type { ConsumeQueue, QueueSegment } from '../log/consume-queue.ts';
import { encodeSnapshot, SNAPSHOTS_KEPT } from '../log/snapshot.ts';
import type { DeferredPath } from './deferred-path.ts';
import { chunkBytesOf } from './shard-config.ts';
import type { ShardContext } from './shard-context.ts';
import type { VolumeKeeper } from './volume-keeper.ts';

const UPKEEP_INTERVAL_MS = 1000;
/** The same while sends are refused because the disk is full. */
const UPKEEP_INTERVAL_FULL_MS = 50;
const SNAPSHOT_INTERVAL_MS = 5000;
/** The same while the disk is full: segments that may go wait for a snapshot of what is behind them. */
const SNAPSHOT_INTERVAL_FULL_MS = 250;
/** Segments of log after which a snapshot is made whatever the time. */
const SNAPSHOT_SEGMENTS_MAX = 8;
/** A shard gives snapshots a fiftieth of its time: with ten thousand queues one takes a tenth of a second and more. */
const SNAPSHOT_REST_FACTOR = 50;
/** The same while segments may go as soon as a snapshot makes them unnecessary. */
const SNAPSHOT_REST_FACTOR_RELEASE = 4;
/** Milliseconds between two segments that are read through in search of damage. */
const SCRUB_INTERVAL_MS = 60_000;

/** State of a snapshot file: the shard's image, and where the index in memory begins. */
export type SnapshotState = { readonly indexEnd: number; readonly image: unknown };

type KeptSnapshot = {
  readonly position: number;
  readonly indexEnd: number;
  /** Its number in this life; 0 for one of an earlier life. */
  readonly begun: number;
};

export class LogKeeper {
  private readonly context: ShardContext;
  private readonly volume: VolumeKeeper;
  private readonly deferred: DeferredPath;
  /** Positions below: entries are in index files, not in memory. A multiple of the segment size. */
  indexEnd: number;
  /** Position of the last snapshot that is on the disk. */
  private snapshotPosition: number;
  /** The snapshots that are kept, the older one first, and where recovery would read from with each. */
  private snapshots: KeptSnapshot[];
  /** Snapshots that were begun in this life. */
  private snapshotsBegun = 0;
  /** Segments that were let go, and how many snapshots had been begun then: those and the ones before may name them. */
  private released: { readonly segment: number; readonly begun: number }[];
  /** Topics or groups have changed since the last snapshot. */
  private isSnapshotWanted = false;
  private snapshotAtMs: number;
  /** Milliseconds of the shard's time that the last one took. */
  private snapshotTookMs = 0;
  /** Segments that nobody needs wait for a snapshot. */
  private isReleaseWaiting = false;
  private waiting:
    | (KeptSnapshot & { readonly bytes: Uint8Array; readonly done: () => void })
    | undefined;
  private isIndexing = false;
  private indexNotBeforeMs = 0;
  private isScrubbing = false;
  private scrubNext = 0;
  private scrubAtMs: number;
  private upkeepAtMs = 0;
  /** Sealed segments on the disk and how many queues need each. */
  private readonly live: Map<number, number>;
  /** Positions of damaged batches that were found. */
  readonly damaged: Set<number> = new Set();

  constructor(
    context: ShardContext,
    volume: VolumeKeeper,
    deferred: DeferredPath,
    from: {
      indexEnd: number;
      snapshotPosition: number;
      segments: readonly number[];
      released: readonly number[];
    },
  ) {
    this.context = context;
    this.volume = volume;
    this.deferred = deferred;
    this.indexEnd = from.indexEnd;
    this.snapshotPosition = from.snapshotPosition;
    this.snapshots = [];
    if (from.snapshotPosition > 0)
      this.snapshots.push({ position: from.snapshotPosition, indexEnd: from.indexEnd, begun: 0 });
    this.released = from.released.map((segment) => ({ segment, begun: 0 }));
    const nowMs = context.clock.monotonicMs();
    this.snapshotAtMs = nowMs;
    this.scrubAtMs = nowMs;
    this.live = new Map(from.segments.map((segment) => [segment, 0]));
    for (const queue of context.state.queues.values()) {
      for (const { segment } of queue.sealedSegments())
        this.live.set(segment, (this.live.get(segment) ?? 0) + 1);
    }
  }

  /** First position that is kept. */
  get logStart(): number {
    const oldest = Math.min(...this.live.keys(), this.indexEnd / this.context.config.segmentBytes);
    return oldest * this.context.config.segmentBytes;
  }

  /** Snapshots that were begun in this life. */
  get snapshotCount(): number {
    return this.snapshotsBegun;
  }

  /** Sealed segments with an index, newest first. */
  sealedSegments(): number[] {
    return [...this.live.keys()].sort((left, right) => right - left);
  }

  doWork(nowMs: number): void {
    this.writeSnapshotWhenSafe();
    const intervalMs = this.volume.isFull ? UPKEEP_INTERVAL_FULL_MS : UPKEEP_INTERVAL_MS;
    if (this.context.fenced !== undefined || nowMs - this.upkeepAtMs < intervalMs) {
      this.indexNext();
      return;
    }
    this.upkeepAtMs = nowMs;
    this.indexNext();
    this.snapshotWhenDue(nowMs);
    this.retain(this.context.steadyEpochMs());
    this.scrubWhenDue(nowMs);
    this.volume.measure();
  }

  /** Makes a snapshot of the state as it is now; `done` when it is on the disk. */
  snapshot(done: () => void): void {
    const { clock, log, state, steadyEpochMs } = this.context;
    const nowMs = clock.monotonicMs();
    this.snapshotAtMs = nowMs;
    this.isSnapshotWanted = false;
    const image: SnapshotState = {
      indexEnd: this.indexEnd,
      image: state.image(nowMs, steadyEpochMs()),
    };
    const bytes = encodeSnapshot(log.appended, image, state.deferred.table.image());
    this.snapshotTookMs = clock.monotonicMs() - nowMs;
    this.snapshotsBegun += 1;
    const { indexEnd, snapshotsBegun: begun } = this;
    this.waiting = { position: log.appended, indexEnd, begun, bytes, done };
    this.writeSnapshotWhenSafe();
  }

  /**
   * Topics or groups have changed. One damaged record of the log must not make all messages of a topic unreachable, so
   * there is a snapshot soon.
   */
  snapshotSoon(): void {
    this.isSnapshotWanted = true;
  }

  /** A topic is about to be forgotten: nobody needs its segments for it any more. */
  letGo(queues: readonly ConsumeQueue[]): void {
    for (const queue of queues) this.expire(queue, () => true);
  }

  get isSnapshotWaiting(): boolean {
    return this.waiting !== undefined;
  }

  private snapshotWhenDue(nowMs: number): void {
    const { config, log } = this.context;
    const segments = (log.appended - this.snapshotPosition) / config.segmentBytes;
    if (this.waiting !== undefined || (segments < 1 && !this.isSnapshotWanted)) return;
    const intervalMs = this.volume.isFull ? SNAPSHOT_INTERVAL_FULL_MS : SNAPSHOT_INTERVAL_MS;
    const elapsedMs = nowMs - this.snapshotAtMs;
    const rest = this.isReleaseWaiting ? SNAPSHOT_REST_FACTOR_RELEASE : SNAPSHOT_REST_FACTOR;
    if (elapsedMs < this.snapshotTookMs * rest) return;
    if (segments < SNAPSHOT_SEGMENTS_MAX && elapsedMs < intervalMs) return;
    this.snapshot(() => {});
  }

  /** A snapshot must never say more than the log does after a power cut. */
  private writeSnapshotWhenSafe(): void {
    const waiting = this.waiting;
    if (waiting === undefined || this.context.log.flushed < waiting.position) return;
    // What others have not confirmed may yet be cut, and what a snapshot holds is taken for visible at the next start.
    if (this.context.isBounded && this.context.commit < waiting.position) return;
    this.waiting = undefined;
    const job = {
      kind: 'write-snapshot',
      position: waiting.position,
      bytes: waiting.bytes,
    } as const;
    this.context.submit(job, (result) => {
      if (result.error === undefined) this.keepSnapshot(waiting);
      waiting.done();
    });
  }

  /** One of the same position replaces the one before. */
  private keepSnapshot({ position, indexEnd, begun }: KeptSnapshot): void {
    this.snapshotPosition = position;
    const others = this.snapshots.filter((one) => one.position !== position);
    this.snapshots = [...others, { position, indexEnd, begun }].slice(-SNAPSHOTS_KEPT);
    this.forgetReleased();
  }

  /** A mark that no kept snapshot needs any more goes. */
  private forgetReleased(): void {
    const oldest = Math.min(...this.snapshots.map((one) => one.begun));
    const segments = this.released.filter((one) => one.begun < oldest).map((one) => one.segment);
    if (segments.length === 0) return;
    this.released = this.released.filter((one) => one.begun >= oldest);
    this.context.submit({ kind: 'forget-released', segments }, () => {});
  }

  /** Builds the index of the oldest segment that left the tail window, and takes its entries out of memory. */
  private indexNext(): void {
    const { config, log } = this.context;
    const end = this.indexEnd + config.segmentBytes;
    if (this.isIndexing || end > log.hotStart || end > log.flushed) return;
    const nowMs = this.context.clock.monotonicMs();
    if (nowMs < this.indexNotBeforeMs) return;
    this.isIndexing = true;
    const segment = this.indexEnd / config.segmentBytes;
    const shape = { segment, segmentBytes: config.segmentBytes, chunkBytes: chunkBytesOf(config) };
    this.context.submit({ kind: 'build-index', ...shape }, (result) => {
      this.isIndexing = false;
      // Without an index the entries stay in memory; a later round tries again.
      if (result.error !== undefined) this.indexNotBeforeMs = nowMs + UPKEEP_INTERVAL_MS;
      if (result.error !== undefined) return;
      let queues = 0;
      for (const queue of this.context.state.queues.values())
        if (queue.seal(segment, end)) queues += 1;
      this.live.set(segment, queues);
      this.indexEnd = end;
    });
  }

  private retain(epochNowMs: number): void {
    const { config, state } = this.context;
    for (const queue of state.queues.values()) {
      const topic = state.topics.get(queue.topicId);
      const keptMs = topic?.retentionMs ?? config.retentionMs;
      const keptBytes = topic?.retentionBytes ?? Number.POSITIVE_INFINITY;
      this.expire(
        queue,
        (segment, nextStoredAtMs) =>
          nextStoredAtMs < epochNowMs - keptMs || queue.keptBytes - segment.bytes >= keptBytes,
      );
    }
    const overBytes =
      this.context.log.appended - this.logStart - (config.retentionBytes ?? Infinity);
    if (overBytes > 0) this.dropOldest(Math.ceil(overBytes / config.segmentBytes), () => true);
    if (this.volume.isUnderPressure)
      this.dropOldest(this.volume.excessSegments, (queue, segment) => this.mayDrop(queue, segment));
    const excess = this.volume.isUnderPressure ? this.volume.excessSegments : 0;
    this.releaseUnused(Math.max(excess, Math.ceil(overBytes / config.segmentBytes), 0));
  }

  /** Lets the oldest segments go, `count` at most, as far as each queue in them allows that. */
  private dropOldest(
    count: number,
    mayDrop: (queue: ConsumeQueue, segment: QueueSegment) => boolean,
  ): void {
    const oldest = [...this.live.keys()].sort((left, right) => left - right).slice(0, count);
    for (const segment of oldest) {
      const holders = [...this.context.state.queues.values()].filter(
        (queue) => queue.sealedSegments()[0]?.segment === segment,
      );
      if (!holders.every((queue) => mayDrop(queue, queue.sealedSegments()[0] as QueueSegment)))
        return;
      for (const queue of holders) this.expire(queue, (one) => one.segment === segment);
    }
  }

  private mayDrop(queue: ConsumeQueue, segment: QueueSegment): boolean {
    const policy = this.context.state.topics.get(queue.topicId)?.whenFull ?? 'refuse';
    if (policy === 'drop-oldest') return true;
    if (policy === 'refuse') return false;
    const groups = this.context.state.groupQueuesOn(queue);
    return groups.length > 0 && groups.every((one) => one.settledThrough >= segment.endOffset);
  }

  private expire(
    queue: ConsumeQueue,
    isExpired: (segment: QueueSegment, nextStoredAtMs: number) => boolean,
  ): void {
    for (const segment of queue.expire(isExpired))
      this.live.set(segment, (this.live.get(segment) ?? 1) - 1);
  }

  /** @param mustGo - the oldest segments whose room is needed: what waits in them for its time is written again */
  private releaseUnused(mustGo: number): void {
    const { isUnderPressure } = this.volume;
    const safeEnd = this.safeEnd(isUnderPressure);
    if (isUnderPressure && safeEnd < this.indexEnd) this.snapshotSoon();
    const { segmentBytes } = this.context.config;
    const oldest = [...this.live.keys()].sort((left, right) => left - right).slice(0, mustGo);
    const newestThatMustGo = oldest.at(-1) ?? -1;
    const unused = [...this.live].filter(
      ([segment, queues]) =>
        queues <= 0 &&
        (segment + 1) * segmentBytes <= safeEnd &&
        this.deferred.mayLetGo(segment, segment <= newestThatMustGo),
    );
    for (const [segment] of unused) this.live.delete(segment);
    this.isReleaseWaiting = [...this.live].some(([segment, queues]) => {
      const end = (segment + 1) * segmentBytes;
      return queues <= 0 && end > safeEnd && end <= this.indexEnd;
    });
    // Nothing may come any more that would make one due by itself.
    if (this.isReleaseWaiting) this.anotherSnapshot();
    if (unused.length === 0) return;
    const segments = unused.map(([segment]) => segment);
    const begun = this.snapshotsBegun;
    this.volume.release(segments, () => {
      for (const segment of segments) this.released.push({ segment, begun });
    });
  }

  /**
   * Where recovery begins to read at the earliest: with the older snapshot, when the newer one is damaged. As long as there is but one it
   * may be at the beginning of the log. A full disk cannot wait for that.
   */
  private safeEnd(isUnderPressure: boolean): number {
    if (isUnderPressure) return this.snapshots.at(-1)?.indexEnd ?? 0;
    return this.snapshots.length < SNAPSHOTS_KEPT ? 0 : (this.snapshots[0]?.indexEnd ?? 0);
  }

  /** Two snapshots of one position are one file: for the second to take its place beside the first the log must move. */
  private anotherSnapshot(): void {
    const { control, log, isFollowing } = this.context;
    if (log.appended > this.snapshotPosition) this.snapshotSoon();
    else if (control.isEmpty && !isFollowing) control.mark();
  }

  private scrubWhenDue(nowMs: number): void {
    if (this.isScrubbing || nowMs - this.scrubAtMs < SCRUB_INTERVAL_MS || this.live.size === 0)
      return;
    this.scrubAtMs = nowMs;
    const segments = [...this.live.keys()].sort((left, right) => left - right);
    const segment = segments.find((one) => one >= this.scrubNext) ?? (segments[0] as number);
    this.scrubNext = segment + 1;
    this.isScrubbing = true;
    const { config } = this.context;
    const job = {
      kind: 'scrub',
      segment,
      segmentBytes: config.segmentBytes,
      chunkBytes: chunkBytesOf(config),
    } as const;
    this.context.submit(job, (result) => {
      this.isScrubbing = false;
      for (const position of result.damaged ?? []) {
        if (this.damaged.has(position)) continue;
        this.damaged.add(position);
        const message = `the scrub found damage at position ${position}; the messages there are not served`;
        this.context.emit({ event: 'rot', from: position, to: position, message });
      }
    });
  }
}
