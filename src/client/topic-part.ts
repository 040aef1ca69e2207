/** The queues of one topic on one broker: asks the broker for the topic's id on every connection. Browser-safe. */
import { toSluiceError } from '../base/errors.ts';
import { fnv1a } from '../base/fnv1a.ts';
import { readTopic } from './answers.ts';
import type { Link } from './link.ts';
import type { ProducerLane } from './producer-lane.ts';
import type { TopicRoute } from './topic-route.ts';

/** Milliseconds that a producer waits for a topic's description: as long as timers go. Its sends have deadlines. */
const ROUTE_TIMEOUT_MS = 0x7fff_ffff;

export class TopicPart {
  readonly link: Link;
  /** One lane a queue; those above the number of queues are kept for what they still hold. */
  readonly lanes: ProducerLane[] = [];
  private readonly route: TopicRoute;
  private readonly aborter = new AbortController();
  private queueCount = 0;
  private topicId = -1;
  private isResolving = false;
  private resolvedOn: unknown;

  constructor(route: TopicRoute, link: Link) {
    this.route = route;
    this.link = link;
    if (route.isSole) this.lanes.push(...route.lanes);
  }

  /** The lanes that messages are spread over. */
  get targets(): readonly ProducerLane[] {
    return this.lanes.slice(0, this.queueCount);
  }

  /** Asks the broker for the topic, if this connection has not been asked. */
  resolve(): void {
    const { link } = this;
    if (this.isResolving || (this.resolvedOn !== undefined && this.resolvedOn === link.connection))
      return;
    this.isResolving = true;
    link
      .request(
        { op: 'topic', topic: this.route.topic },
        {
          timeoutMs: ROUTE_TIMEOUT_MS,
          signal: this.aborter.signal,
          onAnswer: (answer) => {
            const { topicId, queues } = readTopic(answer);
            this.isResolving = false;
            this.resolved(topicId, queues);
          },
        },
      )
      .catch((error: unknown) => {
        this.isResolving = false;
        this.failed(error);
      });
  }

  close(): void {
    this.aborter.abort();
  }

  /** The connection is lost, or the topic's id is not known any more. */
  down(): void {
    this.resolvedOn = undefined;
    for (const lane of this.lanes) lane.down();
  }

  /** The lanes may send, if it is known how. */
  up(): void {
    const { connection } = this.link;
    if (connection === undefined || this.resolvedOn !== connection) return;
    for (const lane of this.lanes) lane.up(connection, this.topicId);
  }

  /** @returns true when there are new lanes */
  setQueues(queues: number): boolean {
    this.queueCount = queues;
    const before = this.lanes.length;
    for (let queueId = before; queueId < queues; queueId += 1) {
      const lane = this.route.owner.newLane(this.route.topic, queueId);
      this.lanes.push(lane);
      this.route.lanes.push(lane);
    }
    return this.lanes.length > before;
  }

  private resolved(topicId: number, queues: number): void {
    const { connection } = this.link;
    if (connection === undefined) return;
    const { owner, isSole } = this.route;
    this.resolvedOn = connection;
    this.topicId = topicId;
    if (isSole) {
      for (const lane of this.lanes)
        if (lane.queueId < 0 || lane.queueId >= queues)
          lane.queueId = fnv1a(owner.producerId) % queues;
    } else this.setQueues(queues);
    this.up();
    this.route.partReady(this);
  }

  private failed(error: unknown): void {
    const { owner } = this.route;
    const failure = toSluiceError(error);
    // In a cluster the broker is not the last word: its lanes keep what they have until the route says more.
    if (owner.reach.isSingle || failure.code === 'CLOSED') owner.routeFailed(this.route, failure);
    else owner.reach.routeIsWrong(this.route.topic);
  }
}
