/**
 * One request on its way: waits for a connection, is sent again on the next one when its connection is lost, and again
 * after a while when the broker is busy; ends by answer, refusal, timeout or the caller's signal. Browser-safe.
 */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { ClientRequest } from '../protocol/web/messages.ts';
import type { AnyAnswer } from './answers.ts';
import type { Connection, Pending } from './connection.ts';
import type { Link } from './link.ts';
import { REFUSED_POLICY, retryDelayMs } from './retry-policy.ts';
import type { WaitOptions } from './types.ts';

export type RequestOptions = WaitOptions & {
  /** As JSON text instead of msgpack; the answer comes the same way. */
  readonly asText?: boolean;
  /** Called with the answer at once, before any later frame is looked at. */
  readonly onAnswer?: (answer: AnyAnswer) => void;
};

export class LinkRequest implements Pending {
  private readonly link: Link;
  private readonly payload: ClientRequest;
  private readonly options: RequestOptions;
  private readonly resolve: (answer: AnyAnswer) => void;
  private readonly reject: (error: unknown) => void;
  private readonly cancelTimeout: CancelTimer;
  private cancelRetry: CancelTimer = () => {};
  private failures = 0;
  private done = false;

  constructor(
    link: Link,
    payload: ClientRequest,
    options: RequestOptions,
    resolve: (answer: AnyAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.link = link;
    this.payload = payload;
    this.options = options;
    this.resolve = resolve;
    this.reject = reject;
    const timeoutMs = options.timeoutMs ?? link.options.requestTimeoutMs;
    link.work.begin();
    this.cancelTimeout = link.runtime.startTimer(timeoutMs, () => {
      const state = link.connection === undefined ? 'there is no connection' : 'no answer';
      this.fail(new SluiceError('TIMEOUT', `"${payload.op}": ${state} within ${timeoutMs} ms`));
    });
  }

  start(): void {
    const { signal } = this.options;
    if (signal?.aborted === true) {
      this.abort();
      return;
    }
    signal?.addEventListener('abort', this.abort);
    if (this.link.connection !== undefined) this.send(this.link.connection);
  }

  send(connection: Connection): void {
    if (this.done) return;
    this.cancelRetry();
    connection.request(this.payload, this, this.options.asText === true);
  }

  receipt(): void {}

  answer(answer: AnyAnswer): void {
    if (this.done) return;
    this.finish();
    try {
      this.options.onAnswer?.(answer);
      this.resolve(answer);
    } catch (error) {
      this.reject(error);
    }
  }

  refuse(error: SluiceError): void {
    if (!error.retryable || this.done) {
      this.fail(error);
      return;
    }
    this.failures += 1;
    const delayMs =
      error.retryAfterMs ?? retryDelayMs(REFUSED_POLICY, this.failures, this.link.runtime.prng);
    this.cancelRetry = this.link.runtime.startTimer(delayMs, () => {
      if (this.link.connection !== undefined) this.send(this.link.connection);
    });
  }

  /** Its connection is gone: the link sends it again on the next one. */
  lost(): void {
    this.cancelRetry();
  }

  fail(error: unknown): void {
    if (this.done) return;
    this.finish();
    this.reject(error);
  }

  private readonly abort = (): void => this.fail(this.options.signal?.reason);

  private finish(): void {
    this.done = true;
    this.cancelTimeout();
    this.cancelRetry();
    this.options.signal?.removeEventListener('abort', this.abort);
    this.link.forget(this);
    this.link.work.end();
  }
}
