/**
 * A batch comes in: checked, deduplicated, appended as it is, and its answer put among those that wait for the commit
 * position. Nothing is changed unless all checks pass. Shard thread, once per batch; allocates only for producer ids.
 */

import { getU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import { DEFERRED_MESSAGES_MAX, DEFERRED_RETENTION_RATIO } from '../base/limits.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import { STORED_BYTES_MAX } from '../log/stored-header.ts';
import { type BatchVerdict, checkBatch } from '../protocol/batch/batch-check.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import { appendBatch, appendDeferred } from './append-batch.ts';
import { NO_ROW } from './deferred-table.ts';
import { COPY_GROWTH_BYTES } from './message-copier.ts';
import { dedupKey, OFFSET_NONE } from './producer-dedup.ts';
import {
  PENDING_DEFERRED,
  PENDING_DEFERRED_DUPLICATE,
  PENDING_DUPLICATE,
  PENDING_PRODUCED,
  type ShardContext,
} from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';

/** `later`: no room now; the request stays where it is, and the sender feels it. */
export type ProduceOutcome = 'done' | 'later';

/** Milliseconds after which it is worth asking again for room among what is deferred. */
const FULL_RETRY_MS = 1000;

const VERDICT_CODES: Readonly<Record<Exclude<BatchVerdict, 'ok'>, ErrorCode>> = {
  'too-short': 'BAD_FRAME',
  'too-large': 'MESSAGE_TOO_LARGE',
  'wrong-length': 'BAD_FRAME',
  'wrong-version': 'UNSUPPORTED_VERSION',
  'unknown-codec': 'UNSUPPORTED',
  'reserved-not-zero': 'BAD_FRAME',
  'no-records': 'BAD_FRAME',
  'wrong-checksum': 'RECORD_CORRUPT',
  'wrong-producer': 'INVALID_ARGUMENT',
  'wrong-number': 'INVALID_ARGUMENT',
  'wrong-record': 'BAD_FRAME',
  'wrong-bloom': 'BAD_FRAME',
};

/** When a batch is to be seen; flags as in the request. */
type Deferral = { readonly dueAtMs: number; readonly flags: number };

/** Where an answer goes, and how the batch is to be stored. */
type ProduceTarget = {
  readonly session: number;
  readonly correlation: number;
  readonly portIndex: number;
  readonly deferral: Deferral | undefined;
};

export class ProducePath {
  private readonly context: ShardContext;
  private readonly entry: QueueEntry = emptyEntry();
  private readonly reader = new BatchReader();
  /** Bytes of the largest batch that is taken. */
  private readonly batchBytesMax: number;

  constructor(context: ShardContext) {
    this.context = context;
    const { batchBytesMax } = context.log;
    // Where the log is the limit, not the protocol, a message must leave room for its copy as a dead letter.
    const growthBytes = batchBytesMax < STORED_BYTES_MAX ? COPY_GROWTH_BYTES : 0;
    this.batchBytesMax = batchBytesMax - layout.STORED_HEADER_BYTES - growthBytes;
  }

  /** @param at - payload of a REQUEST_PRODUCE, or of a REQUEST_DEFER, in the port's request ring */
  handle(
    port: ShardPort,
    portIndex: number,
    type: number,
    at: number,
    length: number,
  ): ProduceOutcome {
    const { log, pending, state, refusal } = this.context;
    const { bytes, view } = port.requests;
    const session = view.getUint32(at + envelope.PRODUCE_SESSION, true);
    const correlation = view.getUint32(at + envelope.PRODUCE_CORRELATION, true);
    const topicId = view.getUint32(at + envelope.PRODUCE_TOPIC_ID, true);
    const queueId = view.getUint16(at + envelope.PRODUCE_QUEUE_ID, true);
    const refuse = (code: ErrorCode, text: string, retryAfterMs = 0): ProduceOutcome => {
      port.failed(session, correlation, envelope.REQUEST_PRODUCE, code, text, retryAfterMs);
      return 'done';
    };
    if (refusal !== undefined) return refuse(refusal.code, refusal.text, 1000);
    const queue = state.queue(topicId, queueId);
    if (queue === undefined) {
      const topic = state.topics.get(topicId);
      if (topic === undefined) return refuse('TOPIC_NOT_FOUND', `no topic has the id ${topicId}`);
      return refuse(
        'QUEUE_NOT_FOUND',
        `topic ${topic.topic} has the queues 0 to ${topic.queues - 1}, not ${queueId}`,
      );
    }
    const deferral = type === envelope.REQUEST_DEFER ? readDeferral(view, at) : undefined;
    const batchAt = at + (deferral === undefined ? envelope.PRODUCE_BATCH : envelope.DEFER_BATCH);
    const batchBytes = length - (batchAt - at);
    if (batchBytes % 8 !== 0)
      return refuse('BAD_FRAME', `the batch has ${batchBytes} bytes, which is no multiple of 8`);
    if (batchBytes > this.batchBytesMax) {
      const text = `the batch has ${batchBytes} bytes; tailBytes and segmentBytes allow ${this.batchBytesMax}`;
      return refuse('MESSAGE_TOO_LARGE', text);
    }
    if (pending.room === 0 || log.noRoomFor(batchBytes) !== undefined) return 'later';
    const verdict = checkBatch(bytes, view, batchAt, batchBytes, crc32);
    if (verdict !== 'ok')
      return refuse(
        VERDICT_CODES[verdict],
        `the batch was refused: ${verdict.replaceAll('-', ' ')}`,
      );
    const target = { session, correlation, portIndex, deferral };
    if (view.getUint16(batchAt + layout.BATCH_PRODUCER_ID_BYTES, true) === 0) {
      const full = this.whyFull(target, view, batchAt);
      if (full !== undefined) return refuse('TOO_MANY_DEFERRED', full, FULL_RETRY_MS);
      this.append(queue, bytes, view, batchAt, batchBytes, target);
      return 'done';
    }
    return this.handleWithProducer(queue, port, batchAt, batchBytes, target, refuse);
  }

  private handleWithProducer(
    queue: ConsumeQueue,
    port: ShardPort,
    batchAt: number,
    batchBytes: number,
    target: ProduceTarget,
    refuse: (code: ErrorCode, text: string, retryAfterMs?: number) => ProduceOutcome,
  ): ProduceOutcome {
    const { bytes, view } = port.requests;
    const { dedup } = this.context.state;
    const reader = this.reader.open(bytes, view, batchAt);
    const { producerId, producerEpoch, sequence, recordCount } = reader;
    const key = dedupKey(queue.topicId, queue.queueId, producerId);
    const verdict = dedup.check(key, producerEpoch, sequence, recordCount);
    switch (verdict.kind) {
      case 'new': {
        const full = this.whyFull(target, view, batchAt);
        if (full !== undefined) return refuse('TOO_MANY_DEFERRED', full, FULL_RETRY_MS);
        const position = this.append(queue, bytes, view, batchAt, batchBytes, target);
        // A deferred one was taken in like in recovery, producer and all.
        if (target.deferral !== undefined) return 'done';
        dedup.record(key, producerEpoch, {
          sequence,
          count: recordCount,
          baseOffset: this.entry.baseOffset,
          position,
          endPosition: position + this.entry.bytes,
        });
        return 'done';
      }
      case 'duplicate': {
        // Answered when the first one is safe: it may still be on its way to the disk.
        this.answerDuplicate(target, queue, verdict, recordCount);
        return 'done';
      }
      case 'gap':
        return refuse(
          'SEQUENCE_GAP',
          `producer ${producerId} sent sequence ${sequence}; the next of queue ${queue.queueId} is ${verdict.expected}`,
        );
      case 'overlap':
        return refuse(
          'SEQUENCE_GAP',
          `producer ${producerId} sent sequences ${sequence} to ${sequence + recordCount - 1}, of which those below ${verdict.expected} are stored; resend batches as they were`,
        );
      case 'stale':
        return refuse(
          'STALE_PRODUCER_EPOCH',
          `producer ${producerId} sent epoch ${producerEpoch}; epoch ${verdict.epoch} is known`,
        );
    }
  }

  private append(
    queue: ConsumeQueue,
    bytes: Uint8Array,
    view: DataView,
    batchAt: number,
    batchBytes: number,
    target: ProduceTarget,
  ): number {
    const entry = this.entry;
    if (target.deferral !== undefined)
      return this.defer(queue, bytes, view, batchAt, batchBytes, target, target.deferral);
    appendBatch(this.context, queue, bytes, view, batchAt, batchBytes, entry);
    const reply = this.context.pending.push(entry.position + entry.bytes);
    fillReply(
      reply,
      PENDING_PRODUCED,
      target,
      queue,
      entry.baseOffset,
      entry.position,
      entry.count,
    );
    return entry.position;
  }

  /** Stores a batch that cannot be seen yet. The state takes it in by the call that recovery uses. */
  private defer(
    queue: ConsumeQueue,
    bytes: Uint8Array,
    view: DataView,
    batchAt: number,
    batchBytes: number,
    target: ProduceTarget,
    { dueAtMs, flags }: Deferral,
  ): number {
    const { context } = this;
    const count = view.getUint32(batchAt + layout.BATCH_RECORD_COUNT, true);
    const isHalf = (flags & envelope.DEFER_FLAG_HALF) !== 0;
    const position = appendDeferred(context, queue, {
      ...{ bytes, at: batchAt, length: batchBytes, dueAtMs },
      flags: isHalf ? layout.DEFERRED_FLAG_HALF : 0,
    });
    const reply = context.pending.push(context.log.appended);
    fillReply(reply, PENDING_DEFERRED, target, queue, dueAtMs, position, count);
    return position;
  }

  /** Answered when the first one is safe: it may still be on its way to the disk. */
  private answerDuplicate(
    target: ProduceTarget,
    queue: ConsumeQueue,
    first: { baseOffset: number; position: number; endPosition: number },
    recordCount: number,
  ): void {
    const { pending, state } = this.context;
    const { baseOffset, position, endPosition } = first;
    const reply = pending.push(endPosition);
    if (baseOffset !== OFFSET_NONE || position === 0) {
      fillReply(reply, PENDING_DUPLICATE, target, queue, baseOffset, position, recordCount);
      return;
    }
    const { table } = state.deferred;
    const row = table.rowOf(position);
    const dueAtMs = row === NO_ROW ? OFFSET_NONE : table.get(row).dueAtMs;
    const kind = PENDING_DEFERRED_DUPLICATE;
    fillReply(reply, kind, target, queue, dueAtMs, position, recordCount);
  }

  /** Why this batch cannot be deferred now; undefined when it can, or is not to be. */
  private whyFull(target: ProduceTarget, view: DataView, batchAt: number): string | undefined {
    if (target.deferral === undefined) return undefined;
    const { config, state } = this.context;
    const { messages, bytes } = state.deferred.table;
    const count = view.getUint32(batchAt + layout.BATCH_RECORD_COUNT, true);
    if (messages + count > DEFERRED_MESSAGES_MAX)
      return `${messages} messages wait on shard ${config.shard}, which keeps ${DEFERRED_MESSAGES_MAX}`;
    const bytesMax = (config.retentionBytes ?? Number.POSITIVE_INFINITY) * DEFERRED_RETENTION_RATIO;
    if (bytes < bytesMax) return undefined;
    return `messages of ${bytes} bytes wait on shard ${config.shard}; with its retentionBytes it keeps ${bytesMax}`;
  }
}

function readDeferral(view: DataView, at: number): Deferral {
  return {
    dueAtMs: getU64(view, at + envelope.DEFER_DUE_AT_MS),
    flags: view.getUint16(at + envelope.DEFER_FLAGS, true),
  };
}

function fillReply(
  reply: ReturnType<ShardContext['pending']['push']>,
  kind: number,
  target: ProduceTarget,
  queue: ConsumeQueue,
  baseOffset: number,
  batchPosition: number,
  count: number,
): void {
  reply.kind = kind;
  reply.port = target.portIndex;
  reply.session = target.session;
  reply.correlation = target.correlation;
  reply.baseOffset = baseOffset;
  reply.batchPosition = batchPosition;
  reply.count = count;
  reply.subject = queue;
}
