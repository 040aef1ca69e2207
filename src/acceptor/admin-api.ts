/**
 * What operators ask and do, over all shards: topics, groups, offsets, dead letters, single messages. The answers are
 * plain objects; `http-admin.ts` gives them paths.
 *
 * @source docs/PROTOCOL.md, section 4
 */
import { SluiceError } from '../base/errors.ts';
import { FIND_KEY_MAX } from '../base/limits.ts';
import { parseMessageId } from '../protocol/message-id.ts';
import type {
  GroupQueueStatus,
  GroupRecord,
  GroupStatus,
  MessageLocation,
  SeekResult,
  ShardStatus,
  StartPoint,
  TopicRecord,
  TopicStatus,
} from '../protocol/shard-control.ts';
import { filterText } from '../protocol/subscription-filter.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import type { GroupSettings } from './group-records.ts';
import { sessionOf } from './subscription.ts';
import type { TopicSettings } from './topic-registry.ts';

/** A message as JSON text, and when it was stored. */
type FoundMessage = { readonly json: string; readonly storedAt: number };

export class AdminApi {
  private readonly core: AcceptorCore;

  constructor(core: AcceptorCore) {
    this.core = core;
  }

  /** Status of all shards; one that does not run says so instead of failing the whole. */
  shards(): Promise<readonly object[]> {
    return Promise.all(
      this.core.links.all.map(async (link) => {
        if (!link.isReachable) return { shard: link.shard, state: link.port.state };
        try {
          return await link.control<ShardStatus>({ op: 'shardStatus' });
        } catch (error) {
          return { shard: link.shard, state: 'unknown', reason: (error as Error).message };
        }
      }),
    );
  }

  topics(): object {
    return { topics: this.core.topics.records.all().map((topic) => this.described(topic)) };
  }

  /** @throws TOPIC_NOT_FOUND, SHARD_RESTARTING, SHARD_FENCED */
  async topic(name: string): Promise<object> {
    const topic = this.core.topics.existing(name);
    const statuses = await this.core.links.controlAll<TopicStatus>(this.core.links.ofTopic(topic), {
      op: 'topicStatus',
      topicId: topic.topicId,
    });
    const queues = statuses
      .flatMap((status) => [...status.queues])
      .sort((one, other) => one.queueId - other.queueId)
      .map((queue) => ({ ...queue, messages: queue.maxOffset - queue.minOffset }));
    const messages = queues.reduce((sum, queue) => sum + queue.messages, 0);
    return { ...this.described(topic), messages, queues };
  }

  async createTopic(name: string, settings: TopicSettings): Promise<object> {
    const topic = await this.core.topics.create(name, settings);
    // Who made it asks a NameServer for it next, and would be given the queues of a topic that is not made yet.
    await this.core.announced();
    return this.described(topic);
  }

  async deleteTopic(name: string): Promise<object> {
    const topic = this.core.topics.existing(name);
    await this.core.topics.records.remove(topic);
    this.core.subscriptions.closeTopic(topic.topicId);
    return { deleted: name };
  }

  groups(): object {
    const groups = this.core.groups.records.all().map((group) => ({
      ...group,
      members: this.membersOf(group).length,
      pullMembers: this.core.pullMembers.describe(group.group).length,
    }));
    return { groups };
  }

  /** @throws GROUP_NOT_FOUND, SHARD_RESTARTING, SHARD_FENCED */
  async group(name: string): Promise<object> {
    const { core } = this;
    const group = core.groups.existing(name);
    const statuses = await core.links.controlAll<GroupStatus>(core.links.all, {
      op: 'groupStatus',
      groupId: group.groupId,
    });
    const queues = statuses
      .flatMap((status) => [...status.queues])
      .sort((one, other) => one.topicId - other.topicId || one.queueId - other.queueId);
    const total = (count: (queue: GroupQueueStatus) => number): number =>
      queues.reduce((sum, queue) => sum + count(queue), 0);
    return {
      ...group,
      members: this.membersOf(group),
      pullMembers: core.pullMembers.describe(name),
      lag: total((queue) => queue.lag),
      inFlight: total((queue) => queue.inFlight),
      retrying: total((queue) => queue.retrying),
      dead: total((queue) => queue.dead),
      queues: queues.map((queue) => ({ topic: core.topics.nameOf(queue.topicId), ...queue })),
    };
  }

  async putGroup(name: string, settings: GroupSettings): Promise<object> {
    return this.core.groups.put(name, settings);
  }

