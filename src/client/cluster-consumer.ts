/**
 * A consumer over the brokers of a cluster: a subscription on each that has the topic, and one stream of messages, in turn.
 * Credit is shared between them. A broker that goes away is waited for; its messages come when it is back. Browser-safe.
 */
import { SluiceError } from '../base/errors.ts';
import type { SeekTo } from '../protocol/web/messages.ts';
import { ConsumerCore } from './consumer-core.ts';
import type { ConsumerSettings } from './consumer-settings.ts';
import type { ConsumerWorks } from './consumer-works.ts';
import type { Delivery } from './delivery.ts';
import type { Link } from './link.ts';
import type { Message } from './message.ts';
import type { LinkMember, Reach } from './reach.ts';
import type { ClientRuntime } from './runtime.ts';
import type { WaitOptions } from './types.ts';

/** What one broker says when the route is behind: it is not the consumer's end. */
const ROUTING_ERRORS: ReadonlySet<string> = new Set(['TOPIC_NOT_FOUND', 'QUEUE_NOT_FOUND']);

export class ClusterConsumer implements ConsumerWorks, LinkMember {
  readonly settings: ConsumerSettings;
  failure: SluiceError | undefined;
  isOver = false;
  private readonly reach: Reach;
  private readonly parts: Map<Link, ConsumerCore> = new Map();
  /** The same, for taking turns. */
  private inOrder: readonly ConsumerCore[] = [];
  /** Turns of the brokers. */
  private turn = 0;
  /** Refusals after which the route was looked at again. */
  private readonly heeded = new WeakSet<SluiceError>();
  private isStarted = false;
  private isShut = false;
  private change: Promise<void> | undefined;
  private wakeAll: (() => void) | undefined;

  constructor(reach: Reach, settings: ConsumerSettings) {
    this.reach = reach;
    this.settings = settings;
  }

  get runtime(): ClientRuntime {
    return this.reach.runtime;
  }

  get takenCount(): number {
    let count = 0;
    for (const part of this.parts.values()) count += part.takenCount;
    return count;
  }

  /** On every broker that is connected, and on one at least. */
  get isSubscribed(): boolean {
    const parts = [...this.parts];
    const stands = ([link, part]: readonly [Link, ConsumerCore]): boolean =>
      part.isSubscribed || link.connection === undefined;
    return parts.some(([, part]) => part.isSubscribed) && parts.every(stands);
  }

  start(): void {
    if (this.isStarted || this.isOver) return;
    this.isStarted = true;
    this.reach.work.begin();
    if (this.reach.closedBy !== undefined) {
      this.closed(this.reach.closedBy);
      return;
    }
    this.reach.addMember(this);
    this.fit();
  }

  changed(): Promise<void> {
    for (const part of this.parts.values()) part.await();
    this.change ??= new Promise((resolve) => {
      this.wakeAll = resolve;
    });
    return this.change;
  }

  takeMessage(): Message | undefined {
    return this.inTurn((part) => part.takeMessage());
  }

  takeDelivery(): Delivery | undefined {
    return this.inTurn((part) => part.takeDelivery());
  }

  stop(): void {
    this.isOver = true;
    for (const part of this.parts.values()) part.stop();
    this.wake();
  }

  async close(): Promise<void> {
    this.stop();
    if (this.isShut) return;
    await Promise.all([...this.parts.values()].map((part) => part.close()));
    this.shut();
  }

  async seek(to: SeekTo, options: WaitOptions | undefined): Promise<void> {
    const { topic } = this.settings;
    await this.reach.brokersOf(topic, options?.timeoutMs);
    this.fit();
    await Promise.all([...this.parts.values()].map((part) => part.seek(to, options)));
  }

  closed(error: SluiceError): void {
    this.failure ??= error.code === 'CLOSED' ? undefined : error;
    for (const part of this.parts.values()) part.closed(error);
    this.shut();
  }

  up(): void {}

  down(): void {
    // The part of that link has its own ears.
  }

  progress(): void {}

