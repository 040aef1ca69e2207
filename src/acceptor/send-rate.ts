/** What one sender may send in a second: a connection, or an address where requests have no connection of their own. */
import { SluiceError } from '../base/errors.ts';
import { RATE_ADDRESSES_MAX } from '../base/limits.ts';
import type { AcceptorConfig } from './acceptor-options.ts';
import { TokenBucket } from './token-bucket.ts';

export type SendLimits = Pick<AcceptorConfig, 'messagesPerSecondMax' | 'bytesPerSecondMax'>;

/** Is anything limited at all? */
export function isLimited({ messagesPerSecondMax, bytesPerSecondMax }: SendLimits): boolean {
  return messagesPerSecondMax > 0 || bytesPerSecondMax > 0;
}

export class SendRate {
  private readonly messages: TokenBucket;
  private readonly bytes: TokenBucket;

  constructor({ messagesPerSecondMax, bytesPerSecondMax }: SendLimits, nowMs: number) {
    this.messages = new TokenBucket(messagesPerSecondMax, nowMs);
    this.bytes = new TokenBucket(bytesPerSecondMax, nowMs);
  }

  /** Takes a request from the limits. @returns undefined when it is within them; else RATE_LIMITED with the time to wait */
  refusal(messages: number, bytes: number, nowMs: number): SluiceError | undefined {
    const waitMs =
      this.bytes.take(bytes, nowMs) || (messages === 0 ? 0 : this.messages.take(messages, nowMs));
    if (waitMs === 0) return undefined;
    // Not every dialect has a field for the time.
    const text = `this sender is faster than its limit, and may send again in ${waitMs} ms`;
    return new SluiceError('RATE_LIMITED', text, { retryAfterMs: waitMs });
  }
}

/** The senders of requests that come without a session, by their address. Forgets who has not sent for the longest time. */
export class AddressRates {
  private readonly limits: SendLimits;
  private readonly byAddress = new Map<string, SendRate>();

  constructor(limits: SendLimits) {
    this.limits = limits;
  }

  /** As `SendRate.refusal`, for this address. */
  refusal(
    address: string,
    messages: number,
    bytes: number,
    nowMs: number,
  ): SluiceError | undefined {
    if (!isLimited(this.limits)) return undefined;
    const rate = this.byAddress.get(address) ?? new SendRate(this.limits, nowMs);
    // The order of the map is that of the last request.
    this.byAddress.delete(address);
    this.byAddress.set(address, rate);
    if (this.byAddress.size > RATE_ADDRESSES_MAX) {
      const oldest = this.byAddress.keys().next();
      if (oldest.done !== true) this.byAddress.delete(oldest.value);
    }
    return rate.refusal(messages, bytes, nowMs);
  }
}
