/** A steady rate: `next` resolves when the next one may go. Sleeps only when it is some milliseconds early. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds: timers are not more exact than this. */
const EARLY_MS = 4;
/** Milliseconds of idleness that may be made up for; what was not used before that is gone. */
const SLACK_MS = 20;

export class Pace {
  readonly #stepMs: number;
  #dueAtMs: number = performance.now();

  constructor(perSecond: number) {
    this.#stepMs = 1000 / perSecond;
  }

  async next(): Promise<void> {
    const nowMs = performance.now();
    this.#dueAtMs = Math.max(this.#dueAtMs + this.#stepMs, nowMs - SLACK_MS);
    if (this.#dueAtMs - nowMs > EARLY_MS) await sleep(this.#dueAtMs - nowMs);
  }
}
