/**
 * Acks, nacks and lease extensions: tokens or ranges are sorted by shard, group and topic, neighbours become one range,
 * and the request is answered when every shard has answered. What one shard refuses does not undo the others.
 */
import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { SHARD_ANSWER_MS_MAX } from '../base/limits.ts';
import { REPLY_SETTLED } from '../protocol/envelope-layout.ts';
import type { SettleCommand } from '../protocol/web/checked-requests.ts';
import { parseToken } from './delivery-token.ts';
import type { GroupRecords } from './group-records.ts';
import type { PendingRequests, Waiter } from './pending-requests.ts';
import { busy } from './send-path.ts';
import type { ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';
import type { SettleRange } from './shard-requests.ts';
import type { TopicRegistry } from './topic-registry.ts';

/** Called exactly once: undefined when all was carried out. */
export type SettleDone = (failure: SluiceError | undefined) => void;

/** What is done to ranges of one group and topic. */
export type RangeSettle = {
  readonly groupId: number;
  readonly topicId: number;
  readonly action: number;
  readonly argument: number;
  readonly reason: string;
};

const encoder = new TextEncoder();
const NO_REASON = new Uint8Array(0);

class SettleGather implements Waiter {
  private unanswered = 0;
  private isComplete = false;
  private readonly failures: SluiceError[] = [];
  private readonly done: SettleDone;

  constructor(done: SettleDone) {
    this.done = done;
  }

  expect(): void {
    this.unanswered += 1;
  }

  /** All requests have been written. */
  complete(): void {
    this.isComplete = true;
    this.finishIfAnswered();
  }

  replied(type: number): void {
    invariant(type === REPLY_SETTLED, 'a settle is answered by SETTLED', type);
    this.unanswered -= 1;
    this.finishIfAnswered();
  }

  failed(error: SluiceError): void {
    this.failures.push(error);
    this.unanswered -= 1;
    this.finishIfAnswered();
  }

  private finishIfAnswered(): void {
    if (!this.isComplete || this.unanswered > 0) return;
    const [first, ...others] = this.failures;
    if (first === undefined || others.length === 0) this.done(first);
    else {
      const texts = new Set(this.failures.map((failure) => failure.message));
      const facts = first.retryAfterMs === undefined ? {} : { retryAfterMs: first.retryAfterMs };
      this.done(new SluiceError(first.code, [...texts].join('; '), facts));
    }
  }
}

export class SettlePath {
  private readonly clock: Clock;
  private readonly links: ShardLinks;
  private readonly topics: TopicRegistry;
  private readonly groups: GroupRecords;
  private readonly pending: PendingRequests;

  constructor(
    clock: Clock,
    links: ShardLinks,
    topics: TopicRegistry,
    groups: GroupRecords,
    pending: PendingRequests,
  ) {
    this.clock = clock;
    this.links = links;
    this.topics = topics;
    this.groups = groups;
    this.pending = pending;
  }

  /**
   * Settles by tokens.
   *
   * @param groupName - the group that all must be of; undefined for any
   * @throws INVALID_ARGUMENT, LEASE_EXPIRED before anything was done
   */
  settleTokens(command: SettleCommand, groupName: string | undefined, done: SettleDone): void {
    const { action, argument, reason } = command;
    const byTarget = new Map<string, { settle: RangeSettle; ranges: SettleRange[] }>();
    for (const text of command.tokens) {
      const { groupId, topicId, queueId, queueOffset, leaseId } = parseToken(text);
      this.checkTarget(text, groupId, topicId, queueId, groupName);
      const target = `${groupId}.${topicId}`;
      const entry = byTarget.get(target) ?? {
        settle: { groupId, topicId, action, argument, reason },
        ranges: [],
      };
      byTarget.set(target, entry);
      entry.ranges.push({ queueId, queueOffset, count: 1, leaseId });
    }
    const gather = new SettleGather(done);
    for (const { settle, ranges } of byTarget.values())
      this.settleInto(settle, mergeRanges(ranges), gather);
    gather.complete();
  }

  /** Settles ranges of one group and topic. */
  settleRanges(settle: RangeSettle, ranges: readonly SettleRange[], done: SettleDone): void {
    const gather = new SettleGather(done);
    this.settleInto(settle, ranges, gather);
    gather.complete();
  }

  private checkTarget(
    token: string,
    groupId: number,
    topicId: number,
    queueId: number,
    groupName: string | undefined,
  ): void {
    const group = this.groups.get(groupId);
    const topic = this.topics.get(topicId);
    if (group === undefined || topic === undefined || queueId >= topic.queues) {
      throw new SluiceError(
        'LEASE_EXPIRED',
        `the token ${token} is of a group or topic that no longer exists`,
      );
    }
    if (groupName === undefined || group.group === groupName) return;
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the token ${token} is of the group ${group.group}, not ${groupName}`,
    );
  }

  private settleInto(
    settle: RangeSettle,
    ranges: readonly SettleRange[],
    gather: SettleGather,
  ): void {
    const byLink = new Map<ShardLink, SettleRange[]>();
    for (const range of ranges) {
      const link = this.links.ofQueue(settle.topicId, range.queueId);
      const ofLink = byLink.get(link);
      if (ofLink === undefined) byLink.set(link, [range]);
      else ofLink.push(range);
    }
    for (const [link, ofLink] of byLink) this.settleOn(link, settle, ofLink, gather);
  }

  private settleOn(
    link: ShardLink,
    settle: RangeSettle,
    ranges: readonly SettleRange[],
    gather: SettleGather,
  ): void {
    if (!link.isRunning || !link.takesAcks) {
      gather.expect();
      gather.failed(link.isRunning ? busy(link) : link.refusal());
      return;
    }
    const deadlineMs = this.clock.monotonicMs() + SHARD_ANSWER_MS_MAX;
    const reason = settle.reason === '' ? NO_REASON : encoder.encode(settle.reason);
    const rangesMax = link.settleRangesMax;
    for (let from = 0; from < ranges.length; from += rangesMax) {
      gather.expect();
      link.settle({
        session: 0,
        correlation: this.pending.add(link.shard, gather, deadlineMs),
        groupId: settle.groupId,
        topicId: settle.topicId,
        action: settle.action,
        argument: settle.argument,
        ranges: ranges.slice(from, from + rangesMax),
        reason,
      });
    }
  }
}

/** Single messages as ranges: neighbours in a queue under one lease become one; the same message twice counts once. */
export function mergeRanges(singles: readonly SettleRange[]): SettleRange[] {
  const sorted = [...singles].sort(
    (one, other) =>
      one.queueId - other.queueId ||
      one.leaseId - other.leaseId ||
      one.queueOffset - other.queueOffset,
  );
  const merged: SettleRange[] = [];
  let last: SettleRange | undefined;
  for (const range of sorted) {
    const follows =
      last !== undefined && last.queueId === range.queueId && last.leaseId === range.leaseId;
    const end = last === undefined ? 0 : last.queueOffset + last.count;
    if (follows && last !== undefined && range.queueOffset < end) continue;
    if (follows && last !== undefined && range.queueOffset === end) last.count += 1;
    else {
      last = { ...range };
      merged.push(last);
    }
  }
  return merged;
}
