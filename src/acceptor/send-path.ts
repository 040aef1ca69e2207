/**
 * Sends of JSON and HTTP: messages become batches in one reused builder, each is copied into its shard's ring, and the
 * receipts come back in the order of the messages. A send that does not fit whole is refused whole. Also what is common
 * with the binary way in: which queue a message without a key goes to.
 */
import type { Clock } from '../base/clock.ts';
import { crc32 } from '../base/crc32-native.ts';
import { type ErrorBody, SluiceError, toSluiceError } from '../base/errors.ts';
import { SHARD_ANSWER_MS_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import { BatchBuilder } from '../protocol/batch/batch-builder.ts';
import { DEFER_BATCH } from '../protocol/envelope-layout.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import type { SendCommand } from '../protocol/web/checked-requests.ts';
import type { WireReceipt } from '../protocol/web/messages.ts';
import type { AcceptorCounters } from './acceptor-counters.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import { type BackPressure, RING_RETRY_MS } from './back-pressure.ts';
import { type Delays, NOT_DEFERRED } from './delays.ts';
import type { PendingRequests } from './pending-requests.ts';
import { refusalBody } from './responder.ts';
import { SendGather } from './send-gather.ts';
import { type PlannedBatch, planSend } from './send-plan.ts';
import type { Session } from './session.ts';
import { recordSpace, type ShardLink } from './shard-link.ts';
import type { ShardLinks } from './shard-links.ts';
import type { TopicRegistry } from './topic-registry.ts';
import type { Transactions } from './transactions.ts';

/** How a send ended: a receipt per message, or a refusal. */
export type SendOutcome =
  | { readonly receipts: readonly WireReceipt[] }
  | { readonly refusal: ErrorBody };

export type SendPathParts = {
  readonly clock: Clock;
  readonly config: AcceptorConfig;
  readonly links: ShardLinks;
  readonly topics: TopicRegistry;
  readonly pending: PendingRequests;
  readonly counters: AcceptorCounters;
  readonly backPressure: BackPressure;
  readonly delays: Delays;
  readonly transactions: Transactions;
};

const BUILDER_BYTES: number = 64 * KIB;

export class SendPath {
  private readonly parts: SendPathParts;
  private readonly builder = new BatchBuilder(BUILDER_BYTES, '', 0, crc32);
  /** Next queue for messages without a key, by topic id. */
  private readonly nextQueue = new Map<number, number>();
  private messageIdPrefix: () => string;

  constructor(parts: SendPathParts, messageIdPrefix: () => string) {
    this.parts = parts;
    this.messageIdPrefix = messageIdPrefix;
  }

  /**
   * Stores the messages of one send. The topic is made first where that is allowed.
   *
   * @param session - whose reading is paused when a ring is full; undefined for HTTP
   * @param done - called exactly once, at once or later
   */
  submit(
    command: SendCommand,
    session: Session | undefined,
    done: (outcome: SendOutcome) => void,
  ): void {
    const refuse = (error: unknown): void =>
      done({ refusal: refusalBody(toSluiceError(error), false) });
    const topic = this.parts.topics.find(command.topic);
    if (topic !== undefined) {
      this.submitTo(topic, command, session, done);
      return;
    }
    void this.parts.topics
      .require(command.topic)
      .then((made) => this.submitTo(made, command, session, done), refuse);
  }

  private submitTo(
    topic: TopicRecord,
    command: SendCommand,
    session: Session | undefined,
    done: (outcome: SendOutcome) => void,
  ): void {
    try {
      const bounds = {
        batchBytesMax: this.parts.links.get(0).batchBytesMax,
        bodyBytesMax: this.parts.config.bodyBytesMax,
      };
      const planned = planSend(topic, command, this.keylessQueue(topic), bounds, (deferral) =>
        this.parts.delays.dueAtMs(deferral),
      );
      this.checkRoom(topic, planned, session);
      this.handOver(topic, command, planned, session, done);
    } catch (error) {
      // Nothing has been handed over: everything is checked before.
      done({ refusal: refusalBody(toSluiceError(error), false) });
    }
  }

  /** The next queue in turn whose shard is running. */
  private keylessQueue(topic: TopicRecord): number {
    const next = (this.nextQueue.get(topic.topicId) ?? 0) % topic.queues;
    for (let step = 0; step < topic.queues; step += 1) {
      const queueId = (next + step) % topic.queues;
      if (!this.parts.links.ofQueue(topic.topicId, queueId).isRunning) continue;
      this.nextQueue.set(topic.topicId, queueId + 1);
      return queueId;
    }
    return next;
  }

  /** @throws SHARD_RESTARTING, SHARD_FENCED, BUSY, MESSAGE_TOO_LARGE */
  private checkRoom(
    topic: TopicRecord,
    planned: readonly PlannedBatch[],
    session: Session | undefined,
  ): void {
    const needs = new Map<ShardLink, { space: number; largest: number }>();
    for (const batch of planned) {
      const link = this.parts.links.ofQueue(topic.topicId, batch.queueId);
      if (!link.isRunning) throw link.refusal();
      const need = needs.get(link) ?? { space: 0, largest: 0 };
      const space = recordSpace(DEFER_BATCH + batch.bytes);
      need.space += space;
      need.largest = Math.max(need.largest, space);
      needs.set(link, need);
    }
    for (const [link, need] of needs) {
      if (link.hasRoom(need.space, need.largest)) continue;
      const capacity = link.port.requests.capacityBytes;
      if (need.space + need.largest > capacity) {
        throw new SluiceError(
          'MESSAGE_TOO_LARGE',
          `the messages take ${need.space} bytes on shard ${link.shard}; ${capacity - need.largest} fit`,
          { hint: 'Send fewer messages at once.' },
        );
      }
      this.parts.backPressure.ringFull(session, link);
      throw busy(link);
    }
  }

  private handOver(
    topic: TopicRecord,
    command: SendCommand,
    planned: readonly PlannedBatch[],
    session: Session | undefined,
    done: (outcome: SendOutcome) => void,
  ): void {
    const { clock, links, pending, counters, backPressure } = this.parts;
    const bornAtMs = clock.epochMs();
    const isHalf = command.transactionGroup !== undefined;
    const deadlineMs = clock.monotonicMs() + SHARD_ANSWER_MS_MAX;
    const gather = new SendGather(command.records.length, planned.length, counters, done);
    for (const batch of planned) {
      const link = links.ofQueue(topic.topicId, batch.queueId);
      const waiter = gather.waiterOf(batch, link.shard, this.messageIdPrefix(), isHalf);
      const correlation = pending.add(link.shard, waiter, deadlineMs);
      const bytes = this.build(command, batch, bornAtMs);
      const target = { topicId: topic.topicId, queueId: batch.queueId };
      const dueAtMs = isHalf ? this.parts.transactions.firstCheckAtMs() : batch.dueAtMs;
      const isTaken =
        dueAtMs === NOT_DEFERRED
          ? link.produce(0, correlation, target.topicId, target.queueId, bytes, 0)
          : link.defer(0, correlation, target, { dueAtMs, isHalf }, bytes, 0);
      if (isTaken) {
        counters.batchesIn += 1;
        if (session !== undefined) backPressure.afterRequest(session, link);
      } else pending.take(correlation)?.failed(busy(link));
    }
  }

  private build(command: SendCommand, batch: PlannedBatch, bornAtMs: number): Uint8Array {
    this.builder.reset(command.producerId);
    for (const [place, index] of batch.indices.entries()) {
      const record = command.records[index];
      const size = batch.sizes[place];
      if (record === undefined || size === undefined) break;
      this.builder.append(record, size, batch.bytes, bornAtMs);
    }
    return this.builder.finish(batch.sequence, command.producerEpoch);
  }
}

/** The refusal of what does not fit into a shard's ring at the moment. */
export function busy(link: ShardLink): SluiceError {
  return new SluiceError('BUSY', `the queue of requests to shard ${link.shard} is full`, {
    retryAfterMs: RING_RETRY_MS,
  });
}
