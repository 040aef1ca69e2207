/**
 * One production shard and its flusher in the calling thread, on any storage and clock, with the acceptor's ends of its
 * rings in the test's hands. `step` runs one duty cycle of one part; nothing happens in between, so a seed decides all.
 */
import { FlusherAgent } from '../commit/flusher-agent.ts';
import { SluiceError } from '../base/errors.ts';
import { errorCodeOf, type ErrorCode } from '../base/error-codes.ts';
import { getU64, setU64 } from '../base/bytes.ts';
import type { Storage } from '../log/storage.ts';
import type { TailWindow } from '../log/tail-window.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchBuilder, recordBytes, type RecordInput } from '../protocol/batch/batch-builder.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type {
  ShardControlRequest,
  ShardEvent,
  ShardMetadata,
  TopicRecord,
} from '../protocol/shard-control.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';
import { RING_FULL, type RingProducer } from '../ring/ring-producer.ts';
import { runSideJob } from '../log/run-side-job.ts';
import { readStoredBatch } from '../log/run-side-job.ts';
import type { SideJob, SideJobResult } from '../log/side-job.ts';
import { openShard } from '../shard/open-shard.ts';
import type { ShardAgent } from '../shard/shard-agent.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import {
  acceptorRings,
  allocateShardMemory,
  logMemoryOf,
  shardRings,
  tailOf,
} from '../shard/shard-memory.ts';
import { ShardPort } from '../shard/shard-port.ts';
import { KIB, MIB } from '../base/units.ts';
import type { SimClock } from './sim-clock.ts';

/** A small shard: its segments roll often. */
export const RIG_CONFIG: ShardConfig = {
  shard: 0,
  shards: 1,
  flushMode: 'SYNC_FLUSH',
  isVolatile: false,
  flushIntervalMs: 100,
  segmentBytes: 64 * KIB,
  tailBytes: 32 * KIB,
  retentionMs: 72 * 3_600_000,
  retentionBytes: null,
  diskHardRatio: 1,
  diskSoftRatio: 1,
};

/** An answer of the shard, decoded. */
export type RigReply =
  | {
      readonly kind: 'produced';
      readonly correlation: number;
      readonly queueId: number;
      readonly baseOffset: number;
      readonly count: number;
      readonly isDuplicate: boolean;
      readonly durability: number;
      readonly position: number;
    }
  | {
      readonly kind: 'failed';
      readonly correlation: number;
      readonly code: ErrorCode;
      readonly text: string;
    }
  | { readonly kind: 'settled'; readonly correlation: number }
  | { readonly kind: 'control'; readonly correlation: number; readonly result: unknown }
  | { readonly kind: 'event'; readonly event: ShardEvent }
  | {
      readonly kind: 'fetched';
      readonly correlation: number;
      readonly min: number;
      readonly max: number;
      readonly next: number;
      readonly records: readonly RigRecord[];
    }
  | {
      readonly kind: 'deliver';
      readonly subscription: number;
      readonly queueId: number;
      readonly leaseId: number;
      readonly attempt: number;
      readonly records: readonly RigRecord[];
    };

export type RigRecord = {
  readonly offset: number;
  readonly key: string;
  readonly tag: string;
  readonly body: string;
  readonly properties: Readonly<Record<string, string>>;
};

export class ShardRig {
  readonly storage: Storage;
  readonly config: ShardConfig;
  readonly agent: ShardAgent;
  readonly flusher: FlusherAgent;
  readonly metadata: ShardMetadata;
  readonly jobs: SideJob[] = [];
  private readonly results: SideJobResult[] = [];
  private readonly requests: RingProducer;
  private readonly replies: RingConsumer;
  private readonly tail: TailWindow;
  private correlation = 0;
  private readonly reader = new BatchReader();
  private readonly clock: SimClock;

