/**
 * One production shard and its flusher in the calling thread, on any storage and clock, with the acceptor's ends of its
 * rings in the test's hands. `step` runs one duty cycle of one part; nothing happens in between, so a seed decides all.
 */
import { setU64 } from '../base/bytes.ts';
import { KIB, MIB } from '../base/units.ts';
import { FlusherAgent } from '../commit/flusher-agent.ts';
import { SHARD_SYNC_MICROS_MAX } from '../commit/shard-share.ts';
import type { LogMemory } from '../log/log-memory.ts';
import { runSideJob } from '../log/run-side-job.ts';
import { memoryOf, type SideJob, type SideJobResult } from '../log/side-job.ts';
import type { Storage } from '../log/storage.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { ShardControlRequest, ShardMetadata, TopicRecord } from '../protocol/shard-control.ts';
import { LogSource } from '../replication/log-source.ts';
import { ShardDoor } from '../replication/shard-door.ts';
import { RING_FULL, type RingProducer } from '../ring/ring-producer.ts';
import { openShard } from '../shard/open-shard.ts';
import type { ShardAgent } from '../shard/shard-agent.ts';
import { chunkBytesOf, type ShardConfig } from '../shard/shard-config.ts';
import {
  acceptorRings,
  allocateShardMemory,
  logMemoryOf,
  shardRings,
  tailOf,
} from '../shard/shard-memory.ts';
import { ShardPort } from '../shard/shard-port.ts';
import { RigReplies, type RigReply } from './rig-replies.ts';
import type { SimClock } from './sim-clock.ts';

export type { RigRecord, RigReply } from './rig-replies.ts';

/** A small shard: its segments roll often. */
export const RIG_CONFIG: ShardConfig = {
  shard: 0,
  shards: 1,
  flushMode: 'SYNC_FLUSH',
  isVolatile: false,
  flushIntervalMs: 100,
  // A test says when the flusher has its turn.
  shardSyncMicrosMax: 0,
  segmentBytes: 64 * KIB,
  segmentsAhead: 1,
  tailBytes: 32 * KIB,
  retentionMs: 72 * 3_600_000,
  retentionBytes: null,
  diskHardRatio: 1,
  diskSoftRatio: 1,
};

/** When a batch is to be seen; flags as in REQUEST_DEFER. */
export type RigDeferral = { readonly dueAtMs: number; readonly flags?: number };

/** Messages of one lease. */
export type RigRange = {
  readonly queueId: number;
  readonly offset: number;
  readonly count: number;
  readonly leaseId: number;
};

/** Half of all shards sync themselves. Takes no number from the generator, so that the other half keeps its histories. */
export function whoSyncs(flushIntervalMs: number): Pick<ShardConfig, 'shardSyncMicrosMax'> {
  return { shardSyncMicrosMax: flushIntervalMs % 2 === 0 ? 0 : SHARD_SYNC_MICROS_MAX };
}

export class ShardRig {
  readonly storage: Storage;
  readonly config: ShardConfig;
  readonly agent: ShardAgent;
  readonly flusher: FlusherAgent;
  readonly metadata: ShardMetadata;
  readonly jobs: SideJob[] = [];
  private readonly results: SideJobResult[] = [];
  /** The positions that its threads share. */
  readonly memory: LogMemory;
  /** The replication thread's way in; only with `config.replication`. */
  readonly door: ShardDoor | undefined;
  readonly source: LogSource;
  private readonly requests: RingProducer;
  private readonly replies: RigReplies;
  private correlation = 0;
  private readonly clock: SimClock;

