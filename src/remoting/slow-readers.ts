/**
 * Pulls whose client has not taken enough of what was sent to it: each waits here until there is room for its answer, so that a
 * client may ask for more than it reads at once, and the broker holds no more than its budget for it. Main thread.
 */
import type { Deadlines } from '../acceptor/deadlines.ts';
import type { Clock } from '../base/clock.ts';
import { CONNECTION_BUFFER_BYTES_MAX } from '../base/limits.ts';
import type { RemotingConnection } from './remoting-connection.ts';

/** Milliseconds between looks at connections that are over their budget. */
const LOOK_MS = 10;

/** A pull that goes on when there is room. */
export interface HeldPull {
  /** Bytes that its answer may have. */
  readonly answerBytesMax: number;
  /** There is room now, or nobody who reads. Must not throw. */
  fetch(): void;
}

export class SlowReaders {
  private readonly clock: Clock;
  private readonly deadlines: Deadlines;
  private readonly held = new Map<RemotingConnection, HeldPull[]>();

  constructor(clock: Clock, deadlines: Deadlines) {
    this.clock = clock;
    this.deadlines = deadlines;
  }

  /** Keeps a pull until its connection is below its budget again. */
  hold(connection: RemotingConnection, pull: HeldPull): void {
    if (this.held.size === 0) this.lookLater();
    const pulls = this.held.get(connection);
    if (pulls === undefined) this.held.set(connection, [pull]);
    else pulls.push(pull);
  }

  private lookLater(): void {
    this.deadlines.add(this.clock.monotonicMs() + LOOK_MS, () => this.look());
  }

  private look(): void {
    const gone: HeldPull[] = [];
    for (const [connection, pulls] of this.held) {
      if (connection.isOverBudget && !connection.isClosed) continue;
      gone.push(...pulls.splice(0, connection.isClosed ? pulls.length : countThatFits(pulls)));
      if (pulls.length === 0) this.held.delete(connection);
    }
    // They may be held again.
    if (this.held.size > 0) this.lookLater();
    for (const pull of gone) pull.fetch();
  }
}

/** As many, oldest first, as fill a budget: those behind would only be read to be held again. */
function countThatFits(pulls: readonly HeldPull[]): number {
  let bytes = 0;
  let count = 0;
  while (count < pulls.length && bytes < CONNECTION_BUFFER_BYTES_MAX) {
    bytes += pulls[count]?.answerBytesMax ?? 0;
    count += 1;
  }
  return count;
}
