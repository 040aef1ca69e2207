/**
 * Groups whose members pull keep nothing on lease: they say where they stand, and ask when they begin. Their positions are
 * the same state, and the same records of the log, as those of groups that are pushed to. Shard thread.
 *
 * @source RocketMQ ConsumerOffsetManager, ConsumerManageProcessor
 */
import type { GroupPosition } from '../log/control-record.ts';
import { emptyEntry } from '../log/entry-table.ts';
import type {
  CommitResult,
  GroupOffset,
  PositionEntry,
  PositionRefusal,
} from '../protocol/shard-control.ts';
import type { GroupTable } from './group-table.ts';
import type { ShardContext } from './shard-context.ts';

const NOT_LOADED = (): void => {};

/**
 * Sets groups to the offsets that their members named, forward or back, in one record. What is of a queue or group that is
 * gone is passed over: nobody is left to be told. A client whose queue another one has locked does not move the group: decided
 * here, where the lock is, because whoever lost it may have said so a while ago, or to a process that knew of no locks yet.
 */
export function commitOffsets(
  context: ShardContext,
  groups: GroupTable,
  entries: readonly PositionEntry[],
): CommitResult {
  const { state, clock } = context;
  const moved: GroupPosition[] = [];
  const refused: PositionRefusal[] = [];
  for (const [groupId, topicId, queueId, named, client] of entries) {
    const queue = state.queue(topicId, queueId);
    if (queue === undefined || !state.groups.has(groupId)) continue;
    const holder = state.locks.holder(groupId, topicId, queueId, clock.monotonicMs());
    if (holder !== undefined && (client ?? holder) !== holder) {
      refused.push({ groupId, topicId, queueId, holder });
      continue;
    }
    // Beyond the end there is nothing that anybody could have consumed: what comes there later must not be passed over.
    const offset = Math.min(named, queue.endOffset);
    // Where retention has moved the group, no record says so, and a crash may bring back what was let go.
    const isLogged = offset !== queue.minOffset || offset === 0;
    if (isLogged && state.groupQueue(groupId, topicId, queueId)?.settledThrough === offset)
      continue;
    moved.push({ groupId, topicId, queueId, offset });
  }
  if (moved.length > 0) groups.setPositions(moved);
  return refused.length === 0 ? {} : { refused };
}

/**
 * Where a group stands on a queue, and what one without a position should know to choose its first.
 *
 * It is what was decided last, be it confirmed or not: answers to a commit or a reset wait for the commit position, this one does
 * not. Who asks may so see a reset that is lost with its master a moment later, and then begins where the group was before or
 * where the reset wanted it; messages come again or are read from there, as after any reset that fails, and none that was
 * acknowledged is lost. To wait would cost more: a SYNC_MASTER without slaves confirms nothing, and its consumers could not even
 * begin to read; a slave that serves alone never confirms at all. An answer from the confirmed state alone would break what
 * members rely on, that a question sees the commit sent before it on the same connection. It would take, per group and queue, the
 * log position of the last change and the offset before it; RocketMQ answers from memory, too.
 */
export function groupOffset(
  context: ShardContext,
  groupId: number,
  topicId: number,
  queueId: number,
): GroupOffset | null {
  const queue = context.state.queue(topicId, queueId);
  if (queue === undefined) return null;
  const one = context.state.groupQueue(groupId, topicId, queueId);
  return {
    offset: one?.settledThrough ?? null,
    minOffset: queue.minOffset,
    maxOffset: queue.visibleEnd,
    isYoung: queue.minOffset === 0 && isFirstNear(),
  };

  /** Is offset 0 not farther behind the end of the log than the window reaches? The same after a restart and on a slave. */
  function isFirstNear(): boolean {
    const entry = emptyEntry();
    const found = queue?.find(0, entry, NOT_LOADED);
    if (found === 'end') return queue?.endOffset === 0;
    return found === 'found' && context.log.appended - entry.position <= context.config.tailBytes;
  }
}
