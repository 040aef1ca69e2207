/**
 * Members of groups: which subscriptions read a topic for a group, that they agree on the filter, and who has which queue.
 * Pure: it decides, `subscriptions.ts` tells the shards.
 */
import { SluiceError } from '../base/errors.ts';
import type { GroupRecord, TopicRecord } from '../protocol/shard-control.ts';
import {
  filterText,
  isSameFilter,
  isSqlFilter,
  type SubscriptionFilter,
} from '../protocol/subscription-filter.ts';
import { assignQueues } from './queue-assignment.ts';

/** What the members of a group must agree on, for one topic. */
export type MemberTerms = {
  readonly filter: SubscriptionFilter;
  /** One message of a queue at a time. */
  readonly ordered: boolean;
};

/** One group reading one topic. */
class Membership {
  readonly terms: MemberTerms;
  /** Members that have joined; only active ones are given queues. */
  readonly joined = new Set<number>();
  readonly active = new Set<number>();
  owners: ReadonlyMap<number, number> = new Map();

  constructor(terms: MemberTerms) {
    this.terms = terms;
  }
}

function termsText({ filter, ordered }: MemberTerms): string {
  const order = ordered ? ', in order' : '';
  const language = isSqlFilter(filter) ? 'SQL filter' : 'filter';
  return `with the ${language} ${JSON.stringify(filterText(filter))}${order}`;
}

export class GroupRegistry {
  /** By group id, then topic id. */
  private readonly groups = new Map<number, Map<number, Membership>>();

  /**
   * A subscription joins and gets no queues yet.
   *
   * @throws SUBSCRIPTION_MISMATCH when the group reads this topic on other terms
   */
  join(group: GroupRecord, topic: TopicRecord, subscription: number, terms: MemberTerms): void {
    const topics = this.groups.get(group.groupId) ?? new Map<number, Membership>();
    const membership = topics.get(topic.topicId) ?? new Membership(terms);
    const theirs = membership.terms;
    if (theirs.ordered !== terms.ordered || !isSameFilter(theirs.filter, terms.filter)) {
      throw new SluiceError(
        'SUBSCRIPTION_MISMATCH',
        `the group ${group.group} reads ${topic.topic} ${termsText(theirs)}; this member asks for it ${termsText(terms)}`,
      );
    }
    membership.joined.add(subscription);
    topics.set(topic.topicId, membership);
    this.groups.set(group.groupId, topics);
  }

  /** From now on it is given queues. */
  activate(groupId: number, topic: TopicRecord, subscription: number): void {
    const membership = this.groups.get(groupId)?.get(topic.topicId);
    if (membership === undefined || !membership.joined.has(subscription)) return;
    membership.active.add(subscription);
    this.assign(membership, topic);
  }

  leave(groupId: number, topic: TopicRecord, subscription: number): void {
    const topics = this.groups.get(groupId);
    const membership = topics?.get(topic.topicId);
    if (topics === undefined || membership === undefined) return;
    membership.joined.delete(subscription);
    membership.active.delete(subscription);
    this.assign(membership, topic);
    if (membership.joined.size > 0) return;
    topics.delete(topic.topicId);
    if (topics.size === 0) this.groups.delete(groupId);
  }

  /** Who has which queue: subscription by queue id. */
  owners(groupId: number, topicId: number): ReadonlyMap<number, number> {
    return this.groups.get(groupId)?.get(topicId)?.owners ?? new Map();
  }

  hasMembers(groupId: number): boolean {
    return this.groups.has(groupId);
  }

  /** All pairs of group and topic that have members. */
  *pairs(): Iterable<{ readonly groupId: number; readonly topicId: number }> {
    for (const [groupId, topics] of this.groups)
      for (const topicId of topics.keys()) yield { groupId, topicId };
  }

  private assign(membership: Membership, topic: TopicRecord): void {
    membership.owners = assignQueues(topic.queues, [...membership.active], membership.owners);
  }
}