  /** Opens (recovers) the shard. @throws what recovery throws, and the simulated disk's crash */
  constructor(
    storage: Storage,
    clock: SimClock,
    config: ShardConfig = RIG_CONFIG,
    reign: { readonly epoch: number; readonly logId?: string } = { epoch: 1 },
  ) {
    this.storage = storage;
    this.config = config;
    this.clock = clock;
    const isReplicated = config.replication !== undefined;
    const memory = allocateShardMemory(config.tailBytes, 256 * KIB, isReplicated ? 2 : 1);
    this.memory = logMemoryOf(memory);
    const tail = tailOf(memory);
    const rings = shardRings(memory, 0);
    const ends = acceptorRings(memory, 0);
    this.requests = ends.requests;
    this.replies = new RigReplies(ends.replies, tail, storage, config.segmentBytes);
    const ports = [new ShardPort(rings.requests, rings.replies, tail, () => {})];
    if (isReplicated) {
      const inner = shardRings(memory, 1);
      const outer = acceptorRings(memory, 1);
      ports.push(new ShardPort(inner.requests, inner.replies, tail, () => {}));
      this.door = new ShardDoor(outer.requests, outer.replies, () => {});
    }
    const shape = { segmentBytes: config.segmentBytes, chunkBytes: chunkBytesOf(config) };
    this.source = new LogSource(storage, this.memory, tail, shape);
    const opened = openShard({
      config,
      storage,
      clock,
      memory: this.memory,
      tail,
      ports,
      jobs: {
        // As between threads: a shard that uses what it has given away is found out.
        submit: (job) => this.jobs.push(structuredClone(job, { transfer: memoryOf(job) })),
        hasResults: () => this.results.length > 0,
        poll: () => this.results.shift(),
      },
      ...reign,
      wakeFlusher: () => {},
    });
    this.agent = opened.agent;
    this.metadata = opened.metadata;
    this.flusher = new FlusherAgent({
      storage,
      tail,
      memory: this.memory,
      clock,
      mode: config.flushMode,
      flushIntervalMs: config.flushIntervalMs,
      shardSyncMicrosMax: config.shardSyncMicrosMax,
      segmentBytes: config.segmentBytes,
      epoch: reign.epoch,
      position: opened.position,
    });
  }

  /** Carries out the oldest side job. @returns false when there is none */
  stepJob(): boolean {
    const job = this.jobs.shift();
    if (job === undefined) return false;
    this.results.push(runSideJob(this.storage, job));
    return true;
  }

  /** Runs everything until nothing has work, a millisecond a cycle, and gives all answers. */
  settle(cycles = 200): RigReply[] {
    const replies: RigReply[] = [];
    let idle = 0;
    for (let cycle = 0; cycle < cycles && idle < 3; cycle += 1) {
      this.clock.advance(1);
      const work = this.agent.doWork() + this.flusher.doWork() + (this.stepJob() ? 1 : 0);
      replies.push(...this.take());
      idle = work === 0 ? idle + 1 : 0;
    }
    return replies;
  }

  /** @returns the correlation of the request, or 0 when the ring is full */
  produce(
    topicId: number,
    queueId: number,
    records: readonly RecordInput[],
    producer?: { id: string; epoch: number; sequence: number },
    deferral?: RigDeferral,
  ): number {
    const builder = new BatchBuilder(KIB, producer?.id ?? '');
    for (const record of records) builder.append(record, recordBytes(record), MIB, 1000);
    return this.produceBytes(
      topicId,
      queueId,
      builder.finish(producer?.sequence ?? 0, producer?.epoch ?? 0),
      deferral,
    );
  }

  /** @param deferral - when it is to be seen, if not at once */
  produceBytes(
    topicId: number,
    queueId: number,
    batch: Uint8Array,
    deferral?: RigDeferral,
  ): number {
    const isDeferred = deferral !== undefined;
    const type = isDeferred ? envelope.REQUEST_DEFER : envelope.REQUEST_PRODUCE;
    const batchAt = isDeferred ? envelope.DEFER_BATCH : envelope.PRODUCE_BATCH;
    const at = this.requests.claim(type, batchAt + batch.length);
    if (at === RING_FULL) return 0;
    this.correlation += 1;
    const { view, bytes } = this.requests;
    view.setUint32(at + envelope.PRODUCE_SESSION, 1, true);
    view.setUint32(at + envelope.PRODUCE_CORRELATION, this.correlation, true);
    view.setUint32(at + envelope.PRODUCE_TOPIC_ID, topicId, true);
    view.setUint16(at + envelope.PRODUCE_QUEUE_ID, queueId, true);
    if (isDeferred) {
      view.setUint16(at + envelope.DEFER_FLAGS, deferral.flags ?? 0, true);
      setU64(view, at + envelope.DEFER_DUE_AT_MS, deferral.dueAtMs);
    }
    bytes.set(batch, at + batchAt);
    this.requests.publish();
    return this.correlation;
  }

  control(request: ShardControlRequest): number {
    const json = new TextEncoder().encode(JSON.stringify(request));
    const at = this.requests.claim(envelope.REQUEST_CONTROL, envelope.CONTROL_JSON + json.length);
    if (at === RING_FULL) return 0;
    this.correlation += 1;
    this.requests.view.setUint32(at + envelope.CONTROL_SESSION, 1, true);
    this.requests.view.setUint32(at + envelope.CONTROL_CORRELATION, this.correlation, true);
    this.requests.bytes.set(json, at + envelope.CONTROL_JSON);
    this.requests.publish();
    return this.correlation;
  }

