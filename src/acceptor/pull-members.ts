/**
 * Members of groups that pull by offset and share the queues among themselves, as RocketMQ's clients do. Whoever speaks their
 * protocol keeps them; the acceptor must know of them, because a group is pulled for or pushed to and never both: what is pushed
 * is settled message by message, what is pulled by one offset, and each would undo the other's account.
 */
import { SluiceError } from '../base/errors.ts';
import type { GroupRecord } from '../protocol/shard-control.ts';

/** One of them, as operators see it. */
export type PullMember = {
  readonly clientId: string;
  readonly address: string;
  /** Name of its language, and its RocketMQ version. */
  readonly client: string;
  /** Topic and expression. */
  readonly subscriptions: Readonly<Record<string, string>>;
  /** Why it is not let in; null for a member. */
  readonly difference: string | null;
};

export interface PullMembers {
  /** Does anybody pull for the group, or wait to? */
  has(group: string): boolean;
  describe(group: string): readonly PullMember[];
}

/** A broker without a port for them. */
export const NO_PULL_MEMBERS: PullMembers = { has: () => false, describe: () => [] };

/** Why the group cannot be pushed to as well. */
export function pushRefusal(members: PullMembers, group: GroupRecord): SluiceError | undefined {
  if (!members.has(group.group)) return undefined;
  const clients = members.describe(group.group).map(({ clientId }) => clientId);
  return new SluiceError(
    'GROUP_IN_USE',
    `the group ${group.group} is consumed by clients that pull by offset (${clients.slice(0, 4).join(', ')}); a member that is pushed to would settle messages that they count as theirs`,
    { hint: 'Subscribe with another group, or stop those clients first.' },
  );
}

/** Why nobody can pull for a group that is pushed to. */
export function pullRefusal(group: GroupRecord): SluiceError {
  return new SluiceError(
    'GROUP_IN_USE',
    `the group ${group.group} has members over WebSocket or HTTP, to which its messages are pushed and acknowledged one by one; who pulls by offset would undo their account`,
    { hint: 'Use another group, or stop those members first.' },
  );
}
