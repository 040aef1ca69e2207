/** Tells those who wait for messages of a producer that it takes too long; the messages go on. Browser-safe. */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import type { ClientRuntime } from './runtime.ts';
import type { TopicRoute } from './topic-route.ts';

/** Looks as often in the time of a send: nobody is told later than by a quarter of it, or by a second. */
const LOOKS_PER_TIMEOUT = 4;
const LOOK_EVERY_MS_MIN = 10;
const LOOK_EVERY_MS_MAX = 1000;

export class SendDeadlines {
  private readonly runtime: ClientRuntime;
  private readonly routes: ReadonlyMap<string, TopicRoute>;
  private readonly sendTimeoutMs: number;
  private readonly onLooked: () => void;
  private cancel: CancelTimer | undefined;

  /** @param sendTimeoutMs - 0: nobody is ever told */
  constructor(
    runtime: ClientRuntime,
    routes: ReadonlyMap<string, TopicRoute>,
    sendTimeoutMs: number,
    onLooked: () => void,
  ) {
    this.runtime = runtime;
    this.routes = routes;
    this.sendTimeoutMs = sendTimeoutMs;
    this.onLooked = onLooked;
  }

  /** There is something to wait for, until `stop`. */
  start(): void {
    const { sendTimeoutMs } = this;
    if (sendTimeoutMs === 0) return;
    const everyMs = Math.min(
      LOOK_EVERY_MS_MAX,
      Math.max(LOOK_EVERY_MS_MIN, sendTimeoutMs / LOOKS_PER_TIMEOUT),
    );
    this.cancel = this.runtime.startTimer(everyMs, () => {
      // First: looking may end everything, which stops this.
      this.start();
      this.expire();
    });
  }

  stop(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private expire(): void {
    const { sendTimeoutMs } = this;
    const before = this.runtime.clock.monotonicMs() - sendTimeoutMs;
    const error = new SluiceError('TIMEOUT', `no acknowledgement within ${sendTimeoutMs} ms`, {
      hint: 'The client goes on trying, and stores nothing twice: the message may still be stored.',
    });
    for (const route of this.routes.values()) {
      for (const entry of route.waiting) if (entry.sinceMs <= before) entry.late(error);
      for (const lane of route.lanes) {
        for (const batch of lane.batches) {
          // Not in order: one that came from another broker is older than those before it.
          if (batch.createdAtMs <= before) batch.expire(error);
        }
      }
    }
    this.onLooked();
  }
}
