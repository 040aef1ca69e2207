/**
 * The client's link to its brokers: one connection at a time, made again when it is lost, over the servers in turn,
 * with back-off and jitter. `close` wins over everything. Requests wait for a connection and survive its loss.
 * Browser-safe.
 *
 * ```
 *            ┌───────────── lost ─────────────┐
 * connecting ┴─► up ──────────────────────────┴─► waiting (back-off) ─► connecting, next server
 *      └──────────┴──────── close, or a refusal for good ───────────────────────┴──► closed
 * ```
 */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { deliverSubscription } from '../protocol/web/binary-codec.ts';
import type { ClientRequest } from '../protocol/web/messages.ts';
import type { AnyAnswer } from './answers.ts';
import { Connection, type ConnectionEvents } from './connection.ts';
import { LinkRequest, type RequestOptions } from './link-request.ts';
import type { LinkMember, Reach, ReachOptions, TopicBroker } from './reach.ts';
import { type RetryPolicy, retryDelayMs } from './retry-policy.ts';
import { type ClientRuntime, PendingWork } from './runtime.ts';

export type LinkOptions = ReachOptions & {
  readonly servers: readonly string[];
  /** Name that the broker must have; undefined: any. */
  readonly broker?: string | undefined;
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly reconnect: RetryPolicy;
};

/** Who takes what comes for a subscription. */
export type DeliveryTaker = {
  take(frame: Uint8Array): void;
  /** The broker has ended it. */
  ended(error: SluiceError): void;
};

export class Link implements Reach {
  readonly runtime: ClientRuntime;
  readonly options: LinkOptions;
  readonly work: PendingWork;
  readonly isSingle = true;
  /** The connection while it can be used. */
  connection: Connection | undefined;
  /** The error with which the link was closed. */
  closedBy: SluiceError | undefined;
  private readonly members = new Set<LinkMember>();
  private readonly waiting = new Set<LinkRequest>();
  /** Takers of DELIVER frames by subscription; they end with their connection. */
  private readonly subscriptions = new Map<number, DeliveryTaker>();
  private attempt: Connection | undefined;
  private serverIndex = 0;
  private failures = 0;
  private lastBroker = '';
  private cancelRetry: CancelTimer = () => {};
  private firstTry: ((error: SluiceError | undefined) => void) | undefined;
  private servers: readonly string[];
  private readonly asTopicBroker: readonly TopicBroker[] = [{ link: this, queues: undefined }];

  /** @param work - shared by the links of a cluster */
  constructor(runtime: ClientRuntime, options: LinkOptions, work?: PendingWork) {
    this.runtime = runtime;
    this.options = options;
    this.servers = options.servers;
    this.work = work ?? new PendingWork(runtime.keepAlive);
  }

  get isConnected(): boolean {
    return this.connection !== undefined;
  }

  writersOf(): readonly TopicBroker[] {
    return this.asTopicBroker;
  }

  readersOf(): readonly TopicBroker[] {
    return this.asTopicBroker;
  }

  async brokersOf(): Promise<readonly Link[]> {
    return [this];
  }

  async masters(): Promise<readonly Link[]> {
    return [this];
  }

  routeIsWrong(): void {
    // There is no other broker to ask.
  }

  /** Other addresses of the same broker. A connection to one that is not among them ends. */
  moveTo(servers: readonly string[]): void {
    if (servers.join() === this.servers.join() || this.closedBy !== undefined) return;
    const { connection } = this;
    this.servers = servers;
    this.serverIndex = 0;
    if (connection !== undefined && !servers.includes(connection.url))
      connection.close(new SluiceError('DISCONNECTED', 'the broker has moved to another address'));
    else if (connection === undefined && this.attempt === undefined) {
      this.cancelRetry();
      this.tryServer();
    }
  }

  /** The server that is, or was last, tried. */
  get server(): string {
    return this.servers[this.serverIndex] as string;
  }

  /** Name of the broker: the one that it must be, or the one that it was. */
  get brokerName(): string {
    return this.options.broker ?? this.connection?.brokerName ?? this.lastBroker;
  }

  /** Starts connecting, and goes on for ever. */
  start(): void {
    this.tryServer();
  }

  /** Tries each server once. @throws what the last one answered; the link is closed then */
  async startOnce(): Promise<void> {
    this.work.begin();
    try {
      await new Promise<void>((resolve, reject) => {
        this.firstTry = (error) => {
          this.firstTry = undefined;
          if (error === undefined) resolve();
          else reject(error);
        };
        this.tryServer();
      });
    } finally {
      this.work.end();
    }
  }

