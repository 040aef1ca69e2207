/**
 * Delayed messages of a simulation: sent with due times by chance, cancelled, listed, seen. Each batch has a producer of its own
 * and is sent again until it is acknowledged, so that in the end each message must be there exactly once: not before its time by
 * the broker's clock, and not at all when its cancellation was confirmed.
 */
import type { Prng } from '../base/prng.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry } from '../log/entry-table.ts';
import type { CancelResult, DelayedList } from '../protocol/shard-control.ts';
import type { ShardRig } from './shard-rig.ts';
import { type Deferred, DeferredSender, newDeferred } from './sim-deferred.ts';
import { SimViolation } from './sim-invariants.ts';
import { idOf, MessageLedger } from './sim-messages.ts';
import {
  askSite,
  type IsHeld,
  isLetGo,
  isTrimmed,
  type LogPlace,
  type SimSite,
  type SitePart,
  type SiteTopic,
} from './sim-site.ts';

/** Batches of one run. */
const BATCHES_MAX = 120;
const BODY_BYTES = 120;
const SOON_MS = 300;
const LATER_MS = 20_000;
const FETCH_MAX = 100;

type Delayed = Deferred & {
  /** Ids of its messages whose cancellation is confirmed. */
  readonly cancelled: Map<string, LogPlace>;
  /**
   * Cancellations that were asked for and not answered, or were lost by right: as long as it is not said otherwise of the very
   * same, it may be in force, or be so again when an older log is the newest that is left.
   */
  readonly inDoubt: Map<string, number>;
};

export class SimDelayed implements SitePart {
  private readonly site: SimSite;
  private readonly prng: Prng;
  private readonly topic: SiteTopic;
  private readonly batchesMax: number;
  private readonly ledger = new MessageLedger();
  private readonly sender: DeferredSender<Delayed>;
  /** Where the look at each queue goes on. */
  private readonly next: number[] = [];
  private readonly entry = emptyEntry();

  constructor(site: SimSite, prng: Prng, topic: SiteTopic, batchesMax: number = BATCHES_MAX) {
    this.site = site;
    this.prng = prng;
    this.topic = topic;
    this.batchesMax = batchesMax;
    this.sender = new DeferredSender(site, topic, 0, 'a delayed batch');
  }

  private get all(): readonly Delayed[] {
    return this.sender.all;
  }

  get isLive(): boolean {
    return this.topic.isLive;
  }

  /** One thing by chance. */
  act(): void {
    const { prng } = this;
    const choice = prng.integer(20);
    if (choice < 5) this.send(1 + prng.integer(3), this.someDelay());
    else if (choice < 9) this.resend();
    else if (choice < 12) this.cancelSome();
    else if (choice < 13) this.list();
    else this.look();
  }

  onEvent(): void {
    // Nothing is told of them.
  }

  restarted(): void {
    // Readers go on from where they were.
  }

  /** Sends a batch that is due in so many milliseconds. */
  send(count: number, delayMs: number, bodyBytes: number = BODY_BYTES): void {
    const { topic, site } = this;
    if (this.all.length >= this.batchesMax) return;
    const id = `d${String(this.all.length).padStart(7, '0')}`;
    const nowMs = site.clock.monotonicMs();
    const messages = Array.from({ length: count }, () =>
      this.ledger.create(topic.name, id, 'red', bodyBytes, nowMs),
    );
    const batch = this.ledger.encode(messages, id, 0, 0);
    const q = this.prng.integer(topic.queues);
    this.sender.send({
      ...newDeferred(batch, q, site.clock.epochMs() + delayMs),
      cancelled: new Map(),
      inDoubt: new Map(),
    });
  }

  resend(): void {
    this.sender.resend();
  }

  /** Cancels one message that waits, or does not any more. */
  cancelSome(): void {
    // Where one that is lost stood, another may stand now.
    const acked = this.all.filter(({ isAcked, isExcused }) => isAcked && !isExcused);
    const one = acked[this.prng.integer(acked.length)];
    if (one !== undefined) this.cancel(one, this.prng.integer(one.batch.messages.length));
  }

  /** Reads what has become visible since the last look. */
  look(): void {
    const { topic, site } = this;
    const q = this.prng.integer(topic.queues);
    const next = this.next[q] ?? 0;
    const send = (rig: ShardRig): number => rig.fetch(topic.topicId, q, next, FETCH_MAX);
    askSite(site, send, (answer) => {
      if (answer?.kind === 'failed') this.next[q] = this.queueOf(q)?.visibleEnd ?? 0;
      if (answer?.kind !== 'fetched') return;
      for (const { offset, body } of answer.records) this.seen(q, offset, body);
      this.next[q] = answer.next;
    });
  }

  finish(): boolean {
    this.resend();
    return this.sender.isWaiting;
  }

  get lastDueAtMs(): number {
    return this.sender.lastDueAtMs;
  }

