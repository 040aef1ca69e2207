/** Groups as RocketMQ's clients name them: found, or made where that is allowed, and pulled for only where nobody is pushed to. */
import { pullRefusal } from '../acceptor/pull-members.ts';
import type { GroupRecord } from '../protocol/shard-control.ts';
import type { RemotingContext } from './remoting-context.ts';

/**
 * The group of this name, made when there is none.
 *
 * @throws INVALID_NAME, GROUP_NOT_FOUND, LIMIT_REACHED, and what a shard answers
 */
export async function groupOf({ core }: RemotingContext, name: string): Promise<GroupRecord> {
  return core.groups.records.find(name) ?? (await core.groups.require(name));
}

/** @throws GROUP_IN_USE when members of it are pushed to */
export function checkPullable({ core }: RemotingContext, group: GroupRecord): void {
  if (core.subscriptions.members.hasMembers(group.groupId)) throw pullRefusal(group);
}
