/**
 * One batch of a producer from its first message to its answer: the bytes, and who waits for what became of them.
 * The same object is what the connection calls back. Browser-safe.
 */
import { setU64 } from '../base/bytes.ts';
import { SluiceError } from '../base/errors.ts';
import type { BatchBuilder, Crc32 } from '../protocol/batch/batch-builder.ts';
import {
  BATCH_BYTES,
  BATCH_CRC,
  BATCH_PRODUCER_EPOCH,
  BATCH_SEQUENCE,
} from '../protocol/batch/batch-layout.ts';
import {
  encodeSendBatchHeader,
  type ReceiptEntry,
  sendBatchAt,
  sendDeferral,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';
import { SEND_DEFERRED_BATCH } from '../protocol/web/frames-layout.ts';
import type { Connection, Pending } from './connection.ts';
import type { ProducerLane } from './producer-lane.ts';
import type { BatchReceipt, Receipt } from './receipt.ts';

/** Somebody who waits for whole batches: a `sendBatch`, a `flush`. */
export interface BatchWatcher {
  stored(batch: ProducerBatch, receipt: BatchReceipt): void;
  failed(batch: ProducerBatch, error: SluiceError): void;
  /** The batch is late; it is still on its way. True: this watcher has given up on it. */
  late(error: SluiceError): boolean;
}

type Answered = {
  readonly promise: Promise<BatchReceipt>;
  readonly resolve: (receipt: BatchReceipt) => void;
  readonly reject: (error: SluiceError) => void;
};

function newAnswered(): Answered {
  let resolve: Answered['resolve'] = () => {};
  let reject: Answered['reject'] = () => {};
  const promise = new Promise<BatchReceipt>((onStored, onFailed) => {
    resolve = onStored;
    reject = onFailed;
  });
  return { promise, resolve, reject };
}

/** The same functions for every batch: a promise a message is all that a single send costs. */
const receiptsAt: ((batch: BatchReceipt) => Receipt)[] = [];
/** Indexes for which such a function is kept. */
const RECEIPTS_AT_MAX = 4096;

function receiptAt(index: number): (batch: BatchReceipt) => Receipt {
  let at = receiptsAt[index];
  if (at === undefined) {
    at = (batch) => batch.at(index);
    if (index === receiptsAt.length && index < RECEIPTS_AT_MAX) receiptsAt.push(at);
  }
  return at;
}

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = viewOf(NO_BYTES);

export class ProducerBatch implements Pending {
  /** Where it waits; another one when its broker is gone. */
  lane: ProducerLane;
  /** The buffer under construction; kept until the answer, because `frame` is a view of it. Null: `frame` has its own. */
  builder: BatchBuilder | null;
  readonly createdAtMs: number;
  /** Bytes that count against the producer's bound. */
  bytes: number;
  frame: Uint8Array = NO_BYTES;
  private view: DataView = NO_VIEW;
  /** When its messages are to be seen; the same for all of a batch. */
  deferral: Deferral | undefined;
  sequence = 0;
  messageCount = 0;
  /** The id under which an answer counts; 0: it is not on its way. An answer under an older id is stale. */
  correlationId = 0;
  /** Times it was sent. */
  attempts = 0;
  /** Has a message in it a key? Then it stays with its queue. */
  hasKeys = false;
  /** The broker has refused it last, and certainly not stored it. */
  isRefused = false;
  /** An earlier try may have stored it: what a later one is told changes nothing about that. */
  isDoubtful = false;
  /** May it be sent? An outbox must have it first. */
  released = true;
  /** Why the broker will never take it; it is dropped once all before it are answered. */
  refusal: SluiceError | undefined;
  private sentOn: Connection | undefined;
  /** What the promises of its single messages hang on; made with the first of them. */
  private answered: Answered | undefined;
  private watchers: BatchWatcher[] = [];
  /** Messages for which neither a promise nor a group waits. */
  pushedCount = 0;

  constructor(
    lane: ProducerLane,
    builder: BatchBuilder | null,
    bytes: number,
    createdAtMs: number,
  ) {
    this.lane = lane;
    this.builder = builder;
    this.bytes = bytes;
    this.createdAtMs = createdAtMs;
  }

  /** The receipt of the message added last, when the batch is answered. */
  receiptOfLast(): Promise<Receipt> {
    this.answered ??= newAnswered();
    return this.answered.promise.then(receiptAt(this.messageCount - 1));
  }

  watch(watcher: BatchWatcher): void {
    if (this.watchers[this.watchers.length - 1] !== watcher) this.watchers.push(watcher);
  }

  unwatch(watcher: BatchWatcher): void {
    this.watchers = this.watchers.filter((other) => other !== watcher);
  }

  /** No message is added any more. */
  seal(sequence: number, epoch: number): void {
    if (this.builder !== null) {
      // The builder leaves room for the longer header.
      const room = SEND_DEFERRED_BATCH - sendBatchAt(this.deferral);
      this.setFrame(this.builder.finish(sequence, epoch).subarray(room));
      // An outbox keeps the frame, and with it when it is to be seen.
      encodeSendBatchHeader(this.view, 0, 0, 0, this.deferral);
    }
    this.sequence = sequence;
  }

  /** Takes up a frame that an outbox has kept. */
  restore(frame: Uint8Array): void {
    this.setFrame(frame);
    this.deferral = sendDeferral(this.view);
  }

  setFrame(frame: Uint8Array): void {
    this.frame = frame;
    this.view = viewOf(frame);
  }

  /** Gives the batch another producer epoch and sequence, in fresh bytes: the old ones may still be in a socket. */
  restamp(epoch: number, crc32: Crc32, sequence: number = this.sequence): void {
    this.setFrame(this.frame.slice());
    this.sequence = sequence;
    const at = sendBatchAt(this.deferral);
    setU64(this.view, at + BATCH_SEQUENCE, sequence);
    this.view.setUint32(at + BATCH_PRODUCER_EPOCH, epoch, true);
    const crc = crc32(this.frame, at + BATCH_BYTES, this.frame.length);
    this.view.setUint32(at + BATCH_CRC, crc, true);
    this.sentOn = undefined;
  }

  send(connection: Connection, topicId: number, queueId: number): void {
    // A socket may not have taken the bytes of an earlier try yet: they are left as they are.
    if (this.sentOn === connection) this.setFrame(this.frame.slice());
    this.sentOn = connection;
    this.correlationId = connection.expect(this);
    this.attempts += 1;
    encodeSendBatchHeader(this.view, queueId, this.correlationId, topicId, this.deferral);
    connection.sendFrame(this.frame);
  }

  receipt(entry: Readonly<ReceiptEntry>): void {
    if (entry.correlationId === this.correlationId) this.lane.stored(this, entry);
  }

  refuse(error: SluiceError, correlationId: number): void {
    if (correlationId === this.correlationId) this.lane.refused(this, error);
  }

  answer(): void {
    // A RECEIPTS entry or an error is the answer to a batch; this is neither.
    if (this.correlationId !== 0)
      this.lane.refused(this, new SluiceError('BAD_FRAME', 'a batch was answered by no receipt'));
  }

  lost(): void {
    // The lane is told of the connection's end and takes back all of its batches.
  }

  complete(receipt: BatchReceipt): void {
    this.answered?.resolve(receipt);
    for (const watcher of this.watchers) watcher.stored(this, receipt);
    this.forget();
  }

  fail(error: SluiceError): void {
    this.answered?.reject(error);
    for (const watcher of this.watchers) watcher.failed(this, error);
    this.forget();
  }

  /** Those who wait for its messages are told that it takes too long; it goes on. */
  expire(error: SluiceError): void {
    this.answered?.reject(error);
    this.watchers = this.watchers.filter((watcher) => !watcher.late(error));
  }

  private forget(): void {
    this.answered = undefined;
    this.watchers = [];
    this.sentOn = undefined;
    this.correlationId = 0;
  }
}
