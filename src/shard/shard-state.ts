/**
 * Everything that a shard's log says: topics, groups, queues, what is settled, what producers have sent. Built by the same
 * calls while the shard runs and while recovery replays the log, so the two cannot differ.
 */
import { getU64 } from '../base/bytes.ts';
import { TOPIC_QUEUES_MAX } from '../base/limits.ts';
import { ConsumeQueue, type QueueSegment } from '../log/consume-queue.ts';
import { type ControlVisitor, type OffsetRange, readControl } from '../log/control-record.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import {
  type GroupRecord,
  type MetadataChange,
  shardOf,
  type TopicRecord,
} from '../protocol/shard-control.ts';
import { type DeferredImage, DeferredState } from './deferred-state.ts';
import { type GroupQueueState, groupQueueImage, retryEntry } from './group-image.ts';
import { GroupQueue } from './group-queue.ts';
import { type DedupState, dedupKey, OFFSET_NONE, ProducerDedup } from './producer-dedup.ts';
import { type LockRecord, QueueLocks } from './queue-locks.ts';

/** Metadata as it stands in the log. */
export type MetadataRecord =
  | MetadataChange
  /** Only in logs from before there were POSITION records. */
  | {
      readonly put: 'position';
      readonly groupId: number;
      readonly topicId: number;
      readonly queueId: number;
      readonly offset: number;
    }
  /** Another client of a group, or none, may consume a queue in order. */
  | { readonly put: 'lock'; readonly lock: LockRecord }
  /** One more start of the broker: leases of the run before are not valid in this one. */
  | { readonly put: 'boot'; readonly boot: number }
  /** Makes this log unlike every other: followers of one never take up another. The first record of a replicated log. */
  | { readonly put: 'log'; readonly logId: string }
  /** A slave of this name has been sent this log. */
  | { readonly put: 'replica'; readonly name: string };

type QueueState = {
  readonly topicId: number;
  readonly queueId: number;
  readonly minOffset: number;
  readonly endOffset: number;
  readonly storedEnd: number;
  readonly lastStoredAtMs: number;
  readonly segments: readonly QueueSegment[];
};

type StateImage = {
  readonly epochs?: readonly EpochStart[];
  readonly logId?: string;
  readonly replicas?: readonly string[];
  readonly boot: number;
  readonly takenAtMs: number;
  readonly topicIdMax: number;
  readonly groupIdMax: number;
  readonly topics: readonly TopicRecord[];
  readonly groups: readonly GroupRecord[];
  readonly queues: readonly QueueState[];
  readonly groupQueues: readonly GroupQueueState[];
  readonly locks?: readonly LockRecord[];
  readonly producers: readonly DedupState[];
  /** Absent in snapshots from before messages could be deferred. */
  readonly deferred?: DeferredImage;
};

/** Where the batches of a reign begin: position of its first header. */
export type EpochStart = { readonly epoch: number; readonly first: number };

/** One number for a queue of the broker. */
export function queueKey(topicId: number, queueId: number): number {
  return topicId * TOPIC_QUEUES_MAX + queueId;
}

export class ShardState {
  readonly topics: Map<number, TopicRecord> = new Map();
  readonly groups: Map<number, GroupRecord> = new Map();
  readonly queues: Map<number, ConsumeQueue> = new Map();
  readonly dedup: ProducerDedup = new ProducerDedup();
  /** Messages that cannot be seen yet. */
  readonly deferred: DeferredState = new DeferredState();
  readonly locks: QueueLocks = new QueueLocks();
  topicIdMax = 0;
  groupIdMax = 0;
  boot = 0;
  /** The reigns of this log, oldest first. */
  readonly epochs: EpochStart[] = [];
  /** Empty until the log has been given one. */
  logId = '';
  /** Names of the slaves that were ever sent this log. */
  readonly replicas: Set<string> = new Set();
  /** Told of each metadata record that is replayed, before it takes effect. */
  onReplay: ((record: MetadataRecord) => void) | undefined;
  private readonly shard: number;
  private readonly shards: number;
  /** Group queues by queue, so that a new message finds whom to tell. */
  private readonly byQueue = new Map<number, GroupQueue[]>();
  private readonly entry: QueueEntry = emptyEntry();
  private readonly reader = new BatchReader();

