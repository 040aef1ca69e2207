/**
 * Load as an application makes it, by the client over NameServers: a producer whose messages have keys, one whose messages have
 * none, and a consumer group. What was promised and what came back go into ledgers; gaps are the longest silences.
 */
import { type CancelTimer, type Clock, startInterval } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { type AckedPart, MessageLedger } from '../bench/message-ledger.ts';
import type { Client } from '../client/client.ts';
import type { Consumer } from '../client/consumer.ts';
import type { Message } from '../client/message.ts';
import { connect } from '../client/node.ts';
import type { Producer } from '../client/producer.ts';
import type { ConnectOptions, StatusEvent } from '../client/types.ts';
import { LaggingGroup } from './drill-lagging.ts';

const TICK_MS = 20;
const MS_PER_SECOND = 1000;
/** Keys of the messages that have one. */
const KEYS = 64;
/** Messages that may be without an answer; beyond them nothing new is sent. */
const UNANSWERED_MAX = 50_000;
/** Milliseconds until a send counts as failed: longer than any fault here. */
const SEND_MS_MAX = 120_000;
const RECONNECT_MS_MAX = 500;
const ROUTE_REFRESH_MS = 1000;

/** The longest silence so far. */
class LongestGap {
  private readonly clock: Clock;
  private lastMs: number | undefined;
  ms = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  mark(): void {
    const nowMs = this.clock.monotonicMs();
    if (this.lastMs !== undefined) this.ms = Math.max(this.ms, nowMs - this.lastMs);
    this.lastMs = nowMs;
  }
}

/** A producer of the load, by number: with keys or without. */
type Lane = { readonly producer: Producer; readonly ledger: MessageLedger; sent: number };

export type DrillLoadOptions = {
  readonly clock: Clock;
  /** `host:port;host:port` */
  readonly nameServers: string;
  readonly topic: string;
  readonly group: string;
  /** Messages a second. */
  readonly rate: number;
  /** How patient the client is with silent brokers; default: as for anybody. */
  readonly patience?: Pick<ConnectOptions, 'connectTimeoutMs' | 'pingIntervalMs' | 'pingTimeoutMs'>;
};

export class DrillLoad {
  readonly sending: LongestGap;
  readonly receiving: LongestGap;
  /** Sends that were refused or not answered in time, by code. */
  readonly refused: Map<string, number> = new Map();
  movedInDoubt = 0;
  /** Connections that the client gave up. */
  disconnected = 0;
  acknowledged = 0;
  /** First deliveries. */
  received = 0;
  /** Deliveries of what had been delivered before. */
  redelivered = 0;
  private readonly receivedOf = new Map<string, number>();
  /** When each broker acknowledged, milliseconds; the newest second of them. */
  private readonly acksOf = new Map<string, number[]>();
  private readonly options: DrillLoadOptions;
  private readonly clock: Clock;
  private client: Client | undefined;
  private consumer: Consumer | undefined;
  private consuming: Promise<void> | undefined;
  private lagging: LaggingGroup | undefined;
  private lanes: readonly Lane[] = [];
  private unanswered = 0;
  private cancelTick: CancelTimer | undefined;
  /** By queue of a broker: which message stands at an offset. */
  private readonly seenAt = new Map<string, Map<number, string>>();
  /** Numbers of the queues of all brokers. */
  private readonly queueNumbers = new Map<string, number>();

  constructor(options: DrillLoadOptions) {
    this.options = options;
    this.clock = options.clock;
    this.sending = new LongestGap(options.clock);
    this.receiving = new LongestGap(options.clock);
  }

  async start(): Promise<void> {
    const { nameServers, topic, group } = this.options;
    this.client = await connect({
      ...this.options.patience,
      nameServers,
      routeRefreshMs: ROUTE_REFRESH_MS,
      reconnectMaxMs: RECONNECT_MS_MAX,
      onStatus: (event) => this.onStatus(event),
    });
    const settings = { sendTimeoutMs: SEND_MS_MAX };
    this.lanes = [this.client.producer(settings), this.client.producer(settings)].map(
      (producer) => ({ producer, ledger: new MessageLedger(1, 1), sent: 0 }),
    );
    this.consumer = this.client.consumer({ topic, group, from: 'earliest' });
    this.consuming = this.consumer.run((message) => this.take(message));
    const perTick = Math.max(1, Math.round((this.options.rate * TICK_MS) / MS_PER_SECOND));
    this.cancelTick = startInterval(TICK_MS, () => this.tick(perTick));
  }

  get isSending(): boolean {
    return this.cancelTick !== undefined;
  }