  /** Acks, nacks, extends or releases ranges, which may be of several queues and leases. */
  settleRanges(
    action: number,
    groupId: number,
    topicId: number,
    ranges: readonly RigRange[],
    argument = 0,
    reason = '',
  ): number {
    const text = new TextEncoder().encode(reason);
    const reasonAt = envelope.SETTLE_RANGES + ranges.length * envelope.SETTLE_RANGE_BYTES;
    const length = reasonAt + text.length;
    const at = this.requests.claim(envelope.REQUEST_SETTLE, length);
    if (at === RING_FULL) return 0;
    this.correlation += 1;
    const { view, bytes } = this.requests;
    bytes.fill(0, at, at + length);
    view.setUint32(at + envelope.SETTLE_SESSION, 1, true);
    view.setUint32(at + envelope.SETTLE_CORRELATION, this.correlation, true);
    view.setUint32(at + envelope.SETTLE_GROUP_ID, groupId, true);
    view.setUint32(at + envelope.SETTLE_TOPIC_ID, topicId, true);
    view.setUint32(at + envelope.SETTLE_ACTION, action, true);
    view.setUint32(at + envelope.SETTLE_ARGUMENT, argument, true);
    view.setUint32(at + envelope.SETTLE_RANGE_COUNT, ranges.length, true);
    view.setUint32(at + envelope.SETTLE_REASON_BYTES, text.length, true);
    ranges.forEach((range, index) => {
      const place = at + envelope.SETTLE_RANGES + index * envelope.SETTLE_RANGE_BYTES;
      view.setUint16(place + envelope.SETTLE_RANGE_QUEUE_ID, range.queueId, true);
      view.setUint32(place + envelope.SETTLE_RANGE_COUNT_AT, range.count, true);
      setU64(view, place + envelope.SETTLE_RANGE_OFFSET, range.offset);
      setU64(view, place + envelope.SETTLE_RANGE_LEASE, range.leaseId);
    });
    bytes.set(text, at + reasonAt);
    this.requests.publish();
    return this.correlation;
  }

  /** The same for one range. */
  settleRange(
    action: number,
    groupId: number,
    topicId: number,
    range: RigRange,
    argument = 0,
    reason = '',
  ): number {
    return this.settleRanges(action, groupId, topicId, [range], argument, reason);
  }

  fetch(topicId: number, queueId: number, offset: number, max = 1000, waitMs = 0): number {
    const at = this.requests.claim(envelope.REQUEST_FETCH, envelope.FETCH_BYTES);
    if (at === RING_FULL) return 0;
    this.correlation += 1;
    const { view } = this.requests;
    view.setUint32(at + envelope.FETCH_SESSION, 1, true);
    view.setUint32(at + envelope.FETCH_CORRELATION, this.correlation, true);
    view.setUint32(at + envelope.FETCH_TOPIC_ID, topicId, true);
    view.setUint16(at + envelope.FETCH_QUEUE_ID, queueId, true);
    setU64(view, at + envelope.FETCH_OFFSET, offset);
    view.setUint32(at + envelope.FETCH_MESSAGES_MAX, max, true);
    view.setUint32(at + envelope.FETCH_BYTES_MAX, MIB, true);
    view.setUint32(at + envelope.FETCH_WAIT_MS, waitMs, true);
    this.requests.publish();
    return this.correlation;
  }

  flow(subscription: number, action: number, credit = 0): void {
    const at = this.requests.claim(envelope.REQUEST_FLOW, envelope.FLOW_BYTES);
    if (at === RING_FULL) return;
    this.requests.view.setUint32(at + envelope.FLOW_SUBSCRIPTION, subscription, true);
    this.requests.view.setUint32(at + envelope.FLOW_ACTION, action, true);
    this.requests.view.setUint32(at + envelope.FLOW_CREDIT, credit, true);
    this.requests.publish();
  }

  /** The answers that are there, as the acceptor would read them. */
  take(): RigReply[] {
    return this.replies.take();
  }
}

/** A topic with these many queues. */
export function rigTopic(
  topicId: number,
  topic: string,
  queues: number,
  deadLetterOf: number | null = null,
): TopicRecord {
  return {
    topicId,
    topic,
    queues,
    retentionMs: null,
    retentionBytes: null,
    whenFull: 'refuse',
    deadLetterOf,
  };
}