  constructor(shard: number, shards: number) {
    this.shard = shard;
    this.shards = shards;
  }

  queue(topicId: number, queueId: number): ConsumeQueue | undefined {
    return this.queues.get(queueKey(topicId, queueId));
  }

  /** Is this a queue of this shard? Another shard's queue of a known topic is a mistake of the router. */
  owns(topicId: number, queueId: number): boolean {
    return shardOf(topicId, queueId, this.shards) === this.shard;
  }

  queuesOf(topicId: number): ConsumeQueue[] {
    const found: ConsumeQueue[] = [];
    for (let queueId = 0; queueId < (this.topics.get(topicId)?.queues ?? 0); queueId += 1) {
      const queue = this.queue(topicId, queueId);
      if (queue !== undefined) found.push(queue);
    }
    return found;
  }

  /** The groups that have worked on a queue. */
  groupQueuesOn(queue: ConsumeQueue): readonly GroupQueue[] {
    return this.byQueue.get(queueKey(queue.topicId, queue.queueId)) ?? [];
  }

  groupQueue(groupId: number, topicId: number, queueId: number): GroupQueue | undefined {
    return this.byQueue.get(queueKey(topicId, queueId))?.find((one) => one.groupId === groupId);
  }

  *allGroupQueues(): Generator<GroupQueue> {
    for (const list of this.byQueue.values()) yield* list;
  }

  /** A header at `position` names this epoch: every header is told, padding too, in log order. */
  noteEpoch(epoch: number, position: number): void {
    const last = this.epochs.at(-1);
    if (last === undefined || epoch > last.epoch) this.epochs.push({ epoch, first: position });
  }

  /**
   * Takes a data batch into queue and dedup table. `at` is the stored batch's place in `bytes`.
   *
   * @param isNew - false: everything but the queue's entries is known already
   */
  addBatch(
    bytes: Uint8Array,
    view: DataView,
    at: number,
    position: number,
    isNew: boolean,
  ): ConsumeQueue | undefined {
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    const queue = this.queue(topicId, queueId);
    if (queue === undefined) return undefined;
    const batchAt = at + layout.STORED_HEADER_BYTES;
    const entry = this.entry;
    entry.baseOffset = getU64(view, at + layout.STORED_BASE_OFFSET);
    entry.count = view.getUint32(batchAt + layout.BATCH_RECORD_COUNT, true);
    entry.position = position;
    entry.bytes = view.getUint32(at + layout.STORED_BYTES, true);
    entry.bloomLow = view.getUint32(batchAt + layout.BATCH_BLOOM_LOW, true);
    entry.bloomHigh = view.getUint32(batchAt + layout.BATCH_BLOOM_HIGH, true);
    entry.storedAtMs = getU64(view, at + layout.STORED_AT_MS);
    queue.push(entry);
    const flags = view.getUint16(at + layout.STORED_FLAGS, true);
    // A copy has its producer's sequence from when it was sent.
    if (isNew && (flags & layout.STORED_FLAG_RELEASED) !== 0) this.deferred.addCopy(view, at);
    else if (isNew) this.noteProducer(bytes, view, at, position, entry.baseOffset);
    return queue;
  }

  /** Takes in a deferred batch; it adds nothing to its queue. `at` is the stored batch's place in `bytes`. */
  addDeferred(bytes: Uint8Array, view: DataView, at: number, position: number): void {
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    if (this.queue(topicId, queueId) === undefined) return;
    this.deferred.addBatch(bytes, view, at, position);
    const flags = view.getUint16(at + layout.STORED_FLAGS, true);
    if ((flags & layout.DEFERRED_FLAG_MOVED) === 0)
      this.noteProducer(bytes, view, at, position, OFFSET_NONE);
  }

