/**
 * Topics, for tools: GET_TOPIC_STATS_INFO, GET_TOPIC_CONFIG, GET_ALL_TOPIC_CONFIG, QUERY_TOPIC_CONSUME_BY_WHO,
 * GET_SYSTEM_TOPIC_LIST_FROM_BROKER.
 *
 * @source RocketMQ AdminBrokerProcessor
 */
import { REGISTERED_NAME_MAX } from '../base/limits.ts';
import { encodeGroupList, encodeTopicStats } from '../protocol/remoting/admin-bodies-codec.ts';
import { topicConfigOf } from '../protocol/remoting/own-topics.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { encodeTopicList } from '../protocol/remoting/simple-bodies-codec.ts';
import { topicConfigTableText, topicConfigText } from '../protocol/remoting/topic-config-codec.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import { groupQueues, MINUTE_MS, queueName, storedWithin, topicEnds } from './admin-offsets.ts';
import type { HandlerTable, RemotingContext } from './remoting-context.ts';
import type { RemotingRequest } from './remoting-request.ts';
import { AUTO_CREATE_TOPIC } from './send-topic.ts';

const encoder = new TextEncoder();

function topicOf({ core }: RemotingContext, request: RemotingRequest): TopicRecord {
  return core.topics.existing(request.checkedFields().text('topic', REGISTERED_NAME_MAX));
}

async function topicStats(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const topic = topicOf(context, request);
  const ends = await topicEnds(context, topic);
  const { perSecond } = await storedWithin(context, topic, ends, MINUTE_MS);
  const queues = ends.map(({ queueId, minOffset, maxOffset, lastStoredAtMs }) => ({
    queue: queueName(context, topic, queueId),
    ...{ minOffset, maxOffset, lastStoredAtMs: lastStoredAtMs ?? 0 },
  }));
  request.answer({ body: encodeTopicStats(queues, perSecond) });
}

function topicConfig(context: RemotingContext, request: RemotingRequest): void {
  const config = topicConfigOf(topicOf(context, request));
  request.answer({ body: encoder.encode(topicConfigText(config)) });
}

/** All at once: who asks by pages takes an answer without a total for the whole. */
function allTopics({ core, facts }: RemotingContext, request: RemotingRequest): void {
  const topics = core.topics.records.all().map(topicConfigOf);
  const text = topicConfigTableText({ dataVersion: facts.dataVersion(), topics });
  request.answer({ body: encoder.encode(text) });
}

/** Groups that read the topic: with members now, or that have read it before. */
async function consumers(context: RemotingContext, request: RemotingRequest): Promise<void> {
  const { core, clients } = context;
  const topic = topicOf(context, request);
  const names = new Set<string>();
  for (const group of clients.consumerGroups())
    if (group.terms?.subscriptions.has(topic.topic) === true) names.add(group.name);
  for (const group of core.groups.records.all()) {
    if (names.has(group.group)) continue;
    const queues = await groupQueues(context, group);
    if (queues.some(({ topicId }) => topicId === topic.topicId)) names.add(group.group);
  }
  request.answer({ body: encodeGroupList([...names].sort()) });
}

function systemTopics(context: RemotingContext, request: RemotingRequest): void {
  const topics = context.autoCreateTopics ? [AUTO_CREATE_TOPIC] : [];
  request.answer({ body: encodeTopicList({ topics, brokerAddr: undefined }) });
}

/** Questions about topics. */
export function adminTopicHandlers(context: RemotingContext): HandlerTable {
  return [
    [REQUEST_CODES.GET_TOPIC_STATS_INFO, (request) => topicStats(context, request)],
    [REQUEST_CODES.GET_TOPIC_CONFIG, (request) => topicConfig(context, request)],
    [REQUEST_CODES.GET_ALL_TOPIC_CONFIG, (request) => allTopics(context, request)],
    [REQUEST_CODES.QUERY_TOPIC_CONSUME_BY_WHO, (request) => consumers(context, request)],
    [REQUEST_CODES.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, (request) => systemTopics(context, request)],
  ];
}
