/**
 * Requests that shards have not answered yet, by the correlation number that the acceptor gave them. Whatever becomes of
 * the shard, each is answered exactly once: by its reply, by the shard's end, or by its deadline.
 */
import type { SluiceError } from '../base/errors.ts';

/** Waits for the reply of one request. */
export interface Waiter {
  /**
   * The reply came; the request is no longer pending.
   *
   * @param at - byte offset of the reply's payload; the bytes are valid until the call returns
   */
  replied(type: number, bytes: Uint8Array, view: DataView, at: number, length: number): void;
  failed(error: SluiceError): void;
  /** A wait for messages that a drain ends early. */
  readonly isLongPoll?: boolean;
}

type Pending = { readonly shard: number; readonly waiter: Waiter; readonly deadlineMs: number };

const U32 = 0x1_0000_0000;

export class PendingRequests {
  private readonly pending = new Map<number, Pending>();
  private lastCorrelation = 0;

  get count(): number {
    return this.pending.size;
  }

  /** @returns the correlation of the request, 1 to 2^32 - 1 */
  add(shard: number, waiter: Waiter, deadlineMs: number): number {
    do this.lastCorrelation = (this.lastCorrelation + 1) % U32;
    while (this.lastCorrelation === 0 || this.pending.has(this.lastCorrelation));
    this.pending.set(this.lastCorrelation, { shard, waiter, deadlineMs });
    return this.lastCorrelation;
  }

  /** The waiter, taken out; undefined for an answer that nobody waits for any more. */
  take(correlation: number): Waiter | undefined {
    const pending = this.pending.get(correlation);
    if (pending === undefined) return undefined;
    this.pending.delete(correlation);
    return pending.waiter;
  }

  failShard(shard: number, error: SluiceError): void {
    this.failWhere((pending) => pending.shard === shard, error);
  }

  failLongPolls(error: SluiceError): void {
    this.failWhere((pending) => pending.waiter.isLongPoll === true, error);
  }

  failExpired(nowMs: number, error: SluiceError): void {
    this.failWhere((pending) => pending.deadlineMs <= nowMs, error);
  }

  failAll(error: SluiceError): void {
    this.failWhere(() => true, error);
  }

  private failWhere(isMeant: (pending: Pending) => boolean, error: SluiceError): void {
    for (const [correlation, pending] of this.pending) {
      if (!isMeant(pending)) continue;
      this.pending.delete(correlation);
      pending.waiter.failed(error);
    }
  }
}
