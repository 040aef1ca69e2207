/**
 * Single messages, by where they are and by what they are called: VIEW_MESSAGE_BY_ID, QUERY_MESSAGE.
 *
 * @source RocketMQ QueryMessageProcessor
 */
import type { ShardLink } from '../acceptor/shard-link.ts';
import { SluiceError } from '../base/errors.ts';
import {
  FIND_KEY_MAX,
  KEY_BYTES_MAX,
  REGISTERED_NAME_MAX,
  REMOTING_FRAME_BYTES_MAX,
} from '../base/limits.ts';
import { MIB } from '../base/units.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { MessageLocation, TopicRecord } from '../protocol/shard-control.ts';
import { placeOf } from './message-ids.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { joined, type WrittenExtent } from './stored-messages.ts';

/** Says that the key is the id that the client gave the message. */
const UNIQUE_KEY_FIELD = '_UNIQUE_KEY_QUERY';
/** Messages of one id: it is one, unless its client has sent it again. @source RocketMQ defaultQueryMaxNum */
const UNIQUE_MAX = 32;
/** Bytes of messages in one answer: a frame without its header. */
const ANSWER_BYTES_MAX: number = REMOTING_FRAME_BYTES_MAX - MIB;

async function viewMessage(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const offset = request.checkedFields().text('offset', REGISTERED_NAME_MAX);
  const found = await messageAtOffset(context, offset);
  if (found === undefined)
    throw new SluiceError('MESSAGE_NOT_FOUND', `can not find message by the offset: ${offset}`);
  request.answer({ body: found.bytes });
}

/** The message at a physical offset, in digits; undefined when there is none. @throws RECORD_CORRUPT, STORAGE_IO */
export async function messageAtOffset(
  context: RemotingContext,
  offset: string,
): Promise<WrittenExtent | undefined> {
  const place = placeOf(offset);
  const link = place === undefined ? undefined : context.core.links.all[place.shard];
  if (link === undefined || place === undefined) return undefined;
  const location = await link.control<MessageLocation | null>({
    op: 'locate',
    position: place.place,
  });
  return location === null ? undefined : messageAt(context, link.shard, location);
}

/** The message as a consumer would get it; undefined when its topic is gone. @throws RECORD_CORRUPT, STORAGE_IO */
export async function messageAt(
  { core, messages }: RemotingContext,
  shard: number,
  location: MessageLocation,
): Promise<WrittenExtent | undefined> {
  const topic = core.topics.get(location.topicId);
  if (topic === undefined) return undefined;
  const { position, batchBytes, baseOffset, index, queueId } = location;
  const extent = { shard, position, batchBytes, baseOffset, first: index, count: 1, queueId };
  return core.fetches.readExtent(extent, (_, stored) =>
    messages.write(topic.topic, extent, stored, undefined),
  );
}

async function queryMessage(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const fields = request.checkedFields();
  const topic = context.core.topics.existing(fields.text('topic', REGISTERED_NAME_MAX));
  const key = fields.text('key', KEY_BYTES_MAX);
  const isUnique = fields.optionalBoolean(UNIQUE_KEY_FIELD) === true;
  const [least, most] = [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER];
  const asked = fields.optionalInteger('maxNum', least, most) ?? FIND_KEY_MAX;
  const fromMs = fields.optionalInteger('beginTimestamp', least, most) ?? 0;
  const toMs = fields.optionalInteger('endTimestamp', least, most) || most;
  const max = isUnique ? UNIQUE_MAX : Math.max(1, Math.min(asked, FIND_KEY_MAX));
  const list = await messagesWithKey(context, topic, { key, fromMs, toMs, max });
  if (list.length === 0) {
    const remark = 'can not find message, maybe time range not correct';
    request.answer({ code: RESPONSE_CODES.QUERY_NOT_FOUND, remark });
    return;
  }
  request.answer({
    fields: new Map([
      ['indexLastUpdateTimestamp', String(list[0]?.storedAtMs ?? 0)],
      ['indexLastUpdatePhyoffset', '0'],
    ]),
    body: joined(list),
  });
}

type KeyWish = {
  readonly key: string;
  /** Of storing, both included. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly max: number;
};

/** The newest messages with a key, or a word of one, or the id that their client gave them: as many as one answer holds. */
async function messagesWithKey(
  context: RemotingContext,
  topic: TopicRecord,
  wish: KeyWish,
): Promise<readonly WrittenExtent[]> {
  const links = context.core.links.ofTopic(topic);
  const found = await Promise.all(links.map((link) => messagesOnShard(context, link, topic, wish)));
  const newestFirst = found.flat().sort((one, other) => other.storedAtMs - one.storedAtMs);
  return asManyAsFit(newestFirst.slice(0, wish.max));
}

/** One after the other, because each may be as large as a message can be. */
async function messagesOnShard(
  context: RemotingContext,
  link: ShardLink,
  topic: TopicRecord,
  { key, fromMs, toMs, max }: KeyWish,
): Promise<readonly WrittenExtent[]> {
  const request = { op: 'findKey', topicId: topic.topicId, key, max: FIND_KEY_MAX } as const;
  const found: WrittenExtent[] = [];
  let bytes = 0;
  for (const location of await link.control<readonly MessageLocation[]>(request)) {
    const message = await messageAt(context, link.shard, location);
    if (message === undefined || message.storedAtMs < fromMs || message.storedAtMs > toMs) continue;
    found.push(message);
    bytes += message.bytes.length;
    if (found.length >= max || bytes > ANSWER_BYTES_MAX) break;
  }
  return found;
}

function asManyAsFit(messages: readonly WrittenExtent[]): readonly WrittenExtent[] {
  let bytes = 0;
  const behind = messages.findIndex((message) => {
    bytes += message.bytes.length;
    return bytes > ANSWER_BYTES_MAX;
  });
  return behind < 0 ? messages : messages.slice(0, behind);
}

/** Messages looked up one by one. */
export function lookupHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.VIEW_MESSAGE_BY_ID, (request) => viewMessage(context, request)],
    [REQUEST_CODES.QUERY_MESSAGE, (request) => queryMessage(context, request)],
  ];
}
