/** Queue locks of clients that consume in order: asked for and given up in batches, in the log when a holder changes. Shard thread. */
import type { LockAnswer, QueuePlace } from '../protocol/shard-control.ts';
import type { ShardContext } from './shard-context.ts';
import { queueKey } from './shard-state.ts';

/** Takes or renews what can be had. The answers must wait for the log. A queue that is gone, or was named before, is passed over. */
export function lockQueues(
  context: ShardContext,
  groupId: number,
  client: string,
  queues: readonly QueuePlace[],
): readonly LockAnswer[] {
  const { state, control, clock } = context;
  const answers: LockAnswer[] = [];
  const asked = new Set<number>();
  for (const [topicId, queueId] of queues) {
    const key = queueKey(topicId, queueId);
    if (asked.has(key)) continue;
    asked.add(key);
    if (!state.groups.has(groupId) || state.queue(topicId, queueId) === undefined) continue;
    const { record, ...outcome } = state.locks.acquire(
      ...([groupId, topicId, queueId, client] as const),
      clock.monotonicMs(),
    );
    if (record !== undefined) control.metadata({ put: 'lock', lock: record });
    answers.push({ topicId, queueId, ...outcome });
  }
  return answers;
}

export function unlockQueues(
  context: ShardContext,
  groupId: number,
  client: string,
  queues: readonly QueuePlace[],
): void {
  const { state, control } = context;
  for (const [topicId, queueId] of queues) {
    const record = state.locks.release(groupId, topicId, queueId, client);
    if (record !== undefined) control.metadata({ put: 'lock', lock: record });
  }
}
