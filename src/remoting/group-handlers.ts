/** What RocketMQ's clients ask about their groups: heartbeats, lists, offsets, locks, messages sent back. Sets the hooks of pulls. */
import { pullRefusal } from '../acceptor/pull-members.ts';
import { SluiceError } from '../base/errors.ts';
import { isSystemGroup } from '../membership/consumer-terms.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import { heartbeatHandlers } from './group-heartbeats.ts';
import { listHandlers } from './group-lists.ts';
import { GroupLocks } from './group-locks.ts';
import { GroupMembers } from './group-members.ts';
import { offsetHandlers } from './group-offsets.ts';
import { relayHandlers } from './group-relays.ts';
import { deadLetterSend, sendBackHandlers } from './group-send-back.ts';
import type { GroupHooks, HandlerTable, PulledQueue, RemotingContext } from './remoting-context.ts';
import { remotingRefusal } from './remoting-refusal.ts';
import type { RemotingAnswer } from './remoting-request.ts';

export function groupHandlers(context: RemotingContext): HandlerTable {
  const members = new GroupMembers(context);
  const locks = new GroupLocks(context);
  context.groups = hooksOf(context, locks);
  return [
    ...heartbeatHandlers(context, members),
    ...listHandlers(context),
    ...offsetHandlers(context, locks),
    ...locks.handlers,
    ...sendBackHandlers(context),
    ...relayHandlers(context),
  ];
}

function hooksOf(context: RemotingContext, locks: GroupLocks): GroupHooks {
  const { clients, core } = context;
  return {
    subscription: (connection, group, topic) => clients.subscriptionOf(connection, group, topic),
    pullRefusal: (queue, offset) => {
      const group = core.groups.records.find(queue.group);
      if (group === undefined) return unknownGroup(queue.group);
      if (core.subscriptions.members.hasMembers(group.groupId))
        return remotingRefusal(pullRefusal(group));
      return lockRefusal(group.groupId, queue) ?? resetAnswer(group.groupId, queue, offset);
    },
    deadLetterOf: (head, version) =>
      deadLetterSend(context, head, version, (group) => locks.holdsAny(group)),
    commitOffset: ({ connection, group: name, topic, queueId }, offset) => {
      const group = core.groups.records.find(name);
      // A client that is not let in must not move the group.
      const isMember = clients.subscriptionOf(connection, name, topic.topic) !== undefined;
      if (group === undefined || (!isMember && clients.clientOf(connection, name) !== undefined))
        return;
      const client = clients.clientOf(connection, name)?.clientId;
      core.offsets.note([group.groupId, topic.topicId, queueId, offset, client ?? null]);
    },
  };

  /** Where groups come into being by themselves it may be about to: its heartbeat makes it. */
  function unknownGroup(name: string): RemotingAnswer | undefined {
    if (core.config.autoCreateGroups || isSystemGroup(name)) return undefined;
    return remotingRefusal(
      new SluiceError('GROUP_NOT_FOUND', `subscription group [${name}] does not exist`),
    );
  }

  /** Who has lost a queue to another client of its group gets nothing from it. */
  function lockRefusal(groupId: number, queue: PulledQueue): RemotingAnswer | undefined {
    const { connection, group, topic, queueId } = queue;
    const client = clients.clientOf(connection, group)?.clientId;
    const holder = locks.otherHolder(groupId, topic.topicId, queueId, client);
    if (holder === undefined) return undefined;
    const remark = `the queue ${queueId} of ${topic.topic} is locked by ${holder}, which consumes it in order`;
    return { code: RESPONSE_CODES.NO_PERMISSION, remark };
  }

  /** The group was set to another offset: its member goes there, and not on from where it was. */
  function resetAnswer(
    groupId: number,
    { topic, queueId }: PulledQueue,
    pulled: number,
  ): RemotingAnswer | undefined {
    const offset = core.offsets.takeReset(groupId, topic.topicId, queueId);
    if (offset === undefined || offset === pulled) return undefined;
    const fields = new Map([
      ['suggestWhichBrokerId', '0'],
      ['nextBeginOffset', String(offset)],
      ['minOffset', '0'],
      ['maxOffset', String(offset)],
    ]);
    return { code: RESPONSE_CODES.PULL_OFFSET_MOVED, remark: 'OFFSET_RESET', fields };
  }
}
