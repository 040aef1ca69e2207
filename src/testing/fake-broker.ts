/**
 * A broker for the client's tests: speaks the wire on a real socket, keeps everything in memory, and does on demand
 * what a real one does seldom: is busy, loses answers, goes silent, drops connections, forgets. Not for anything else.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ErrorCode } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import { BATCH_BYTES_MAX, BODY_BYTES_MAX, FRAME_BYTES_MAX } from '../base/limits.ts';
import type { WelcomeLimits } from '../protocol/web/messages.ts';
import { FakeConnection } from './fake-broker-connection.ts';
import { FakeGroupQueue, type FakeMessage, FakeQueue } from './fake-broker-store.ts';

/** A batch as it arrived. */
export type FakeSend = {
  readonly topicId: number;
  readonly queueId: number;
  readonly correlationId: number;
  readonly sequence: number;
  readonly epoch: number;
  readonly count: number;
  readonly producerId: string;
  /** Counts the batches of this broker from 0. */
  readonly index: number;
};

/**
 * What to do with a batch: store and answer it, store it and lose the answer, store it and answer when `release` is
 * called, refuse it, store it and drop the connection, or drop the connection at once.
 */
export type FakeReaction =
  | 'store'
  | 'lose-answer'
  | 'hold-answer'
  | 'store-and-drop'
  | 'drop'
  | { readonly code: ErrorCode; readonly retryAfterMs?: number };

export type FakeTopic = {
  readonly topic: string;
  topicId: number;
  readonly queues: FakeQueue[];
};

/** Settled ranges, in the order of their arrival. */
export type FakeSettle = {
  readonly action: 'ack' | 'nack' | 'extend';
  readonly argument: number;
  readonly reason: string;
  readonly ranges: readonly { queueId: number; queueOffset: number; count: number }[];
};

export class FakeBroker {
  readonly topics: Map<string, FakeTopic> = new Map();
  readonly groups: Map<string, FakeGroupQueue[]> = new Map();
  readonly sends: FakeSend[] = [];
  readonly settles: FakeSettle[] = [];
  readonly requests: Record<string, unknown>[] = [];
  readonly connections: Set<FakeConnection> = new Set();
  /** Credit of all subscriptions so far, without what was taken back. */
  creditGiven = 0;
  /** Decides what happens to each batch. */
  react: (send: FakeSend) => FakeReaction = () => 'store';
  /** Decides which requests are refused. */
  refuse: (request: Record<string, unknown>) => ErrorCode | undefined = () => undefined;
  /** Reads and answers nothing, as behind a dead network. */
  isSilent = false;
  token: string | undefined;
  name = 'fake';
  queueCount = 4;
  /** Delivers batches with a flipped bit. */
  isCorrupting = false;
  limits: WelcomeLimits = {
    frameBytes: FRAME_BYTES_MAX,
    batchBytes: BATCH_BYTES_MAX,
    bodyBytes: BODY_BYTES_MAX,
    inFlight: 1024,
    credit: 1_000_000,
    producerBatches: 64,
  };
  connectionCount = 0;
  private readonly http: Server;
  private readonly webSockets: WebSocketServer;
  private readonly held: (() => void)[] = [];
  private lastTopicId = 0;

  private constructor() {
    this.http = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      const isAllowed =
        this.token === undefined || request.headers.authorization === `Bearer ${this.token}`;
      response.statusCode = isAllowed ? (request.url === '/api/broker' ? 200 : 404) : 401;
      const code = isAllowed ? 'NOT_FOUND' : 'UNAUTHENTICATED';
      response.end(
        JSON.stringify(
          response.statusCode === 200
            ? { name: this.name }
            : { error: new SluiceError(code, `nothing at ${request.url}`).toBody() },
        ),
      );
    });
    this.webSockets = new WebSocketServer({
      server: this.http,
      path: '/v1/ws',
      perMessageDeflate: false,
    });
    this.webSockets.on('connection', (socket: WebSocket) => {
      this.connectionCount += 1;
      this.connections.add(new FakeConnection(this, socket));
    });
  }

  static async start(port = 0): Promise<FakeBroker> {
    const broker = new FakeBroker();
    await new Promise<void>((resolve, reject) => {
      broker.http.once('error', reject);
      broker.http.listen(port, '127.0.0.1', resolve);
    });
    return broker;
  }

  get port(): number {
    return (this.http.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  topic(name: string): FakeTopic {
    let topic = this.topics.get(name);
    if (topic === undefined) {
      this.lastTopicId += 1;
      const topicId = this.lastTopicId;
      const queues = Array.from(
        { length: this.queueCount },
        (_, queueId) => new FakeQueue(topicId, queueId),
      );
      topic = { topic: name, topicId, queues };
      this.topics.set(name, topic);
    }
    return topic;
  }

  /** All messages of a topic, queue after queue. */
  messages(topic: string): FakeMessage[] {
    return this.topic(topic).queues.flatMap((queue) => queue.messages);
  }

  group(group: string, topic: string, from: 'earliest' | 'latest'): FakeGroupQueue[] {
    const name = `${group} ${topic}`;
    let queues = this.groups.get(name);
    if (queues === undefined) {
      queues = this.topic(topic).queues.map((queue) => new FakeGroupQueue(queue, from));
      this.groups.set(name, queues);
    }
    return queues;
  }

  /** Credit that subscriptions of a group have not used. */
  creditOf(group: string): number {
    let credit = 0;
    for (const { subscriptions } of this.connections)
      for (const one of subscriptions.values()) if (one.group === group) credit += one.credit;
    return credit;
  }

  /** Messages that members of a group have and did not settle. */
  takenBy(group: string): number {
    let count = 0;
    for (const [name, queues] of this.groups)
      if (name.startsWith(`${group} `)) for (const { leasedCount } of queues) count += leasedCount;
    return count;
  }

  /** Answers what `hold-answer` held back. */
  release(): void {
    for (const answer of this.held.splice(0)) answer();
  }

  hold(answer: () => void): void {
    this.held.push(answer);
  }

  /** Cuts all connections. */
  drop(): void {
    for (const connection of this.connections) connection.cut();
  }

  /** Lets deliveries flow where something new may be delivered. */
  deliver(): void {
    for (const connection of this.connections) connection.deliver();
  }

  async close(): Promise<void> {
    this.drop();
    this.webSockets.close();
    this.http.closeAllConnections();
    await new Promise<void>((resolve) => this.http.close(() => resolve()));
  }
}
