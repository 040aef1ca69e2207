/**
 * Subscriptions of all connections and polls: they join their group, are attached to the shards that own queues of their
 * topic, and are given queues; when they end, others are. Shards are told in the order in which things happened.
 */
import { SluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type { CompiledFilters } from '../filter/compiled-filters.ts';
import type {
  GroupRecord,
  ShardControlRequest,
  StartPoint,
  TopicRecord,
} from '../protocol/shard-control.ts';
import { shardOf } from '../protocol/shard-control.ts';
import { isSqlFilter, type SubscriptionFilter } from '../protocol/subscription-filter.ts';
import { CreditLedger } from './credit-ledger.ts';
import { GroupRegistry } from './group-registry.ts';
import type { MessageRates } from './message-rates.ts';
import { ReturnedRanges } from './returned-ranges.ts';
import type { Session } from './session.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';
import type { Sink, Subscription } from './subscription.ts';

/** What somebody subscribes to. */
export type SubscriptionRequest = {
  readonly topic: TopicRecord;
  readonly group: GroupRecord;
  readonly filter: SubscriptionFilter;
  readonly from: StartPoint;
  readonly credit: number;
  readonly leaseMs: number;
  /** One message of a queue at a time, the next after its ack. */
  readonly ordered: boolean;
  readonly member: string;
};

const U32 = 0x1_0000_0000;

const toError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));

export class Subscriptions {
  readonly members: GroupRegistry = new GroupRegistry();
  private readonly byNumber = new Map<number, Subscription>();
  private readonly links: ShardLinks;
  private readonly filters: CompiledFilters;
  private readonly rates: MessageRates;
  private readonly log: Logger;
  private readonly onClose: (subscription: Subscription) => void;
  private readonly refusalOf: (group: GroupRecord) => SluiceError | undefined;
  private lastNumber = 0;
  /**
   * The broker closes, not the consumers: shards are not told, because what a consumer loses by going away counts as an
   * attempt, and a rolling restart must not use those up.
   */
  isBrokerEnding = false;

  /**
   * @param onClose - told each subscription that has ended
   * @param refusalOf - why a group cannot be pushed to; undefined: it can
   */
  constructor(
    links: ShardLinks,
    filters: CompiledFilters,
    rates: MessageRates,
    log: Logger,
    onClose: (subscription: Subscription) => void,
    refusalOf: (group: GroupRecord) => SluiceError | undefined,
  ) {
    this.refusalOf = refusalOf;
    this.links = links;
    this.filters = filters;
    this.rates = rates;
    this.log = log;
    this.onClose = onClose;
  }

  get count(): number {
    return this.byNumber.size;
  }

  get(number: number): Subscription | undefined {
    return this.byNumber.get(number);
  }

  all(): Iterable<Subscription> {
    return this.byNumber.values();
  }

  /** Those of one connection. */
  of(session: Session): readonly Subscription[] {
    return [...session.subscriptions]
      .map((number) => this.byNumber.get(number))
      .filter((subscription) => subscription !== undefined);
  }

  /**
   * Joins the group and attaches to the shards. It gets no queues before `activate`, so that nothing arrives before the
   * client knows its number.
   *
   * @throws INVALID_ARGUMENT for an SQL filter that does not compile; SUBSCRIPTION_MISMATCH, GROUP_IN_USE; SHARD_RESTARTING
   *   when no shard of the topic runs; what a shard answers
   */
  async open(request: SubscriptionRequest, sink: Sink): Promise<Subscription> {
    const { topic, group, filter } = request;
    const matcher = this.filters.ofSubscription(filter);
    const owners = this.links.ofTopic(topic);
    const running = owners.filter((link) => link.isRunning);
    if (running.length === 0) throw (owners[0] as ShardLink).refusal();
    const refusal = this.refusalOf(group);
    if (refusal !== undefined) throw refusal;
    const number = this.nextNumber();
    this.members.join(group, topic, number, { filter, ordered: request.ordered });
    const shards = owners.map((link) => link.shard);
    const subscription: Subscription = {
      number,
      topic,
      group,
      filter,
      matcher,
      rate: this.rates.windowOf(group.group, topic.topic),
      from: request.from,
      leaseMs: request.leaseMs,
      ordered: request.ordered,
      member: request.member,
      sink,
      ledger: new CreditLedger(request.credit, shards, (shard, action, credit) =>
        this.links.get(shard).flow(number, action, credit),
      ),
      attachedTo: new Set(),
      returned: new ReturnedRanges(),
      cold: [],
      coldReading: 0,
      coldStray: 0,
      state: 'attaching',
    };
    this.byNumber.set(number, subscription);
    try {
      await Promise.all(running.map((link) => this.attach(link, subscription)));
    } catch (error) {
      this.close(subscription);
      throw error;
    }
    // Its connection or its topic may have gone meanwhile, as TypeScript cannot know.
    if ((subscription.state as Subscription['state']) === 'gone')
      throw new SluiceError('SUBSCRIPTION_NOT_FOUND', 'the subscription ended while it began');
    return subscription;
  }

