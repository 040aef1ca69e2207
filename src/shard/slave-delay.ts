/** How long answers of a synchronous master wait for its slaves: when it is too long, senders are told that nobody knows. Shard thread. */
import { safePosition } from '../commit/commit-policy.ts';
import { timeOutReplies } from './release-replies.ts';
import type { ShardContext } from './shard-context.ts';

/** Position reached by a duty cycle, and when. */
type Mark = { readonly position: number; readonly atMs: number };

export class SlaveDelay {
  private readonly context: ShardContext;
  private readonly timeoutMs: number;
  private readonly marks: Mark[] = [];
  private markedEnd: number;

  constructor(context: ShardContext, timeoutMs: number) {
    this.context = context;
    this.timeoutMs = timeoutMs;
    this.markedEnd = context.log.appended;
  }

  /** Monotonic time of the next time-out. */
  nextTimerMs(): number {
    const first = this.marks[0];
    return first === undefined ? Number.POSITIVE_INFINITY : first.atMs + this.timeoutMs;
  }

  /** Once a duty cycle. */
  watch(nowMs: number): void {
    const { log, config, commit } = this.context;
    if (log.appended > this.markedEnd) {
      this.marks.push({ position: log.appended, atMs: nowMs });
      this.markedEnd = log.appended;
    }
    let passed = 0;
    for (const { position, atMs } of this.marks) {
      if (position > commit) {
        if (nowMs - atMs < this.timeoutMs) break;
        // As long as the own disk is what is slow, no slave is to blame.
        const safe = safePosition(config.flushMode, log.written, log.flushed);
        if (safe < position || !timeOutReplies(this.context, position)) break;
      }
      passed += 1;
    }
    if (passed > 0) this.marks.splice(0, passed);
  }
}
