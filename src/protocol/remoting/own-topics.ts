/** Our topics as RocketMQ describes topics. Browser-safe. @source RocketMQ TopicConfig */
import { RETRY_PREFIX } from '../../base/names.ts';
import type { TopicRecord } from '../shard-control.ts';
import { PERM_READ, PERM_WRITE, type TopicConfig } from './topic-config-codec.ts';

export function topicConfigOf({ topic, queues, deadLetterOf }: TopicRecord): TopicConfig {
  // Nobody but the broker writes dead letters.
  const perm = deadLetterOf === null ? PERM_READ | PERM_WRITE : PERM_READ;
  return plainTopicConfig(topic, queues, perm);
}

/**
 * The retry topic of each group that has none. Groups of RocketMQ's clients make theirs with their first heartbeat; ours retry without
 * one, but RocketMQ's tools look for the brokers of a group in the route of this topic. It is named to NameServers only, and
 * nobody writes to it.
 *
 * @source RocketMQ DefaultMQAdminExtImpl.examineConsumeStats
 */
export function retryTopicsOf(
  groups: readonly string[],
  topics: readonly TopicRecord[],
): readonly TopicConfig[] {
  const known = new Set(topics.map(({ topic }) => topic));
  return groups
    .map((group) => `${RETRY_PREFIX}${group}`)
    .filter((topic) => !known.has(topic))
    .map((topic) => plainTopicConfig(topic, 1, PERM_READ));
}

export function plainTopicConfig(topicName: string, queues: number, perm: number): TopicConfig {
  return {
    ...{ topicName, readQueueNums: queues, writeQueueNums: queues, perm },
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: new Map(),
  };
}
