/** What users see of a consumer: messages one by one, by batches, or through a handler. The works are in `consumer-core.ts`. Browser-safe. */
import { SluiceError } from '../base/errors.ts';
import type { SeekTo } from '../protocol/web/messages.ts';

import { runHandler } from './consumer-run.ts';
import type { ConsumerWorks } from './consumer-works.ts';
import type { Delivery } from './delivery.ts';
import type { Message } from './message.ts';
import type { RunOptions, WaitOptions } from './types.ts';

/** Milliseconds that `drain` waits for messages that are being worked on, by default. */
const DRAIN_TIMEOUT_MS = 25_000;
/** Milliseconds that `close` waits for acks under way. */
const CLOSE_TIMEOUT_MS = 5000;

/**
 * A member of a consumer group. Ack every message, or it is delivered again when its lease ends; messages that are
 * not settled when the consumer closes go to another member at once.
 *
 * @example for await (const message of consumer) { handle(message.json()); message.ack(); }
 */
export class Consumer implements AsyncIterable<Message>, AsyncDisposable {
  readonly #core: ConsumerWorks;
  readonly #onClose: () => void;
  #closing: Promise<void> | undefined;

  /** Made by `client.consumer()`. @internal */
  constructor(core: ConsumerWorks, onClose: () => void) {
    this.#core = core;
    this.#onClose = onClose;
  }

  /** Messages that were given out and are not settled. */
  get takenCount(): number {
    return this.#core.takenCount;
  }

  /**
   * Resolves when the group's subscription stands.
   *
   * @throws SUBSCRIPTION_MISMATCH, TOPIC_NOT_FOUND, FORBIDDEN …: it will not; CLOSED
   */
  async ready(options?: WaitOptions): Promise<void> {
    const core = this.#core;
    core.start();
    options?.signal?.throwIfAborted();
    while (!core.isSubscribed) {
      if (core.isOver) throw core.failure ?? new SluiceError('CLOSED', 'the consumer is closed');
      await orAborted(core.changed(), options?.signal);
    }
  }

  /** Messages, one by one. Leaving the loop closes the consumer. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    return this.#iterate(() => this.#core.takeMessage());
  }

  /** Whole batches as they were stored: the quick way, a million messages a second. Leaving the loop closes the consumer. */
  batches(): AsyncIterableIterator<Delivery> {
    return this.#iterate(() => this.#core.takeDelivery());
  }

  /**
   * Calls `handler` for each message: acks when it returns, nacks with the error as the reason when it throws.
   * A message that the handler settled itself is left as it is.
   *
   * @returns when the consumer is closed, or the signal aborts and the handlers under way have ended
   * @throws what made the subscription impossible
   */
  run(
    handler: (message: Message) => unknown | Promise<unknown>,
    options?: RunOptions,
  ): Promise<void> {
    return runHandler(this.#core, handler, options ?? {});
  }

  /**
   * Sets where the group goes on: for all its members, at once. What was prefetched here is dropped.
   *
   * @param to - `earliest`, `latest`, a time, or offsets by queue id
   */
  seek(to: SeekTo, options?: WaitOptions): Promise<void> {
    return this.#core.seek(to, options);
  }

  /** Takes no more, waits until what was given out is settled, and closes. */
  async drain(options?: { readonly timeoutMs?: number }): Promise<void> {
    const core = this.#core;
    core.stop();
    const timeoutMs = options?.timeoutMs ?? DRAIN_TIMEOUT_MS;
    let isLate = false;
    let late: (() => void) | undefined;
    const lateness = new Promise<void>((resolve) => {
      late = resolve;
    });
    const cancel = core.runtime.startTimer(timeoutMs, () => {
      isLate = true;
      late?.();
    });
    while (core.takenCount > 0 && core.isSubscribed && !isLate)
      await Promise.race([core.changed(), lateness]);
    cancel();
    await this.close();
  }

  /** Ends: acks under way are sent, messages that are not settled go to other members. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const core = this.#core;
    // A broker that does not answer is not waited for: it will deliver again what it has not heard of.
    const cancel = core.runtime.startTimer(CLOSE_TIMEOUT_MS, () =>
      core.closed(new SluiceError('CLOSED', 'the consumer was closed without the last answers')),
    );
    await core.close();
    cancel();
    this.#onClose();
  }

  #iterate<Item>(take: () => Item | undefined): AsyncIterableIterator<Item> {
    const core = this.#core;
    core.start();
    const wait = async (): Promise<IteratorResult<Item>> => {
      for (;;) {
        const value = take();
        if (value !== undefined) return { done: false, value };
        if (core.failure !== undefined) throw core.failure;
        if (core.isOver) return { done: true, value: undefined };
        await core.changed();
      }
    };
    const iterator: AsyncIterableIterator<Item> = {
      next: () => {
        const value = take();
        return value === undefined ? wait() : Promise.resolve({ done: false, value });
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }
}

/** @throws the signal's reason when it aborts first */
async function orAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
