/**
 * Shards whose disk does not give batches that consumers need. Each is told once, and once more when it is over: when nothing
 * has failed for longer than a batch is left alone between two attempts. Main thread.
 */
import type { Clock } from '../base/clock.ts';
import type { SluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type { Deadlines } from './deadlines.ts';

/** Milliseconds without a failure after which it is over: what still cannot be read has been tried several times by then. */
const QUIET_MS = 30_000;

type Trouble = { readonly sinceMs: number; lastMs: number; failures: number };

export class ColdTroubles {
  private readonly clock: Clock;
  private readonly log: Logger;
  private readonly deadlines: Deadlines;
  private readonly byShard = new Map<number, Trouble>();

  constructor(clock: Clock, log: Logger, deadlines: Deadlines) {
    this.clock = clock;
    this.log = log;
    this.deadlines = deadlines;
  }

  /** A batch could not be read, and comes again. */
  failed(shard: number, position: number, error: SluiceError): void {
    const nowMs = this.clock.monotonicMs();
    const known = this.byShard.get(shard);
    if (known !== undefined) {
      known.lastMs = nowMs;
      known.failures += 1;
      return;
    }
    const trouble = { sinceMs: nowMs, lastMs: nowMs, failures: 1 };
    this.byShard.set(shard, trouble);
    const message =
      'the disk does not give messages that consumers need: they come again after a pause of 5 s at most, no delivery ' +
      'attempt is counted, and the others go on. Said once for all of them; check the disk and the file';
    this.log.error('cold-reads-fail', { shard, position, error, message });
    this.watch(shard, trouble);
  }

  private watch(shard: number, trouble: Trouble): void {
    this.deadlines.add(trouble.lastMs + QUIET_MS, () => {
      const { sinceMs, lastMs, failures } = trouble;
      if (lastMs + QUIET_MS > this.clock.monotonicMs()) {
        this.watch(shard, trouble);
        return;
      }
      this.byShard.delete(shard);
      const forMs = Math.round(lastMs - sinceMs);
      const message = `no read has failed for ${QUIET_MS} ms: all could be read, or are needed no more`;
      this.log.info('cold-reads-work', { shard, failures, forMs, message });
    });
  }
}
