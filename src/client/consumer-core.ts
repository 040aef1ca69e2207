/**
 * The works of a consumer: subscribes, and again on each new connection; checks and queues deliveries; gives credit
 * back as messages are settled (`consumer-credit.ts`). `consumer.ts` is what users see of it. Browser-safe.
 */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { checkBatch } from '../protocol/batch/batch-check.ts';
import { decodeDeliverHeader, newDeliverHeader, viewOf } from '../protocol/web/binary-codec.ts';
import type { SeekTo } from '../protocol/web/messages.ts';
import { type AnyAnswer, readCount } from './answers.ts';
import type { Connection } from './connection.ts';
import { ConsumerCredit } from './consumer-credit.ts';
import type { ConsumerSettings } from './consumer-settings.ts';
import type { ConsumerWorks } from './consumer-works.ts';
import { DELIVERED_BATCH, Delivery, deliveredBatchBytes } from './delivery.ts';
import { Fifo } from './fifo.ts';
import type { Link } from './link.ts';
import type { Message } from './message.ts';
import type { LinkMember } from './reach.ts';
import { REFUSED_POLICY, retryDelayMs } from './retry-policy.ts';
import type { ClientRuntime } from './runtime.ts';
import { SettleCollector } from './settle.ts';
import type { WaitOptions } from './types.ts';

/** A delivery, when its lease ends, and from which subscription it is. */
type Queued = { readonly delivery: Delivery; readonly deadlineMs: number };

export class ConsumerCore implements LinkMember, ConsumerWorks {
  readonly link: Link;
  readonly settings: ConsumerSettings;
  readonly credit: ConsumerCredit;
  /** Why no more messages come; `isOver` without it: closed by the user. */
  failure: SluiceError | undefined;
  /** Why the broker does not serve it now; undefined while it does. */
  refusal: SluiceError | undefined;
  /** No more messages are given out. */
  isOver = false;
  /** Messages given out and not settled. */
  takenCount = 0;
  private isStarted = false;
  private isShut = false;
  private connection: Connection | undefined;
  private subscription: number | undefined;
  private collector: SettleCollector | undefined;
  private readonly queue = new Fifo<Queued>();
  private readonly header = newDeliverHeader();
  private failures = 0;
  private cancelRetry: CancelTimer = () => {};
  private wakeAll: (() => void) | undefined;
  private change: Promise<void> | undefined;
  /** Told of each change, where it is a part of a consumer over several brokers. */
  private readonly onChange: () => void;
  private isAwaited = false;

  /** @param onFree - credit has become free for others */
  constructor(
    link: Link,
    settings: ConsumerSettings,
    onChange: () => void = () => {},
    onFree: () => void = () => {},
  ) {
    this.link = link;
    this.settings = settings;
    this.onChange = onChange;
    this.credit = new ConsumerCredit(settings.credit, {
      runtime: link.runtime,
      lingerMs: settings.ackLingerMs,
      tell: (more) => this.tellCredit(more),
      askBack: (less, done) => this.askCreditBack(less, done),
      onFree,
    });
  }

  get runtime(): ClientRuntime {
    return this.link.runtime;
  }

  get isSubscribed(): boolean {
    return this.subscription !== undefined;
  }

  /** Subscribes, now and after each reconnect. Harmless when started already. */
  start(): void {
    if (this.isStarted || this.isOver) return;
    this.isStarted = true;
    this.link.work.begin();
    if (this.link.closedBy !== undefined) this.closed(this.link.closedBy);
    else this.link.addMember(this);
  }

  /** Somebody waits for the next change: he is told by `onChange`. */
  await(): void {
    this.credit.sendSoon();
    this.isAwaited = true;
  }

  /** Resolves with the next change: a delivery, a settlement, a subscription, the end. */
  changed(): Promise<void> {
    this.credit.sendSoon();
    this.change ??= new Promise((resolve) => {
      this.wakeAll = resolve;
    });
    return this.change;
  }

  /** The next message; undefined when none is here. */
  takeMessage(): Message | undefined {
    for (;;) {
      const queued = this.front();
      if (queued === undefined) return undefined;
      const message = queued.delivery.next();
      if (message !== undefined) {
        this.takenCount += 1;
        return message;
      }
      this.queue.shift();
    }
  }

