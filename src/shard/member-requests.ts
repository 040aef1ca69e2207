/** Requests of members that read by offset: what they commit, and which queues they lock. Shard thread. */
import { SluiceError } from '../base/errors.ts';
import type { ShardControlRequest } from '../protocol/shard-control.ts';
import type { GroupTable } from './group-table.ts';
import { lockQueues, unlockQueues } from './lock-path.ts';
import { commitOffsets, groupOffset } from './offset-path.ts';
import type { ShardContext } from './shard-context.ts';

type MemberRequest = Extract<
  ShardControlRequest,
  { op: 'commitOffsets' | 'groupOffset' | 'lockQueues' | 'unlockQueues' }
>;

/** @returns the result, or what is answered once it is in the log @throws what fences the shard */
export function carryOutOfMembers(
  context: ShardContext,
  groups: GroupTable,
  request: MemberRequest,
): { readonly result: unknown } | { readonly written: unknown } {
  if (request.op === 'groupOffset') {
    const { groupId, topicId, queueId } = request;
    return { result: groupOffset(context, groupId, topicId, queueId) };
  }
  const { fenced } = context;
  if (fenced !== undefined) throw new SluiceError(fenced.code, fenced.text);
  if (request.op === 'commitOffsets')
    return { written: commitOffsets(context, groups, request.positions) };
  const { groupId, client, queues } = request;
  if (request.op === 'lockQueues')
    return { written: { locks: lockQueues(context, groupId, client, queues) } };
  unlockQueues(context, groupId, client, queues);
  return { written: {} };
}
