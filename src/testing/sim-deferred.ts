/**
 * Batches of a simulation that are not seen at once, each with a producer of its own: sent, sent again until they are acknowledged,
 * and remembered with their place in the log, so that it is known which of them a loss may have taken.
 */
import { ERROR_CODES } from '../base/error-codes.ts';
import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import type { ShardRig } from './shard-rig.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import type { SimBatch } from './sim-messages.ts';
import { askSite, type IsHeld, type LogPlace, type SimSite, type SiteTopic } from './sim-site.ts';

/** What is known of one batch. */
export type Deferred = {
  readonly batch: SimBatch;
  readonly q: number;
  /** When it is to be seen, or its sender to be asked. */
  readonly dueAtMs: number;
  isInFlight: boolean;
  isAcked: boolean;
  /** Position at which it was stored; known with the ack. */
  position: number;
  place: LogPlace;
  /** A loss that its mode allows may have taken it, or what became of it. */
  isExcused: boolean;
};

/** A batch that nobody has sent yet. */
export function newDeferred(batch: SimBatch, q: number, dueAtMs: number): Deferred {
  return {
    batch,
    q,
    dueAtMs,
    isInFlight: false,
    isAcked: false,
    position: -1,
    place: { end: 0, epoch: 0 },
    isExcused: false,
  };
}

export class DeferredSender<One extends Deferred> {
  readonly all: One[] = [];
  private readonly site: SimSite;
  private readonly topic: SiteTopic;
  private readonly flags: number;
  /** What it sends, for messages to people: "a half message". */
  private readonly what: string;

  /** @param flags - as in REQUEST_DEFER */
  constructor(site: SimSite, topic: SiteTopic, flags: number, what: string) {
    this.site = site;
    this.topic = topic;
    this.flags = flags;
    this.what = what;
  }

  send(one: One): void {
    this.all.push(one);
    this.transmit(one);
  }

  /** Sends what was not acknowledged again. */
  resend(): void {
    for (const one of this.all) if (!one.isAcked && !one.isInFlight) this.transmit(one);
  }

  get isWaiting(): boolean {
    return this.all.some(({ isAcked }) => !isAcked);
  }

  get lastDueAtMs(): number {
    return Math.max(0, ...this.all.map(({ dueAtMs }) => dueAtMs));
  }

  /** What is not held any more may be gone. */
  lose(isHeld: IsHeld): void {
    for (const one of this.all) if (one.isAcked && !isHeld(one.place)) one.isExcused = true;
  }

  private transmit(one: One): void {
    const { site, topic, flags } = this;
    const send = (rig: ShardRig): number =>
      rig.produceBytes(topic.topicId, one.q, one.batch.bytes, { dueAtMs: one.dueAtMs, flags });
    one.isInFlight = askSite(site, send, (answer, { epoch }) => {
      one.isInFlight = false;
      if (answer?.kind === 'produced') this.acked(one, answer, epoch);
      else if (answer?.kind !== 'failed') return;
      else if (answer.code === 'TOPIC_NOT_FOUND') site.topicLost();
      else if (!ERROR_CODES[answer.code].retryable)
        throw new SimViolation(`${this.what} is refused: ${answer.code} ${answer.text}`);
    });
  }

  private acked(one: One, answer: Extract<Answer, { kind: 'produced' }>, epoch: number): void {
    if (!answer.isDeferred) throw new SimViolation(`${this.what} is acknowledged as visible`);
    one.isAcked = true;
    one.position = answer.position;
    one.place = { end: answer.position + STORED_HEADER_BYTES + one.batch.bytes.length, epoch };
  }
}
