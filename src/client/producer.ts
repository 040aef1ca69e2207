/** What users see of a producer: three ways to send, flush, close. The works are in `producer-core.ts`. Browser-safe. */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { ProducerCore } from './producer-core.ts';
import { PushGate } from './push-gate.ts';
import type { Receipt, Receipts } from './receipt.ts';
import { FlushGroup, SendGroup } from './send-group.ts';
import type { TopicRoute } from './topic-route.ts';
import type { OutgoingMessage, WaitOptions } from './types.ts';
import { WaitingGroup, WaitingSend, waitLimits } from './waiting-send.ts';

/** Milliseconds that `close` waits for answers by default. */
const CLOSE_TIMEOUT_MS = 10_000;

/**
 * Sends messages. It batches by itself, keeps the order of each key, sends again what was not answered, and stores
 * nothing twice: not over a lost connection, a busy broker or a restarted one.
 *
 * @promise messages of one key (and, without keys, of one batch) are stored in the order of the calls
 */
export class Producer implements AsyncDisposable {
  readonly #core: ProducerCore;
  readonly #gate: PushGate;
  readonly #onClose: () => void;
  #closing: Promise<void> | undefined;

  /** Made by `client.producer()`. @internal */
  constructor(core: ProducerCore, onClose: () => void) {
    this.#core = core;
    this.#gate = new PushGate(core);
    this.#onClose = onClose;
  }

  /** The identity by which the broker recognises what it has stored already. */
  get producerId(): string {
    return this.#core.settings.producerId;
  }

  /** Bytes that are held: batches that are not answered yet, and pushed messages that wait for their topic. */
  get bufferedBytes(): number {
    const { usedBytes, waitingBytes } = this.#core.memory;
    return usedBytes + waitingBytes;
  }

  /** Messages that are not answered yet, with those that an earlier visit of the page left in the outbox. */
  get unansweredCount(): number {
    return this.#core.unansweredCount;
  }

