/**
 * One topic as a producer sees it: its queues on all brokers that have it, which of them a message goes to, and the messages
 * that cannot go into a batch yet, because the topic is not known or memory is used up. Browser-safe.
 *
 * Without a key a message goes to a broker that is connected, and what waits for one that is not moves to another. A key
 * stays with its queue, because only there is its order kept; with `keyOrder: 'available'` it moves, too.
 *
 * @source docs/PROTOCOL.md, section 1, "Which queue"; docs/decisions/0010
 */
import type { CancelTimer } from '../base/clock.ts';
import type { SluiceError } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import { Fifo } from './fifo.ts';
import type { Link } from './link.ts';
import type { ProducerBatch } from './producer-batch.ts';
import type { ProducerLane } from './producer-lane.ts';
import type { ProducerSettings } from './producer-settings.ts';
import type { Reach, TopicBroker } from './reach.ts';
import { TopicPart } from './topic-part.ts';
import type { StatusEvent } from './types.ts';

/** Messages that wait in front of the batches. */
export interface WaitingMessages {
  readonly sinceMs: number;
  readonly messageCount: number;
  /** Bytes that count against the producer's bound. */
  readonly bytes: number;
  /** Nobody waits for it any more, and it was not sent. */
  readonly abandoned: boolean;
  /** Puts into batches what it can. @returns true when nothing is left */
  place(route: TopicRoute): boolean;
  fail(error: SluiceError): void;
  late(error: SluiceError): void;
}

/** What a route needs from its producer. */
export interface RouteOwner {
  readonly reach: Reach;
  readonly producerId: string;
  readonly settings: Pick<ProducerSettings, 'movesKeys' | 'moveInDoubtMs'>;
  newLane(topic: string, queueId: number): ProducerLane;
  /** The topic can be used again, or for the first time: messages that wait may go. */
  routeReady(route: TopicRoute): void;
  /** The broker does not have the topic. */
  routeFailed(route: TopicRoute, error: SluiceError): void;
  status(event: StatusEvent): void;
}

export class TopicRoute {
  readonly topic: string;
  /** All lanes that were ever used, one a queue: those of brokers that are gone are kept for what they still hold. */
  readonly lanes: ProducerLane[] = [];
  readonly waiting: Fifo<WaitingMessages> = new Fifo();
  /** Entries of `waiting` taken out so far, for those who wait for an earlier one. */
  takenCount = 0;
  readonly owner: RouteOwner;
  /** With an outbox: all messages in one lane, to the queue of the producer id, so that one sequence covers them. */
  readonly isSole: boolean;
  private readonly parts: Map<Link, TopicPart> = new Map();
  /** Lanes that messages are spread over, in an order that every client has. */
  private targets: readonly ProducerLane[] = [];
  /** Lane that messages without a key go to until its batch is full. */
  private stickyIndex = 0;
  private readonly cancelMoves: Map<Link, CancelTimer> = new Map();

  constructor(owner: RouteOwner, topic: string, isSole: boolean) {
    this.owner = owner;
    this.topic = topic;
    this.isSole = isSole;
    if (!isSole) return;
    this.lanes.push(owner.newLane(topic, -1));
    this.targets = [...this.lanes];
  }

  /** Can a message be put into a batch? */
  get isKnown(): boolean {
    return this.targets.length > 0;
  }

  /** Messages in batches, and those in front of them. */
  get unansweredCount(): number {
    let count = 0;
    for (const entry of this.waiting) count += entry.messageCount;
    for (const lane of this.lanes) {
      count += lane.building?.messageCount ?? 0;
      for (const batch of lane.batches) count += batch.messageCount;
    }
    return count;
  }

  /** Asks for the topic where that was not asked on the connection of now. */
  resolve(): void {
    const writers = this.owner.reach.writersOf(this.topic);
    if (writers === undefined) return; // `routeChanged` follows
    this.setWriters(writers);
    for (const { link } of writers) this.parts.get(link)?.resolve();
  }

  /** Other brokers have the topic, or other numbers of queues. */
  setWriters(writers: readonly TopicBroker[]): void {
    for (const { link, queues } of writers) {
      let part = this.parts.get(link);
      if (part === undefined) {
        part = new TopicPart(this, link);
        this.parts.set(link, part);
      }
      if (queues !== undefined && part.setQueues(queues)) part.up();
    }
    this.retarget(writers.map(({ link }) => link));
  }

  /** A broker has said how many queues it has. */
  partReady(part: TopicPart): void {
    const writers = this.owner.reach.writersOf(this.topic) ?? [];
    this.retarget(writers.map(({ link }) => link));
    this.moveAll();
    this.cancelMoves.get(part.link)?.();
    this.owner.routeReady(this);
  }

  /** The producer is closed: nobody needs the answers any more. */
  close(): void {
    for (const part of this.parts.values()) part.close();
    for (const cancel of this.cancelMoves.values()) cancel();
  }

