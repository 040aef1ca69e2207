/**
 * CONSUMER_SEND_MSG_BACK: a member could not consume a message. A copy of it comes to the group again after a while, by the topic
 * %RETRY% and its name, each time later than before; when it has come often enough, or the member gives up, the copy goes to the
 * group's dead letters with the reason, where our own consumers' are too and can be sent back from.
 *
 * @source RocketMQ AbstractSendMessageProcessor.consumerSendMsgBack, SendMessageProcessor.handleRetryAndDLQ
 */
import { SluiceError } from '../base/errors.ts';
import { ATTEMPTS_MAX_DEFAULT, PROPERTIES_COUNT_MAX, REGISTERED_NAME_MAX } from '../base/limits.ts';
import { RETRY_PREFIX } from '../base/names.ts';
import { PropertyBytes } from '../protocol/batch/property-bytes.ts';
import { ORIGIN_PROPERTY } from '../protocol/batch/reserved-property.ts';
import { originTextOf, readOrigin } from '../protocol/remoting/message-origin.ts';
import { PROPERTY } from '../protocol/remoting/message-properties.ts';
import { PropertyText, propertyText } from '../protocol/remoting/property-text.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { type GroupRecord, shardOf, type TopicRecord } from '../protocol/shard-control.ts';
import { checkPullable, groupOf } from './group-records.ts';
import type { DeadLetterSend, HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import type { SendHead } from './send-head.ts';
import { readStoredRecord, type StoredRecord, storeRecord } from './stored-record.ts';

/** Delay level of the first retry. */
const FIRST_LEVEL = 3;
/** Clients below this version do not say how often. @source RocketMQ MQVersion.V3_4_9 */
const VERSION_WITH_MAX = 121;
const INT32_MAX = 0x7fff_ffff;

type Wish = {
  readonly offset: string;
  readonly groupName: string;
  /** 0: the broker's choice; below: to the dead letters. */
  readonly delayLevel: number;
  /** Undefined: as its group says. */
  readonly timesMax: number | undefined;
};

/** Messages sent back by consumers. */
export function sendBackHandlers(context: RemotingContext): HandlerTable {
  return [[REQUEST_CODES.CONSUMER_SEND_MSG_BACK, (request) => sendBack(context, request)]];
}

async function sendBack(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const wish = readWish(request);
  if (context.isSlave()) throw new SluiceError('NOT_MASTER');
  const group = await groupOf(context, wish.groupName);
  checkPullable(context, group);
  const stored = await readStoredRecord(context, wish.offset);
  const { reconsumeTimes } = readOrigin(stored.record.properties[ORIGIN_PROPERTY] ?? '');
  if (wish.delayLevel < 0)
    await bury(context, group, stored, 'its consumer gave it up', reconsumeTimes);
  else if (reconsumeTimes >= (wish.timesMax ?? group.maxAttempts))
    await bury(
      context,
      group,
      stored,
      `it was not consumed with ${reconsumeTimes} retries`,
      reconsumeTimes,
    );
  else await retry(context, group, stored, wish.delayLevel, reconsumeTimes);
  request.answer({});
}

/** @throws INVALID_ARGUMENT */
function readWish(request: RemotingRequest): Wish {
  const fields = request.checkedFields();
  const timesMax = fields.optionalInteger('maxReconsumeTimes', -INT32_MAX, INT32_MAX) ?? -1;
  return {
    offset: fields.text('offset', REGISTERED_NAME_MAX),
    groupName: fields.text('group', REGISTERED_NAME_MAX),
    delayLevel: fields.optionalInteger('delayLevel', -INT32_MAX, INT32_MAX) ?? 0,
    timesMax: timesMaxOf(timesMax, request.version),
  };
}

/** How often a message comes again, as a client says it. @param timesMax - negative: it says nothing */
function timesMaxOf(timesMax: number | undefined, version: number): number | undefined {
  const isSaid = timesMax !== undefined && timesMax >= 0 && version >= VERSION_WITH_MAX;
  return isSaid ? timesMax : undefined;
}

async function retry(
  context: RemotingContext,
  group: GroupRecord,
  stored: StoredRecord,
  delayLevel: number,
  reconsumeTimes: number,
): Promise<void> {
  const { core } = context;
  const topic = await core.topics.createRetry(group);
  const level = delayLevel === 0 ? FIRST_LEVEL + reconsumeTimes : delayLevel;
  const dueAtMs = core.clock.epochMs() + core.delays.levelMs(level);
  const propertyBytes = copiedProperties(context, stored, reconsumeTimes + 1, []);
  const record = { ...stored.record, properties: undefined, propertyBytes };
  await storeRecord(context, { topic, queueId: 0 }, record, stored.bornAtMs, dueAtMs);
}

async function bury(
  context: RemotingContext,
  group: GroupRecord,
  stored: StoredRecord,
  reason: string,
  reconsumeTimes: number,
): Promise<void> {
  const { core } = context;
  const topic = await core.topics.createDeadLetter(group);
  const { topic: from, queueId, queueOffset } = stored;
  const propertyBytes = copiedProperties(context, stored, reconsumeTimes + 1, [
    ...deadLetterProperties(
      reason,
      { topic: from.topic, queueId, queueOffset },
      reconsumeTimes + 1,
    ),
  ]);
  const record = { ...stored.record, properties: undefined, propertyBytes };
  const target = { topic, queueId: letterQueueOf(topic, stored.shard, core.links.count) };
  await storeRecord(context, target, record, stored.bornAtMs, undefined);
}

/**
 * A consumer that could not send a message back sends it to its group's retry topic by itself, and one that consumes in order
 * does when it gives a message up: that one's group holds a lock.
 *
 * @param hasLocks - does a client hold queues for this group?
 * @returns undefined: the message is to come again
 */
export function deadLetterSend(
  context: RemotingContext,
  head: SendHead,
  version: number,
  hasLocks: (group: string) => boolean,
): Promise<DeadLetterSend> | undefined {
  if (!head.topic.startsWith(RETRY_PREFIX)) return undefined;
  const name = head.topic.slice(RETRY_PREFIX.length);
  const { reconsumeTimes } = head;
  const timesMax =
    timesMaxOf(head.maxReconsumeTimes, version) ??
    context.core.groups.records.find(name)?.maxAttempts ??
    ATTEMPTS_MAX_DEFAULT;
  if (reconsumeTimes <= timesMax && !hasLocks(name)) return undefined;
  return buriedSend(context, head, name);
}

async function buriedSend(
  context: RemotingContext,
  head: SendHead,
  groupName: string,
): Promise<DeadLetterSend> {
  const { core } = context;
  const group = await groupOf(context, groupName);
  const from = await core.topics.createRetry(group);
  const topic = await core.topics.createDeadLetter(group);
  const { shard } = core.links.ofQueue(from.topicId, 0);
  const reason = `it was not consumed with ${head.reconsumeTimes} retries`;
  const properties = [
    ...withoutDelay(head.properties),
    ...deadLetterProperties(reason, { topic: from.topic, queueId: 0 }, head.reconsumeTimes + 1),
  ];
  const queueId = letterQueueOf(topic, shard, core.links.count);
  return { topic, head: { ...head, queueId, properties: propertyText(properties) } };
}

/** A dead letter is there at once. */
function* withoutDelay(properties: string): Generator<readonly [string, string]> {
  const reader = new PropertyText().open(properties);
  while (reader.next()) if (reader.name !== PROPERTY.DELAY) yield [reader.name, reader.value];
}

/** Why a dead letter is one, as our own consumers' have it. @source docs/PROTOCOL.md, section 1 */
export function deadLetterProperties(
  reason: string,
  from: { readonly topic: string; readonly queueId: number; readonly queueOffset?: number },
  attempts: number,
): readonly (readonly [string, string])[] {
  return [
    ['DLQ_REASON', reason],
    ['DLQ_TOPIC', from.topic],
    ['DLQ_QUEUE_ID', String(from.queueId)],
    ...(from.queueOffset === undefined
      ? []
      : ([['DLQ_QUEUE_OFFSET', String(from.queueOffset)]] as const)),
    ['DLQ_ATTEMPTS', String(attempts)],
  ];
}

/** The queue of a dead-letter topic on a shard: letters are kept where they came from, so that they can be sent back. */
export function letterQueueOf(letters: TopicRecord, shard: number, shards: number): number {
  for (let queueId = 0; queueId < letters.queues; queueId += 1)
    if (shardOf(letters.topicId, queueId, shards) === shard) return queueId;
  return 0;
}

/** A message's properties with what RocketMQ's clients look for in a copy first; of too many the last ones give way. */
function copiedProperties(
  context: RemotingContext,
  { topic, shard, place, record }: StoredRecord,
  reconsumeTimes: number,
  more: readonly (readonly [string, string])[],
): PropertyBytes {
  const { properties } = record;
  const origin = readOrigin(properties[ORIGIN_PROPERTY] ?? '');
  const own = new Map<string, string>([
    [ORIGIN_PROPERTY, originTextOf({ ...origin, reconsumeTimes })],
    [PROPERTY.RETRY_TOPIC, properties[PROPERTY.RETRY_TOPIC] ?? topic.topic],
    [
      PROPERTY.ORIGIN_MESSAGE_ID,
      properties[PROPERTY.ORIGIN_MESSAGE_ID] ?? context.offsetMessageId(shard, place),
    ],
    [PROPERTY.WAIT, 'false'],
    ...more,
  ]);
  for (const [name, value] of Object.entries(properties))
    if (!own.has(name) && own.size < PROPERTIES_COUNT_MAX) own.set(name, value);
  const bytes = new PropertyBytes();
  for (const [name, value] of own) if (!bytes.add(name, value)) break;
  return bytes;
}
