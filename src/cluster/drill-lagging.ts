/**
 * A consumer group that lags: its one member takes its time, so that most of what the load sends waits at the brokers when the
 * fault comes. Then it hurries. What was acknowledged must have come to it in the end.
 */
import { sleep } from '../base/clock.ts';
import { type AckedPart, MessageLedger } from '../bench/message-ledger.ts';
import type { Client } from '../client/client.ts';
import type { Consumer } from '../client/consumer.ts';
import type { Message } from '../client/message.ts';

/** Messages that it has in hand at most: what a broker that dies may still have given it. */
export const LAGGING_CREDIT = 16;
/** Milliseconds for each message as long as it lags. */
const MESSAGE_MS = 100;

export class LaggingGroup {
  /** By queue of a broker: the offsets that came. */
  private readonly offsets = new Map<string, Set<number>>();
  private readonly receivedOf = new Map<string, number>();
  private readonly ledgers: MessageLedger[] = [];
  private readonly consumer: Consumer;
  private readonly consuming: Promise<void>;
  private isHurrying = false;

  constructor(client: Client, topic: string, group: string) {
    this.consumer = client.consumer({ topic, group, from: 'earliest', credit: LAGGING_CREDIT });
    this.consuming = this.consumer.run((message) => this.take(message));
  }

  /** Takes no time any more. */
  hurry(): void {
    this.isHurrying = true;
  }

  /** Messages that came from the queues of a broker, whichever of its name has served them. */
  receivedFrom(broker: string): number {
    return this.receivedOf.get(broker) ?? 0;
  }

  get received(): number {
    return [...this.receivedOf.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Messages that did not come to it. @param acked - what was acknowledged, by producer */
  missingOf(acked: readonly AckedPart[]): number {
    return acked.reduce((sum, part, lane) => {
      const ledger = this.ledgerOf(lane);
      ledger.merge(part);
      return sum + ledger.report().lost;
    }, 0);
  }

  async close(): Promise<void> {
    await this.consumer.close();
    await this.consuming.catch(() => {});
  }

  private async take(message: Message): Promise<void> {
    const { broker, queueId, queueOffset } = message;
    const queue = `${broker}/${queueId}`;
    const offsets = this.offsets.get(queue) ?? new Set<number>();
    this.offsets.set(queue, offsets);
    const [lane = 0, sequence = 0] = message.text().split(' ').map(Number);
    this.ledgerOf(lane).see(0, 0, sequence, 1);
    if (!offsets.has(queueOffset)) this.receivedOf.set(broker, this.receivedFrom(broker) + 1);
    offsets.add(queueOffset);
    if (!this.isHurrying) await sleep(MESSAGE_MS);
  }

  private ledgerOf(lane: number): MessageLedger {
    this.ledgers[lane] ??= new MessageLedger(1, 1);
    return this.ledgers[lane];
  }
}