  /** The broker no longer knows the topic by its id: it may have been made anew. */
  resolveAgain(lane: ProducerLane): void {
    for (const part of this.parts.values()) if (part.lanes.includes(lane)) part.down();
    this.owner.reach.routeIsWrong(this.topic);
    this.resolve();
  }

  /** A connection is lost. */
  down(link: Link): void {
    const part = this.parts.get(link);
    if (part === undefined) return;
    part.down();
    if (this.owner.reach.isSingle) return;
    if (link.closedBy !== undefined) {
      this.drop(part, link.closedBy);
      return;
    }
    // Before anything new goes there.
    for (const lane of part.lanes) lane.seal();
    this.move(part, false);
    const { moveInDoubtMs } = this.owner.settings;
    this.cancelMoves.get(link)?.();
    if (!Number.isFinite(moveInDoubtMs)) return;
    const cancel = this.owner.reach.runtime.startTimer(moveInDoubtMs, () => {
      if (link.connection === undefined) this.move(part, true);
    });
    this.cancelMoves.set(link, cancel);
  }

  /** The broker has left the cluster: what cannot go to another one fails. */
  private drop(part: TopicPart, error: SluiceError): void {
    for (const lane of part.lanes) lane.seal();
    this.move(part, true);
    this.cancelMoves.get(part.link)?.();
    this.cancelMoves.delete(part.link);
    part.close();
    this.parts.delete(part.link);
    this.targets = this.targets.filter((lane) => !part.lanes.includes(lane));
    for (const lane of part.lanes) {
      lane.failAll(error);
      this.lanes.splice(this.lanes.indexOf(lane), 1);
    }
  }

  /** A lane waits after a refusal: what its broker certainly does not have may go to another. */
  heldBack(lane: ProducerLane): void {
    if (this.owner.reach.isSingle) return;
    for (const part of this.parts.values()) if (part.lanes.includes(lane)) this.move(part, false);
  }

  /** The lane of a message. */
  laneOf(key: string | undefined): ProducerLane {
    const { targets } = this;
    const count = targets.length;
    if (count === 1) return targets[0] as ProducerLane;
    if (key !== undefined && key !== '') {
      const lane = targets[fnv1a(key) % count] as ProducerLane;
      return lane.isUp || !this.owner.settings.movesKeys ? lane : this.otherLaneOf(key, lane);
    }
    const sticky = targets[this.stickyIndex];
    return sticky?.building === undefined ? this.nextLane() : sticky;
  }

  /** Where a key goes while its own lane has no connection. */
  private otherLaneOf(key: string, own: ProducerLane): ProducerLane {
    const up = this.targets.filter((lane) => lane.isUp);
    return up[fnv1a(key) % up.length] ?? own;
  }

  /** The next lane in turn; one whose broker is away, refuses or lags is passed over while another is not. */
  private nextLane(): ProducerLane {
    const { targets } = this;
    const count = targets.length;
    let best = -1;
    for (let step = 1; step <= count; step += 1) {
      const index = (this.stickyIndex + step) % count;
      const lane = targets[index] as ProducerLane;
      if (!lane.isUp || lane.isHeldBack) continue;
      if (lane.unsentCount === 0) {
        best = index;
        break;
      }
      if (best < 0) best = index;
    }
    this.stickyIndex = best < 0 ? (this.stickyIndex + 1) % count : best;
    return targets[this.stickyIndex] as ProducerLane;
  }

  private retarget(links: readonly Link[]): void {
    if (this.isSole) return;
    this.targets = links.flatMap((link) => this.parts.get(link)?.targets ?? []);
  }

  private moveAll(): void {
    if (this.owner.reach.isSingle) return;
    for (const part of this.parts.values())
      if (part.link.connection === undefined) this.move(part, false);
  }

  /** @param inDoubt - also what was sent and not answered: its broker may have it */
  private move(part: TopicPart, inDoubt: boolean): void {
    const others = this.targets.filter(
      (lane) => lane.isUp && !lane.isHeldBack && !part.lanes.includes(lane),
    );
    if (others.length === 0) return;
    const { movesKeys } = this.owner.settings;
    const mayMove = ({ hasKeys, attempts, isRefused }: ProducerBatch): boolean =>
      (movesKeys || !hasKeys) && (inDoubt || attempts === 0 || isRefused);
    const batches = part.lanes.flatMap((lane) => lane.takeOut(mayMove));
    if (batches.length === 0) return;
    const doubtful = batches.filter(({ attempts, isRefused }) => attempts > 0 && !isRefused).length;
    for (const [index, batch] of batches.entries())
      (others[index % others.length] as ProducerLane).takeOver(batch);
    const messageCount = batches.reduce((sum, batch) => sum + batch.messageCount, 0);
    const { server } = part.link;
    const { topic } = this;
    this.owner.status({ type: 'moved', topic, server, messageCount, inDoubt: doubtful > 0 });
  }
}