  private noteProducer(
    bytes: Uint8Array,
    view: DataView,
    at: number,
    position: number,
    baseOffset: number,
  ): void {
    const batchAt = at + layout.STORED_HEADER_BYTES;
    if (view.getUint16(batchAt + layout.BATCH_PRODUCER_ID_BYTES, true) === 0) return;
    const topicId = view.getUint32(at + layout.STORED_TOPIC_ID, true);
    const queueId = view.getUint16(at + layout.STORED_QUEUE_ID, true);
    const reader = this.reader.open(bytes, view, batchAt);
    this.dedup.record(dedupKey(topicId, queueId, reader.producerId), reader.producerEpoch, {
      sequence: reader.sequence,
      count: reader.recordCount,
      baseOffset,
      position,
      endPosition: position + view.getUint32(at + layout.STORED_BYTES, true),
    });
  }

  /** Replays the stored control batch at `at`. `nowMs` and `epochNowMs` turn the log's wall times into this run's monotonic ones. */
  addControl(
    bytes: Uint8Array,
    view: DataView,
    at: number,
    nowMs: number,
    epochNowMs: number,
  ): void {
    const writtenAtMs = getU64(view, at + layout.STORED_AT_MS);
    const visitor: ControlVisitor = {
      metadata: (value) => {
        this.onReplay?.(value as MetadataRecord);
        this.applyMetadata(value as MetadataRecord);
      },
      settled: (groupId, topicId, queueId, range) =>
        this.replaySettled(groupId, topicId, queueId, range),
      retry: (groupId, topicId, queueId, range) => {
        const found = this.groupQueue(groupId, topicId, queueId);
        // A later record about the same messages replaces the earlier one.
        found?.retries.remove(range.start, range.start + range.count);
        found?.retry(retryEntry(range, writtenAtMs, nowMs, epochNowMs), nowMs);
      },
      position: ({ groupId, topicId, queueId, offset }) => {
        this.setPosition(groupId, topicId, queueId, offset);
      },
      deferred: (type, entry) => this.deferred.applyEntry(type, entry),
    };
    readControl(bytes, view, at + layout.STORED_HEADER_BYTES, visitor);
  }

  applyMetadata(record: MetadataRecord): void {
    if ('put' in record) {
      if (record.put === 'topic') this.putTopic(record.topic);
      else if (record.put === 'group') this.putGroup(record.group);
      else if (record.put === 'boot') this.beginBoot(record.boot);
      else if (record.put === 'log') this.logId = record.logId;
      else if (record.put === 'replica') this.replicas.add(record.name);
      else if (record.put === 'lock') this.locks.put(record.lock, 0);
      else this.setPosition(record.groupId, record.topicId, record.queueId, record.offset);
    } else if (record.drop === 'topic') this.dropTopic(record.topicId);
    else this.dropGroup(record.groupId);
  }

  /** The image for a snapshot. */
  image(nowMs: number, epochNowMs: number): unknown {
    const image: StateImage = {
      boot: this.boot,
      takenAtMs: epochNowMs,
      topicIdMax: this.topicIdMax,
      groupIdMax: this.groupIdMax,
      topics: [...this.topics.values()],
      groups: [...this.groups.values()],
      queues: [...this.queues.values()].map((queue) => ({
        topicId: queue.topicId,
        queueId: queue.queueId,
        minOffset: queue.minOffset,
        endOffset: queue.endOffset,
        storedEnd: queue.storedEnd,
        lastStoredAtMs: queue.lastStoredAtMs,
        segments: queue.sealedSegments(),
      })),
      groupQueues: [...this.allGroupQueues()].map((one) => groupQueueImage(one, nowMs, epochNowMs)),
      locks: this.locks.records(),
      producers: this.dedup.state(),
      deferred: this.deferred.image(),
      epochs: this.epochs,
      logId: this.logId,
      replicas: [...this.replicas],
    };
    return image;
  }

