/**
 * From what a sender says about the time of a message to the wall time at which it can be seen: a delay, a time, or one of
 * RocketMQ's levels. All dialects ask here, so that one maximum holds for all.
 *
 * @source RocketMQ messageDelayLevel, timerMaxDelaySec
 */
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';

/** Stands for a message that can be seen at once. */
export const NOT_DEFERRED = 0;

export class Delays {
  private readonly clock: Clock;
  private readonly delayMsMax: number;
  private readonly levelsMs: readonly number[];

  /** @param levelsMs - the delay of level 1, 2, … */
  constructor(clock: Clock, delayMsMax: number, levelsMs: readonly number[]) {
    this.clock = clock;
    this.delayMsMax = delayMsMax;
    this.levelsMs = levelsMs;
  }

  /**
   * @returns milliseconds since 1970, or NOT_DEFERRED: a time that is over is no delay
   * @throws INVALID_ARGUMENT when it is farther away than the configuration allows
   */
  dueAtMs(deferral: Deferral | undefined): number {
    if (deferral === undefined) return NOT_DEFERRED;
    const nowMs = this.clock.epochMs();
    const dueAtMs = 'delayMs' in deferral ? nowMs + deferral.delayMs : deferral.deliverAt;
    if (dueAtMs <= nowMs) return NOT_DEFERRED;
    if (dueAtMs - nowMs <= this.delayMsMax) return dueAtMs;
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the message is to wait ${dueAtMs - nowMs} milliseconds; this broker keeps one for ${this.delayMsMax} at most`,
      { hint: 'The setting delayMsMax says how long; deliverAt is milliseconds since 1970.' },
    );
  }

  /** Milliseconds of one of RocketMQ's delay levels: 1 is the first; above the last, the last. 0 and below: none. */
  levelMs(level: number): number {
    if (level <= 0) return 0;
    return this.levelsMs[Math.min(level, this.levelsMs.length) - 1] ?? 0;
  }
}
