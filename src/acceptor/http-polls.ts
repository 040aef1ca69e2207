/**
 * HTTP long polls. All pollers of one group and topic share one member of the group, which stays for a minute after the
 * last poll, so that a queue does not change hands with every request. A poll adds its maximum to the member's credit and
 * takes what it did not use away when it ends.
 */
import type { Clock } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { FETCH_BYTES_MAX, HTTP_MEMBER_IDLE_MS } from '../base/limits.ts';
import type { GroupRecord, TopicRecord } from '../protocol/shard-control.ts';
import type { PollCommand } from '../protocol/web/checked-requests.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import type { Deadline, Deadlines } from './deadlines.ts';
import type { Deliveries } from './deliveries.ts';
import type { DeliveryEntry } from './delivery-entry.ts';
import type { MessageTaker, Subscription } from './subscription.ts';
import type { Subscriptions } from './subscriptions.ts';

/** Shards answer within a duty cycle or two; a poll that does not want to wait still gives them that. */
const WAIT_MS_MIN = 50;

/** Called exactly once, with messages as JSON objects or with the refusal. */
export type PollDone = (messages: readonly string[], failure: SluiceError | undefined) => void;

type Taken = { readonly entry: DeliveryEntry; readonly queueOffset: number };

class Poll {
  readonly messages: string[] = [];
  readonly taken: Taken[] = [];
  readonly done: PollDone;
  room: number;
  bytes = 0;
  timer: Deadline | undefined;

  constructor(max: number, done: PollDone) {
    this.room = max;
    this.done = done;
  }
}

/** The member of one group and topic, and the polls that wait on it. */
class PollMember implements MessageTaker {
  readonly polls: Poll[] = [];
  readonly ready: Promise<Subscription>;
  subscription: Subscription | undefined;
  idleTimer: Deadline | undefined;
  /** Polls that are here or on their way. */
  users = 0;
  private readonly onFull: (poll: Poll) => void;
  private readonly onSpare: (entry: DeliveryEntry, queueOffset: number) => void;

  constructor(
    open: (taker: MessageTaker) => Promise<Subscription>,
    onFull: (poll: Poll) => void,
    onSpare: (entry: DeliveryEntry, queueOffset: number) => void,
  ) {
    this.onFull = onFull;
    this.onSpare = onSpare;
    this.ready = open(this);
  }

  take(json: string, entry: DeliveryEntry, queueOffset: number): void {
    const poll = this.polls[0];
    if (poll === undefined) {
      this.onSpare(entry, queueOffset);
      return;
    }
    poll.messages.push(json);
    poll.taken.push({ entry, queueOffset });
    poll.room -= 1;
    poll.bytes += json.length;
    if (poll.room === 0 || poll.bytes >= FETCH_BYTES_MAX) this.onFull(poll);
  }
}

export type HttpPollParts = {
  readonly clock: Clock;
  readonly config: AcceptorConfig;
  readonly deadlines: Deadlines;
  readonly subscriptions: Subscriptions;
  readonly deliveries: Deliveries;
};

export class HttpPolls {
  private readonly parts: HttpPollParts;
  private readonly members = new Map<string, PollMember>();
  /** Members whose first poll has got something in this duty cycle. */
  private readonly fed = new Set<PollMember>();

  constructor(parts: HttpPollParts) {
    this.parts = parts;
  }

  /**
   * Waits for messages.
   *
   * @param signal - aborted when nobody waits any more: what the poll had got goes back
   */
  poll(
    topic: TopicRecord,
    group: GroupRecord,
    command: PollCommand,
    signal: AbortSignal,
    done: PollDone,
  ): void {
    const member = this.memberFor(topic, group, command);
    member.users += 1;
    member.idleTimer?.cancel();
    const leave = (): void => {
      member.users -= 1;
      if (member.users === 0) this.startIdle(member);
    };
    const finish: PollDone = (messages, failure) => {
      leave();
      done(messages, failure);
    };
    member.ready.then(
      (subscription) => this.wait(member, subscription, command, signal, finish),
      (error: unknown) => finish([], toSluiceError(error)),
    );
  }

  /** After the replies of a duty cycle: polls that have got something are answered. */
  answerFed(): number {
    const answered = this.fed.size;
    for (const member of this.fed) {
      const poll = member.polls[0];
      if (poll !== undefined && poll.messages.length > 0) this.end(member, poll);
    }
    this.fed.clear();
    return answered;
  }

