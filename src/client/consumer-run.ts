/** Messages through a handler, a bounded number at a time; leases are extended while a handler works. Browser-safe. */
import type { CancelTimer } from '../base/clock.ts';
import type { ConsumerWorks } from './consumer-works.ts';
import type { Message } from './message.ts';
import { range } from './producer-settings.ts';
import type { RunOptions } from './types.ts';

const CONCURRENCY_MAX = 10_000;
/** A lease is extended after this part of it. */
const EXTEND_AFTER = 1 / 3;

type Handler = (message: Message) => unknown | Promise<unknown>;

/** See `Consumer.run`. */
export async function runHandler(
  core: ConsumerWorks,
  handler: Handler,
  options: RunOptions,
): Promise<void> {
  const concurrency = range('concurrency', options.concurrency ?? 1, 1, CONCURRENCY_MAX);
  const { signal } = options;
  if (signal?.aborted === true) return;
  core.start();
  /** Messages whose handlers work. */
  const running = new Set<Message>();
  let isStopped = false;
  let wake: (() => void) | undefined;
  const stop = (): void => {
    isStopped = true;
    wake?.();
  };
  signal?.addEventListener('abort', stop);
  const stopExtending = options.autoExtend === false ? () => {} : extendLeases(core, running);
  const ended = (message: Message): void => {
    running.delete(message);
    wake?.();
  };
  try {
    while (!isStopped && !core.isOver) {
      const message = running.size < concurrency ? core.takeMessage() : undefined;
      if (message !== undefined) {
        running.add(message);
        handle(handler, message).then(
          () => ended(message),
          () => ended(message),
        );
        continue;
      }
      const ownChange = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await (running.size < concurrency ? Promise.race([core.changed(), ownChange]) : ownChange);
    }
    while (running.size > 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    stopExtending();
  }
  if (core.failure !== undefined) throw core.failure;
}

async function handle(handler: Handler, message: Message): Promise<void> {
  try {
    await handler(message);
    message.ack();
  } catch (error) {
    message.nack({ reason: error instanceof Error ? error.message : String(error) });
  }
}

/** Extends the leases of what is being worked on, every third of a lease. @returns stops it */
function extendLeases(core: ConsumerWorks, running: ReadonlySet<Message>): () => void {
  const { leaseMs } = core.settings;
  /** What was there already at the last round: younger messages have time until the next. */
  let known = new Set<Message>();
  let cancel: CancelTimer = () => {};
  const round = (): void => {
    for (const message of known) if (running.has(message)) message.extend(leaseMs);
    known = new Set(running);
    cancel = core.runtime.startTimer(leaseMs * EXTEND_AFTER, round);
  };
  round();
  return () => cancel();
}