  addMember(member: LinkMember): void {
    this.members.add(member);
    if (this.connection !== undefined) member.up(this.connection, this);
  }

  removeMember(member: LinkMember): void {
    this.members.delete(member);
  }

  /**
   * Sends a request that may safely be sent again, now or when there is a connection.
   *
   * @throws TIMEOUT, CLOSED, or the broker's refusal
   */
  request(payload: ClientRequest, options: RequestOptions = {}): Promise<AnyAnswer> {
    return new Promise((resolve, reject) => {
      if (this.closedBy !== undefined) {
        reject(this.closedError());
        return;
      }
      const request = new LinkRequest(this, payload, options, resolve, reject);
      this.waiting.add(request);
      request.start();
    });
  }

  /** A request has its answer, or nobody wants it any more. */
  forget(request: LinkRequest): void {
    this.waiting.delete(request);
  }

  onDeliver(subscription: number, taker: DeliveryTaker): void {
    this.subscriptions.set(subscription, taker);
  }

  /** This broker is a slave that does not serve: of several servers, which may be other brokers, the next is tried. */
  tryOther(error: SluiceError): void {
    if (this.options.broker === undefined && this.servers.length > 1) this.connection?.close(error);
  }

  offDeliver(subscription: number): void {
    this.subscriptions.delete(subscription);
  }

  /** What somebody is told who comes after `close`. */
  closedError(): SluiceError {
    const cause = this.closedBy;
    return new SluiceError('CLOSED', 'the client is closed', cause === undefined ? {} : { cause });
  }

  /** Ends everything now. Harmless when closed already. */
  close(error: SluiceError, byUser: boolean): void {
    if (this.closedBy !== undefined) return;
    this.closedBy = error;
    this.cancelRetry();
    const connection = this.connection ?? this.attempt;
    this.connection = undefined;
    this.attempt = undefined;
    connection?.close(error);
    for (const request of [...this.waiting]) request.fail(error);
    for (const member of [...this.members]) member.closed(error);
    this.members.clear();
    this.subscriptions.clear();
    this.firstTry?.(error);
    this.options.onStatus({ type: 'closed', error: byUser ? undefined : error });
  }

  private tryServer(): void {
    const { options } = this;
    const events: ConnectionEvents = {
      up: (connection) => this.wentUp(connection),
      deliver: (frame) => this.deliver(frame),
      subscriptionEnded: (number, error) => this.subscriptions.get(number)?.ended(error),
      check: (question) => {
        for (const member of this.members) member.asked?.(question, this);
      },
      progress: () => {
        for (const member of this.members) member.progress(this);
      },
      protocolError: (error) => options.onStatus({ type: 'protocol-error', error }),
      ended: (error, wasUp) => this.ended(connection, error, wasUp),
    };
    const connection = new Connection(this.runtime, { ...options, url: this.server }, events);
    this.attempt = connection;
  }

  private wentUp(connection: Connection): void {
    if (this.closedBy !== undefined) return;
    this.attempt = undefined;
    this.connection = connection;
    this.lastBroker = connection.brokerName;
    this.failures = 0;
    this.options.onStatus({
      type: 'connected',
      server: this.server,
      broker: connection.brokerName,
    });
    this.firstTry?.(undefined);
    for (const member of [...this.members]) member.up(connection, this);
    for (const request of [...this.waiting]) request.send(connection);
  }

  private ended(connection: Connection, error: SluiceError, wasUp: boolean): void {
    if (this.closedBy !== undefined) return;
    if (this.attempt === connection) this.attempt = undefined;
    if (wasUp) {
      this.connection = undefined;
      this.subscriptions.clear();
      this.options.onStatus({ type: 'disconnected', server: this.server, error });
      for (const member of [...this.members]) member.down(error, this);
    } else if (!error.retryable) {
      // A wrong token does not get right by repeating it.
      this.close(error, false);
      return;
    }
    this.failures += 1;
    this.serverIndex = (this.serverIndex + 1) % this.servers.length;
    if (this.firstTry !== undefined) {
      if (this.failures >= this.servers.length) this.close(error, false);
      else this.tryServer();
      return;
    }
    const delayMs = retryDelayMs(this.options.reconnect, this.failures, this.runtime.prng);
    this.options.onStatus({
      type: 'reconnecting',
      server: this.server,
      failures: this.failures,
      delayMs,
    });
    if (this.closedBy !== undefined) return; // by the listener just told
    this.cancelRetry = this.runtime.startTimer(delayMs, () => this.tryServer());
  }

  private deliver(frame: Uint8Array): void {
    // Frames of a subscription that was just given up may still be on their way.
    this.subscriptions.get(deliverSubscription(frame))?.take(frame);
  }
}