  /** Ends all polls with what they have. */
  endAll(): void {
    for (const member of this.members.values())
      for (const poll of [...member.polls]) this.end(member, poll);
  }

  /** Closes members that no poll uses, so that their group can be deleted. */
  closeIdle(groupId: number): void {
    for (const [key, member] of this.members)
      if (member.users === 0 && member.subscription?.group.groupId === groupId)
        this.close(key, member);
  }

  private memberFor(topic: TopicRecord, group: GroupRecord, command: PollCommand): PollMember {
    // Pollers with another filter are other members, and the group refuses them with the difference.
    const filter = JSON.stringify(command.filter);
    const key = `${group.groupId}.${topic.topicId}.${filter}`;
    const known = this.members.get(key);
    if (known !== undefined && known.subscription?.state !== 'gone') return known;
    const member = new PollMember(
      (taker) => this.open(topic, group, command, taker),
      (poll) => this.end(member, poll),
      (entry, queueOffset) => this.giveBack(member, entry, queueOffset),
    );
    this.members.set(key, member);
    member.ready.then(
      (subscription) => {
        member.subscription = subscription;
      },
      () => {
        if (this.members.get(key) === member) this.members.delete(key);
      },
    );
    return member;
  }

  private async open(
    topic: TopicRecord,
    group: GroupRecord,
    command: PollCommand,
    taker: MessageTaker,
  ): Promise<Subscription> {
    const { subscriptions } = this.parts;
    const request = {
      topic,
      group,
      filter: command.filter,
      ordered: false,
      from: command.from,
      credit: 0,
      leaseMs: this.parts.config.defaultLeaseMs,
      member: 'HTTP',
    };
    const feeding: MessageTaker = {
      take: (json, entry, queueOffset) => {
        taker.take(json, entry, queueOffset);
        this.fed.add(taker as PollMember);
      },
    };
    const subscription = await subscriptions.open(request, { kind: 'poll', taker: feeding });
    subscriptions.activate(subscription);
    return subscription;
  }

  private wait(
    member: PollMember,
    subscription: Subscription,
    command: PollCommand,
    signal: AbortSignal,
    done: PollDone,
  ): void {
    if (signal.aborted || subscription.state === 'gone') {
      done(
        [],
        signal.aborted ? undefined : new SluiceError('TOPIC_NOT_FOUND', 'the topic is gone'),
      );
      return;
    }
    const onAbort = (): void => this.abandon(member, poll);
    const poll = new Poll(command.max, (messages, failure) => {
      signal.removeEventListener('abort', onAbort);
      done(messages, failure);
    });
    signal.addEventListener('abort', onAbort);
    member.polls.push(poll);
    const nowMs = this.parts.clock.monotonicMs();
    poll.timer = this.parts.deadlines.add(nowMs + Math.max(WAIT_MS_MIN, command.waitMs), () =>
      this.end(member, poll),
    );
    subscription.ledger.add(command.max);
  }

  /** Answers a poll with what it has. */
  private end(member: PollMember, poll: Poll): void {
    const index = member.polls.indexOf(poll);
    if (index < 0) return;
    member.polls.splice(index, 1);
    poll.timer?.cancel();
    if (poll.room > 0) member.subscription?.ledger.reduce(poll.room);
    poll.done(poll.messages, undefined);
  }

  /** Nobody waits for the answer any more. */
  private abandon(member: PollMember, poll: Poll): void {
    for (const { entry, queueOffset } of poll.taken) this.giveBack(member, entry, queueOffset);
    poll.messages.length = 0;
    this.end(member, poll);
  }

  private giveBack(member: PollMember, entry: DeliveryEntry, queueOffset: number): void {
    const { subscription } = member;
    if (subscription !== undefined)
      this.parts.deliveries.giveBackOne(subscription, entry, queueOffset);
  }

  private startIdle(member: PollMember): void {
    const closeAtMs = this.parts.clock.monotonicMs() + HTTP_MEMBER_IDLE_MS;
    member.idleTimer = this.parts.deadlines.add(closeAtMs, () => {
      for (const [key, candidate] of this.members)
        if (candidate === member && member.users === 0) this.close(key, member);
    });
  }

  private close(key: string, member: PollMember): void {
    member.idleTimer?.cancel();
    this.members.delete(key);
    if (member.subscription !== undefined) this.parts.subscriptions.close(member.subscription);
  }
}
