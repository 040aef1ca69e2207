/**
 * Groups, for tools: made, changed, deleted, listed, and how far they are. UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
 * DELETE_SUBSCRIPTIONGROUP, GET_ALL_SUBSCRIPTIONGROUP_CONFIG, GET_SUBSCRIPTIONGROUP_CONFIG, GET_CONSUME_STATS,
 * GET_BROKER_CONSUME_STATS, CLONE_GROUP_OFFSET, GET_ALL_CONSUMER_OFFSET, QUERY_TOPICS_BY_CONSUMER.
 *
 * @source RocketMQ AdminBrokerProcessor
 */
import { AdminApi } from '../acceptor/admin-api.ts';
import { SluiceError } from '../base/errors.ts';
import { REGISTERED_NAME_MAX } from '../base/limits.ts';
import {
  type ConsumeStats,
  decodeGroupConfig,
  encodeAllOffsets,
  encodeConsumeStats,
  encodeConsumeStatsList,
  encodeGroupConfig,
  encodeGroupTable,
  type GroupConfig,
  type QueueProgress,
} from '../protocol/remoting/admin-bodies-codec.ts';
import { hostText } from '../protocol/remoting/host-bytes.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { encodeTopicList } from '../protocol/remoting/simple-bodies-codec.ts';
import type { GroupQueueStatus, GroupRecord, TopicRecord } from '../protocol/shard-control.ts';
import { groupQueues, queueName, storedAt, topicEnds } from './admin-offsets.ts';
import { groupOf } from './group-records.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';

function configOf({ group, maxAttempts }: GroupRecord): GroupConfig {
  return { groupName: group, isConsuming: true, retryMaxTimes: maxAttempts };
}

async function putGroup(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const config = decodeGroupConfig(request.body);
  if ('refusal' in config) throw config.refusal;
  const { groupName, isConsuming, retryMaxTimes } = config.value;
  if (!isConsuming) {
    const text = `the group ${groupName} is asked for with consumeEnable false, which is not served`;
    throw new SluiceError('INVALID_ARGUMENT', text, { hint: 'Stop its consumers instead.' });
  }
  if (context.isSlave()) throw new SluiceError('NOT_MASTER');
  // Once is the fewest: a message that is never delivered is nobody's.
  await context.core.groups.put(groupName, { maxAttempts: Math.max(1, retryMaxTimes) });
  request.answer({});
}

async function deleteGroup({ core }: RemotingContext, request: RemotingRequest): Promise<void> {
  const name = request.checkedFields().text('groupName', REGISTERED_NAME_MAX);
  // RocketMQ's tools ask every broker of a cluster: one that has no such group has nothing to do.
  if (core.groups.records.find(name) !== undefined) await new AdminApi(core).deleteGroup(name);
  request.answer({});
}

/** All at once, as GET_ALL_TOPIC_CONFIG. */
function allGroups({ core, facts }: RemotingContext, request: RemotingRequest): void {
  const groups = core.groups.records.all().map(configOf);
  request.answer({ body: encodeGroupTable(facts.dataVersion(), groups) });
}

function oneGroup({ core }: RemotingContext, request: RemotingRequest): void {
  const name = request.checkedFields().text('group', REGISTERED_NAME_MAX);
  request.answer({ body: encodeGroupConfig(configOf(core.groups.existing(name))) });
}

async function consumeStats(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core } = context;
  const fields = request.checkedFields();
  const group = core.groups.existing(fields.text('consumerGroup', REGISTERED_NAME_MAX));
  const topicName = fields.optionalText('topic', REGISTERED_NAME_MAX) ?? '';
  const topic = topicName === '' ? undefined : core.topics.existing(topicName);
  const { queues, perSecond } = await statsOf(context, group, topic);
  request.answer({ body: encodeConsumeStats(queues, perSecond) });
}

/** @param only - the topic that is asked about; undefined: all that the group reads */
async function statsOf(
  context: RemotingContext,
  group: GroupRecord,
  only: TopicRecord | undefined,
): Promise<ConsumeStats> {
  const { rates } = context.core;
  const positions = await groupQueues(context, group);
  const topics = only === undefined ? topicsRead(context, positions) : [only];
  const queues = await Promise.all(topics.map((topic) => progress(context, topic, positions)));
  const perSecond = topics.reduce(
    (sum, { topic }) => sum + (rates.of(group.group, topic)?.minute.perSecond ?? 0),
    0,
  );
  return { queues: queues.flat(), perSecond };
}

/** All groups one after the other: a broker may have many, and nobody waits for this but a person. */
async function allConsumeStats(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core, identity } = context;
  const list: (readonly [string, ConsumeStats])[] = [];
  for (const group of core.groups.records.all())
    list.push([group.group, await statsOf(context, group, undefined)]);
  request.answer({ body: encodeConsumeStatsList(hostText(identity.storeHost), list) });
}