  routeChanged(topic: string): void {
    if (topic === this.settings.topic) this.fit();
  }

  routeMissing(topic: string, error: SluiceError): void {
    if (topic === this.settings.topic) this.closed(error);
  }

  /** A part for each broker that has the topic now, and none for others. */
  private fit(): void {
    if (this.isOver) return;
    const readers = this.reach.readersOf(this.settings.topic);
    if (readers === undefined) return;
    const links = new Set(readers.map(({ link }) => link));
    for (const [link, part] of this.parts) {
      if (links.has(link)) continue;
      this.parts.delete(link);
      void part.close();
    }
    const added: ConsumerCore[] = [];
    for (const link of links) {
      if (this.parts.has(link)) continue;
      const part: ConsumerCore = new ConsumerCore(
        ...([link, { ...this.settings, credit: 0 }] as const),
        () => this.partChanged(link, part),
        () => this.shareFree(),
      );
      this.parts.set(link, part);
      added.push(part);
    }
    this.share();
    for (const part of added) part.start();
    this.inOrder = [...this.parts.values()];
    this.wake();
  }

  /** The same credit for each broker: who has more gives it back, and who has less gets it when it is there. */
  private share(): void {
    const parts = [...this.parts.values()];
    for (const [index, part] of parts.entries()) part.credit.aim(this.shareOf(index));
    this.shareFree();
  }

  /** Gives what nobody holds to those with less than their share; one message each is always allowed. */
  private shareFree(): void {
    const parts = [...this.parts.values()];
    let free = this.settings.credit - parts.reduce((sum, { credit }) => sum + credit.held, 0);
    for (const [index, { credit }] of parts.entries()) {
      const least = credit.held === 0 ? 1 : 0;
      const more = Math.min(this.shareOf(index) - credit.held, Math.max(least, free));
      if (more <= 0) continue;
      credit.raise(more);
      free -= more;
    }
  }

  private shareOf(index: number): number {
    const { credit } = this.settings;
    const each = Math.floor(credit / this.parts.size);
    return Math.max(1, each + (index < credit % this.parts.size ? 1 : 0));
  }

  private partChanged(link: Link, part: ConsumerCore): void {
    const { failure, refusal } = part;
    // Its master is back, or it has one: the NameServers know where.
    if (refusal?.code === 'NOT_MASTER' && !this.heeded.has(refusal)) {
      this.heeded.add(refusal);
      this.reach.routeIsWrong(this.settings.topic);
    }
    if (part.isOver && !this.isOver && this.parts.get(link) === part) {
      this.parts.delete(link);
      this.share();
      this.inOrder = [...this.parts.values()];
      if (failure === undefined || ROUTING_ERRORS.has(failure.code))
        this.reach.routeIsWrong(this.settings.topic);
      else this.closed(failure);
    }
    this.wake();
  }

  private inTurn<Item>(take: (part: ConsumerCore) => Item | undefined): Item | undefined {
    if (this.isOver) return undefined;
    const { inOrder } = this;
    for (let step = 0; step < inOrder.length; step += 1) {
      this.turn = (this.turn + 1) % inOrder.length;
      const item = take(inOrder[this.turn] as ConsumerCore);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  private shut(): void {
    this.isOver = true;
    if (this.isShut) return;
    this.isShut = true;
    this.reach.removeMember(this);
    if (this.isStarted) this.reach.work.end();
    this.wake();
  }

  private wake(): void {
    const wake = this.wakeAll;
    this.wakeAll = undefined;
    this.change = undefined;
    wake?.();
  }
}

/** A consumer's works for one broker or for many. */
export function consumerWorks(reach: Reach, settings: ConsumerSettings): ConsumerWorks {
  if (!reach.isSingle) return new ClusterConsumer(reach, settings);
  const [broker] = reach.readersOf(settings.topic) ?? [];
  if (broker === undefined) throw new SluiceError('INVARIANT', 'one broker is always known');
  return new ConsumerCore(broker.link, settings);
}