  /** @throws GROUP_NOT_FOUND, GROUP_IN_USE */
  async deleteGroup(name: string): Promise<object> {
    const { core } = this;
    const group = core.groups.existing(name);
    core.polls.closeIdle(group.groupId);
    if (core.subscriptions.members.hasMembers(group.groupId)) {
      const members = this.membersOf(group).length;
      throw new SluiceError('GROUP_IN_USE', `the group ${name} has ${members} members connected`);
    }
    if (core.pullMembers.has(name)) {
      const clients = core.pullMembers.describe(name).length;
      throw new SluiceError('GROUP_IN_USE', `the group ${name} has ${clients} clients that pull`);
    }
    await core.groups.records.remove(group);
    return { deleted: name };
  }

  async resetOffsets(
    name: string,
    topicName: string,
    to: StartPoint,
    dryRun: boolean,
  ): Promise<object> {
    const group = this.core.groups.existing(name);
    const topic = this.core.topics.existing(topicName);
    const result: SeekResult = await this.core.offsets.reset(group, topic, to, dryRun);
    return { group: name, topic: topicName, dryRun, ...result };
  }

  /** Sends dead letters back to where they came from: shard after shard, until `max` are. */
  async redrive(name: string, max: number): Promise<object> {
    const group = this.core.groups.existing(name);
    let redriven = 0;
    for (const link of this.core.links.all) {
      if (redriven >= max) break;
      const result = await link.control<{ redriven: number }>({
        op: 'redrive',
        groupId: group.groupId,
        max: max - redriven,
      });
      redriven += result.redriven;
    }
    return { group: name, redriven };
  }

  /** One message as JSON text. @throws INVALID_ARGUMENT, MESSAGE_NOT_FOUND */
  async message(messageId: string): Promise<string> {
    const address = parseMessageId(messageId);
    if (address === undefined) {
      throw new SluiceError('INVALID_ARGUMENT', 'a message id has 32 hex digits', {
        hint: 'Give the messageId of a receipt or a message.',
      });
    }
    const notFound = new SluiceError('MESSAGE_NOT_FOUND', `no message has the id ${messageId}`);
    const link = this.core.links.all[address.shard];
    if (link === undefined) throw notFound;
    const location = await link.control<MessageLocation | null>({
      op: 'locate',
      position: address.place,
    });
    const found = location === null ? undefined : await this.read(link.shard, location);
    if (found === undefined) throw notFound;
    return found.json;
  }

  /** The newest messages with this key, as the JSON text of an array. @throws TOPIC_NOT_FOUND */
  async messagesByKey(topicName: string, key: string): Promise<string> {
    const { core } = this;
    const topic = core.topics.existing(topicName);
    const found = await Promise.all(
      core.links.ofTopic(topic).map(async (link) => {
        const locations = await link.control<readonly MessageLocation[]>({
          op: 'findKey',
          topicId: topic.topicId,
          key,
          max: FIND_KEY_MAX,
        });
        return Promise.all(locations.map((location) => this.read(link.shard, location)));
      }),
    );
    const newest = found
      .flat()
      .filter((message) => message !== undefined)
      .sort((one, other) => other.storedAt - one.storedAt)
      .slice(0, FIND_KEY_MAX);
    return `[${newest.map((message) => message.json).join(',')}]`;
  }

  private async read(shard: number, location: MessageLocation): Promise<FoundMessage | undefined> {
    const topic = this.core.topics.get(location.topicId);
    if (topic === undefined) return undefined;
    const { position, batchBytes, baseOffset, index, queueId } = location;
    const extent = { shard, position, batchBytes, baseOffset, first: index, count: 1, queueId };
    const [message] = await this.core.fetches.readMessages(topic, extent);
    return message === undefined
      ? undefined
      : { json: `{${message.fields}}`, storedAt: message.storedAt };
  }

  private described(topic: TopicRecord): object {
    const { deadLetterOf, ...rest } = topic;
    const group = deadLetterOf === null ? undefined : this.core.groups.get(deadLetterOf);
    return { ...rest, deadLetterOf: group?.group ?? null };
  }

  private membersOf(group: GroupRecord): readonly object[] {
    const { subscriptions } = this.core;
    const members: object[] = [];
    for (const subscription of subscriptions.all()) {
      if (subscription.group.groupId !== group.groupId) continue;
      const { topic, number, member, filter, ledger } = subscription;
      const owners = subscriptions.members.owners(group.groupId, topic.topicId);
      const session = sessionOf(subscription);
      members.push({
        subscription: number,
        topic: topic.topic,
        member,
        client: session?.client ?? '',
        address: session?.connection.remoteAddress ?? '',
        filter: filterText(filter),
        credit: ledger.credit,
        isPaused: ledger.isHeld,
        queues: [...owners].filter(([, owner]) => owner === number).map(([queueId]) => queueId),
      });
    }
    return members;
  }
}
