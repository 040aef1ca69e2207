/**
 * The consuming side: our client's batches, as members of one group, every message's stamp looked at and everything acked.
 * Latency, at the tail, is from the broker's store time to the moment the message is here; both clocks are this machine's
 * where the broker is on it. Event loop.
 */
import type { Clock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import type { Client } from '../client/client.ts';
import type { Consumer } from '../client/consumer.ts';
import type { Delivery } from '../client/delivery.ts';
import type { Message } from '../client/message.ts';
import { connect } from '../client/node.ts';
import { SequenceRuns } from './batch-sequences.ts';
import type { LoadTopic } from './load.ts';
import type { LoadCounters } from './load-counters.ts';
import type { MessageLedger } from './message-ledger.ts';
import { QueueNumbers } from './producer-lanes.ts';
import { QueueCursor } from './queue-cursor.ts';

/** Messages that a member may have unsettled: what a group may have in flight in one queue. */
const CREDIT = 65_536;

export type ConsumingOptions = {
  readonly url: string;
  readonly token: string | undefined;
  readonly topics: readonly LoadTopic[];
  readonly group: string;
  /** Connections, each a member of the group on every topic. */
  readonly members: number;
  readonly from: 'earliest' | 'latest';
  readonly ledger: MessageLedger;
  readonly counters: LoadCounters;
  /** Bytes on the wire for one message, its share of frame and batch included. */
  readonly bytesPerMessage: number;
  readonly clock: Clock;
};

export class Consuming {
  private readonly options: ConsumingOptions;
  private readonly queues: QueueNumbers;
  private readonly runs: SequenceRuns;
  private readonly cursors: readonly QueueCursor[];
  private clients: readonly Client[] = [];
  private consumers: readonly Consumer[] = [];
  private running: Promise<void>[] = [];
  /** When the last message came. */
  heardAtMs = 0;
  failure: SluiceError | undefined;

  constructor(options: ConsumingOptions) {
    this.options = options;
    this.queues = new QueueNumbers(options.topics);
    this.runs = new SequenceRuns(options.ledger);
    this.cursors = Array.from({ length: this.queues.count }, () => new QueueCursor());
  }

  /** Connects and joins the group; messages may come from now on. */
  async open(): Promise<void> {
    const { url, token, topics, group, members, from, clock } = this.options;
    this.heardAtMs = clock.monotonicMs();
    this.clients = await Promise.all(
      Array.from({ length: members }, () => connect({ servers: url, token, name: 'sluice bench' })),
    );
    const consumers = this.clients.flatMap((client) =>
      topics.map(({ topic, topicId }) => ({
        topicId,
        consumer: client.consumer({ topic, group, from, credit: CREDIT }),
      })),
    );
    this.consumers = consumers.map(({ consumer }) => consumer);
    await Promise.all(this.consumers.map((consumer) => consumer.ready()));
    this.running = consumers.map(({ consumer, topicId }) => this.consume(consumer, topicId));
  }

  async close(): Promise<void> {
    await Promise.all(this.consumers.map((consumer) => consumer.drain()));
    await Promise.all(this.running);
    this.runs.flush();
    await Promise.all(this.clients.map((client) => client.close()));
  }

  private async consume(consumer: Consumer, topicId: number): Promise<void> {
    try {
      for await (const delivery of consumer.batches()) this.take(delivery, topicId);
    } catch (error) {
      this.failure ??= toSluiceError(error);
    }
  }

  private take(delivery: Delivery, topicId: number): void {
    const { counters, bytesPerMessage, clock } = this.options;
    const queue = this.queues.of(topicId, delivery.queueId);
    const cursor = this.cursors[queue] as QueueCursor;
    let fresh = 0;
    delivery.forEach((message: Message) => {
      // Delivered again: it was counted when it came first.
      if (cursor.take(message.queueOffset, 1) > 0) return;
      fresh += 1;
      this.runs.addBody(queue, message.body);
    });
    delivery.ackAll();
    this.heardAtMs = clock.monotonicMs();
    counters.messages += fresh;
    counters.bytes += fresh * bytesPerMessage;
    counters.took(clock.epochMs() - delivery.storedAt);
  }
}