/** One group is set to where another is, in one topic or in all that it reads. */
async function cloneOffsets(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core } = context;
  const fields = request.checkedFields();
  const source = core.groups.existing(fields.text('srcGroup', REGISTERED_NAME_MAX));
  const targetName = fields.text('destGroup', REGISTERED_NAME_MAX);
  const only = fields.optionalText('topic', REGISTERED_NAME_MAX) ?? '';
  if (context.isSlave()) throw new SluiceError('NOT_MASTER');
  const target = await groupOf(context, targetName);
  const positions = await groupQueues(context, source);
  const topics = only === '' ? topicsRead(context, positions) : [core.topics.existing(only)];
  for (const topic of topics) {
    const own = positions.filter(({ topicId }) => topicId === topic.topicId);
    if (own.length === 0) continue;
    const offsets = Object.fromEntries(own.map((one) => [one.queueId, one.ackedThrough]));
    await core.offsets.reset(target, topic, { kind: 'offsets', offsets }, false);
  }
  request.answer({});
}

/** Topics that a group has a place in; those that are deleted are passed over. */
function topicsRead(
  { core }: RemotingContext,
  positions: readonly GroupQueueStatus[],
): readonly TopicRecord[] {
  const ids = new Set(positions.map(({ topicId }) => topicId));
  return [...ids].map((id) => core.topics.get(id)).filter((topic) => topic !== undefined);
}

/** All queues of the topic; one that the group has not read yet counts from 0, as in RocketMQ. */
async function progress(
  context: RemotingContext,
  topic: TopicRecord,
  positions: readonly GroupQueueStatus[],
): Promise<readonly QueueProgress[]> {
  const ends = await topicEnds(context, topic);
  const acked = new Map(
    positions
      .filter(({ topicId }) => topicId === topic.topicId)
      .map(({ queueId, ackedThrough }) => [queueId, ackedThrough]),
  );
  return Promise.all(
    ends.map(async ({ queueId, minOffset, maxOffset, lastStoredAtMs }) => {
      const consumerOffset = acked.get(queueId) ?? 0;
      const isAtEnd = consumerOffset === maxOffset;
      const isKept = consumerOffset > minOffset;
      const lastConsumedAtMs = isAtEnd
        ? (lastStoredAtMs ?? 0)
        : isKept
          ? await storedAt(context, topic, queueId, consumerOffset - 1)
          : 0;
      const queue = queueName(context, topic, queueId);
      return { queue, brokerOffset: maxOffset, consumerOffset, lastConsumedAtMs };
    }),
  );
}

async function allOffsets(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core } = context;
  const tables = new Map<string, (readonly [number, number])[]>();
  for (const group of core.groups.records.all()) {
    for (const { topicId, queueId, ackedThrough } of await groupQueues(context, group)) {
      const topic = core.topics.get(topicId);
      if (topic === undefined) continue;
      const name = `${topic.topic}@${group.group}`;
      const offsets = tables.get(name) ?? [];
      offsets.push([queueId, ackedThrough]);
      tables.set(name, offsets);
    }
  }
  request.answer({ body: encodeAllOffsets([...tables]) });
}

async function topicsOfGroup(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const name = request.checkedFields().text('group', REGISTERED_NAME_MAX);
  const positions = await groupQueues(context, context.core.groups.existing(name));
  const topics = topicsRead(context, positions).map(({ topic }) => topic);
  request.answer({ body: encodeTopicList({ topics: topics.sort(), brokerAddr: undefined }) });
}

/** What tools ask of groups. */
export function adminGroupHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, (request) => putGroup(context, request)],
    [REQUEST_CODES.DELETE_SUBSCRIPTIONGROUP, (request) => deleteGroup(context, request)],
    [REQUEST_CODES.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, (request) => allGroups(context, request)],
    [REQUEST_CODES.GET_SUBSCRIPTIONGROUP_CONFIG, (request) => oneGroup(context, request)],
    [REQUEST_CODES.GET_CONSUME_STATS, (request) => consumeStats(context, request)],
    [REQUEST_CODES.GET_BROKER_CONSUME_STATS, (request) => allConsumeStats(context, request)],
    [REQUEST_CODES.CLONE_GROUP_OFFSET, (request) => cloneOffsets(context, request)],
    [REQUEST_CODES.GET_ALL_CONSUMER_OFFSET, (request) => allOffsets(context, request)],
    [REQUEST_CODES.QUERY_TOPICS_BY_CONSUMER, (request) => topicsOfGroup(context, request)],
  ];
}
