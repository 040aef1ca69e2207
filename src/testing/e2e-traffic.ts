/**
 * Recorded traffic over the client: producers with several lanes, each lane one key, and a group that acks what it gets;
 * everything goes to a history. What is unclear at the end is unclear to the checker too: sends that never ended.
 */
import { crc32 } from '../base/crc32.ts';
import { toSluiceError } from '../base/errors.ts';
import type { Client } from '../client/client.ts';
import type { Consumer } from '../client/consumer.ts';
import type { Message } from '../client/message.ts';
import type { Producer } from '../client/producer.ts';
import type { ProducerOptions } from '../client/types.ts';
import type { HistoryRecorder } from './history-recorder.ts';

export type TrafficOptions = {
  readonly client: Client;
  readonly recorder: HistoryRecorder;
  readonly topic: string;
  /** Consumes and acks meanwhile; undefined: nobody does. */
  readonly group?: string;
  readonly producers?: number;
  /** Lanes, each with its key, of one producer; default 16. */
  readonly lanes?: number;
  /** Unanswered sends of one lane; default 2. */
  readonly window?: number;
  readonly producerOptions?: ProducerOptions;
  /** Bytes of the body of the nth message of a lane; default: 0 to 300. */
  readonly bodyBytes?: (n: number) => number;
};

const encoder = new TextEncoder();
const CONSUMER = 'consumer';
const DRAIN = 'drain';
/** Longer than any broker of a test is away, on a machine that does other things too. */
const SEND_MS_MAX = 120_000;
/** Messages of one fetch. */
const FETCH_MAX = 500;

export class RecordedTraffic {
  /** Sends that were acknowledged. */
  acked = 0;
  /** Sends that ended otherwise, by code. */
  readonly failures: Map<string, number> = new Map();
  /** Messages that came to the group. */
  consumed = 0;
  private readonly options: TrafficOptions;
  private readonly work: Promise<void>[] = [];
  private producers: Producer[] = [];
  private consumer: Consumer | undefined;
  private isOver = false;
  private readonly lastOffset = new Map<number, number>();
  private mayStepBack = new Set<number>();

  constructor(options: TrafficOptions) {
    this.options = options;
  }

  start(): void {
    const { client, group, topic, producers = 2, lanes = 16, producerOptions } = this.options;
    this.producers = Array.from({ length: producers }, () =>
      client.producer({ lingerMs: 1, sendTimeoutMs: SEND_MS_MAX, ...producerOptions }),
    );
    for (const [index, producer] of this.producers.entries())
      for (let lane = 0; lane < lanes; lane += 1)
        this.work.push(this.runLane(producer, `p${index}-${lane}`));
    if (group === undefined) return;
    this.consumer = client.consumer({ group, topic, from: 'earliest', credit: 200 });
    this.work.push(this.consume(this.consumer, group));
  }

  /** The broker was stopped by force: the group's leases may have ended with it. */
  newSession(): void {
    if (this.options.group !== undefined)
      this.options.recorder.session(CONSUMER, this.options.group, []);
  }

  /**
   * A shard was stopped by force while the connection lives: what it had delivered comes once more, behind what was on its
   * way. So each queue may go back once from here on.
   */
  expectRedelivery(): void {
    this.mayStepBack = new Set(this.lastOffset.keys());
  }

  /** Begins no more, and waits for what is under way. Call it when the broker is well. */
  async stop(): Promise<void> {
    this.isOver = true;
    const consumer = this.consumer;
    await Promise.all([...this.work, consumer?.drain()]);
    await Promise.all(this.producers.map((producer) => producer.close()));
  }

  /** Reads every queue from its beginning, as somebody new, and ends the history. */
  async drain(): Promise<void> {
    const { client, recorder, topic } = this.options;
    const { queues } = await client.topic(topic);
    recorder.phase('drain', DRAIN);
    recorder.session(DRAIN, DRAIN, []);
    for (let q = 0; q < queues; q += 1) {
      for (let offset = 0; ; ) {
        const page = await client.fetch({ topic, queueId: q, offset, max: FETCH_MAX });
        for (const message of page.messages) {
          const body = String(message.body);
          recorder.deliver({
            id: idOf(body),
            c: DRAIN,
            g: DRAIN,
            topic,
            q,
            off: message.queueOffset,
            attempt: 1,
            crc: crc32(encoder.encode(body)),
            via: 'pull',
          });
        }
        offset = page.nextOffset;
        if (offset >= page.maxOffset) break;
      }
    }
    recorder.phase('end');
  }

  /** Sends one after another, `window` of them unanswered, until the run is over. */
  private async runLane(producer: Producer, lane: string): Promise<void> {
    const { window = 2 } = this.options;
    const open = new Set<Promise<void>>();
    for (let n = 0; !this.isOver; n += 1) {
      const sending = this.send(producer, lane, n).finally(() => open.delete(sending));
      open.add(sending);
      if (open.size >= window) await Promise.race(open);
    }
    await Promise.all(open);
  }

  private async send(producer: Producer, lane: string, n: number): Promise<void> {
    const { recorder, topic, bodyBytes = (index) => index % 300 } = this.options;
    const id = `${lane}-${n}`;
    const body = `${id} ${'.'.repeat(bodyBytes(n))}`;
    const crc = crc32(encoder.encode(body));
    recorder.sendInvoke({ id, p: lane, topic, seq: n, dedup: true, crc });
    try {
      const receipt = await producer.send({ topic, key: lane, body });
      recorder.sendOk(id, { q: receipt.queueId, off: receipt.queueOffset });
      this.acked += 1;
    } catch (error) {
      const { code, stored } = toSluiceError(error);
      this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
      // A test that failed has closed its client: lanes that went on would leave the event loop no turn.
      if (code === 'CLOSED') this.isOver = true;
      if (stored === false) recorder.sendFail(id);
      else recorder.sendInfo(id);
    }
  }

  private async consume(consumer: Consumer, g: string): Promise<void> {
    const { recorder, topic } = this.options;
    recorder.session(CONSUMER, g, []);
    for await (const message of consumer) {
      this.consumed += 1;
      this.record(message, g);
      const slot = { topic, q: message.queueId, off: message.queueOffset, c: CONSUMER, g };
      recorder.ack('invoke', slot);
      message.ack().then(
        () => recorder.ack('ok', slot),
        () => recorder.ack('info', slot),
      );
    }
  }

  private record(message: Message, g: string): void {
    const { queueId, queueOffset } = message;
    const isBack = queueOffset <= (this.lastOffset.get(queueId) ?? -1);
    if (isBack && this.mayStepBack.delete(queueId)) this.newSession();
    this.lastOffset.set(queueId, queueOffset);
    this.options.recorder.deliver({
      id: idOf(message.text()),
      c: CONSUMER,
      g,
      topic: this.options.topic,
      q: message.queueId,
      off: message.queueOffset,
      attempt: message.attempt,
      crc: crc32(message.body),
      via: 'push',
    });
  }
}

function idOf(body: string): string {
  return body.slice(0, body.indexOf(' '));
}
