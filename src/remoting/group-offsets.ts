/**
 * QUERY_CONSUMER_OFFSET, UPDATE_CONSUMER_OFFSET: where a group is on a queue. A group without an offset on a queue that is still
 * young begins at its first message; on any other its client decides.
 *
 * @source RocketMQ ConsumerManageProcessor
 */
import { checkQueue } from '../acceptor/send-plan.ts';
import { SluiceError } from '../base/errors.ts';
import { REGISTERED_NAME_MAX, TOPIC_QUEUES_MAX } from '../base/limits.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { GroupRecord, TopicRecord } from '../protocol/shard-control.ts';
import type { GroupLocks } from './group-locks.ts';
import { checkPullable, groupOf } from './group-records.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';

/** Stands for a group that there is none of; no group has this number. */
const NO_GROUP = 0;

type GroupQueueName = {
  readonly groupName: string;
  readonly topic: TopicRecord;
  readonly queueId: number;
};

/** @throws INVALID_ARGUMENT, TOPIC_NOT_FOUND, QUEUE_NOT_FOUND */
function readName({ core }: RemotingContext, request: RemotingRequest): GroupQueueName {
  const fields = request.checkedFields();
  const topic = core.topics.existing(fields.text('topic', REGISTERED_NAME_MAX));
  const queueId = fields.integer('queueId', 0, TOPIC_QUEUES_MAX - 1);
  checkQueue(topic, queueId);
  return { groupName: fields.text('consumerGroup', REGISTERED_NAME_MAX), topic, queueId };
}

async function query(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { groupName, topic, queueId } = readName(context, request);
  const mayBegin = request.checkedFields().optionalBoolean('setZeroIfNotFound') ?? true;
  const group = context.core.groups.records.find(groupName);
  const groupId = group?.groupId ?? NO_GROUP;
  const found = await context.core.offsets.query(groupId, topic, queueId);
  const offset = found.offset ?? (mayBegin && found.isYoung ? 0 : undefined);
  if (offset !== undefined) request.answer({ fields: new Map([['offset', String(offset)]]) });
  else
    request.answer({
      code: RESPONSE_CODES.QUERY_NOT_FOUND,
      remark: `Not found, maybe this group consumer boot first: ${groupName} has no offset on ${topic.topic}:${queueId}`,
    });
}

/** Nothing is awaited where the group is known: a question that comes behind must see it. */
function update(
  context: RemotingContext,
  locks: GroupLocks,
  request: RemotingRequest,
): void | Promise<void> {
  const name = readName(context, request);
  const offset = request
    .checkedFields()
    .integer('commitOffset', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  // ali-ons says -1 of queues that it has never consumed.
  if (offset < 0) {
    request.answer({});
    return;
  }
  if (context.isSlave()) throw new SluiceError('NOT_MASTER');
  const store = (group: GroupRecord): void | Promise<void> =>
    storeOffset(context, locks, request, group, name, offset);
  const group = context.core.groups.records.find(name.groupName);
  return group === undefined ? groupOf(context, name.groupName).then(store) : store(group);
}

function storeOffset(
  context: RemotingContext,
  locks: GroupLocks,
  request: RemotingRequest,
  group: GroupRecord,
  name: GroupQueueName,
  offset: number,
): void | Promise<void> {
  checkPullable(context, group);
  const { topicId } = name.topic;
  const client = context.clients.clientOf(request.connection, name.groupName)?.clientId;
  checkMember(context, name.groupName, client);
  checkHolder(locks, group, name, client);
  const { offsets } = context.core;
  const entry = [group.groupId, topicId, name.queueId, offset, client ?? null] as const;
  if (!request.isOneway) return offsets.commit(entry).then(() => request.answer({}));
  offsets.note(entry);
  request.answer({});
  return undefined;
}

/** @throws FORBIDDEN: a client that is not let in must not move the group */
function checkMember(
  { clients }: RemotingContext,
  group: string,
  client: string | undefined,
): void {
  if (client === undefined || clients.consumerGroup(group)?.member(client) !== undefined) return;
  throw new SluiceError('FORBIDDEN', `${client} is not let in to the group ${group}`);
}

/** @throws FORBIDDEN: who has lost a queue must not move the group there */
function checkHolder(
  locks: GroupLocks,
  group: GroupRecord,
  { topic, queueId }: GroupQueueName,
  client: string | undefined,
): void {
  // Tools are no clients of the group, and do what an operator says.
  if (client === undefined) return;
  const holder = locks.otherHolder(group.groupId, topic.topicId, queueId, client);
  if (holder === undefined) return;
  const text = `the queue ${queueId} of ${topic.topic} is locked by ${holder} for the group ${group.group}`;
  throw new SluiceError('FORBIDDEN', text);
}

/** Offsets of groups. */
export function offsetHandlers(context: RemotingContext, locks: GroupLocks): HandlerTable {
  return [
    [REQUEST_CODES.QUERY_CONSUMER_OFFSET, (request) => query(context, request)],
    [REQUEST_CODES.UPDATE_CONSUMER_OFFSET, (request) => update(context, locks, request)],
  ];
}
