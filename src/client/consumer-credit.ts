/**
 * The credit of one subscription: how many messages may be on their way or here unsettled. What is settled is given back to
 * the broker in lots of a quarter, and soon when a reader waits. A share that shrinks is asked back from the broker, and
 * what is here already is not given back once it is settled; only then may others use it. Browser-safe.
 */
import type { CancelTimer } from '../base/clock.ts';
import type { ClientRuntime } from './runtime.ts';

/** Credit is returned in lots of this part of it. */
const CREDIT_LOTS = 4;

export type CreditParts = {
  readonly runtime: ClientRuntime;
  readonly lingerMs: number;
  /** Tells the broker of more. @returns false while there is no subscription */
  readonly tell: (more: number) => boolean;
  /** Asks the broker for what it has not used; `done` is told how much came back, 0 when it does not answer. */
  readonly askBack: (less: number, done: (taken: number) => void) => void;
  /** Some is free for others. */
  readonly onFree: () => void;
};

export class ConsumerCredit {
  /** Messages that may be out: at the broker as credit, on their way, or here unsettled. */
  held: number;
  private readonly parts: CreditParts;
  /** What `held` should be. */
  private target: number;
  /** To be given back with the next lot; part of `held`. */
  private back = 0;
  /** Asked back and not answered yet. */
  private asked = 0;
  /** A subscription was asked for with `held`. */
  private isOut = false;
  /** Subscriptions begun and ended: an answer to an earlier one is about nothing any more. */
  private life = 0;
  private cancelTimer: CancelTimer | undefined;

  constructor(credit: number, parts: CreditParts) {
    this.held = credit;
    this.target = credit;
    this.parts = parts;
  }

  /** @returns the credit to subscribe with */
  begin(): number {
    this.life += 1;
    this.isOut = true;
    this.back = 0;
    this.asked = 0;
    return this.held;
  }

  /** The subscription stands: what was decided meanwhile is told. */
  stands(): void {
    this.send();
    this.askExcess();
  }

  /** The subscription is gone, and all credit with it. */
  forget(): void {
    this.life += 1;
    this.isOut = false;
    this.back = 0;
    this.asked = 0;
    this.shrinkTo(this.target);
  }

  /** From now on it should be this much. More is not used before `raise`. */
  aim(target: number): void {
    this.target = target;
    if (this.isOut) this.askExcess();
    else this.shrinkTo(target);
  }

  /** This much more may be out. */
  raise(more: number): void {
    this.held += more;
    if (!this.isOut) return;
    this.back += more;
    this.send();
  }

  /** So many messages are settled. @param isAwaited - a reader waits for more */
  settled(count: number, isAwaited: boolean): void {
    // Whatever was asked back: if the broker gives that too, `raise` makes up for it.
    const kept = Math.min(count, Math.max(0, this.held - this.target));
    this.back += count - kept;
    if (this.back >= this.target / CREDIT_LOTS) this.send();
    else if (isAwaited) this.sendSoon();
    if (kept > 0) this.shrinkTo(this.held - kept);
  }

  /** A reader waits, and somebody may hold the rest of the credit unsettled: the odd few are needed now. */
  sendSoon(): void {
    if (this.back === 0 || this.cancelTimer !== undefined) return;
    const { runtime, lingerMs } = this.parts;
    this.cancelTimer = runtime.startTimer(lingerMs, () => this.send());
  }

  end(): void {
    this.cancelTimer?.();
  }

  private send(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    if (this.back > 0 && this.parts.tell(this.back)) this.back = 0;
  }

  private askExcess(): void {
    const excess = this.held - this.asked - this.target;
    if (excess <= 0) return;
    const unsent = Math.min(this.back, excess);
    this.back -= unsent;
    const less = excess - unsent;
    if (less > 0) {
      const { life } = this;
      this.asked += less;
      this.parts.askBack(less, (taken) => {
        if (this.life !== life) return;
        this.asked -= less;
        this.shrinkTo(this.held - Math.min(taken, less));
      });
    }
    this.shrinkTo(this.held - unsent);
  }

  private shrinkTo(held: number): void {
    if (held >= this.held) return;
    this.held = held;
    this.parts.onFree();
  }
}
