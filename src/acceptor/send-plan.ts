/**
 * Which messages of a send go together: a queue for each, batches that fit, and the sequence each batch starts with. Pure;
 * all of a send is measured before any of it is handed over, so that a refusal leaves nothing behind.
 */
import { SluiceError } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import { BATCH_BYTES_MAX, BATCH_RECORDS_MAX } from '../base/limits.ts';
import { alignUp } from '../base/units.ts';
import { type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BATCH_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { textBytes } from '../protocol/batch/text-bytes.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import type { Deferral, SendCommand } from '../protocol/web/checked-requests.ts';
import { NOT_DEFERRED } from './delays.ts';

/** One batch to be made of a send. */
export type PlannedBatch = {
  readonly queueId: number;
  /** Wall time at which they can be seen; NOT_DEFERRED: at once. */
  readonly dueAtMs: number;
  /** Indices of its messages in the send, ascending. */
  readonly indices: number[];
  readonly sizes: number[];
  /** With header and padding. */
  bytes: number;
  readonly sequence: number;
};

/** What the broker and the ring to the shard take. */
export type SendBounds = { readonly batchBytesMax: number; readonly bodyBytesMax: number };

/**
 * @param keyless - queue for messages without queue id, producer id and key
 * @param dueAtMs - when a message can be seen
 * @throws QUEUE_NOT_FOUND, MESSAGE_TOO_LARGE, INVALID_ARGUMENT
 */
export function planSend(
  topic: TopicRecord,
  command: SendCommand,
  keyless: number,
  bounds: SendBounds,
  dueAtMs: (deferral: Deferral | undefined) => number,
): readonly PlannedBatch[] {
  const { records, producerId } = command;
  const headBytes = BATCH_HEADER_BYTES + alignUp(textBytes(producerId), 8);
  const bytesMax = Math.min(BATCH_BYTES_MAX, bounds.batchBytesMax);
  const fixed = fixedQueue(topic, command);
  const planned: PlannedBatch[] = [];
  const open = new Map<number | string, PlannedBatch>();
  for (const [index, record] of records.entries()) {
    const size = sizeOf(record, headBytes, bytesMax, bounds.bodyBytesMax);
    const queueId = fixed ?? keyQueue(topic, record) ?? keyless;
    const due = dueAtMs(record.deferral);
    const place = due === NOT_DEFERRED ? queueId : `${queueId}.${due}`;
    let batch = open.get(place);
    // A producer's sequences follow each other in a batch.
    const isBroken = producerId !== '' && planned.at(-1) !== batch;
    if (
      batch === undefined ||
      isBroken ||
      batch.indices.length >= BATCH_RECORDS_MAX ||
      alignUp(batch.bytes + size, 8) > bytesMax
    ) {
      // With a producer id there is one queue, so a batch's messages follow each other in the send.
      const sequence = producerId === '' ? 0 : command.sequence + index;
      batch = { queueId, dueAtMs: due, indices: [], sizes: [], bytes: headBytes, sequence };
      open.set(place, batch);
      planned.push(batch);
    }
    batch.indices.push(index);
    batch.sizes.push(size);
    batch.bytes += size;
  }
  for (const batch of planned) batch.bytes = alignUp(batch.bytes, 8);
  return planned;
}

function sizeOf(
  record: RecordInput,
  headBytes: number,
  bytesMax: number,
  bodyBytesMax: number,
): number {
  const size = recordBytes(record);
  if (size > bodyBytesMax) {
    const { body } = record;
    const bodyBytes = typeof body === 'string' ? textBytes(body) : body.length;
    if (bodyBytes > bodyBytesMax) throw bodyTooLarge(bodyBytes, bodyBytesMax);
  }
  if (alignUp(headBytes + size, 8) <= bytesMax) return size;
  throw new SluiceError(
    'MESSAGE_TOO_LARGE',
    `a message with key, tag and properties takes ${size} bytes; this broker takes ${bytesMax - headBytes}`,
  );
}

/** The one queue of all messages, where the request says so. */
function fixedQueue(topic: TopicRecord, command: SendCommand): number | undefined {
  if (command.queueId !== undefined) {
    checkQueue(topic, command.queueId);
    return command.queueId;
  }
  return command.producerId === '' ? undefined : fnv1a(command.producerId) % topic.queues;
}

function keyQueue(topic: TopicRecord, record: RecordInput): number | undefined {
  return record.key === undefined || record.key === ''
    ? undefined
    : fnv1a(record.key) % topic.queues;
}

/** @throws QUEUE_NOT_FOUND */
export function checkQueue(topic: TopicRecord, queueId: number): void {
  if (queueId >= topic.queues) throw queueNotFound(topic, queueId);
}

export function queueNotFound(topic: TopicRecord, queueId: number): SluiceError {
  return new SluiceError(
    'QUEUE_NOT_FOUND',
    `the topic ${topic.topic} has the queues 0 to ${topic.queues - 1}, not ${queueId}`,
  );
}

export function bodyTooLarge(bytes: number, bytesMax: number): SluiceError {
  return new SluiceError(
    'MESSAGE_TOO_LARGE',
    `the body has ${bytes} bytes; this broker takes ${bytesMax}`,
  );
}
