/** Messages that wait in front of the batches: until the topic is known, or until there is memory. Browser-safe. */
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import type { ProducerBatch } from './producer-batch.ts';
import type { Receipt } from './receipt.ts';
import type { SendGroup } from './send-group.ts';
import type { TopicRoute, WaitingMessages } from './topic-route.ts';
import type { OutgoingMessage, WaitOptions } from './types.ts';

/** Puts one message into a batch of the route. @returns undefined when there is no memory @throws what is wrong with it */
export type PlaceMessage = (
  route: TopicRoute,
  message: OutgoingMessage,
) => ProducerBatch | undefined;

/** One message of a `send`. It may have a signal and a time of its own. */
export class WaitingSend implements WaitingMessages {
  readonly sinceMs: number;
  readonly messageCount = 1;
  /** The caller holds the message until the promise settles. */
  readonly bytes = 0;
  abandoned = false;
  private readonly message: OutgoingMessage;
  private readonly placeMessage: PlaceMessage;
  private readonly settle: (receipt: Promise<Receipt>) => void;

  constructor(
    message: OutgoingMessage,
    sinceMs: number,
    placeMessage: PlaceMessage,
    settle: (receipt: Promise<Receipt>) => void,
  ) {
    this.message = message;
    this.sinceMs = sinceMs;
    this.placeMessage = placeMessage;
    this.settle = settle;
  }

  place(route: TopicRoute): boolean {
    try {
      const batch = this.placeMessage(route, this.message);
      if (batch === undefined) return false;
      this.settle(batch.receiptOfLast());
    } catch (error) {
      this.settle(Promise.reject(error));
    }
    return true;
  }

  fail(error: SluiceError): void {
    this.settle(Promise.reject(error));
  }

  late(error: SluiceError): void {
    this.abandoned = true;
    this.fail(error);
  }
}

/** One message of a `push` whose topic is not known yet. */
export class WaitingPush implements WaitingMessages {
  readonly sinceMs: number;
  readonly messageCount = 1;
  /** What it counts against the producer's bound: nobody else holds it. */
  readonly bytes: number;
  readonly abandoned = false;
  private readonly message: OutgoingMessage;
  private readonly placeMessage: PlaceMessage;
  private readonly failed: (error: SluiceError) => void;

  constructor(
    message: OutgoingMessage,
    bytes: number,
    sinceMs: number,
    placeMessage: PlaceMessage,
    failed: (error: SluiceError) => void,
  ) {
    this.message = message;
    this.bytes = bytes;
    this.sinceMs = sinceMs;
    this.placeMessage = placeMessage;
    this.failed = failed;
  }

  place(route: TopicRoute): boolean {
    try {
      const batch = this.placeMessage(route, this.message);
      if (batch === undefined) return false;
      batch.pushedCount += 1;
    } catch (error) {
      this.failed(toSluiceError(error));
    }
    return true;
  }

  fail(error: SluiceError): void {
    this.failed(error);
  }

  late(): void {
    // Nobody waits for a pushed message; it goes on.
  }
}

/** The rest of a `sendBatch`: the messages of one topic, in order. */
export class WaitingGroup implements WaitingMessages {
  readonly sinceMs: number;
  /** The caller holds them until the promise settles. */
  readonly bytes = 0;
  private readonly group: SendGroup;
  private readonly messages: readonly OutgoingMessage[];
  private readonly indexes: readonly number[];
  private readonly placeMessage: PlaceMessage;
  private next = 0;

  /** @param indexes - of the messages of one topic, in order */
  constructor(
    group: SendGroup,
    messages: readonly OutgoingMessage[],
    indexes: readonly number[],
    sinceMs: number,
    placeMessage: PlaceMessage,
  ) {
    this.group = group;
    this.messages = messages;
    this.indexes = indexes;
    this.sinceMs = sinceMs;
    this.placeMessage = placeMessage;
  }

  get messageCount(): number {
    return this.indexes.length - this.next;
  }

  get abandoned(): boolean {
    return this.group.done;
  }

  place(route: TopicRoute): boolean {
    for (; this.next < this.indexes.length; this.next += 1) {
      const index = this.indexes[this.next] as number;
      try {
        const batch = this.placeMessage(route, this.messages[index] as OutgoingMessage);
        if (batch === undefined) return false;
        this.group.placed(index, batch);
      } catch (error) {
        this.group.refused(toSluiceError(error));
      }
    }
    return true;
  }

  fail(error: SluiceError): void {
    for (; this.next < this.indexes.length; this.next += 1) this.group.refused(error);
  }

  late(error: SluiceError): void {
    this.group.giveUp(error);
  }
}

/**
 * Ties a promise to a signal and a time.
 *
 * @param giveUp - called at most once, with what the promise should reject with
 * @returns to be called when the promise is settled
 */
export function waitLimits(
  options: WaitOptions | undefined,
  startTimer: (delayMs: number, action: () => void) => () => void,
  timeoutError: (timeoutMs: number) => SluiceError,
  giveUp: (error: unknown) => void,
): () => void {
  const signal = options?.signal;
  const timeoutMs = options?.timeoutMs;
  if (signal?.aborted === true) {
    giveUp(signal.reason);
    return () => {};
  }
  const onAbort = (): void => giveUp(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const cancelTimer =
    timeoutMs === undefined
      ? undefined
      : startTimer(timeoutMs, () => giveUp(timeoutError(timeoutMs)));
  return () => {
    signal?.removeEventListener('abort', onAbort);
    cancelTimer?.();
  };
}