  /** Opens (recovers) the shard. @throws what recovery throws, and the simulated disk's crash */
  constructor(storage: Storage, clock: SimClock, config: ShardConfig = RIG_CONFIG) {
    this.storage = storage;
    this.config = config;
    this.clock = clock;
    const memory = allocateShardMemory(config.tailBytes, 256 * KIB, 1);
    const logMemory = logMemoryOf(memory);
    this.tail = tailOf(memory);
    const rings = shardRings(memory, 0);
    const ends = acceptorRings(memory, 0);
    this.requests = ends.requests;
    this.replies = ends.replies;
    const opened = openShard({
      config,
      storage,
      clock,
      memory: logMemory,
      tail: this.tail,
      ports: [new ShardPort(rings.requests, rings.replies, this.tail, () => {})],
      jobs: {
        submit: (job) => this.jobs.push(job),
        hasResults: () => this.results.length > 0,
        poll: () => this.results.shift(),
      },
      epoch: 1,
      wakeFlusher: () => {},
    });
    this.agent = opened.agent;
    this.metadata = opened.metadata;
    this.flusher = new FlusherAgent({
      storage,
      tail: this.tail,
      memory: logMemory,
      clock,
      mode: config.flushMode,
      flushIntervalMs: config.flushIntervalMs,
      segmentBytes: config.segmentBytes,
      epoch: 1,
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
  ): number {
    const builder = new BatchBuilder(KIB, producer?.id ?? '');
    for (const record of records) builder.append(record, recordBytes(record), MIB, 1000);
    return this.produceBytes(
      topicId,
      queueId,
      builder.finish(producer?.sequence ?? 0, producer?.epoch ?? 0),
    );
  }

  produceBytes(topicId: number, queueId: number, batch: Uint8Array): number {
    const at = this.requests.claim(envelope.REQUEST_PRODUCE, envelope.PRODUCE_BATCH + batch.length);
    if (at === RING_FULL) return 0;
    this.correlation += 1;
    const { view, bytes } = this.requests;
    view.setUint32(at + envelope.PRODUCE_SESSION, 1, true);
    view.setUint32(at + envelope.PRODUCE_CORRELATION, this.correlation, true);
    view.setUint32(at + envelope.PRODUCE_TOPIC_ID, topicId, true);
    view.setUint16(at + envelope.PRODUCE_QUEUE_ID, queueId, true);
    bytes.set(batch, at + envelope.PRODUCE_BATCH);
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

  /** Acks, nacks, extends or releases one range. */
  settleRange(
    action: number,
    groupId: number,
    topicId: number,
    range: { queueId: number; offset: number; count: number; leaseId: number },
    argument = 0,
    reason = '',
  ): number {
    const text = new TextEncoder().encode(reason);
    const length = envelope.SETTLE_RANGES + envelope.SETTLE_RANGE_BYTES + text.length;
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
    view.setUint32(at + envelope.SETTLE_RANGE_COUNT, 1, true);
    view.setUint32(at + envelope.SETTLE_REASON_BYTES, text.length, true);
    const place = at + envelope.SETTLE_RANGES;
    view.setUint16(place + envelope.SETTLE_RANGE_QUEUE_ID, range.queueId, true);
    view.setUint32(place + envelope.SETTLE_RANGE_COUNT_AT, range.count, true);
    setU64(view, place + envelope.SETTLE_RANGE_OFFSET, range.offset);
    setU64(view, place + envelope.SETTLE_RANGE_LEASE, range.leaseId);
    bytes.set(text, place + envelope.SETTLE_RANGE_BYTES);
    this.requests.publish();
    return this.correlation;
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
    const replies: RigReply[] = [];
    this.replies.read((type, at, length) => {
      replies.push(this.decode(type, at, length));
      return true;
    }, 10_000);
    return replies;
  }

  private decode(type: number, at: number, length: number): RigReply {
    const { view, bytes } = this.replies;
    const correlation = view.getUint32(at + 4, true);
    switch (type) {
      case envelope.REPLY_PRODUCED:
        return {
          kind: 'produced',
          correlation,
          queueId: view.getUint16(at + envelope.PRODUCED_QUEUE_ID, true),
          baseOffset: getU64(view, at + envelope.PRODUCED_BASE_OFFSET),
          count: view.getUint32(at + envelope.PRODUCED_RECORD_COUNT, true),
          isDuplicate:
            view.getUint8(at + envelope.PRODUCED_FLAGS) === envelope.PRODUCED_FLAG_DUPLICATE,
          durability: view.getUint8(at + envelope.PRODUCED_DURABILITY),
          position: getU64(view, at + envelope.PRODUCED_POSITION),
        };
      case envelope.REPLY_FAILED:
        return {
          kind: 'failed',
          correlation,
          code: errorCodeOf(view.getUint16(at + envelope.FAILED_CODE, true)),
          text: readText(bytes, at + envelope.FAILED_TEXT, at + length),
        };
      case envelope.REPLY_SETTLED:
        return { kind: 'settled', correlation };
      case envelope.REPLY_CONTROL:
        return {
          kind: 'control',
          correlation,
          result: JSON.parse(readText(bytes, at + envelope.CONTROL_JSON, at + length)),
        };
      case envelope.REPLY_EVENT:
        return { kind: 'event', event: JSON.parse(readText(bytes, at, at + length)) as ShardEvent };
      case envelope.REPLY_FETCHED:
        return this.decodeFetched(view, at, correlation);
      case envelope.REPLY_DELIVER:
        return {
          kind: 'deliver',
          subscription: view.getUint32(at + envelope.DELIVER_SUBSCRIPTION, true),
          queueId: view.getUint16(at + envelope.DELIVER_QUEUE_ID, true),
          leaseId: getU64(view, at + envelope.DELIVER_LEASE),
          attempt: view.getUint32(at + envelope.DELIVER_ATTEMPT, true),
          records: this.extent(
            getU64(view, at + envelope.DELIVER_POSITION),
            view.getUint32(at + envelope.DELIVER_BATCH_BYTES, true),
            view.getUint32(at + envelope.DELIVER_FIRST_INDEX, true),
            view.getUint32(at + envelope.DELIVER_COUNT, true),
            view.getUint16(at + envelope.DELIVER_FLAGS, true) === envelope.EXTENT_COLD,
          ),
        };
      default:
        throw new SluiceError('INVARIANT', `unknown reply type ${type}`);
    }
  }

  private decodeFetched(view: DataView, at: number, correlation: number): RigReply {
    const records: RigRecord[] = [];
    const count = view.getUint32(at + envelope.FETCHED_EXTENT_COUNT, true);
    for (let index = 0; index < count; index += 1) {
      const place = at + envelope.FETCHED_EXTENTS + index * envelope.EXTENT_BYTES;
      records.push(
        ...this.extent(
          getU64(view, place + envelope.EXTENT_POSITION),
          view.getUint32(place + envelope.EXTENT_BATCH_BYTES, true),
          view.getUint32(place + envelope.EXTENT_FIRST_INDEX, true),
          view.getUint32(place + envelope.EXTENT_COUNT, true),
          view.getUint32(place + envelope.EXTENT_FLAGS, true) === envelope.EXTENT_COLD,
        ),
      );
    }
    return {
      kind: 'fetched',
      correlation,
      min: getU64(view, at + envelope.FETCHED_MIN_OFFSET),
      max: getU64(view, at + envelope.FETCHED_MAX_OFFSET),
      next: getU64(view, at + envelope.FETCHED_NEXT_OFFSET),
      records,
    };
  }

  /** The records of an extent, read as the acceptor reads them: from the window, or from the file when it is cold. */
  private extent(
    position: number,
    batchBytes: number,
    firstIndex: number,
    count: number,
    isCold: boolean,
  ): RigRecord[] {
    const bytes = isCold
      ? readStoredBatch(this.storage, position, batchBytes, this.config.segmentBytes)
      : this.tail.at(position, batchBytes).slice();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const base = getU64(view, layout.STORED_BASE_OFFSET);
    const reader = this.reader.open(bytes, view, layout.STORED_HEADER_BYTES);
    const records: RigRecord[] = [];
    while (reader.next()) {
      if (reader.index < firstIndex || reader.index >= firstIndex + count) continue;
      records.push({
        offset: base + reader.index,
        key: reader.key,
        tag: reader.tag,
        body: reader.bodyText,
        properties: reader.properties,
      });
    }
    return records;
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
