/**
 * Is this the token? Compared in constant time, and guessing is slowed down per address, in bounded memory. A valid token
 * from another address is never held up by somebody's guesses.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { AUTH_ADDRESSES_MAX, AUTH_FAILURES_PER_ADDRESS_MAX } from '../base/limits.ts';

const WINDOW_MS = 60_000;

type Failures = { count: number; readonly untilMs: number };

function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

export class AuthGuard {
  private readonly clock: Clock;
  /** Digests have one length, so comparing them tells nothing about the token's. */
  private readonly expected: Buffer | undefined;
  private readonly failures = new Map<string, Failures>();

  constructor(token: string | null, clock: Clock) {
    this.expected = token === null ? undefined : digest(token);
    this.clock = clock;
  }

  /** Does this broker ask for a token at all? */
  get isRequired(): boolean {
    return this.expected !== undefined;
  }

  /**
   * Checks what a client gave.
   *
   * @returns undefined when it may go on; else why not
   */
  check(token: string | undefined, remoteAddress: string): SluiceError | undefined {
    if (this.expected === undefined) return undefined;
    if (token === undefined) return new SluiceError('UNAUTHENTICATED', 'no token was given');
    const nowMs = this.clock.monotonicMs();
    const waitMs = this.blockedMs(remoteAddress, nowMs);
    if (waitMs > 0) {
      return new SluiceError('RATE_LIMITED', 'too many wrong tokens came from this address', {
        retryAfterMs: waitMs,
        hint: 'Wait retryAfterMs, then send the right token.',
      });
    }
    if (timingSafeEqual(digest(token), this.expected)) return undefined;
    this.countFailure(remoteAddress, nowMs);
    return new SluiceError('UNAUTHENTICATED', 'the token is not valid', {
      hint: 'Use the authToken of the broker’s configuration.',
    });
  }

  private blockedMs(address: string, nowMs: number): number {
    const failures = this.failures.get(address);
    if (failures === undefined) return 0;
    if (nowMs >= failures.untilMs) {
      this.failures.delete(address);
      return 0;
    }
    return failures.count >= AUTH_FAILURES_PER_ADDRESS_MAX
      ? Math.ceil(failures.untilMs - nowMs)
      : 0;
  }

  private countFailure(address: string, nowMs: number): void {
    const failures = this.failures.get(address);
    if (failures !== undefined) {
      failures.count += 1;
      return;
    }
    if (this.failures.size >= AUTH_ADDRESSES_MAX) {
      // The oldest goes: a guesser with many addresses is not stopped by remembering more of them.
      const oldest = this.failures.keys().next();
      if (oldest.done !== true) this.failures.delete(oldest.value);
    }
    this.failures.set(address, { count: 1, untilMs: nowMs + WINDOW_MS });
  }
}

/** The token of an Authorization header, or undefined when it has none. */
export function bearerToken(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +(\S+) *$/i.exec(header)?.[1];
}