  /** @param rows - of the deferred batches */
  restore(value: unknown, rows: Uint8Array, nowMs: number, epochNowMs: number): void {
    const image = value as StateImage;
    for (const topic of image.topics) this.putTopic(topic);
    for (const group of image.groups) this.putGroup(group);
    for (const queue of image.queues) {
      const target = this.queue(queue.topicId, queue.queueId);
      target?.restore(queue.segments, queue);
      if (target !== undefined) target.lastStoredAtMs = queue.lastStoredAtMs;
    }
    for (const one of image.groupQueues) {
      const target = this.setPosition(one.groupId, one.topicId, one.queueId, one.settledThrough);
      for (const [start, end] of one.settled) target.settle(start, end);
      for (const range of one.retries)
        target.retry(retryEntry(range, image.takenAtMs, nowMs, epochNowMs), nowMs);
    }
    for (const lock of image.locks ?? []) this.locks.put(lock, 0);
    this.dedup.restore(image.producers);
    if (image.deferred !== undefined) this.deferred.restore(image.deferred, rows);
    this.boot = image.boot;
    // Snapshots from before there were slaves name none: such a log has had one reign.
    this.epochs.push(...(image.epochs ?? [{ epoch: 1, first: 0 }]));
    this.logId = image.logId ?? '';
    for (const name of image.replicas ?? []) this.replicas.add(name);
    this.topicIdMax = Math.max(this.topicIdMax, image.topicIdMax);
    this.groupIdMax = Math.max(this.groupIdMax, image.groupIdMax);
  }

  private beginBoot(boot: number): void {
    this.boot = boot;
    this.deferred.beginBoot();
  }

  private putTopic(topic: TopicRecord): void {
    this.topics.set(topic.topicId, topic);
    this.topicIdMax = Math.max(this.topicIdMax, topic.topicId);
    for (let queueId = 0; queueId < topic.queues; queueId += 1) {
      const key = queueKey(topic.topicId, queueId);
      if (!this.owns(topic.topicId, queueId) || this.queues.has(key)) continue;
      this.queues.set(key, new ConsumeQueue(topic.topicId, queueId));
    }
  }

  private putGroup(group: GroupRecord): void {
    this.groups.set(group.groupId, group);
    this.groupIdMax = Math.max(this.groupIdMax, group.groupId);
  }

  /** Sets a group to an offset of a queue: what it has on lease or waiting there is forgotten. */
  setPosition(groupId: number, topicId: number, queueId: number, offset: number): GroupQueue {
    let found = this.groupQueue(groupId, topicId, queueId);
    if (found === undefined) {
      found = new GroupQueue(groupId, topicId, queueId, offset);
      const key = queueKey(topicId, queueId);
      const list = this.byQueue.get(key);
      if (list === undefined) this.byQueue.set(key, [found]);
      else list.push(found);
    } else found.seek(offset);
    return found;
  }

  private dropTopic(topicId: number): void {
    for (const queue of this.queuesOf(topicId)) {
      const key = queueKey(topicId, queue.queueId);
      this.queues.delete(key);
      this.byQueue.delete(key);
    }
    this.topics.delete(topicId);
    this.locks.dropTopic(topicId);
    this.dedup.dropTopic(topicId);
    this.deferred.dropTopic(topicId);
  }

  private dropGroup(groupId: number): void {
    this.groups.delete(groupId);
    this.locks.dropGroup(groupId);
    for (const [key, list] of this.byQueue) {
      this.byQueue.set(
        key,
        list.filter((one) => one.groupId !== groupId),
      );
    }
  }

  private replaySettled(
    groupId: number,
    topicId: number,
    queueId: number,
    range: OffsetRange,
  ): void {
    const found = this.groupQueue(groupId, topicId, queueId);
    if (found === undefined) return;
    found.retries.remove(range.start, range.start + range.count);
    found.settle(range.start, range.start + range.count);
  }
}