  /** The next delivery that no message was taken from; undefined when none is here. */
  takeDelivery(): Delivery | undefined {
    const queued = this.front();
    if (queued === undefined) return undefined;
    this.queue.shift();
    this.takenCount += queued.delivery.messageCount;
    return queued.delivery;
  }

  /** Gives out no more. What was given out can still be settled. */
  stop(): void {
    this.isOver = true;
    this.wake();
  }

  /** Sends what is settled, gives back what is not, and ends. */
  async close(): Promise<void> {
    this.stop();
    if (this.isShut) return;
    await this.collector?.settled();
    await this.unsubscribe();
    this.shut(new SluiceError('CLOSED', 'the consumer is closed'));
  }

  async seek(to: SeekTo, options: WaitOptions | undefined): Promise<void> {
    const { topic, group } = this.settings;
    await this.link.request(
      { op: 'seek', topic, group, to },
      {
        signal: options?.signal,
        timeoutMs: options?.timeoutMs,
        // Before any frame that comes behind the answer: what is here is from before the seek.
        onAnswer: () => this.dropQueued(),
      },
    );
  }

  up(connection: Connection): void {
    this.connection = connection;
    this.subscribe(connection);
  }

  down(error: SluiceError): void {
    this.cancelRetry();
    this.connection = undefined;
    this.forgetSubscription(error);
    this.wake();
  }

  progress(): void {}

  closed(error: SluiceError): void {
    this.failure ??= error.code === 'CLOSED' ? undefined : error;
    this.shut(error);
  }

  private front(): Queued | undefined {
    for (;;) {
      const queued = this.isOver ? undefined : this.queue.peek();
      if (queued === undefined) return undefined;
      if (queued.deadlineMs > this.link.runtime.clock.monotonicMs()) return queued;
      // It waited here longer than its lease: somebody else has it by now, or will.
      this.queue.shift();
      this.giveBack(queued.delivery.dropUntaken());
    }
  }

  private subscribe(connection: Connection): void {
    const { topic, group, filter, from, leaseMs, ordered, member } = this.settings;
    connection.request(
      {
        op: 'subscribe',
        topic,
        group,
        ...(filter === undefined ? {} : { filter }),
        ...(from === undefined ? {} : { from }),
        credit: this.credit.begin(),
        leaseMs,
        ...(ordered ? { ordered } : {}),
        ...(member === undefined ? {} : { member }),
      },
      {
        receipt: () => {},
        answer: (answer) => this.subscribed(connection, answer),
        refuse: (error) => this.subscribeRefused(connection, error),
        lost: () => {},
      },
    );
  }

