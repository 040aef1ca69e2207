/**
 * When a message of RocketMQ's clients is to be seen: one of the delay levels, or a time in one of three spellings. A level wins
 * over a time, as it does there.
 *
 * @source RocketMQ HookUtils.handleScheduleMessage, TimerMessageStore
 */
import type { Delays } from '../acceptor/delays.ts';
import { NOT_DEFERRED } from '../acceptor/delays.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { PROPERTY } from '../protocol/remoting/message-properties.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';
import { CodedError } from './remoting-refusal.ts';

const SECOND_MS = 1000;

/** The properties of a message that put it off. */
const NAMES: ReadonlySet<string> = new Set([
  PROPERTY.DELAY,
  PROPERTY.TIMER_DELIVER_MS,
  PROPERTY.TIMER_DELAY_MS,
  PROPERTY.TIMER_DELAY_SEC,
]);

export class SendDeferral {
  private readonly given = new Map<string, string>();

  reset(): void {
    if (this.given.size > 0) this.given.clear();
  }

  /** Takes note of a property, if it is one of those. */
  hear(name: string, value: string): void {
    // Most names differ in their first letter from all of these.
    const first = name.charCodeAt(0);
    if ((first === 0x44 || first === 0x54) && NAMES.has(name)) this.given.set(name, value);
  }

  get isGiven(): boolean {
    return this.given.size > 0;
  }

  /**
   * @returns milliseconds since 1970, or NOT_DEFERRED
   * @throws MESSAGE_ILLEGAL for what is no time, or one too far away
   */
  dueAtMs(delays: Delays): number {
    if (this.given.size === 0) return NOT_DEFERRED;
    try {
      return delays.dueAtMs(this.deferral(delays));
    } catch (error) {
      throw new CodedError(RESPONSE_CODES.MESSAGE_ILLEGAL, toSluiceError(error));
    }
  }

  private deferral(delays: Delays): Deferral | undefined {
    const level = this.integer(PROPERTY.DELAY);
    if (level !== undefined && level > 0) return { delayMs: delays.levelMs(level) };
    const seconds = this.integer(PROPERTY.TIMER_DELAY_SEC);
    if (seconds !== undefined) return { delayMs: seconds * SECOND_MS };
    const delayMs = this.integer(PROPERTY.TIMER_DELAY_MS);
    if (delayMs !== undefined) return { delayMs };
    const deliverAt = this.integer(PROPERTY.TIMER_DELIVER_MS);
    return deliverAt === undefined ? undefined : { deliverAt };
  }

  private integer(name: string): number | undefined {
    const text = this.given.get(name);
    if (text === undefined) return undefined;
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value)) return value;
    throw new SluiceError('INVALID_ARGUMENT', `the property ${name} is no number of milliseconds`);
  }
}
