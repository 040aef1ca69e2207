/** Setting where a group is in a topic: each shard is told about its own queues. */
import { SluiceError } from '../base/errors.ts';
import {
  type GroupRecord,
  type SeekResult,
  type StartPoint,
  shardOf,
  type TopicRecord,
} from '../protocol/shard-control.ts';
import { checkQueue } from './send-plan.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';

/**
 * @returns offsets before and after, in the order of the queue ids
 * @throws QUEUE_NOT_FOUND, SHARD_RESTARTING, SHARD_FENCED, what a shard answers
 */
export async function seekGroup(
  links: ShardLinks,
  group: GroupRecord,
  topic: TopicRecord,
  to: StartPoint,
  dryRun: boolean,
): Promise<SeekResult> {
  const { topicId } = topic;
  if (to.kind === 'offsets')
    for (const queueId of Object.keys(to.offsets)) checkQueue(topic, Number(queueId));
  const owners = links
    .ofTopic(topic)
    .filter((link) => partOf(links, topicId, link, to) !== undefined);
  // All or none, as far as can be seen beforehand.
  for (const link of owners) if (!link.isRunning) throw link.refusal();
  const results = await Promise.all(
    owners.map((link) =>
      link.control<SeekResult>({
        op: 'seek',
        groupId: group.groupId,
        topicId,
        to: partOf(links, topicId, link, to) ?? to,
        dryRun,
      }),
    ),
  );
  const queues = results.flatMap((result) => [...result.queues]);
  if (queues.length === 0)
    throw new SluiceError('QUEUE_NOT_FOUND', `no queue of ${topic.topic} was named`);
  return { queues: queues.sort((one, other) => one.queueId - other.queueId) };
}

/** What of a target is this shard's; undefined for nothing. */
function partOf(
  links: ShardLinks,
  topicId: number,
  link: ShardLink,
  to: StartPoint,
): StartPoint | undefined {
  if (to.kind !== 'offsets') return to;
  const offsets = Object.create(null) as Record<string, number>;
  let count = 0;
  for (const [queueId, offset] of Object.entries(to.offsets)) {
    if (shardOf(topicId, Number(queueId), links.count) !== link.shard) continue;
    offsets[queueId] = offset;
    count += 1;
  }
  return count === 0 ? undefined : { kind: 'offsets', offsets };
}
