/** Many messages, one promise: a `sendBatch` over all batches that its messages went into. Browser-safe. */
import { SluiceError } from '../base/errors.ts';
import type { BatchWatcher, ProducerBatch } from './producer-batch.ts';
import { type BatchReceipt, Receipts, type ReceiptsPart } from './receipt.ts';

type Part = {
  first: number;
  count: number;
  firstRecord: number;
  batch: ProducerBatch;
  receipt: BatchReceipt | undefined;
};

export class SendGroup implements BatchWatcher {
  private readonly resolve: (receipts: Receipts) => void;
  private readonly reject: (error: unknown) => void;
  private readonly messageCount: number;
  private readonly parts: Part[] = [];
  /** Parts of each batch that is not answered yet: usually one. */
  private readonly open = new Map<ProducerBatch, Part[]>();
  private placedCount = 0;
  private failedCount = 0;
  private firstError: SluiceError | undefined;
  /** Its promise is settled: what still comes is nobody's. */
  done = false;

  constructor(
    messageCount: number,
    resolve: (receipts: Receipts) => void,
    reject: (error: unknown) => void,
  ) {
    this.messageCount = messageCount;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Message number `index` is the last of `batch`. */
  placed(index: number, batch: ProducerBatch): void {
    this.placedCount += 1;
    const record = batch.messageCount - 1;
    const last = this.parts[this.parts.length - 1];
    if (
      last?.batch === batch &&
      last.first + last.count === index &&
      last.firstRecord + last.count === record
    ) {
      last.count += 1;
      return;
    }
    const part: Part = { first: index, count: 1, firstRecord: record, batch, receipt: undefined };
    this.parts.push(part);
    const parts = this.open.get(batch);
    if (parts === undefined) this.open.set(batch, [part]);
    else parts.push(part);
    batch.watch(this);
  }

  /** One message was refused before it came into a batch. */
  refused(error: SluiceError): void {
    this.placedCount += 1;
    this.count(error, 1);
    this.settleIfComplete();
  }

  stored(batch: ProducerBatch, receipt: BatchReceipt): void {
    for (const part of this.open.get(batch) ?? []) part.receipt = receipt;
    this.open.delete(batch);
    this.settleIfComplete();
  }

  failed(batch: ProducerBatch, error: SluiceError): void {
    for (const part of this.open.get(batch) ?? []) this.count(error, part.count);
    this.open.delete(batch);
    this.settleIfComplete();
  }

  late(error: SluiceError): boolean {
    this.giveUp(error);
    return true;
  }

  /** The caller waits no longer; the messages go on. */
  giveUp(error: unknown): void {
    if (this.done) return;
    this.done = true;
    this.reject(error);
  }

  /** Settles the promise when nothing is outstanding. */
  settleIfComplete(): void {
    if (this.done || this.placedCount < this.messageCount || this.open.size > 0) return;
    this.done = true;
    if (this.firstError === undefined) {
      this.parts.sort((one, other) => one.first - other.first);
      this.resolve(new Receipts(this.parts as ReceiptsPart[], this.messageCount));
      return;
    }
    const { firstError, failedCount, messageCount } = this;
    this.reject(
      new SluiceError(firstError.code, firstError.message, {
        hint: firstError.hint,
        cause: firstError,
        facts: { ...firstError.facts, failed: failedCount, messages: messageCount },
      }),
    );
  }

  private count(error: SluiceError, messages: number): void {
    this.firstError ??= error;
    this.failedCount += messages;
  }
}

/** Waits until every batch that it watches is answered: a `flush`. */
export class FlushGroup implements BatchWatcher {
  private readonly done: () => void;
  private readonly open = new Set<ProducerBatch>();
  private complete = false;

  constructor(done: () => void) {
    this.done = done;
  }

  add(batch: ProducerBatch): void {
    this.open.add(batch);
    batch.watch(this);
  }

  /** Nobody waits any more: batches that stay unanswered for hours must not gather one of these with every try. */
  giveUp(): void {
    for (const batch of this.open) batch.unwatch(this);
    this.open.clear();
  }

  /** Nothing is added any more. */
  seal(): void {
    this.complete = true;
    if (this.open.size === 0) this.done();
  }

  stored(batch: ProducerBatch): void {
    this.answered(batch);
  }

  failed(batch: ProducerBatch): void {
    this.answered(batch);
  }

  late(): boolean {
    return false;
  }

  private answered(batch: ProducerBatch): void {
    this.open.delete(batch);
    if (this.complete && this.open.size === 0) this.done();
  }
}
