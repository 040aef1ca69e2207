/** The prepared load: batches encoded beforehand, a connection and an identity each producer. Event loop. */
import type { Clock } from '../base/clock.ts';
import { seededPrng } from '../base/prng.ts';
import { FrameTemplate } from './frame-template.ts';
import type { Load, LoadOutcome, LoadPlan, LoadSnapshot } from './load.ts';
import { LoadCounters } from './load-counters.ts';
import { MessageLedger } from './message-ledger.ts';
import { startPacer } from './pacer.ts';
import { PreparedConnection } from './prepared-connection.ts';
import { lanesOf } from './producer-lanes.ts';

const MS_PER_SECOND = 1000;

/** One producer: its connection and how many lanes its opening took. */
type Producer = { readonly connection: PreparedConnection; readonly lanes: number };

export class PreparedLoad implements Load {
  private readonly plan: LoadPlan;
  private readonly clock: Clock;
  private readonly counters = new LoadCounters();
  private readonly ledger: MessageLedger;
  private producers: readonly Producer[] = [];
  private stopPacer = (): void => {};
  private startedAtMs = 0;

  constructor(plan: LoadPlan, clock: Clock) {
    this.plan = plan;
    this.clock = clock;
    this.ledger = new MessageLedger(plan.producersInAll, plan.recordsPerBatch);
  }

  async open(): Promise<void> {
    this.producers = this.plan.producers.map((producer) => this.newProducer(producer));
    await Promise.all(this.producers.map(({ connection }) => connection.open()));
  }

  async begin(): Promise<void> {
    this.startedAtMs = this.clock.monotonicMs();
    if (this.plan.ratePerSecond === undefined) {
      for (const { connection } of this.producers) connection.allow(Number.MAX_SAFE_INTEGER);
      return;
    }
    this.stopPacer = startPacer(() => {
      const sentMs = this.clock.monotonicMs() - this.startedAtMs;
      const due = Math.floor((sentMs / MS_PER_SECOND) * this.batchesPerSecond());
      for (const { connection, lanes } of this.producers) connection.allow(lanes + due);
    });
  }

  /** Sends at least so many messages in all, as fast as it goes, and resolves when they are acknowledged. */
  async fill(messages: number): Promise<void> {
    const { recordsPerBatch } = this.plan;
    const batches = Math.ceil(messages / recordsPerBatch / this.producers.length);
    await Promise.all(
      this.producers.map(({ connection, lanes }) => connection.sendUpTo(Math.max(lanes, batches))),
    );
  }

  async measure(isOn: boolean): Promise<LoadSnapshot> {
    this.counters.isMeasuring = isOn;
    const { messages, bytes } = this.counters;
    return { messages, bytes };
  }

  async stop(): Promise<LoadOutcome> {
    this.stopPacer();
    await Promise.all(this.producers.map(({ connection }) => connection.stop()));
    const { messages, bytes, latency, refusals, duplicateAnswers } = this.counters;
    const acked = this.plan.producers.map((producer) => this.ledger.partOf(producer));
    return { messages, bytes, latency, refusals, duplicateAnswers, acked };
  }

  async close(): Promise<void> {
    this.stopPacer();
    for (const { connection } of this.producers) connection.close();
  }

  private newProducer(producer: number): Producer {
    const { plan, clock, counters, ledger } = this;
    const { recordsPerBatch, bodyBytes, seed, url, token, window } = plan;
    const lanes = lanesOf(plan.topics, producer, plan.producersInAll);
    const template = new FrameTemplate({
      producer,
      producerId: producerIdOf(plan, producer),
      bodyBytes,
      recordCount: recordsPerBatch,
      bornAtMs: clock.epochMs(),
      prng: seededPrng(seed + producer),
    });
    const isPaced = plan.ratePerSecond !== undefined;
    const connection = new PreparedConnection({
      url,
      token,
      template,
      producer,
      lanes,
      window,
      counters,
      onAck: (of, batch) => ledger.ack(of, batch * recordsPerBatch, recordsPerBatch),
      plannedAtMs: isPaced ? (message) => this.plannedAtMs(message, lanes.length) : undefined,
      clock,
    });
    return { connection, lanes: lanes.length };
  }

  /** When a message was due: evenly spread from the beginning on, behind those of the opening. */
  private plannedAtMs(message: number, openingBatches: number): number {
    const sinceStart = message / this.plan.recordsPerBatch - openingBatches;
    return this.startedAtMs + (sinceStart / this.batchesPerSecond()) * MS_PER_SECOND;
  }

  /** Of one producer. */
  private batchesPerSecond(): number {
    const { ratePerSecond = 0, recordsPerBatch, producers } = this.plan;
    return ratePerSecond / producers.length / recordsPerBatch;
  }
}

/** The dedup identity of a producer; as long for all producers of a run, so that batches are of one size. */
export function producerIdOf(plan: Pick<LoadPlan, 'runId'>, producer: number): string {
  return `${plan.runId}-${String(producer).padStart(4, '0')}`;
}