  /**
   * Sends one message and resolves when the broker has acknowledged it. Waits while `bufferBytes` are in use.
   *
   * @param message - what to send; `body` is copied before the call returns, unless it has to wait
   * @param options - `signal` and `timeoutMs` end the wait; a message that is on its way may still be stored
   * @returns where it was stored and what the acknowledgement is worth (`durability`)
   * @throws TIMEOUT (unknown outcome; the client goes on trying), MESSAGE_TOO_LARGE, TOPIC_NOT_FOUND, CLOSED and other
   *   refusals by the broker; the signal's reason when it aborts
   * @example const receipt = await producer.send({ topic: 'orders', key: 'o-17', body: { total: 12 } });
   */
  send(message: OutgoingMessage, options?: WaitOptions): Promise<Receipt> {
    const core = this.#core;
    try {
      const route = core.routeOf(message);
      if (options === undefined && core.isOpen(route)) {
        const batch = core.place(route, message);
        if (batch !== undefined) return batch.receiptOfLast();
      }
      return this.#sendWaiting(route, message, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends many messages with one promise: the cheap way for those who have many at once.
   *
   * @param messages - of any topics and keys; borrowed until the promise settles
   * @returns their receipts, in the order of `messages`
   * @throws the first refusal, with `facts.failed` of `facts.messages`; the others are stored
   */
  sendBatch(messages: readonly OutgoingMessage[], options?: WaitOptions): Promise<Receipts> {
    return new Promise((resolve, reject) => {
      let cancel = (): void => {};
      const group = new SendGroup(
        messages.length,
        (receipts) => {
          cancel();
          resolve(receipts);
        },
        (error) => {
          cancel();
          reject(error);
        },
      );
      cancel = waitLimits(
        options,
        this.#core.runtime.startTimer,
        (timeoutMs) => new SluiceError('TIMEOUT', `no acknowledgement within ${timeoutMs} ms`),
        (reason) => group.giveUp(reason),
      );
      if (!group.done) this.#sendGroup(group, messages);
    });
  }

  /**
   * Hands one message over and waits for nothing: the cheapest way. Learn of success by `onReceipt`, of failure by
   * `onFailure`, or of both by `flush`.
   *
   * @returns false when `bufferBytes` are in use and the message was not taken: `await producer.ready()`, then again
   * @throws INVALID_ARGUMENT, INVALID_NAME, MESSAGE_TOO_LARGE, CLOSED
   */
  push(message: OutgoingMessage): boolean {
    const core = this.#core;
    const route = core.routeOf(message);
    if (core.isOpen(route)) {
      const batch = core.place(route, message);
      if (batch !== undefined) {
        batch.pushedCount += 1;
        return true;
      }
    }
    return this.#gate.takeLater(route, message);
  }

  /**
   * Resolves when the message that `push` refused last would be taken, and at once when it refused none.
   *
   * @promise between the refusal and that moment no turn of the event loop is used up by waiting
   * @throws CLOSED when the producer is closed meanwhile, or what closed it; TIMEOUT or the signal's reason
   * @example while (!producer.push(message)) await producer.ready();
   */
  ready(options?: WaitOptions): Promise<void> {
    return this.#gate.ready(options);
  }

  /**
   * Sends what is waiting and resolves when everything given before is answered.
   *
   * @throws the first failure of pushed messages since the last flush (unless `onFailure` takes them), with
   *   `facts.failed`; TIMEOUT or the signal's reason, and the messages go on
   */
  flush(options?: WaitOptions): Promise<void> {
    const core = this.#core;
    return new Promise((resolve, reject) => {
      let cancel = (): void => {};
      let unwatch = (): void => {};
      let isOver = false;
      const group = new FlushGroup(() => {
        cancel();
        const error = core.pushFailures.take();
        if (error === undefined) resolve();
        else reject(error);
      });
      cancel = waitLimits(
        options,
        core.runtime.startTimer,
        (timeoutMs) => new SluiceError('TIMEOUT', `not flushed within ${timeoutMs} ms`),
        (reason) => {
          isOver = true;
          unwatch();
          group.giveUp();
          reject(reason);
        },
      );
      if (isOver) return;
      let targets: (readonly [TopicRoute, number])[] | undefined;
      unwatch = core.watch(() => {
        // What an earlier life of the page left was given before, too.
        if (core.outbox?.isOpening === true) return false;
        targets ??= [...core.routes.values()].map((route) => [
          route,
          route.takenCount + route.waiting.length,
        ]);
        if (targets.some(([route, target]) => route.takenCount < target)) return false;
        for (const batch of core.unanswered()) group.add(batch);
        group.seal();
        return true;
      });
    });
  }

  /**
   * Takes no more messages, waits until all are answered, and ends. Afterwards nothing of it is left running.
   *
   * @param options.timeoutMs - then what is not answered fails with CLOSED; default 10,000
   * @throws as `flush`; closed it is all the same
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void> {
    this.#closing ??= this.#close(options?.timeoutMs ?? CLOSE_TIMEOUT_MS);
    return this.#closing;
  }

  /** Closes, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const core = this.#core;
    if (core.closedBy !== undefined) {
      this.#onClose();
      await core.outbox?.close();
      return;
    }
    const closed = new SluiceError('CLOSED', 'the producer is closed');
    core.stop(closed);
    // What an outbox keeps is sent in the next life of the page; nobody needs to wait for it.
    const isKept = core.outbox !== undefined && !core.reach.isConnected;
    try {
      await this.flush({ timeoutMs: isKept ? 0 : timeoutMs });
    } catch (error) {
      if (toSluiceError(error).code !== 'TIMEOUT') throw error;
    } finally {
      core.shut(closed);
      this.#onClose();
      await core.outbox?.close();
    }
    const error = core.pushFailures.take();
    if (error !== undefined) throw error;
  }

  #nowMs(): number {
    return this.#core.runtime.clock.monotonicMs();
  }

  /** A send that has to wait for its turn, or whose caller may give up. */
  #sendWaiting(
    route: TopicRoute,
    message: OutgoingMessage,
    options: WaitOptions | undefined,
  ): Promise<Receipt> {
    const core = this.#core;
    return new Promise((resolve, reject) => {
      let waiting: WaitingSend | undefined;
      let isOver = false;
      const cancel = waitLimits(
        options,
        core.runtime.startTimer,
        (timeoutMs) => new SluiceError('TIMEOUT', `no acknowledgement within ${timeoutMs} ms`),
        (reason) => {
          isOver = true;
          if (waiting !== undefined) waiting.abandoned = true;
          reject(reason);
        },
      );
      if (isOver) return;
      const settle = (receipt: Promise<Receipt>): void => {
        receipt.then(resolve, reject).finally(cancel);
      };
      try {
        const batch = core.isOpen(route) ? core.place(route, message) : undefined;
        if (batch !== undefined) {
          settle(batch.receiptOfLast());
          return;
        }
        waiting = new WaitingSend(message, this.#nowMs(), core.place, settle);
        core.wait(route, waiting);
      } catch (error) {
        settle(Promise.reject(error));
      }
    });
  }

  #sendGroup(group: SendGroup, messages: readonly OutgoingMessage[]): void {
    const core = this.#core;
    /** Messages that have to wait, by topic: those behind them wait too. */
    let waiting: Map<TopicRoute, number[]> | undefined;
    for (let index = 0; index < messages.length; index += 1) {
      const message = messages[index] as OutgoingMessage;
      try {
        const route = core.routeOf(message);
        const behind = waiting?.get(route);
        if (behind !== undefined) {
          behind.push(index);
          continue;
        }
        const batch = core.isOpen(route) ? core.place(route, message) : undefined;
        if (batch !== undefined) group.placed(index, batch);
        else {
          waiting ??= new Map();
          waiting.set(route, [index]);
        }
      } catch (error) {
        group.refused(toSluiceError(error));
      }
    }
    const now = this.#nowMs();
    for (const [route, indexes] of waiting ?? [])
      core.wait(route, new WaitingGroup(group, messages, indexes, now, core.place));
    group.settleIfComplete();
  }
}