  judge(read: (topic: SiteTopic) => readonly string[]): void {
    const counts = new Map<string, number>();
    for (const body of read(this.topic)) counts.set(idOf(body), (counts.get(idOf(body)) ?? 0) + 1);
    for (const one of this.all) {
      for (const { id } of one.batch.messages) {
        const count = counts.get(id) ?? 0;
        counts.delete(id);
        if (count > 1) throw new SimViolation(`${id}, a delayed message, is there ${count} times`);
        const isCancelled = one.cancelled.has(id);
        this.site.counts.delayed += count;
        if (isCancelled) this.site.counts.cancelled += 1;
        if (one.isExcused) continue;
        if (isCancelled && count > 0)
          throw new SimViolation(`${id} was cancelled, and has become visible`);
        const mayBeMissing = isCancelled || (one.inDoubt.get(id) ?? 0) > 0;
        if (!mayBeMissing && one.isAcked && count === 0 && !isTrimmed(this.site, this.topic))
          throw new SimViolation(`${id}, stored at ${one.position}, was delayed and is lost`);
      }
    }
    for (const id of counts.keys()) throw new SimViolation(`${id} was never sent with a delay`);
  }

  private someDelay(): number {
    const { prng } = this;
    return 1 + prng.integer(prng.chance(0.7) ? SOON_MS : LATER_MS);
  }

  private cancel(one: Delayed, index: number): void {
    const { site, topic } = this;
    const message = one.batch.messages[index];
    if (message === undefined) return;
    const { id } = message;
    const isByKey = this.prng.chance(0.5);
    const target = isByKey ? { key: id, place: -1 } : { key: null, place: one.position + index };
    const request = { op: 'cancelDelayed', topicId: topic.topicId, ...target } as const;
    const isSent = askSite(
      site,
      (rig) => rig.control(request),
      (answer, place) => {
        if (answer?.kind !== 'control') return;
        doubt(one, id, -1);
        const { outcome } = answer.result as CancelResult;
        const isExact = !one.isExcused && !site.isDamaged;
        const isGone = isLetGo(site, one.position) || isTrimmed(site, topic);
        if (outcome === 'cancelled') {
          if (!one.cancelled.has(id)) one.cancelled.set(id, place);
        } else if (isExact && one.cancelled.has(id))
          throw new SimViolation(`${id} was cancelled, and is said to be ${outcome}`);
        else if (isExact && outcome === 'notFound' && !isGone)
          throw new SimViolation(`${id}, which was acknowledged, is not found`);
      },
    );
    if (isSent) doubt(one, id, 1);
  }

  private list(): void {
    const { site, topic } = this;
    const request = { op: 'listDelayed', topicId: topic.topicId, key: null, max: 50 } as const;
    askSite(
      site,
      (rig) => rig.control(request),
      (answer) => {
        if (answer?.kind !== 'control') return;
        const { messages } = answer.result as DelayedList;
        for (const { key, deliverAt } of messages) this.listed(key, deliverAt);
      },
    );
  }

  private listed(key: string, deliverAt: number): void {
    const one = this.all.find(({ batch }) => batch.messages.some(({ id }) => id === key));
    if (one === undefined) throw new SimViolation(`the list names ${key}, which nobody sent`);
    // What could not be read is tried again a while later.
    if (deliverAt < one.dueAtMs) throw new SimViolation(`${key} is listed for ${deliverAt}`);
    if (one.cancelled.has(key) && !one.isExcused)
      throw new SimViolation(`${key} was cancelled and is listed`);
  }

  private seen(q: number, offset: number, body: string): void {
    const id = idOf(body);
    const one = this.all.find(({ batch }) => batch.messages.some((message) => message.id === id));
    if (one === undefined) throw new SimViolation(`${id} is seen and was never sent`);
    const found = this.queueOf(q)?.find(offset, this.entry, () => {});
    // The store time of a copy is the broker's clock when it became visible; a clock that somebody set back after the message
    // was found to be due says nothing.
    const isEarly = found === 'found' && this.entry.storedAtMs < one.dueAtMs;
    if (isEarly && !this.site.hasWallJumped)
      throw new SimViolation(
        `${id} became visible at ${this.entry.storedAtMs}, due was ${one.dueAtMs}`,
      );
    if (one.cancelled.has(id) && !one.isExcused)
      throw new SimViolation(
        `${id}, stored at ${one.position}, was cancelled and is seen at ${q}@${offset}`,
      );
  }

  /** What is not held any more may be gone: acks, and cancellations. */
  lose(isHeld: IsHeld): void {
    this.sender.lose(isHeld);
    for (const one of this.all)
      for (const [id, place] of one.cancelled) {
        if (isHeld(place)) continue;
        doubt(one, id, 1);
        one.cancelled.delete(id);
      }
  }

  private queueOf(q: number): ConsumeQueue | undefined {
    return this.site.broker()?.rig.agent.context.state.queue(this.topic.topicId, q);
  }
}

function doubt({ inDoubt }: Delayed, id: string, more: number): void {
  inDoubt.set(id, (inDoubt.get(id) ?? 0) + more);
}
