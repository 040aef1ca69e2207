/** Where queues end and where groups are on them, gathered from the shards for tools. Rare requests; main thread. */
import { FETCH_BYTES_MAX } from '../base/limits.ts';
import type { Amount } from '../protocol/remoting/admin-bodies-codec.ts';
import type { MessageQueueName } from '../protocol/remoting/group-bodies-codec.ts';
import type {
  GroupQueueStatus,
  GroupRecord,
  GroupStatus,
  QueueStatus,
  TopicRecord,
  TopicStatus,
} from '../protocol/shard-control.ts';
import type { RemotingContext } from './remoting-context.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS: number = 60 * MINUTE_MS;
export const DAY_MS: number = 24 * HOUR_MS;

/** The name of a queue of this broker. */
export function queueName(
  { identity }: RemotingContext,
  topic: TopicRecord,
  queueId: number,
): MessageQueueName {
  return { brokerName: identity.brokerName, topic: topic.topic, queueId };
}

/** All queues of a topic, in the order of their ids. @throws SHARD_RESTARTING, SHARD_FENCED */
export async function topicEnds(
  { core }: RemotingContext,
  topic: TopicRecord,
): Promise<readonly QueueStatus[]> {
  const statuses = await core.links.controlAll<TopicStatus>(core.links.ofTopic(topic), {
    ...{ op: 'topicStatus', topicId: topic.topicId },
  });
  return statuses
    .flatMap(({ queues }) => [...queues])
    .sort((one, other) => one.queueId - other.queueId);
}

/** Where a group is, on all queues that it has read. @throws SHARD_RESTARTING, SHARD_FENCED */
export async function groupQueues(
  { core }: RemotingContext,
  group: GroupRecord,
): Promise<readonly GroupQueueStatus[]> {
  const statuses = await core.links.controlAll<GroupStatus>(core.links.all, {
    ...{ op: 'groupStatus', groupId: group.groupId },
  });
  return statuses
    .flatMap(({ queues }) => [...queues])
    .sort((one, other) => one.topicId - other.topicId || one.queueId - other.queueId);
}

/**
 * Messages of a topic that were stored in the time before now: counted by the log itself, so that it holds for all dialects and
 * over restarts.
 */
export async function storedWithin(
  { core }: RemotingContext,
  topic: TopicRecord,
  ends: readonly QueueStatus[],
  spanMs: number,
): Promise<Amount> {
  const epochMs = Math.max(0, core.clock.epochMs() - spanMs);
  const counts = ends.map(async ({ queueId, maxOffset, lastStoredAtMs }) => {
    // Most queues of most brokers are still: they are not asked.
    if (lastStoredAtMs === null || lastStoredAtMs < epochMs) return 0;
    const link = core.links.ofQueue(topic.topicId, queueId);
    const { offset } = await link.control<{ readonly offset: number }>({
      ...{ op: 'offsetAtTime', topicId: topic.topicId, queueId, epochMs },
    });
    return Math.max(0, maxOffset - offset);
  });
  const count = (await Promise.all(counts)).reduce((sum, one) => sum + one, 0);
  return { count, perSecond: (count * 1000) / spanMs };
}

/** When a message was stored, milliseconds since 1970; 0 when it cannot be read any more. */
export function storedAt(
  { core, messages }: RemotingContext,
  topic: TopicRecord,
  queueId: number,
  offset: number,
): Promise<number> {
  const wish = { queueId, offset, max: 1, bytesMax: FETCH_BYTES_MAX, waitMs: 0 };
  return new Promise((resolve) => {
    core.fetches.fetchParts(topic, wish, {
      read: (extent, stored) => messages.write(topic.topic, extent, stored, undefined),
      done: ({ parts }) => resolve(parts[0]?.storedAtMs ?? 0),
      failed: () => resolve(0),
    });
  });
}
