/**
 * The topic of a send that is not there yet: made by RocketMQ's rules, or refused with what to do.
 *
 * @source RocketMQ TopicConfigManager.createTopicInSendMessageMethod, TopicValidator
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { TOPIC_QUEUES_MAX } from '../base/limits.ts';
import { checkTopicName, DEAD_LETTER_PREFIX } from '../base/names.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import { groupOf } from './group-records.ts';
import type { RemotingContext } from './remoting-context.ts';
import type { SendHead } from './send-head.ts';

/** The topic from which new ones inherit; it has no messages. */
export const AUTO_CREATE_TOPIC = 'TBW102';
/** Prefix of the topic by which messages come to a group again. */
export const RETRY_PREFIX = '%RETRY%';

/** Topics of RocketMQ's own insides, to which no client sends. */
const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  ...['SCHEDULE_TOPIC_XXXX', 'RMQ_SYS_TRANS_HALF_TOPIC', 'RMQ_SYS_TRANS_OP_HALF_TOPIC'],
  ...['TRANS_CHECK_MAX_TIME_TOPIC', 'SELF_TEST_TOPIC', 'OFFSET_MOVED_EVENT', AUTO_CREATE_TOPIC],
]);

/** Is it one of those that no client makes or sends to? */
export function isSystemTopic(name: string): boolean {
  return SYSTEM_TOPICS.has(name);
}

/** @throws INVALID_NAME, FORBIDDEN, TOPIC_NOT_FOUND, GROUP_NOT_FOUND, LIMIT_REACHED */
export async function topicForSend(context: RemotingContext, head: SendHead): Promise<TopicRecord> {
  const { topic } = head;
  checkTopicName(topic);
  if (isSystemTopic(topic) || topic.startsWith(DEAD_LETTER_PREFIX))
    throw new SluiceError('FORBIDDEN', `no client sends to the topic ${topic}`);
  if (topic.startsWith(RETRY_PREFIX)) {
    const group = await groupOf(context, topic.slice(RETRY_PREFIX.length));
    return context.core.topics.createRetry(group);
  }
  if (!context.autoCreateTopics || head.defaultTopic !== AUTO_CREATE_TOPIC)
    throw new SluiceError('TOPIC_NOT_FOUND', `topic[${topic}] not exist, apply first please!`);
  const wanted = Math.max(1, head.defaultTopicQueueNums);
  return createTopic(context, topic, Math.min(wanted, context.defaultTopicQueues));
}

/** The topic by which replies to requests of this cluster go. */
export function replyTopicOf({ identity }: RemotingContext): string {
  return `${identity.clusterName}_REPLY_TOPIC`;
}

/** Who replies to a request asks for the route of a topic by which nothing is stored: it is there from the first request on. */
export function prepareReplies(context: RemotingContext): void {
  const { core } = context;
  const name = replyTopicOf(context);
  if (core.topics.find(name) !== undefined) return;
  createTopic(context, name, 1).catch((error: unknown) =>
    core.log.warn('no-reply-topic', { topic: name, error: toSluiceError(error) }),
  );
}

/** The topic of this name, made with so many queues when there is none. @throws as `topicForSend` */
export async function createTopic(
  context: RemotingContext,
  name: string,
  queues: number,
): Promise<TopicRecord> {
  const { topics } = context.core;
  try {
    return (
      topics.find(name) ??
      (await topics.create(name, { queues: Math.min(queues, TOPIC_QUEUES_MAX) }))
    );
  } catch (error) {
    // Another client was quicker, and wanted another number of queues.
    if (error instanceof SluiceError && error.code === 'TOPIC_EXISTS') return topics.existing(name);
    throw error;
  }
}
