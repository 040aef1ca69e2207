/**
 * One connection, from its opening to its close: identity, in-flight window, rate limits, what it subscribed to, and
 * whether its socket is read. Answers made within a duty cycle are collected and leave in one corked write.
 */
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { BUSY_REFUSALS_MAX, PROTOCOL_STRIKES_MAX } from '../base/limits.ts';
import type { WebSocketConnection } from '../transport/transport.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import { SendRate } from './send-rate.ts';

/** WebSocket close codes that the acceptor uses. @source RFC 6455, section 7.4.1 */
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_POLICY = 1008;
export const CLOSE_TRY_LATER = 1013;

/** Why a connection is not read at the moment; it is read again when no reason is left. */
export const PAUSE_RING = 1;
export const PAUSE_BUFFER = 2;

const STRIKE_WINDOW_MS = 60_000;

/** Counts what must not happen often. */
class StrikeCounter {
  private readonly max: number;
  private count = 0;
  private fromMs = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** @returns true when it has happened more than `max` times within a minute */
  add(nowMs: number): boolean {
    if (nowMs - this.fromMs > STRIKE_WINDOW_MS) {
      this.count = 0;
      this.fromMs = nowMs;
    }
    this.count += 1;
    return this.count > this.max;
  }
}

export class Session {
  /** Names the session in requests to shards: 1 to 2^32 - 1. */
  readonly number: number;
  readonly connection: WebSocketConnection;
  isAuthenticated: boolean;
  /** As the client called itself in `hello`. */
  client = '';
  isClosed = false;
  /** Requests whose answer is not sent yet, of all dialects. */
  inFlight = 0;
  /** SEND_BATCH frames without a receipt: shard by correlation id. */
  readonly batches: Map<number, number> = new Map();
  /** Subscriptions of this connection, and subscribes under way. */
  readonly subscriptions: Set<number> = new Set();
  subscribing = 0;
  authFailures = 0;
  bytesBeforeAuth = 0;
  /** Since when more waits for the socket than may; undefined while it does not. */
  overBudgetSinceMs: number | undefined;
  readonly openedAtMs: number;
  private readonly clock: Clock;
  private readonly inFlightMax: number;
  private readonly rate: SendRate;
  private readonly strikes = new StrikeCounter(PROTOCOL_STRIKES_MAX);
  private readonly busyStrikes = new StrikeCounter(BUSY_REFUSALS_MAX);
  private pauseReasons = 0;
  private readonly outbox: (string | Uint8Array)[] = [];

  constructor(
    number: number,
    connection: WebSocketConnection,
    config: AcceptorConfig,
    clock: Clock,
  ) {
    const nowMs = clock.monotonicMs();
    this.number = number;
    this.connection = connection;
    this.isAuthenticated = config.authToken === null;
    this.openedAtMs = nowMs;
    this.clock = clock;
    this.inFlightMax = config.inFlightRequestsMax;
    this.rate = new SendRate(config, nowMs);
  }

  /** Why no further request may begin; undefined when one may. */
  windowRefusal(): SluiceError | undefined {
    if (this.inFlight < this.inFlightMax) return undefined;
    return new SluiceError(
      'WINDOW_FULL',
      `${this.inFlight} requests of this connection are unanswered; at most ${this.inFlightMax} may be`,
    );
  }

  /** One more request under way; undefined when it may begin. */
  begin(): SluiceError | undefined {
    const refusal = this.windowRefusal();
    if (refusal === undefined) this.inFlight += 1;
    return refusal;
  }

  end(): void {
    this.inFlight -= 1;
  }

  /** Takes a frame from the connection's rate limits; undefined when it is within them. */
  checkRate(messages: number, bytes: number): SluiceError | undefined {
    return this.rate.refusal(messages, bytes, this.clock.monotonicMs());
  }

  /** A frame that was none of this protocol. @returns true when there were too many of them */
  strike(): boolean {
    return this.strikes.add(this.clock.monotonicMs());
  }

  /** Another frame came although the broker is busy. @returns true when it is a flood */
  isFloodingBusy(): boolean {
    return this.busyStrikes.add(this.clock.monotonicMs());
  }

  /** @returns true when reading was going on and stops now */
  pause(reason: number): boolean {
    const wasReading = this.pauseReasons === 0;
    this.pauseReasons |= reason;
    if (wasReading && !this.isClosed) this.connection.pause();
    return wasReading;
  }

  resume(reason: number): void {
    const wasPaused = this.pauseReasons !== 0;
    this.pauseReasons &= ~reason;
    if (wasPaused && this.pauseReasons === 0 && !this.isClosed) this.connection.resume();
  }

  get isPaused(): boolean {
    return this.pauseReasons !== 0;
  }

  /** Keeps an answer for the next `flush`. @shape binary answers are kept, not copied */
  keep(answer: string | Uint8Array): void {
    this.outbox.push(answer);
  }

  /** Sends what was kept. */
  flush(): void {
    if (this.isClosed || this.outbox.length === 0) {
      this.outbox.length = 0;
      return;
    }
    this.connection.cork(this.sendOutbox);
    this.outbox.length = 0;
  }

  private readonly sendOutbox = (): void => {
    for (const answer of this.outbox) {
      if (typeof answer === 'string') this.connection.sendText(answer);
      else this.connection.sendBinary(answer);
    }
  };
}
