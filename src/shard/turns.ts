/** Work that is done one after the other, some of it at once and some when a side job has ended. */

/** Does its work, and calls `over` when that is done. */
type Turn = (over: () => void) => void;

export class Turns {
  private readonly waiting: Turn[] = [];
  private isBusy = false;
  private isGiving = false;

  /** Runs it when those before it are over. */
  take(turn: Turn): void {
    this.waiting.push(turn);
    this.give();
  }

  /** A loop, not each calling the next: thousands may wait, and most are over at once. */
  private give(): void {
    if (this.isGiving) return;
    this.isGiving = true;
    try {
      while (!this.isBusy) {
        const turn = this.waiting.shift();
        if (turn === undefined) break;
        this.isBusy = true;
        turn(() => {
          this.isBusy = false;
          this.give();
        });
      }
    } finally {
      this.isGiving = false;
    }
  }
}
