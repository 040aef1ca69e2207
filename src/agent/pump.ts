/**
 * Drives agents on an event loop (the acceptor and shards without a thread; replication): as long as there is work once per
 * turn, so that sockets have theirs; then it says that it sleeps and waits to be woken. Any thread with an event loop.
 */

import { type CancelTimer, startTimer } from '../base/clock.ts';
import type { BriefWait } from './brief-wait.ts';
import type { ParkWord } from './park-word.ts';

export type PumpParts = {
  /** One round of work. @returns work done */
  readonly doWork: () => number;
  /** Is something waiting in a ring? */
  readonly hasWork: () => boolean;
  /** Milliseconds until `doWork` is needed even if nobody calls; Infinity for never. */
  readonly msUntilDue: () => number;
  /** Words by which threads see that this one sleeps. */
  readonly words: () => readonly ParkWord[];
  /** How `expect` waits; undefined: it does not. */
  readonly briefWait?: BriefWait | undefined;
};

export class Pump {
  private readonly parts: PumpParts;
  private isScheduled = false;
  private isClosed = false;
  private cancelTimer: CancelTimer | undefined;

  constructor(parts: PumpParts) {
    this.parts = parts;
  }

  /** Runs soon. Called by whoever has made work; cheap when it runs already. */
  readonly schedule: () => void = () => {
    if (this.isScheduled || this.isClosed) return;
    this.isScheduled = true;
    setImmediate(this.turn);
  };

  /** Called when requests went to another thread: the answer to a few may come before this thread would fall asleep. */
  readonly expect: (requests: number) => void = (requests) => {
    if (this.isScheduled || this.isClosed) return;
    if (this.parts.briefWait?.isWorthIt(requests) !== true) return;
    // Nobody need wake it: it looks itself.
    for (const word of this.parts.words()) word.retract();
    this.isScheduled = true;
    setImmediate(this.waitAndTurn);
  };

  close(): void {
    this.isClosed = true;
    this.cancelTimer?.();
  }

  private readonly waitAndTurn = (): void => {
    if (!this.isClosed) this.parts.briefWait?.run(this.parts.hasWork);
    this.turn();
  };

  private readonly turn = (): void => {
    this.isScheduled = false;
    if (this.isClosed) return;
    if (this.parts.doWork() > 0) {
      this.schedule();
      return;
    }
    for (const word of this.parts.words()) {
      if (!word.announce(this.parts.hasWork)) {
        this.schedule();
        return;
      }
    }
    this.sleep();
  };

  private sleep(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    const dueMs = this.parts.msUntilDue();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.cancelTimer = startTimer(Math.max(1, dueMs), this.schedule);
  }
}
