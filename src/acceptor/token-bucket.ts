/** A rate limit that allows a second's worth at once. Time is given with each call, so nothing ticks. */

export class TokenBucket {
  private readonly perSecond: number;
  private tokens: number;
  private filledAtMs: number;

  /** @param perSecond - 0: no limit */
  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond;
    this.tokens = perSecond;
    this.filledAtMs = nowMs;
  }

  /**
   * Takes `amount`, which may be more than a second's worth: then the debt is paid before the next one.
   *
   * @returns 0 when it was taken; else milliseconds until it can be, and nothing was taken
   */
  take(amount: number, nowMs: number): number {
    if (this.perSecond === 0) return 0;
    const filled = this.tokens + ((nowMs - this.filledAtMs) * this.perSecond) / 1000;
    this.tokens = Math.min(this.perSecond, filled);
    this.filledAtMs = nowMs;
    const needed = Math.min(amount, this.perSecond);
    if (this.tokens < needed)
      return Math.max(1, Math.ceil(((needed - this.tokens) * 1000) / this.perSecond));
    this.tokens -= amount;
    return 0;
  }
}