  /** Sends nothing new, and waits until every send is answered. */
  async stopSending(): Promise<void> {
    this.cancelTick?.();
    this.cancelTick = undefined;
    await Promise.allSettled(this.lanes.map(({ producer }) => producer.flush()));
  }

  /** A further group reads what this load sends; it ends with the load. */
  addLagging(group: string): LaggingGroup {
    if (this.client === undefined)
      throw new SluiceError('INVALID_ARGUMENT', 'the load has not begun');
    this.lagging = new LaggingGroup(this.client, this.options.topic, group);
    return this.lagging;
  }

  /** What was acknowledged, by producer. */
  get acked(): readonly AckedPart[] {
    return this.lanes.map(({ ledger }) => ledger.partOf(0));
  }

  /** Messages acknowledged that did not come back yet. */
  get missing(): number {
    return this.lanes.reduce((total, { ledger }) => total + ledger.report().lost, 0);
  }

  /** Acknowledged by a broker within the last `withinMs`. */
  acknowledgedBy(broker: string, withinMs: number): number {
    const sinceMs = this.clock.monotonicMs() - withinMs;
    return (this.acksOf.get(broker) ?? []).filter((atMs) => atMs >= sinceMs).length;
  }

  /** First deliveries from the queues of a broker, whichever of its name has served them. */
  receivedFrom(broker: string): number {
    return this.receivedOf.get(broker) ?? 0;
  }

  report(): {
    readonly lost: number;
    readonly duplicated: number;
    readonly reordered: number;
    readonly unexpected: number;
  } {
    const [keyed, free] = this.lanes.map(({ ledger }) => ledger.report());
    return {
      lost: (keyed?.lost ?? 0) + (free?.lost ?? 0),
      duplicated: (keyed?.duplicated ?? 0) + (free?.duplicated ?? 0),
      // Without a key there is no order to keep: what a broker does not take goes to another one.
      reordered: keyed?.reordered ?? 0,
      unexpected: (keyed?.unexpected ?? 0) + (free?.unexpected ?? 0),
    };
  }

  async close(): Promise<void> {
    this.cancelTick?.();
    await this.lagging?.close();
    await this.client?.close();
    await this.consuming?.catch(() => {});
  }

  private onStatus(event: StatusEvent): void {
    if (event.type === 'disconnected') this.disconnected += 1;
    if (event.type === 'moved' && event.inDoubt) this.movedInDoubt += event.messageCount;
  }

  private tick(count: number): void {
    for (let n = 0; n < count && this.unanswered < UNANSWERED_MAX; n += 1) this.sendOne(n % 2);
  }

  private sendOne(laneNumber: number): void {
    const lane = this.lanes[laneNumber] as Lane;
    const sequence = lane.sent;
    lane.sent += 1;
    this.unanswered += 1;
    const key = laneNumber === 0 ? { key: `key-${sequence % KEYS}` } : {};
    const body = `${laneNumber} ${sequence}`;
    lane.producer.send({ topic: this.options.topic, ...key, body }).then(
      ({ broker }) => {
        this.unanswered -= 1;
        this.acknowledged += 1;
        lane.ledger.ack(0, sequence, 1);
        this.sending.mark();
        this.noteAck(broker);
      },
      (error: unknown) => {
        this.unanswered -= 1;
        const { code } = toSluiceError(error);
        this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
      },
    );
  }

  private noteAck(broker: string): void {
    const nowMs = this.clock.monotonicMs();
    const acks = this.acksOf.get(broker) ?? [];
    this.acksOf.set(broker, acks);
    acks.push(nowMs);
    // Twice a second's worth is kept, so that it is not moved for every message.
    if (acks.length > 4 * this.options.rate) acks.splice(0, 2 * this.options.rate);
  }

  private take(message: Message): void {
    const { broker, queueId, queueOffset } = message;
    const body = message.text();
    const queue = `${broker}/${queueId}`;
    const seen = this.seenAt.get(queue) ?? new Map<number, string>();
    this.seenAt.set(queue, seen);
    if (seen.get(queueOffset) === body) {
      this.redelivered += 1;
      return;
    }
    // After a disk is lost, another message may stand where a lost one stood.
    seen.set(queueOffset, body);
    this.received += 1;
    this.receivedOf.set(broker, this.receivedFrom(broker) + 1);
    this.receiving.mark();
    const [lane, sequence] = body.split(' ').map(Number);
    const number = this.queueNumbers.get(queue) ?? this.queueNumbers.size;
    this.queueNumbers.set(queue, number);
    this.lanes[lane ?? -1]?.ledger.see(0, number, sequence ?? -1, 1);
  }
}
