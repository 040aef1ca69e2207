/** The offsets of one queue, asked of its shard: for requests that are rare. */
import { SluiceError } from '../base/errors.ts';
import type { QueueStatus, TopicRecord, TopicStatus } from '../protocol/shard-control.ts';
import type { RemotingContext } from './remoting-context.ts';

/** @throws QUEUE_NOT_FOUND, and what the shard says */
export async function queueStatus(
  { core }: RemotingContext,
  topic: TopicRecord,
  queueId: number,
): Promise<QueueStatus> {
  const link = core.links.ofQueue(topic.topicId, queueId);
  const status = await link.control<TopicStatus>({ op: 'topicStatus', topicId: topic.topicId });
  const found = status.queues.find((queue) => queue.queueId === queueId);
  if (found !== undefined) return found;
  throw new SluiceError('QUEUE_NOT_FOUND', `the topic ${topic.topic} has no queue ${queueId}`);
}
