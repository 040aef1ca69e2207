/**
 * A batch comes in: checked, deduplicated, appended as it is, and its answer put among those that wait for the commit
 * position. Nothing is changed unless all checks pass. Shard thread, once per batch; allocates only for producer ids.
 */

import { crc32 } from '../base/crc32-native.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import { STORED_BYTES_MAX } from '../log/stored-header.ts';
import { type BatchVerdict, checkBatch } from '../protocol/batch/batch-check.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import { appendBatch } from './append-batch.ts';
import { COPY_GROWTH_BYTES } from './message-copier.ts';
import { dedupKey } from './producer-dedup.ts';
import { PENDING_DUPLICATE, PENDING_PRODUCED, type ShardContext } from './shard-context.ts';
import type { ShardPort } from './shard-port.ts';

/** `later`: no room now; the request stays where it is, and the sender feels it. */
export type ProduceOutcome = 'done' | 'later';

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

  /** @param at - payload of a REQUEST_PRODUCE in the port's request ring */
  handle(port: ShardPort, portIndex: number, at: number, length: number): ProduceOutcome {
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
    const batchBytes = length - envelope.PRODUCE_BATCH;
    if (batchBytes % 8 !== 0)
      return refuse('BAD_FRAME', `the batch has ${batchBytes} bytes, which is no multiple of 8`);
    if (batchBytes > this.batchBytesMax) {
      const text = `the batch has ${batchBytes} bytes; tailBytes and segmentBytes allow ${this.batchBytesMax}`;
      return refuse('MESSAGE_TOO_LARGE', text);
    }
    if (pending.room === 0 || log.noRoomFor(batchBytes) !== undefined) return 'later';
    const batchAt = at + envelope.PRODUCE_BATCH;
    const verdict = checkBatch(bytes, view, batchAt, batchBytes, crc32);
    if (verdict !== 'ok')
      return refuse(
        VERDICT_CODES[verdict],
        `the batch was refused: ${verdict.replaceAll('-', ' ')}`,
      );
    const target = { session, correlation, portIndex };
    if (view.getUint16(batchAt + layout.BATCH_PRODUCER_ID_BYTES, true) === 0) {
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
    target: { session: number; correlation: number; portIndex: number },
    refuse: (code: ErrorCode, text: string) => ProduceOutcome,
  ): ProduceOutcome {
    const { bytes, view } = port.requests;
    const { dedup } = this.context.state;
    const reader = this.reader.open(bytes, view, batchAt);
    const { producerId, producerEpoch, sequence, recordCount } = reader;
    const key = dedupKey(queue.topicId, queue.queueId, producerId);
    const verdict = dedup.check(key, producerEpoch, sequence, recordCount);
    switch (verdict.kind) {
      case 'new': {
        const position = this.append(queue, bytes, view, batchAt, batchBytes, target);
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
        const reply = this.context.pending.push(verdict.endPosition);
        fillReply(
          reply,
          PENDING_DUPLICATE,
          target,
          queue,
          verdict.baseOffset,
          verdict.position,
          recordCount,
        );
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
    target: { session: number; correlation: number; portIndex: number },
  ): number {
    const entry = this.entry;
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
}

function fillReply(
  reply: ReturnType<ShardContext['pending']['push']>,
  kind: number,
  target: { session: number; correlation: number; portIndex: number },
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
