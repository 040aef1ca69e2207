/**
 * The load of our own client at a fixed rate: every message has a time at which it is due, whatever became of those before
 * it, and its latency counts from then until its acknowledgement. What a tick of the pacer finds due goes into one
 * `sendBatch`. Event loop.
 */
import type { Clock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { DEDUP_BATCHES_MAX } from '../base/limits.ts';
import { seededPrng } from '../base/prng.ts';
import type { Client } from '../client/client.ts';
import { connect } from '../client/node.ts';
import type { Producer } from '../client/producer.ts';
import type { OutgoingMessage } from '../client/types.ts';
import { sendFrameBytes } from './frame-template.ts';
import type { Load, LoadOutcome, LoadPlan, LoadSnapshot } from './load.ts';
import { LoadCounters } from './load-counters.ts';
import { MessageLedger } from './message-ledger.ts';
import { newBody, writeStamp } from './message-stamp.ts';
import { startPacer } from './pacer.ts';
import { producerIdOf } from './prepared-load.ts';

const MS_PER_SECOND = 1000;

/** One producer: which messages it has sent. */
type Sender = {
  readonly number: number;
  readonly producer: Producer;
  /** Sequence of the next message; the first of each topic opened it. */
  next: number;
};

export class OpenLoopLoad implements Load {
  private readonly plan: LoadPlan;
  private readonly clock: Clock;
  private readonly counters = new LoadCounters();
  private readonly ledger: MessageLedger;
  private readonly topics: readonly string[];
  private readonly filler: Uint8Array;
  private clients: readonly Client[] = [];
  private senders: readonly Sender[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private stopPacer = (): void => {};
  private startedAtMs = 0;
  private failure: SluiceError | undefined;

  constructor(plan: LoadPlan, clock: Clock) {
    this.plan = plan;
    this.clock = clock;
    this.ledger = new MessageLedger(plan.producersInAll, 1);
    this.topics = plan.topics.map(({ topic }) => topic);
    this.filler = newBody(plan.bodyBytes, seededPrng(plan.seed));
  }

  async open(): Promise<void> {
    const { plan } = this;
    const options = { servers: plan.url, name: 'sluice bench', token: plan.token };
    this.clients = await Promise.all(plan.producers.map(() => connect(options)));
    this.senders = plan.producers.map((number, index) => ({
      number,
      producer: (this.clients[index] as Client).producer({
        producerId: producerIdOf(plan, number),
        // What is due goes at once: the tick has gathered it already.
        lingerMs: 0,
        batchBytes: Math.max(1024, plan.batchBytes),
        maxInFlight: Math.min(plan.window, DEDUP_BATCHES_MAX),
      }),
      next: 0,
    }));
    for (const sender of this.senders) this.send(sender, this.topics.length, undefined);
    await Promise.all(this.underWay);
    if (this.failure !== undefined) throw this.failure;
  }

  async begin(): Promise<void> {
    this.startedAtMs = this.clock.monotonicMs();
    this.stopPacer = startPacer(() => this.tick());
  }

  async measure(isOn: boolean): Promise<LoadSnapshot> {
    this.counters.isMeasuring = isOn;
    const { messages, bytes } = this.counters;
    return { messages, bytes };
  }

  async stop(): Promise<LoadOutcome> {
    this.stopPacer();
    await Promise.all(this.underWay);
    const { messages, bytes, latency, refusals, duplicateAnswers } = this.counters;
    const acked = this.plan.producers.map((producer) => this.ledger.partOf(producer));
    if (this.failure !== undefined && messages === 0) throw this.failure;
    return { messages, bytes, latency, refusals, duplicateAnswers, acked };
  }

  async close(): Promise<void> {
    this.stopPacer();
    await Promise.all(this.clients.map((client) => client.close()));
  }

  private tick(): void {
    const elapsedMs = this.clock.monotonicMs() - this.startedAtMs;
    const due = Math.floor((elapsedMs / MS_PER_SECOND) * this.ratePerSender());
    for (const sender of this.senders) {
      const count = this.topics.length + due - sender.next;
      if (count > 0) this.send(sender, count, this.startedAtMs);
    }
  }

  private ratePerSender(): number {
    return (this.plan.ratePerSecond ?? 0) / this.plan.producers.length;
  }

  /** @param startedAtMs - when the first message after the opening was due; undefined: no latency */
  private send(sender: Sender, count: number, startedAtMs: number | undefined): void {
    const first = sender.next;
    sender.next += count;
    const messages = Array.from({ length: count }, (_, index) =>
      this.messageOf(sender.number, first + index),
    );
    const sent = sender.producer.sendBatch(messages).then(
      () => this.acked(sender.number, first, count, startedAtMs),
      (error: unknown) => {
        this.failure ??= toSluiceError(error);
        this.counters.refusals += count;
      },
    );
    const done = sent.then(() => void this.underWay.delete(done));
    this.underWay.add(done);
  }

  private messageOf(producer: number, sequence: number): OutgoingMessage {
    const body = this.filler.slice();
    writeStamp(new DataView(body.buffer), 0, producer, 0, sequence);
    return { topic: this.topics[sequence % this.topics.length] as string, body };
  }

  private acked(
    producer: number,
    first: number,
    count: number,
    startedAtMs: number | undefined,
  ): void {
    const { counters, plan, topics } = this;
    this.ledger.ack(producer, first, count);
    counters.messages += count;
    counters.bytes += sendFrameBytes(count, plan.bodyBytes, producerIdOf(plan, producer).length);
    if (startedAtMs === undefined || !counters.isMeasuring) return;
    const nowMs = this.clock.monotonicMs();
    const intervalMs = MS_PER_SECOND / this.ratePerSender();
    for (let index = first - topics.length; index < first - topics.length + count; index += 1)
      counters.took(nowMs - startedAtMs - index * intervalMs);
  }
}