  /** From now on it takes part in the assignment of queues. */
  activate(subscription: Subscription): void {
    if (subscription.state !== 'attaching') return;
    subscription.state = 'active';
    const { group, topic, number } = subscription;
    this.members.activate(group.groupId, topic, number);
    this.assignAll(group.groupId, topic);
  }

  /** Ends it: its leases end, its queues go to the other members. */
  close(subscription: Subscription): void {
    if (subscription.state === 'gone') return;
    subscription.state = 'gone';
    this.onClose(subscription);
    const { group, topic, number } = subscription;
    this.byNumber.delete(number);
    if (subscription.sink.kind !== 'poll') subscription.sink.session.subscriptions.delete(number);
    this.members.leave(group.groupId, topic, number);
    if (this.isBrokerEnding) return;
    for (const link of this.links.ofTopic(topic))
      this.tell(link, { op: 'detach', subscription: number });
    this.assignAll(group.groupId, topic);
  }

  closeAll(): void {
    for (const subscription of [...this.byNumber.values()]) this.close(subscription);
  }

  closeTopic(topicId: number): void {
    for (const subscription of [...this.byNumber.values()])
      if (subscription.topic.topicId === topicId) this.close(subscription);
  }

  /** A shard is back and knows of no subscriptions: told anew, and its queues given out as before. */
  async reattach(
    link: ShardLink,
    topicOf: (topicId: number) => TopicRecord | undefined,
  ): Promise<void> {
    const attached: Promise<unknown>[] = [];
    for (const subscription of this.byNumber.values()) {
      const isOwner = this.links.ofTopic(subscription.topic).includes(link);
      if (isOwner && !subscription.attachedTo.has(link.shard))
        attached.push(this.attach(link, subscription));
    }
    await Promise.all(attached);
    for (const { groupId, topicId } of this.members.pairs()) {
      const topic = topicOf(topicId);
      if (topic !== undefined && this.links.ofTopic(topic).includes(link))
        this.assign(link, groupId, topic);
    }
  }

  /** The shard is gone and has forgotten all of them. */
  forgetShard(shard: number): void {
    for (const subscription of this.byNumber.values()) subscription.attachedTo.delete(shard);
  }

  private async attach(link: ShardLink, subscription: Subscription): Promise<void> {
    subscription.attachedTo.add(link.shard);
    const { number, group, topic, filter, from, leaseMs, ordered, ledger } = subscription;
    const attached = link.control({
      op: 'attach',
      subscription: number,
      groupId: group.groupId,
      topicId: topic.topicId,
      // A shard knows the tags of a batch and nothing of its properties.
      filter: isSqlFilter(filter) ? null : filter,
      from,
      credit: ledger.attach(link.shard),
      leaseMs,
      ordered,
    });
    ledger.attached(link.shard);
    try {
      await attached;
    } catch (error) {
      // A shard that is restarting is told when it is back: the subscription is not worth less for that.
      if (error instanceof SluiceError && error.code === 'SHARD_RESTARTING') return;
      subscription.attachedTo.delete(link.shard);
      throw error;
    }
  }

  private assignAll(groupId: number, topic: TopicRecord): void {
    for (const link of this.links.ofTopic(topic)) this.assign(link, groupId, topic);
  }

  /** Tells one shard who has its queues. */
  private assign(link: ShardLink, groupId: number, topic: TopicRecord): void {
    const owners = this.members.owners(groupId, topic.topicId);
    const queues = [...owners].filter(
      ([queueId]) => shardOf(topic.topicId, queueId, this.links.count) === link.shard,
    );
    this.tell(link, { op: 'assign', groupId, topicId: topic.topicId, queues });
  }

  private tell(link: ShardLink, request: ShardControlRequest): void {
    if (!link.isReachable) return;
    link.control(request).catch((error: unknown) => {
      // A shard that restarts is told everything anew; anything else is a disagreement between acceptor and shard.
      if (error instanceof SluiceError && error.code === 'SHARD_RESTARTING') return;
      this.log.error('shard-refused', { shard: link.shard, op: request.op, error: toError(error) });
    });
  }

  private nextNumber(): number {
    do this.lastNumber = (this.lastNumber + 1) % U32;
    while (this.lastNumber === 0 || this.byNumber.has(this.lastNumber));
    return this.lastNumber;
  }
}
