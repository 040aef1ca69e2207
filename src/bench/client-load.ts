/**
 * The load of our own client: single messages, handed over one by one and batched by the client, which keeps their
 * order and sends again what was refused. Latency is that of probes: single messages whose acknowledgement is awaited,
 * sent among the others. Event loop.
 */
import type { Clock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { DEDUP_BATCHES_MAX } from '../base/limits.ts';
import { seededPrng } from '../base/prng.ts';
import type { Client } from '../client/client.ts';
import { connect } from '../client/node.ts';
import type { Producer } from '../client/producer.ts';
import { sendFrameBytes } from './frame-template.ts';
import type { Load, LoadOutcome, LoadPlan, LoadSnapshot } from './load.ts';
import { LoadCounters } from './load-counters.ts';
import { MessageLedger } from './message-ledger.ts';
import { newBody, STAMP_BATCH, writeStamp } from './message-stamp.ts';
import { producerIdOf } from './prepared-load.ts';

/** Messages handed over between two looks at the sockets. */
const PUSHES_PER_TURN = 256;
/** Milliseconds between two probes of a producer. */
const PROBE_INTERVAL_MS = 5;
const LINGER_MS = 2;

/** One producer and what it has sent. */
class ClientSender {
  readonly producer: Producer;
  readonly number: number;
  failedCount = 0;
  failure: SluiceError | undefined;
  /** Sequence of the next message. */
  next = 0;
  private readonly owner: ClientLoad;
  private readonly topics: readonly string[];
  private readonly body: Uint8Array;
  private readonly view: DataView;
  private readonly message: { topic: string; readonly body: Uint8Array };
  private probedAtMs = 0;
  private isStopping = false;
  private sending: Promise<void> = Promise.resolve();

  constructor(owner: ClientLoad, client: Client, number: number) {
    const { plan, counters } = owner;
    this.owner = owner;
    this.number = number;
    this.topics = plan.topics.map(({ topic }) => topic);
    this.body = newBody(plan.bodyBytes, seededPrng(plan.seed + number));
    this.view = new DataView(this.body.buffer);
    writeStamp(this.view, 0, number, 0, 0);
    this.message = { topic: this.topics[0] as string, body: this.body };
    const producerId = producerIdOf(plan, number);
    this.producer = client.producer({
      producerId,
      lingerMs: LINGER_MS,
      batchBytes: Math.max(1024, plan.batchBytes),
      maxInFlight: Math.min(plan.window, DEDUP_BATCHES_MAX),
      // Enough for the window and as much again under construction; more would only wait in memory.
      bufferBytes: 2 * plan.window * Math.max(1024, plan.batchBytes, 2 * plan.bodyBytes),
      sendTimeoutMs: 0,
      onReceipt: (receipt) => {
        counters.messages += receipt.messageCount;
        counters.bytes += sendFrameBytes(receipt.messageCount, plan.bodyBytes, producerId.length);
        if (receipt.duplicate) counters.duplicateAnswers += 1;
      },
      onFailure: ({ error, messageCount }) => {
        this.failedCount += messageCount;
        this.failure ??= error;
      },
    });
  }

  /** A message to every topic, so that the client knows them all before it counts. */
  async open(): Promise<void> {
    for (const topic of this.topics) {
      this.stampNext(topic);
      await this.producer.send({ topic, body: this.body.slice() });
    }
  }

  begin(): void {
    this.sending = this.pushAll().catch((error: unknown) => {
      this.failure ??= toSluiceError(error);
    });
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.sending;
    await this.producer.flush();
  }

  private async pushAll(): Promise<void> {
    const { clock } = this.owner;
    while (!this.isStopping && this.failure === undefined) {
      const nowMs = clock.monotonicMs();
      if (nowMs - this.probedAtMs >= PROBE_INTERVAL_MS) this.probe(nowMs);
      if (!this.pushSome()) await this.producer.ready();
      // Answers must be heard, whatever the client promises at once.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** @returns false when the client has enough for now */
  private pushSome(): boolean {
    const { message } = this;
    for (let count = 0; count < PUSHES_PER_TURN; count += 1) {
      this.stampNext(message.topic);
      if (!this.producer.push(message)) {
        this.next -= 1;
        return false;
      }
      if (this.topics.length > 1) this.message.topic = this.topicOf(this.next);
    }
    return true;
  }

  private stampNext(topic: string): void {
    this.message.topic = topic;
    this.view.setUint32(STAMP_BATCH, this.next, true);
    this.next += 1;
  }

  /** A batch's worth to each topic in turn. */
  private topicOf(sequence: number): string {
    const { plan } = this.owner;
    const turn = Math.floor(sequence / Math.max(1, plan.batchBytes / plan.bodyBytes));
    return this.topics[turn % this.topics.length] as string;
  }

  private probe(nowMs: number): void {
    const { clock, counters } = this.owner;
    this.probedAtMs = nowMs;
    this.stampNext(this.message.topic);
    this.producer.send({ topic: this.message.topic, body: this.body.slice() }).then(
      () => counters.took(clock.monotonicMs() - nowMs),
      (error: unknown) => {
        this.failedCount += 1;
        this.failure ??= toSluiceError(error);
      },
    );
  }
}

export class ClientLoad implements Load {
  readonly plan: LoadPlan;
  readonly clock: Clock;
  readonly counters: LoadCounters = new LoadCounters();
  private clients: readonly Client[] = [];
  private senders: readonly ClientSender[] = [];

  constructor(plan: LoadPlan, clock: Clock) {
    this.plan = plan;
    this.clock = clock;
  }

  async open(): Promise<void> {
    const { url, token, producers } = this.plan;
    const options = { servers: url, name: 'sluice bench', token };
    this.clients = await Promise.all(producers.map(() => connect(options)));
    this.senders = producers.map(
      (producer, index) => new ClientSender(this, this.clients[index] as Client, producer),
    );
    await Promise.all(this.senders.map((sender) => sender.open()));
  }

  async begin(): Promise<void> {
    for (const sender of this.senders) sender.begin();
  }

  async measure(isOn: boolean): Promise<LoadSnapshot> {
    this.counters.isMeasuring = isOn;
    const { messages, bytes } = this.counters;
    return { messages, bytes };
  }

  async stop(): Promise<LoadOutcome> {
    await Promise.all(this.senders.map((sender) => sender.stop()));
    const ledger = new MessageLedger(this.plan.producersInAll, 1);
    for (const { number, next, failedCount } of this.senders) {
      // A client that was refused some messages says how many, and not which.
      if (failedCount === 0) ledger.ack(number, 0, next);
      else ledger.ackSome(number, next - failedCount);
    }
    const { messages, bytes, latency, refusals, duplicateAnswers } = this.counters;
    const acked = this.plan.producers.map((producer) => ledger.partOf(producer));
    const failure = this.senders.find((sender) => sender.failure !== undefined)?.failure;
    if (failure !== undefined && messages === 0) throw failure;
    return { messages, bytes, latency, refusals, duplicateAnswers, acked };
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }
}
