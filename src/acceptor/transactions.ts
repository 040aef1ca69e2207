/**
 * Transactions as every dialect sees them: a half message is stored unseen, its producer says commit or rollback, and when it
 * does not, a producer of its group is asked. Shards keep the messages and count the questions; here they are passed on.
 *
 * @source RocketMQ TransactionalMessageServiceImpl
 */

import { getU64 } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { PRODUCER_GROUP_PROPERTY } from '../base/limits.ts';
import type { Logger } from '../base/log-sink.ts';
import { STORED_AT_MS, STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { messageIdOf, parseMessageId } from '../protocol/message-id.ts';
import type {
  EndOutcome,
  EndResult,
  HalfCheck,
  HalfList,
  TopicRecord,
} from '../protocol/shard-control.ts';
import type { WireHalf } from '../protocol/web/messages.ts';
import type { ColdReader } from './acceptor-options.ts';
import type { ShardLinks } from './shard-links.ts';
import type { TopicRegistry } from './topic-registry.ts';

/** A half message whose producer is asked. */
export type HalfMessage = {
  readonly topic: TopicRecord;
  readonly queueId: number;
  readonly shard: number;
  /** Position at which it was first stored: with the shard, what ends it. */
  readonly place: number;
  readonly messageId: string;
  /** Producer group; empty when it has none. */
  readonly group: string;
  /** How often it was asked about, this time counted. */
  readonly checks: number;
  /** Wall time at which it was stored. */
  readonly storedAt: number;
  /** Its stored batch, verified, with the 64-byte header. @shape the receiver's own */
  readonly stored: Uint8Array;
};

/** Knows producers of some kind that can be asked. */
export interface TransactionChecker {
  /**
   * Passes the question on to one producer of `half.group`.
   *
   * @returns false when none is connected: another checker is tried
   */
  check(half: HalfMessage): boolean;
}

export type TransactionParts = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly links: ShardLinks;
  readonly topics: TopicRegistry;
  readonly readCold: ColdReader;
  readonly timeoutMs: number;
};

export class Transactions {
  private readonly parts: TransactionParts;
  private readonly prefix: () => string;
  private readonly checkers: TransactionChecker[] = [];

  constructor(parts: TransactionParts, messageIdPrefix: () => string) {
    this.parts = parts;
    this.prefix = messageIdPrefix;
  }

  /** Those that know producers are asked in the order in which they came. */
  addChecker(checker: TransactionChecker): void {
    this.checkers.push(checker);
  }

  /** Wall time at which the producer of a half message that is sent now is asked first. */
  firstCheckAtMs(timeoutMs: number = this.parts.timeoutMs): number {
    return this.parts.clock.epochMs() + timeoutMs;
  }

  /** A shard wants a producer asked. Never throws: what fails is asked again when the shard asks again. */
  onCheck(shard: number, event: HalfCheck): void {
    this.pass(shard, event).catch((error: unknown) => {
      const { topicId, origin } = event;
      this.parts.log.warn('transaction-check-failed', {
        ...{ shard, topicId, origin, error: toSluiceError(error) },
      });
    });
  }

  /**
   * Ends the transaction of a half message. What was decided first holds: the answer says what it is.
   *
   * @param group - the producer group that ends it; undefined: an operator
   * @throws INVALID_ARGUMENT; FORBIDDEN when it is another group's; SHARD_RESTARTING, NOT_MASTER, TIMEOUT (outcome unknown: ask again)
   */
  end(messageId: string, isCommit: boolean, group?: string): Promise<EndOutcome> {
    const address = parseMessageId(messageId);
    if (address === undefined)
      throw new SluiceError('INVALID_ARGUMENT', 'a message id has 32 hex digits', {
        hint: 'Give the messageId of the receipt of the half message.',
      });
    return this.endAt(address.shard, address.place, isCommit, group);
  }

  /** The same for those who know shard and position. */
  async endAt(
    shard: number,
    place: number,
    isCommit: boolean,
    group?: string,
  ): Promise<EndOutcome> {
    const link = this.parts.links.all[shard];
    if (link === undefined) return 'notFound';
    const request = { op: 'endTransaction', place, isCommit } as const;
    const { outcome } = await link.control<EndResult>(
      group === undefined ? request : { ...request, group },
    );
    if (outcome !== 'wrongGroup') return outcome;
    throw new SluiceError(
      'FORBIDDEN',
      `the half message was not sent by the producer group ${JSON.stringify(group)}, which may not end it`,
      {
        hint: 'End it as the group that sent it; an operator may: sluice admin transactions settle',
      },
    );
  }

  /** Half messages that are not ended; only those that nobody is asked about any more, or all. */
  async list(
    onlyParked: boolean,
    max: number,
  ): Promise<{ messages: readonly WireHalf[]; waiting: number }> {
    const lists = await Promise.all(
      this.parts.links.all.map(async (link) => {
        const list = await link.control<HalfList>({ op: 'listHalf', max, onlyParked });
        const messages = list.messages.map((one) => ({
          messageId: messageIdOf(this.prefix(), link.shard, one.origin, 0),
          topic: this.parts.topics.nameOf(one.topicId),
          queueId: one.queueId,
          group: one.group,
          key: one.key === '' ? null : one.key,
          tag: one.tag === '' ? null : one.tag,
          ...{ bornAt: one.bornAt, checks: one.checks, nextCheckAt: one.nextCheckAt },
        }));
        return { messages, waiting: list.waiting };
      }),
    );
    const messages = lists
      .flatMap((list) => list.messages)
      .sort((one, other) => one.bornAt - other.bornAt)
      .slice(0, max);
    return { messages, waiting: lists.reduce((sum, list) => sum + list.waiting, 0) };
  }

  private async pass(shard: number, event: HalfCheck): Promise<void> {
    const topic = this.parts.topics.get(event.topicId);
    if (topic === undefined) return;
    const stored = await this.parts.readCold(shard, event.position, event.bytes);
    const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
    const reader = new BatchReader().open(stored, view, STORED_HEADER_BYTES);
    if (!reader.next()) return;
    const half: HalfMessage = {
      ...{ topic, queueId: event.queueId, shard, place: event.origin, checks: event.checks },
      messageId: messageIdOf(this.prefix(), shard, event.origin, 0),
      group: reader.properties[PRODUCER_GROUP_PROPERTY] ?? '',
      storedAt: getU64(view, STORED_AT_MS),
      stored,
    };
    for (const checker of this.checkers) if (checker.check(half)) return;
  }
}
