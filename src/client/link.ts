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
import { type RetryPolicy, retryDelayMs } from './retry-policy.ts';
import { type ClientRuntime, PendingWork } from './runtime.ts';
import type { StatusEvent } from './types.ts';

/** Somebody who lives on the link: producers, consumers. */
export interface LinkMember {
  /** A connection can be used, until `down`. */
  up(connection: Connection): void;
  /** It is lost: nothing that was sent on it will be answered any more. */
  down(error: SluiceError): void;
  /** Answers were worked off: windows may have room again. */
  progress(): void;
  /** The link is closed for good. */
  closed(error: SluiceError): void;
}

export type LinkOptions = {
  readonly servers: readonly string[];
  readonly token: string | undefined;
  readonly name: string | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly reconnect: RetryPolicy;
  readonly onStatus: (event: StatusEvent) => void;
};

export class Link {
  readonly runtime: ClientRuntime;
  readonly options: LinkOptions;
  readonly work: PendingWork;
  /** The connection while it can be used. */
  connection: Connection | undefined;
  /** The error with which the link was closed. */
  closedBy: SluiceError | undefined;
  private readonly members = new Set<LinkMember>();
  private readonly waiting = new Set<LinkRequest>();
  /** Takers of DELIVER frames by subscription; they end with their connection. */
  private readonly subscriptions = new Map<number, (frame: Uint8Array) => void>();
  private attempt: Connection | undefined;
  private serverIndex = 0;
  private failures = 0;
  private cancelRetry: CancelTimer = () => {};
  private firstTry: ((error: SluiceError | undefined) => void) | undefined;

  constructor(runtime: ClientRuntime, options: LinkOptions) {
    this.runtime = runtime;
    this.options = options;
    this.work = new PendingWork(runtime.keepAlive);
  }

  /** The server that is, or was last, tried. */
  get server(): string {
    return this.options.servers[this.serverIndex] as string;
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
    if (this.connection !== undefined) member.up(this.connection);
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

  onDeliver(subscription: number, take: (frame: Uint8Array) => void): void {
    this.subscriptions.set(subscription, take);
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
      progress: () => {
        for (const member of this.members) member.progress();
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
    this.failures = 0;
    this.options.onStatus({
      type: 'connected',
      server: this.server,
      broker: connection.brokerName,
    });
    this.firstTry?.(undefined);
    for (const member of [...this.members]) member.up(connection);
    for (const request of [...this.waiting]) request.send(connection);
  }

  private ended(connection: Connection, error: SluiceError, wasUp: boolean): void {
    if (this.closedBy !== undefined) return;
    if (this.attempt === connection) this.attempt = undefined;
    if (wasUp) {
      this.connection = undefined;
      this.subscriptions.clear();
      this.options.onStatus({ type: 'disconnected', server: this.server, error });
      for (const member of [...this.members]) member.down(error);
    } else if (!error.retryable) {
      // A wrong token does not get right by repeating it.
      this.close(error, false);
      return;
    }
    this.failures += 1;
    this.serverIndex = (this.serverIndex + 1) % this.options.servers.length;
    if (this.firstTry !== undefined) {
      if (this.failures >= this.options.servers.length) this.close(error, false);
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
    this.subscriptions.get(deliverSubscription(frame))?.(frame);
  }
}
