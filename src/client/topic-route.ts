/**
 * One topic as a producer sees it: its queues, which of them a message goes to, and the messages that cannot go into a
 * batch yet, because the topic is not known or memory is used up. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 1, "Which queue"
 */
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import { readTopic } from './answers.ts';
import { Fifo } from './fifo.ts';
import type { Link } from './link.ts';
import type { ProducerLane } from './producer-lane.ts';

/** Milliseconds that a producer waits for a topic's description: as long as timers go. Its sends have deadlines. */
const ROUTE_TIMEOUT_MS = 0x7fff_ffff;

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
  readonly link: Link;
  readonly producerId: string;
  newLane(topic: string, queueId: number): ProducerLane;
  /** The topic can be used again, or for the first time: messages that wait may go. */
  routeReady(route: TopicRoute): void;
  /** The broker does not have the topic. */
  routeFailed(route: TopicRoute, error: SluiceError): void;
}

export class TopicRoute {
  readonly topic: string;
  /** One lane a queue; empty until the topic is known. */
  lanes: ProducerLane[] = [];
  readonly waiting: Fifo<WaitingMessages> = new Fifo();
  /** Entries of `waiting` taken out so far, for those who wait for an earlier one. */
  takenCount = 0;
  private readonly owner: RouteOwner;
  /** With an outbox: all messages in one lane, to the queue of the producer id, so that one sequence covers them. */
  private readonly isSole: boolean;
  private readonly aborter = new AbortController();
  /** Queues that messages are spread over; lanes above it are kept for what they still hold. */
  private queueCount = 0;
  private resolving = false;
  private resolvedOn: unknown;
  /** Lane that messages without a key go to until its batch is full. */
  private stickyIndex = 0;

  constructor(owner: RouteOwner, topic: string, isSole: boolean) {
    this.owner = owner;
    this.topic = topic;
    this.isSole = isSole;
    if (!isSole) return;
    this.lanes = [owner.newLane(topic, -1)];
    this.queueCount = 1;
  }

  /** Can a message be put into a batch? */
  get isKnown(): boolean {
    return this.queueCount > 0;
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

  /** Asks the broker for the topic, if this connection has not been asked. */
  resolve(): void {
    const { link } = this.owner;
    if (this.resolving || (this.resolvedOn !== undefined && this.resolvedOn === link.connection))
      return;
    this.resolving = true;
    link
      .request(
        { op: 'topic', topic: this.topic },
        {
          timeoutMs: ROUTE_TIMEOUT_MS,
          signal: this.aborter.signal,
          onAnswer: (answer) => {
            const { topicId, queues } = readTopic(answer);
            this.resolving = false;
            this.resolved(topicId, queues);
          },
        },
      )
      .catch((error: unknown) => {
        this.resolving = false;
        this.owner.routeFailed(this, toSluiceError(error));
      });
  }

  /** The producer is closed: nobody needs the answer any more. */
  close(): void {
    this.aborter.abort();
  }

  /** The broker no longer knows the topic by its id: it may have been made anew. */
  resolveAgain(): void {
    this.down();
    this.resolve();
  }

  /** The connection is lost. */
  down(): void {
    this.resolvedOn = undefined;
    for (const lane of this.lanes) lane.down();
  }

  /** The lane of a message. */
  laneOf(key: string | undefined): ProducerLane {
    const { lanes, queueCount: count } = this;
    if (count === 1) return lanes[0] as ProducerLane;
    if (key !== undefined && key !== '') return lanes[fnv1a(key) % count] as ProducerLane;
    const sticky = lanes[this.stickyIndex];
    if (sticky?.building !== undefined && this.stickyIndex < count) return sticky;
    return this.nextLane();
  }

  /** The next lane in turn; one whose queue refuses or lags is passed over while another is not. */
  private nextLane(): ProducerLane {
    const count = this.queueCount;
    let best = (this.stickyIndex + 1) % count;
    for (let step = 1; step <= count; step += 1) {
      const index = (this.stickyIndex + step) % count;
      const lane = this.lanes[index] as ProducerLane;
      if (!lane.isHeldBack && lane.unsentCount === 0) {
        best = index;
        break;
      }
    }
    this.stickyIndex = best;
    return this.lanes[best] as ProducerLane;
  }

  private resolved(topicId: number, queues: number): void {
    const { connection } = this.owner.link;
    if (connection === undefined) return;
    this.resolvedOn = connection;
    if (this.isSole) {
      for (const lane of this.lanes)
        if (lane.queueId < 0 || lane.queueId >= queues)
          lane.queueId = fnv1a(this.owner.producerId) % queues;
    } else {
      this.queueCount = queues;
      for (let queueId = this.lanes.length; queueId < queues; queueId += 1)
        this.lanes.push(this.owner.newLane(this.topic, queueId));
    }
    for (const lane of this.lanes) lane.up(connection, topicId);
    this.owner.routeReady(this);
  }
}