  private subscribed(connection: Connection, answer: AnyAnswer): void {
    let subscription: number;
    try {
      subscription = readCount(answer, 'subscription');
    } catch (error) {
      this.closed(toSluiceError(error));
      return;
    }
    if (this.isShut) {
      connection.notify({ op: 'unsubscribe', subscription });
      return;
    }
    this.failures = 0;
    this.refusal = undefined;
    this.subscription = subscription;
    const { topic, ackLingerMs: lingerMs } = this.settings;
    const collector = new SettleCollector({
      runtime: this.link.runtime,
      connection,
      subscription,
      lingerMs,
      onFailure: (error) => this.link.options.onStatus({ type: 'settle-failed', topic, error }),
    });
    this.collector = collector;
    const owner = {
      topic,
      broker: connection.brokerName,
      tags: this.settings.tags,
      messageIdPrefix: connection.messageIdPrefix,
      collector,
      onSettled: (messageCount: number) => {
        if (this.collector !== collector) return;
        this.takenCount -= messageCount;
        this.giveBack(messageCount);
        if (this.isOver) this.wake();
      },
    };
    const take = (frame: Uint8Array): void => {
      const bytes = new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength);
      const view = viewOf(bytes);
      const { header } = this;
      const verdict = decodeDeliverHeader(view, header);
      const length = verdict === 'ok' ? deliveredBatchBytes(view) : 0;
      const checked =
        verdict === 'ok'
          ? checkBatch(bytes, view, DELIVERED_BATCH, length, this.link.runtime.crc32)
          : verdict;
      if (checked !== 'ok') {
        this.corrupt(checked, collector);
        return;
      }
      const delivery = new Delivery(bytes, view, header, owner);
      // Records that the filter leaves out took no credit, and the broker has settled them.
      if (delivery.messageCount === 0) return;
      const deadlineMs = this.link.runtime.clock.monotonicMs() + header.leaseMs;
      this.queue.push({ delivery, deadlineMs });
      this.wake();
    };
    this.link.onDeliver(subscription, {
      take,
      ended: (error) => this.ended(connection, subscription, error),
    });
    this.credit.stands();
    this.wake();
  }

  /** The broker has ended the subscription, and its leases with it. */
  private ended(connection: Connection, subscription: number, error: SluiceError): void {
    if (this.subscription !== subscription || this.connection !== connection) return;
    this.link.offDeliver(subscription);
    this.forgetSubscription(error);
    if (!this.isShut) this.subscribeRefused(connection, error);
  }

  private forgetSubscription(error: SluiceError): void {
    this.subscription = undefined;
    this.collector?.end(error);
    this.collector = undefined;
    this.queue.clear();
    // Leases end with their subscription: what was given out is not ours any more.
    this.takenCount = 0;
    this.credit.forget();
  }

  /** Resolves when the broker has taken back what is not settled, or is gone. */
  private unsubscribe(): Promise<void> {
    return new Promise((resolve) => {
      const { connection, subscription } = this;
      const done = (): void => resolve();
      if (connection === undefined || subscription === undefined) done();
      else
        connection.request(
          { op: 'unsubscribe', subscription },
          { receipt: done, answer: done, refuse: done, lost: done },
        );
    });
  }

  private subscribeRefused(connection: Connection, error: SluiceError): void {
    if (!error.retryable) {
      this.closed(error);
      return;
    }
    this.refusal = error;
    this.failures += 1;
    const delayMs =
      error.retryAfterMs ?? retryDelayMs(REFUSED_POLICY, this.failures, this.link.runtime.prng);
    this.cancelRetry = this.link.runtime.startTimer(delayMs, () => {
      if (this.connection === connection && !this.isShut) this.subscribe(connection);
    });
    if (error.code === 'NOT_MASTER') this.link.tryOther(error);
    this.wake();
  }

  /** A frame whose header can be read is given back with the reason; nobody should see its messages. */
  private corrupt(verdict: string, collector: SettleCollector): void {
    const { queueId, baseQueueOffset, firstIndex, count, leaseId } = this.header;
    const queueOffset = baseQueueOffset + firstIndex;
    const { topic } = this.settings;
    const error = new SluiceError(
      'RECORD_CORRUPT',
      `the delivered batch of topic ${topic}, queue ${queueId}, offset ${queueOffset} is wrong: ${verdict}`,
    );
    this.link.options.onStatus({ type: 'corrupt-delivery', topic, queueId, queueOffset, error });
    if (queueOffset < 0 || count === 0) return;
    collector.nack({ queueId, queueOffset, count, leaseId }, undefined, error.message);
    this.giveBack(count);
  }

  private giveBack(messageCount: number): void {
    this.credit.settled(messageCount, this.change !== undefined || this.isAwaited);
  }

  private tellCredit(more: number): boolean {
    const { subscription, connection } = this;
    if (subscription === undefined || connection === undefined) return false;
    connection.notify({ op: 'credit', subscription, more });
    return true;
  }

  private askCreditBack(less: number, done: (taken: number) => void): void {
    const { subscription, connection } = this;
    if (subscription === undefined || connection === undefined) {
      done(0);
      return;
    }
    // A broker that does not know `less` refuses: then what is settled is not given back.
    const none = (): void => done(0);
    connection.request(
      { op: 'credit', subscription, less },
      {
        receipt: none,
        answer: ({ taken }) => done(typeof taken === 'number' ? taken : 0),
        refuse: none,
        lost: none,
      },
    );
  }

  private dropQueued(): void {
    for (const { delivery } of this.queue.clear()) this.giveBack(delivery.dropUntaken());
  }

  private shut(error: SluiceError): void {
    this.isOver = true;
    if (this.isShut) return;
    this.isShut = true;
    this.cancelRetry();
    this.credit.end();
    this.link.removeMember(this);
    if (this.subscription !== undefined) this.link.offDeliver(this.subscription);
    this.subscription = undefined;
    this.collector?.end(error);
    this.queue.clear();
    if (this.isStarted) this.link.work.end();
    this.wake();
  }

  private wake(): void {
    const wake = this.wakeAll;
    this.wakeAll = undefined;
    this.change = undefined;
    this.isAwaited = false;
    wake?.();
    this.onChange();
  }
}
