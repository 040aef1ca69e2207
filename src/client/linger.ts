/** The moment that a message waits for others to share its batch. Browser-safe. */
import type { CancelTimer } from '../base/clock.ts';
import type { ClientRuntime } from './runtime.ts';

export class Linger {
  private readonly runtime: ClientRuntime;
  private readonly lingerMs: number;
  private readonly onOver: () => void;
  private isRunning = false;
  private cancelTimer: CancelTimer = () => {};

  /** @param lingerMs - 0: until the end of this turn */
  constructor(runtime: ClientRuntime, lingerMs: number, onOver: () => void) {
    this.runtime = runtime;
    this.lingerMs = lingerMs;
    this.onOver = onOver;
  }

  /** Begins, unless it runs. */
  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    const over = (): void => {
      this.isRunning = false;
      this.onOver();
    };
    if (this.lingerMs === 0) queueMicrotask(over);
    else this.cancelTimer = this.runtime.startTimer(this.lingerMs, over);
  }

  cancel(): void {
    this.cancelTimer();
  }
}
