/**
 * One stored message as a record that can be stored again elsewhere, and the way there: for messages that go back to a group.
 * Everything is copied, because what it is read from does not last.
 */
import type { Waiter } from '../acceptor/pending-requests.ts';
import { busy } from '../acceptor/send-path.ts';
import { openAt } from '../acceptor/stored-extent.ts';
import { crc32 } from '../base/crc32-native.ts';
import { SluiceError } from '../base/errors.ts';
import { BATCH_BYTES_MAX, SHARD_ANSWER_MS_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import type { MessageLocation, TopicAt, TopicRecord } from '../protocol/shard-control.ts';
import { placeOf } from './message-ids.ts';
import type { RemotingContext } from './remoting-context.ts';

const BUILDER_BYTES: number = 4 * KIB;
const SHOWN_DIGITS_MAX = 40;

/** A message and where it is. */
export type StoredRecord = {
  readonly topic: TopicRecord;
  readonly shard: number;
  readonly queueId: number;
  readonly queueOffset: number;
  /** Position of its batch, plus its index. */
  readonly place: number;
  readonly record: RecordInput & { readonly properties: Readonly<Record<string, string>> };
  readonly bornAtMs: number;
};

/**
 * Where the message at a physical offset in digits is.
 *
 * @throws MESSAGE_NOT_FOUND
 */
export async function locateMessage(
  { core }: RemotingContext,
  offset: string,
): Promise<{ readonly shard: number; readonly location: MessageLocation }> {
  const at = placeOf(offset);
  const link = at === undefined ? undefined : core.links.all[at.shard];
  const location =
    at === undefined || link === undefined
      ? null
      : await link.control<MessageLocation | null>({ op: 'locate', position: at.place });
  if (link !== undefined && location !== null) return { shard: link.shard, location };
  throw notThere(offset);
}

/**
 * The topic of what is stored at a physical offset in digits, whether it can be seen or waits for its time or its producer.
 *
 * @throws MESSAGE_NOT_FOUND
 */
export async function topicAtOffset({ core }: RemotingContext, offset: string): Promise<string> {
  const at = placeOf(offset);
  const link = at === undefined ? undefined : core.links.all[at.shard];
  const { topicId } =
    at === undefined || link === undefined
      ? { topicId: null }
      : await link.control<TopicAt>({ op: 'topicAt', place: at.place });
  const topic = topicId === null ? undefined : core.topics.get(topicId);
  if (topic !== undefined) return topic.topic;
  throw notThere(offset);
}

function notThere(offset: string): SluiceError {
  const text = `there is no message at the offset ${offset.slice(0, SHOWN_DIGITS_MAX)}`;
  return new SluiceError('MESSAGE_NOT_FOUND', text);
}

/** The message at a physical offset. @throws MESSAGE_NOT_FOUND, RECORD_CORRUPT, STORAGE_IO */
export async function readStoredRecord(
  context: RemotingContext,
  offset: string,
): Promise<StoredRecord> {
  const { core } = context;
  const { shard, location } = await locateMessage(context, offset);
  const topic = core.topics.get(location.topicId);
  if (topic === undefined)
    throw new SluiceError('MESSAGE_NOT_FOUND', 'the topic of the message is gone');
  const { position, batchBytes, baseOffset, index, queueId } = location;
  const extent = { shard, position, batchBytes, baseOffset, first: index, count: 1, queueId };
  return core.fetches.readExtent(extent, (_, stored) => {
    const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
    const reader = new BatchReader();
    openAt(reader, stored, view, index);
    if (!reader.next()) throw new SluiceError('MESSAGE_NOT_FOUND');
    const { key, tag, bodyKind, properties, bornAtMs } = reader;
    const record = {
      ...{ body: reader.body, bodyKind, properties },
      ...{ key: key === '' ? undefined : key, tag: tag === '' ? undefined : tag },
    };
    const queueOffset = baseOffset + index;
    return { topic, shard, queueId, queueOffset, place: position + index, record, bornAtMs };
  });
}

/**
 * Stores one record as a batch of its own, and resolves when it is as safe as this broker promises.
 *
 * @param dueAtMs - wall time at which it can be seen; undefined: at once
 * @throws MESSAGE_TOO_LARGE, BUSY, what the shard says
 */
export function storeRecord(
  { core }: RemotingContext,
  target: { readonly topic: TopicRecord; readonly queueId: number },
  record: RecordInput,
  bornAtMs: number,
  dueAtMs: number | undefined,
): Promise<void> {
  const { topicId } = target.topic;
  const { queueId } = target;
  const link = core.links.ofQueue(topicId, queueId);
  if (!link.isRunning) throw link.refusal();
  const builder = new BatchBuilder(BUILDER_BYTES, '', 0, crc32);
  const bytesMax = Math.min(BATCH_BYTES_MAX, link.batchBytesMax);
  if (!builder.append(record, recordBytes(record), bytesMax, bornAtMs))
    throw new SluiceError('MESSAGE_TOO_LARGE', `the copy takes more than ${bytesMax} bytes`);
  const batch = builder.finish(0, 0);
  return new Promise((resolve, reject) => {
    const waiter: Waiter = { replied: () => resolve(), failed: reject };
    const deadlineMs = core.clock.monotonicMs() + SHARD_ANSWER_MS_MAX;
    const correlation = core.pending.add(link.shard, waiter, deadlineMs);
    const isTaken =
      dueAtMs === undefined
        ? link.produce(0, correlation, topicId, queueId, batch, 0)
        : link.defer(0, correlation, { topicId, queueId }, { dueAtMs }, batch, 0);
    if (isTaken) core.counters.batchesIn += 1;
    else core.pending.take(correlation)?.failed(busy(link));
  });
}
