/** Recovers a shard from its storage and builds its agent. Blocks: runs once, before the shard serves. */
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { type OnFlush, SmallWriter } from '../commit/log-writer.ts';
import { PendingReplies } from '../commit/pending-replies.ts';
import { CheckpointWriter, readCheckpoint } from '../log/checkpoint.ts';
import { ControlWriter } from '../log/control-record.ts';
import { dropHalfReplaced, finishCut, isFollowing, setFollowing } from '../log/cut-tail.ts';
import { segmentName, segmentOfName } from '../log/file-names.ts';
import type { LogMemory } from '../log/log-memory.ts';
import { type RecoveredLog, recoverLog } from '../log/recovery.ts';
import { markReleased, releasedSegments } from '../log/released.ts';
import { repairDirectory } from '../log/repair-directory.ts';
import { runSideJob } from '../log/run-side-job.ts';
import { readSettled } from '../log/settled-file.ts';
import { ShardLog } from '../log/shard-log.ts';
import type { SideJobs } from '../log/side-job.ts';
import { readSnapshot } from '../log/snapshot.ts';
import type { Storage } from '../log/storage.ts';
import type { TailWindow } from '../log/tail-window.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import type { ShardEvent, ShardMetadata } from '../protocol/shard-control.ts';
import type { DeferredMeter } from './deferred-path.ts';
import { ControlLog } from './group-log.ts';
import { JobQueue } from './job-queue.ts';
import type { SnapshotState } from './log-keeper.ts';
import { openJournal } from './open-journal.ts';
import type { HeldQueue } from './replica-side.ts';
import type { SettledJournal } from './settled-journal.ts';
import { ShardAgent } from './shard-agent.ts';
import { chunkBytesOf, type ShardConfig } from './shard-config.ts';
import type { ReplySubject, ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';
import { ShardState } from './shard-state.ts';
import { takeLead } from './take-lead.ts';

const SILENT_METER: DeferredMeter = { released: () => {}, waiting: () => {} };
/** Answers that may wait for the disk at one time. */
const PENDING_REPLIES_MAX = 65_536;
/** Bytes of the smallest record: how many offsets a damaged stretch of log may have held. */
const RECORD_BYTES_MIN: number = layout.RECORD_HEADER_BYTES;

export type OpenShardOptions = {
  readonly config: ShardConfig;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly memory: LogMemory;
  readonly tail: TailWindow;
  readonly ports: readonly ShardPort[];
  readonly jobs: SideJobs;
  /** The epoch of this reign; rises when a slave becomes master. */
  readonly epoch: number;
  /** A name for a log that has none, made by chance; without one it cannot have slaves. */
  readonly logId?: string;
  readonly wakeFlusher: () => void;
  /** Told of each barrier that the shard makes itself. */
  readonly onFlush?: OnFlush;
  /** Told of delayed messages that became visible; nobody when it is not given. */
  readonly meter?: DeferredMeter;
};

export type OpenedShard = {
  readonly agent: ShardAgent;
  readonly metadata: ShardMetadata;
  /** End of the recovered log: where the flusher starts. */
  readonly position: number;
};

/** @throws STORAGE_IO, RECORD_CORRUPT when flushed parts of the log are missing altogether */
export function openShard(options: OpenShardOptions): OpenedShard {
  const { config, storage, memory } = options;
  const state = new ShardState(config.shard, config.shards);
  const { replication } = config;
  const isBounded = replication?.role === 'slave' || replication?.ack === 'SYNC_MASTER';
  const start = recoverState(options, state, isBounded);
  const { recovered, indexEnd, snapshotPosition, lastHeaderAt, wasClean, commit } = start;
  if (replication?.role === 'master') checkReign(state, options.epoch);
  for (const cell of [memory.appended, memory.written, memory.flushed])
    cell.publish(recovered.position);
  memory.commit.publish(commit);
  setFollowing(storage, replication?.role === 'slave');
  const preparedEnd = prepareFirst(options, recovered);
  const log = new ShardLog({
    tail: options.tail,
    memory,
    leases: { isFree: (slot) => options.ports.every((port) => port.isSlotFree(slot)) },
    segmentBytes: config.segmentBytes,
    position: recovered.position,
    preparedEnd,
    epoch: options.epoch,
    lastHeaderAt,
  });
  const jobs = new JobQueue(options.jobs);
  const emit = (event: ShardEvent): boolean => options.ports[0]?.event(event) !== false;
  const { clock } = options;
  const epochOffsetMs = clock.epochMs() - clock.monotonicMs();
  const control = new ControlWriter(log.batchBytesMax - layout.STORED_HEADER_BYTES);
  const { journal } = start;
  const isJournal = replication?.role === 'slave' && journal !== undefined;
  const context: ShardContext = {
    config,
    clock,
    steadyEpochMs: () => Math.max(0, Math.round(epochOffsetMs + clock.monotonicMs())),
    memory,
    log,
    tail: options.tail,
    state,
    ports: options.ports,
    pending: new PendingReplies<ReplySubject>(PENDING_REPLIES_MAX),
    control,
    groupLog: isJournal ? journal : new ControlLog(control),
    journal,
    submit: (input, done) => jobs.submit(input, done),
    emit,
    commit,
    isBounded,
    isFollowing: mustFollow(options, state, wasClean),
    bootEnd: Number.POSITIVE_INFINITY,
    refusal: undefined,
    fenced: undefined,
  };
  if (!context.isFollowing) takeLead(context, options.epoch, options.logId);
  const sealed = storage
    .list()
    .map(segmentOfName)
    .filter(
      (segment) => segment !== undefined && segment * config.segmentBytes < indexEnd,
    ) as number[];
  const agent = new ShardAgent(
    context,
    jobs,
    {
      ...{ indexEnd, snapshotPosition, segments: sealed, epoch: options.epoch },
      released: releasedSegments(storage),
      ...{ logId: options.logId, held: start.held, meter: options.meter ?? SILENT_METER },
    },
    options.wakeFlusher,
    new SmallWriter({
      ...{ storage, tail: options.tail, memory, clock, mode: config.flushMode },
      ...{ segmentBytes: config.segmentBytes, shardSyncMicrosMax: config.shardSyncMicrosMax },
      onFlush: options.onFlush,
    }),
  );
  reportStart(options, start, emit);
  return { agent, metadata: metadataOf(state), position: recovered.position };
}

function metadataOf({ topics, groups, topicIdMax, groupIdMax }: ShardState): ShardMetadata {
  return {
    ...{ topics: [...topics.values()], groups: [...groups.values()] },
    ...{ topicIdMax, groupIdMax },
  };
}

/** Nobody may write under an epoch that is over in the log itself. @throws NOT_MASTER */
function checkReign(state: ShardState, epoch: number): void {
  const newest = state.epochs.at(-1)?.epoch ?? 0;
  if (newest <= epoch) return;
  const text = `the log names epoch ${newest}, and this broker would reign under ${epoch}`;
  throw new SluiceError('NOT_MASTER', text, {
    hint: 'Start it as a slave (brokerRole SLAVE) of the broker that reigns; if there is none, promote it then.',
  });
}

/**
 * Without a segment to write to, the first is made here: a new broker is ready as soon as this returns.
 *
 * @throws STORAGE_IO
 */
function prepareFirst({ config, storage }: OpenShardOptions, recovered: RecoveredLog): number {
  if (recovered.preparedEnd > recovered.position) return recovered.preparedEnd;
  const segment = recovered.position / config.segmentBytes;
  const job = {
    kind: 'prepare-segment',
    job: 0,
    segment,
    segmentBytes: config.segmentBytes,
    recycle: null,
    usedRatioMax: 1,
  } as const;
  const { error } = runSideJob(storage, job);
  if (error === undefined) return recovered.position + config.segmentBytes;
  // On a full disk a shard opens all the same: what is stored can be read, and it makes the segment when it can.
  if (error.code === 'STORAGE_FULL') return recovered.position;
  throw new SluiceError(error.code, error.message);
}

type RecoveredState = {
  readonly recovered: RecoveredLog;
  /** Segments that are not there although nobody let them go. */
  readonly missing: readonly number[];
  readonly indexEnd: number;
  readonly snapshotPosition: number;
  readonly lastHeaderAt: number;
  /** Queues with messages that are not known to be confirmed. */
  readonly held: readonly HeldQueue[];
  /** The stop before was a clean one. */
  readonly wasClean: boolean;
  /** Commit position to begin with. */
  readonly commit: number;
  readonly journal: SettledJournal | undefined;
  /** What of the journal is not there any more. */
  readonly journalLoss: string | undefined;
};

/** Snapshot first, then the log: entries from where the index ends, everything else from where the snapshot stands. */
function recoverState(
  options: OpenShardOptions,
  state: ShardState,
  isBounded: boolean,
): RecoveredState {
  const { config, storage, clock } = options;
  finishCut(storage, config.segmentBytes);
  dropHalfReplaced(storage);
  const nowMs = clock.monotonicMs();
  const epochNowMs = clock.epochMs();
  repairDirectory(storage);
  const snapshot = readSnapshot(storage);
  const snapshotState = snapshot?.state as SnapshotState | undefined;
  if (snapshot !== undefined && snapshotState !== undefined)
    state.restore(snapshotState.image, snapshot.rows, nowMs, epochNowMs);
  const segments = storage
    .list()
    .map(segmentOfName)
    .filter((segment) => segment !== undefined) as number[];
  const present = new Set(segments);
  if (snapshot === undefined && segments.length > 0 && !present.has(0)) throw noSnapshot(options);
  const missing = dropMissing(storage, state, present);
  const indexEnd = snapshotState?.indexEnd ?? 0;
  const snapshotPosition = snapshot?.position ?? 0;
  const checkpoint = readCheckpoint(storage);
  // Of what came after the snapshot nobody here knows whether others have it.
  const shown = new Map([...state.queues.values()].map((queue) => [queue, queue.storedEnd]));
  // A slave that served without its master has kept how far that had confirmed.
  const kept = config.replication === undefined ? undefined : readSettled(storage);
  const { commit: keptCommit } = typeof kept === 'object' ? kept : { commit: 0 };
  const told = config.replication?.role === 'slave' ? keptCommit : 0;
  let lastHeaderAt = -1;
  const recovered = recoverLog({
    storage,
    trustsHeaders: !isFollowing(storage),
    confirm: (flushed) => confirm(options, flushed),
    segmentBytes: config.segmentBytes,
    chunkBytes: chunkBytesOf(config),
    from: indexEnd,
    flushed: Math.max(checkpoint?.flushed ?? 0, snapshotPosition),
    visit: (bytes, view, at, position) => {
      const kind = view.getUint16(at + layout.STORED_KIND, true);
      const isNew = position >= snapshotPosition;
      lastHeaderAt = position;
      state.noteEpoch(view.getUint32(at + layout.STORED_EPOCH, true), position);
      if (kind === layout.KIND_DATA) {
        const queue = state.addBatch(bytes, view, at, position, isNew);
        const end = position + view.getUint32(at + layout.STORED_BYTES, true);
        if (queue !== undefined && end <= told) shown.set(queue, queue.storedEnd);
      } else if (kind === layout.KIND_DEFERRED && isNew) {
        state.addDeferred(bytes, view, at, position);
      } else if (kind === layout.KIND_CONTROL && isNew) {
        state.addControl(bytes, view, at, nowMs, epochNowMs);
      }
    },
  });
  const lostMax = recovered.rot.reduce(
    (sum, range) => sum + Math.ceil((range.to - range.from) / RECORD_BYTES_MIN),
    0,
  );
  const held: HeldQueue[] = [];
  for (const queue of state.queues.values()) {
    queue.visibleEnd = isBounded ? (shown.get(queue) ?? queue.minOffset) : queue.storedEnd;
    if (queue.visibleEnd < queue.storedEnd) held.push({ queue, visibleEnd: queue.storedEnd });
    // Offsets of messages that rot has taken are never given out again.
    queue.endOffset += lostMax;
  }
  const wasClean = checkpoint?.isClean === true && checkpoint.flushed === recovered.position;
  if (wasClean && config.replication !== undefined) confirm(options, recovered.position);
  const confirmed = Math.max(snapshotPosition, Math.min(told, recovered.position));
  const commit = isBounded ? confirmed : recovered.position;
  return {
    ...{ recovered, missing, indexEnd, snapshotPosition, lastHeaderAt, held, wasClean, commit },
    ...openJournal(options, state, kept, recovered.position),
  };
}

/**
 * Takes segments whose files are not there out of the queues that the snapshot has. The offsets in them are below what the
 * snapshot calls the end: they are never given out again.
 *
 * @returns those that nobody let go, in order
 */
function dropMissing(storage: Storage, state: ShardState, present: ReadonlySet<number>): number[] {
  const named = new Set<number>();
  const released = new Set(releasedSegments(storage));
  const isFollower = isFollowing(storage);
  for (const queue of state.queues.values()) {
    for (const { segment } of queue.sealedSegments()) if (!present.has(segment)) named.add(segment);
    queue.dropMissing(
      (segment) => !present.has(segment),
      (segment) => isFollower || released.has(segment),
    );
  }
  const unmarked = [...named].filter((segment) => !released.has(segment));
  if (!isFollower) return unmarked.sort((left, right) => left - right);
  // A log that came as files from a master came without what the master had let go: here nobody can tell.
  if (unmarked.length > 0) markReleased(storage, unmarked);
  return [];
}

/** Names a flushed position for good, and with it that the stop before need not have been a clean one. @throws STORAGE_IO */
function confirm({ storage, epoch }: OpenShardOptions, flushed: number): void {
  const checkpoint = new CheckpointWriter(storage, epoch);
  checkpoint.write(flushed);
  checkpoint.close();
}

/**
 * Does it append nothing of its own at first? A slave never does. A master that may have less than its slaves must not write
 * what they have otherwise: after an unclean stop under ASYNC_FLUSH, and under SYNC_MASTER always, which costs nothing. Whoever
 * begins a new reign is not bound by what others have more: their tails are of an older epoch.
 */
function mustFollow(
  { config, epoch }: OpenShardOptions,
  state: ShardState,
  wasClean: boolean,
): boolean {
  const { replication, flushMode } = config;
  if (replication === undefined) return false;
  if (replication.role === 'slave' || replication.ack === 'SYNC_MASTER') return true;
  const isNewReign = (state.epochs.at(-1)?.epoch ?? 0) < epoch;
  return flushMode === 'ASYNC_FLUSH' && state.replicas.size > 0 && !wasClean && !isNewReign;
}

/** Topics, groups and what they have settled stand in the snapshot, once the segments with their records are let go. */
function noSnapshot({ config, storage }: OpenShardOptions): SluiceError {
  return new SluiceError(
    'RECORD_CORRUPT',
    `${storage.location}: no snapshot of shard ${config.shard} can be read, and the beginning of its log was let go`,
    { hint: 'Restore the snapshot files (*.snap) from a backup. Nothing was changed.' },
  );
}

function report(recovered: RecoveredLog, emit: (event: ShardEvent) => void): void {
  for (const range of recovered.rot) {
    const message = `${range.to - range.from} bytes at position ${range.from} were flushed and are damaged; they are kept, and not served`;
    emit({ event: 'rot', from: range.from, to: range.to, message });
  }
  if (recovered.cutBytes > 0) {
    emit({
      event: 'recovered',
      message: `${recovered.cutBytes} unconfirmed bytes behind position ${recovered.position} were cut`,
    });
  }
}

function reportStart(
  options: OpenShardOptions,
  { recovered, journalLoss, missing }: RecoveredState,
  emit: (event: ShardEvent) => void,
): void {
  report(recovered, emit);
  if (journalLoss !== undefined) emit({ event: 'recovered', message: journalLoss });
  reportMissing(options, missing, emit);
}

function reportMissing(
  { config, storage }: OpenShardOptions,
  missing: readonly number[],
  emit: (event: ShardEvent) => void,
): void {
  for (const segment of missing) {
    const from = segment * config.segmentBytes;
    const message =
      `${storage.location}: ${segmentName(segment)} is missing and retention did not let it go: its messages are lost, and skipped. ` +
      'Find out what deleted it; a backup of the whole shard directory brings them back, the file alone does not';
    emit({ event: 'rot', from, to: from + config.segmentBytes, message });
  }
}
