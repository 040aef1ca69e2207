/** What a shard answers when it is asked how things stand. Nothing is changed. Shard thread. */
import { SluiceError } from '../base/errors.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type {
  GroupQueueStatus,
  ShardControlRequest,
  ShardStatus,
  StartPoint,
  TopicStatus,
} from '../protocol/shard-control.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { ShardContext } from './shard-context.ts';
import type { UnreadableSegments } from './unreadable-segments.ts';

/** Bounds of the topic's queues on this shard. */
export function topicStatus(context: ShardContext, topicId: number): TopicStatus {
  const queues = context.state.queuesOf(topicId).map((queue) => ({
    queueId: queue.queueId,
    minOffset: queue.minOffset,
    maxOffset: queue.visibleEnd,
    lastStoredAtMs: queue.lastStoredAtMs < 0 ? null : queue.lastStoredAtMs,
  }));
  return { queues };
}

/** The first message stored at or after a time. @throws QUEUE_NOT_FOUND */
export function offsetAtTime(
  context: ShardContext,
  { topicId, queueId, epochMs }: Extract<ShardControlRequest, { op: 'offsetAtTime' }>,
): { readonly offset: number } {
  const queue = context.state.queue(topicId, queueId);
  if (queue !== undefined) return { offset: startOffset(queue, { kind: 'time', epochMs }) };
  throw new SluiceError('QUEUE_NOT_FOUND', `topic ${topicId} has no queue ${queueId} here`);
}

/** Where a group stands on the queues of this shard, its dead letters among them. */
export function groupStatus(
  context: ShardContext,
  deadLetters: DeadLetters,
  groupId: number,
): GroupQueueStatus[] {
  const { state } = context;
  const letters = deadLetters.queueOf(groupId);
  const found: GroupQueueStatus[] = [];
  for (const one of state.allGroupQueues()) {
    const queue = state.queue(one.topicId, one.queueId);
    if (one.groupId !== groupId || queue === undefined || queue === letters) continue;
    found.push({
      topicId: one.topicId,
      queueId: one.queueId,
      ackedThrough: one.settledThrough,
      maxOffset: queue.visibleEnd,
      lag: one.lag(queue.visibleEnd),
      inFlight: one.inFlight,
      retrying: one.retries.messages,
      dead: 0,
      owner: one.owner === 0 ? null : one.owner,
    });
  }
  if (letters !== undefined) found.push(lettersStatus(context, groupId, letters));
  return found;
}

function lettersStatus(
  { state }: ShardContext,
  groupId: number,
  letters: ConsumeQueue,
): GroupQueueStatus {
  const one = state.groupQueue(groupId, letters.topicId, letters.queueId);
  const ackedThrough = Math.max(one?.settledThrough ?? 0, letters.minOffset);
  const { topicId, queueId, visibleEnd } = letters;
  // Behind what is visible, as long as nobody has confirmed what was stored before a restart.
  const dead = Math.max(0, visibleEnd - ackedThrough);
  return {
    topicId,
    queueId,
    ackedThrough,
    maxOffset: visibleEnd,
    lag: 0,
    inFlight: 0,
    retrying: 0,
    dead,
    owner: null,
  };
}

/** How far the log is, and what keeps it from going on. */
export function shardStatus(
  context: ShardContext,
  logStart: number,
  unreadable: UnreadableSegments,
): ShardStatus {
  const { config, log, commit, refusal, fenced } = context;
  return {
    shard: config.shard,
    appended: log.appended,
    written: log.written,
    flushed: log.flushed,
    commit,
    logStart,
    state: fenced !== undefined ? 'fenced' : refusal !== undefined ? 'read-only' : 'running',
    reason: refusal?.text ?? unreadable.reason ?? null,
    unreadableSegments: unreadable.count,
  };
}

/** The offset that a start point means on a queue. */
export function startOffset(queue: ConsumeQueue, to: StartPoint, current = -1): number {
  switch (to.kind) {
    case 'earliest':
      return queue.minOffset;
    case 'latest':
      return queue.visibleEnd;
    case 'time':
      return Math.min(queue.offsetAtTime(to.epochMs), queue.visibleEnd);
    case 'offsets': {
      const named = to.offsets[String(queue.queueId)];
      // A queue that is not named stays where it is, also while its end cannot be seen yet.
      if (named === undefined && current >= 0) return current;
      const wanted = named ?? queue.minOffset;
      return Math.min(Math.max(wanted, queue.minOffset), queue.visibleEnd);
    }
  }
}
