/**
 * A subscription in the JSON dialect that lasts: messages are printed, acknowledged when stdout has them, and credit is
 * given back for what was acknowledged, so that what is here unacknowledged is bounded. Connects again when it is lost.
 *
 * ```
 * credit ─► message ─► stdout ─► ack ─► credit
 * ```
 */
import { type CancelTimer, sleep, startTimer } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { systemPrng } from '../base/prng.ts';
import { type AnyAnswer, readCount } from '../client/answers.ts';
import { RECONNECT_POLICY, retryDelayMs } from '../client/retry-policy.ts';
import type { SubscribeRequest } from '../protocol/web/messages.ts';
import { JsonSession } from './json-session.ts';
import type { MessagePrinter } from './message-printer.ts';
import type { Target } from './target.ts';

/** Messages that may be here unacknowledged. */
const CREDIT = 1000;
/** Tokens of one ack. */
const ACK_TOKENS_MAX = 500;

export type TopicTailOptions = {
  readonly target: Target;
  readonly subscribe: Omit<SubscribeRequest, 'op' | 'id' | 'credit'>;
  /** Messages to print before it ends. */
  readonly max: number;
  readonly idleMs: number | undefined;
  readonly printer: MessagePrinter;
  readonly warn: (text: string) => void;
};

export class TopicTail {
  private readonly options: TopicTailOptions;
  private session: JsonSession | undefined;
  private subscription = 0;
  /** Printed and not yet acknowledged. */
  private tokens: string[] = [];
  private readonly acks = new Set<Promise<void>>();
  /** Messages that the broker may still be asked for. */
  private wanted: number;
  /** Messages given to stdout, and of these the ones that it has taken. */
  private handed = 0;
  private printed = 0;
  private isStopping = false;
  private isAckPlanned = false;
  /** Stdout wants a pause; what the socket has read already still comes. */
  private isHeld = false;
  private finish: () => void = () => {};
  private readonly finished: Promise<void>;
  private cancelIdle: CancelTimer = () => {};

  constructor(options: TopicTailOptions) {
    this.options = options;
    this.wanted = options.max;
    this.finished = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  /** Connects and subscribes, once. @throws what the broker refuses, DISCONNECTED */
  async open(): Promise<void> {
    const session = await JsonSession.open(this.options.target, (text, frame) =>
      this.message(session, text, frame),
    );
    this.session = session;
    // What an earlier connection had here is delivered again.
    this.tokens = [];
    this.wanted = this.options.max - this.handed;
    const credit = Math.min(CREDIT, this.wanted);
    this.wanted -= credit;
    try {
      const answer = await session.request({ op: 'subscribe', ...this.options.subscribe, credit });
      this.subscription = readCount(answer, 'subscription');
    } catch (error) {
      await session.close();
      throw error;
    }
    this.restartIdle();
  }

  /** Prints until it is stopped, has enough, or hears nothing for too long. @throws what does not get better */
  async run(): Promise<void> {
    while (!this.isStopping) {
      const lost = await Promise.race([this.finished, this.session?.ended]);
      if (lost === undefined) break;
      this.options.warn(`${lost.message}; connecting again`);
      await this.reconnect();
    }
    this.cancelIdle();
    // It may be paused for a stdout that takes nothing any more; the answers to acks must still come in.
    this.session?.resume();
    await this.settle();
    await this.session?.close();
  }

  /** Takes no more; `run` resolves once what was printed is acknowledged. */
  stop(): void {
    this.isStopping = true;
    this.finish();
  }

  private message(session: JsonSession, text: string, frame: AnyAnswer): void {
    if (this.isStopping || this.handed >= this.options.max) return;
    this.restartIdle();
    this.handed += 1;
    const token = String(frame['token']);
    const goesOn = this.options.printer.print(text, frame, (error) => {
      if (error === undefined) this.taken(session, token);
    });
    if (goesOn) return;
    session.pause();
    if (this.isHeld) return;
    this.isHeld = true;
    this.options.printer.onDrain(() => {
      this.isHeld = false;
      this.session?.resume();
    });
  }

  /** Stdout has the message. */
  private taken(session: JsonSession, token: string): void {
    this.printed += 1;
    // Of an earlier connection: the broker has given it to somebody again.
    if (session === this.session) this.tokens.push(token);
    if (this.printed >= this.options.max) this.stop();
    if (this.tokens.length >= ACK_TOKENS_MAX) this.acknowledge();
    else if (!this.isAckPlanned) {
      this.isAckPlanned = true;
      setImmediate(() => {
        this.isAckPlanned = false;
        this.acknowledge();
      });
    }
  }

  private acknowledge(): void {
    const { session, tokens } = this;
    if (session === undefined || tokens.length === 0) return;
    this.tokens = [];
    const done: Promise<void> = session
      .request({ op: 'ack', tokens })
      .then(
        () => {},
        (error: unknown) => this.ackFailed(error, tokens.length),
      )
      .finally(() => this.acks.delete(done));
    this.acks.add(done);
    const more = Math.min(tokens.length, this.wanted);
    if (more === 0 || this.isStopping) return;
    this.wanted -= more;
    session.notify({ op: 'credit', subscription: this.subscription, more });
  }

  private ackFailed(thrown: unknown, count: number): void {
    const error = toSluiceError(thrown);
    this.options.warn(
      `up to ${count} messages were printed and will come again: ${error.code}  ${error.message}`,
    );
  }

  /** Everything printed is acknowledged, as far as there is a broker to tell. */
  private async settle(): Promise<void> {
    this.acknowledge();
    await Promise.all(this.acks);
  }

  private async reconnect(): Promise<void> {
    const prng = systemPrng();
    for (let failures = 1; !this.isStopping; failures += 1) {
      await Promise.race([sleep(retryDelayMs(RECONNECT_POLICY, failures, prng)), this.finished]);
      if (this.isStopping) return;
      try {
        await this.open();
        return;
      } catch (error) {
        if (!(error instanceof SluiceError) || !error.retryable) throw error;
      }
    }
  }

  private restartIdle(): void {
    const { idleMs } = this.options;
    if (idleMs === undefined) return;
    this.cancelIdle();
    this.cancelIdle = startTimer(idleMs, () => this.stop());
  }
}
