/**
 * A batch as it was delivered: the records of it that are this consumer's, and which of them are settled. The bytes
 * are the stored batch, checked once; messages are windows on them. Browser-safe.
 */
import { getU64 } from '../base/bytes.ts';
import { recordsStart } from '../protocol/batch/batch-check.ts';
import {
  BATCH_BORN_AT_MS,
  BATCH_BYTES,
  STORED_AT_MS,
  STORED_BYTES,
  STORED_HEADER_BYTES,
  STORED_POSITION,
} from '../protocol/batch/batch-layout.ts';
import { messageIdOf } from '../protocol/message-id.ts';
import { type DeliverHeader, isSelected } from '../protocol/web/binary-codec.ts';
import { DELIVER_STORED_BATCH } from '../protocol/web/frames-layout.ts';
import { Message } from './message.ts';
import { recordBytesAt, recordTag } from './record-view.ts';
import { type SettleCollector, Settlement } from './settle.ts';
import type { NackOptions } from './types.ts';

/** Where the producer's batch stands in a DELIVER frame. */
export const DELIVERED_BATCH: number = DELIVER_STORED_BATCH + STORED_HEADER_BYTES;

/** Bytes of the producer's batch in a DELIVER frame that was checked. */
export function deliveredBatchBytes(view: DataView): number {
  return view.getUint32(DELIVERED_BATCH + BATCH_BYTES, true);
}

/** What a delivery needs from its consumer. */
export type DeliveryOwner = {
  readonly topic: string;
  /** Name of the broker that it comes from. */
  readonly broker: string;
  /** Tags wanted; undefined: all messages. */
  readonly tags: ReadonlySet<string> | undefined;
  readonly messageIdPrefix: string;
  readonly collector: SettleCollector;
  /** Messages were settled, or need not be: they make room for others. */
  readonly onSettled: (messageCount: number) => void;
};

/** A batch as it was delivered: its messages, to be settled one by one or all at once. */
export class Delivery implements Iterable<Message> {
  readonly queueId: number;
  /** 1 for the first delivery to the group. */
  readonly attempt: number;
  /** Messages in it. */
  readonly messageCount: number;
  /** The received frame. @internal */
  readonly bytes: Uint8Array;
  /** @internal */
  readonly view: DataView;
  /** Queue offset of the first record of the stored batch, delivered or not. @internal */
  readonly baseQueueOffset: number;
  readonly #owner: DeliveryOwner;
  readonly #firstIndex: number;
  /** One past the last record delivered. */
  readonly #endIndex: number;
  readonly #leaseId: number;
  readonly #shard: number;
  /** Byte offset of the first record delivered. */
  readonly #firstAt: number;
  /** A byte a record, 1: wanted and not settled; undefined while all are wanted and none is settled. */
  #open: Uint8Array | undefined;
  #openCount: number;
  /** The next record that `next` looks at. */
  #cursorIndex: number;
  #cursorAt: number;

  /** The frame was checked. @internal */
  constructor(bytes: Uint8Array, view: DataView, header: DeliverHeader, owner: DeliveryOwner) {
    this.bytes = bytes;
    this.view = view;
    this.queueId = header.queueId;
    this.attempt = header.attempt;
    this.baseQueueOffset = header.baseQueueOffset;
    this.#owner = owner;
    this.#firstIndex = header.firstIndex;
    this.#endIndex = header.firstIndex + header.count;
    this.#leaseId = header.leaseId;
    this.#shard = header.shard;
    let at = recordsStart(view, DELIVERED_BATCH);
    for (let index = 0; index < header.firstIndex; index += 1) at += recordBytesAt(view, at);
    this.#firstAt = at;
    this.#cursorIndex = this.#firstIndex;
    this.#cursorAt = at;
    this.#openCount = header.count;
    const { tags } = owner;
    if (header.hasSelection) this.#keepOnly((index) => isSelected(bytes, this.#selectionAt, index));
    else if (tags !== undefined) this.#keepOnly((_, at) => tags.has(recordTag(bytes, view, at)));
    this.messageCount = this.#openCount;
  }

  /** Topic of its messages. */
  get topic(): string {
    return this.#owner.topic;
  }

  /** Name of the broker that it comes from. */
  get broker(): string {
    return this.#owner.broker;
  }

  /** When the broker stored it, milliseconds since 1970. */
  get storedAt(): number {
    return getU64(this.view, DELIVER_STORED_BATCH + STORED_AT_MS);
  }

  /** When the producer began the batch, milliseconds since 1970. @internal */
  get bornAt(): number {
    return getU64(this.view, DELIVERED_BATCH + BATCH_BORN_AT_MS);
  }

  /**
   * A number that rises with each delivery of a queue, whoever gets it: what is written under it can be refused once something
   * was written under a higher one.
   */
  get fence(): number {
    return this.#leaseId;
  }

  /** The messages, one after the other. */
  *[Symbol.iterator](): IterableIterator<Message> {
    let at = this.#firstAt;
    for (let index = this.#firstIndex; index < this.#endIndex; index += 1) {
      if (this.#isWanted(index)) yield new Message(this, at, index);
      at += recordBytesAt(this.view, at);
    }
  }

  /** Calls `visit` for each message: quicker than `for … of` by the cost of the generator. */
  forEach(visit: (message: Message) => void): void {
    let at = this.#firstAt;
    for (let index = this.#firstIndex; index < this.#endIndex; index += 1) {
      if (this.#isWanted(index)) visit(new Message(this, at, index));
      at += recordBytesAt(this.view, at);
    }
  }

  /** Acks all messages that are not settled yet. */
  ackAll(): Settlement {
    return this.#settleRuns((offset, count) =>
      this.#owner.collector.ack(this.queueId, offset, count, this.#leaseId),
    );
  }

  /** Nacks all messages that are not settled yet. */
  nackAll(options?: NackOptions): Settlement {
    return this.#settleRuns((queueOffset, count) =>
      this.#owner.collector.nack(
        { queueId: this.queueId, queueOffset, count, leaseId: this.#leaseId },
        options?.delayMs,
        options?.reason,
      ),
    );
  }

  /** Keeps all messages that are not settled for `leaseMs` milliseconds from now. */
  extendAll(leaseMs: number): Settlement {
    let settlement = DONE;
    this.#eachRun((queueOffset, count) => {
      const range = { queueId: this.queueId, queueOffset, count, leaseId: this.#leaseId };
      settlement = this.#owner.collector.extend(range, leaseMs);
    });
    return settlement;
  }

  /** The next message that nobody has taken; undefined when there is none. @internal */
  next(): Message | undefined {
    while (this.#cursorIndex < this.#endIndex) {
      const index = this.#cursorIndex;
      const at = this.#cursorAt;
      this.#cursorIndex += 1;
      this.#cursorAt += recordBytesAt(this.view, at);
      if (this.#isWanted(index)) return new Message(this, at, index);
    }
    return undefined;
  }

  /** @internal */
  messageIdAt(index: number): string {
    const position = getU64(this.view, DELIVER_STORED_BATCH + STORED_POSITION);
    return messageIdOf(this.#owner.messageIdPrefix, this.#shard, position, index);
  }

  /** @internal */
  isSettled(index: number): boolean {
    return !this.#isWanted(index);
  }

  /** @internal */
  ackAt(index: number): Settlement {
    if (!this.#take(index)) return DONE;
    const offset = this.baseQueueOffset + index;
    const settlement = this.#owner.collector.ack(this.queueId, offset, 1, this.#leaseId);
    this.#owner.onSettled(1);
    return settlement;
  }

  /** @internal */
  nackAt(index: number, options: NackOptions | undefined): Settlement {
    if (!this.#take(index)) return DONE;
    const settlement = this.#owner.collector.nack(
      this.#rangeAt(index),
      options?.delayMs,
      options?.reason,
    );
    this.#owner.onSettled(1);
    return settlement;
  }

  /** @internal */
  extendAt(index: number, leaseMs: number): Settlement {
    if (!this.#isWanted(index)) return DONE;
    return this.#owner.collector.extend(this.#rangeAt(index), leaseMs);
  }

  /** Forgets the messages that nobody has taken, without a word to the broker. @returns how many they were. @internal */
  dropUntaken(): number {
    let count = 0;
    for (; this.#cursorIndex < this.#endIndex; this.#cursorIndex += 1)
      if (this.#take(this.#cursorIndex)) count += 1;
    return count;
  }

  #rangeAt(index: number): {
    queueId: number;
    queueOffset: number;
    count: number;
    leaseId: number;
  } {
    return {
      queueId: this.queueId,
      queueOffset: this.baseQueueOffset + index,
      count: 1,
      leaseId: this.#leaseId,
    };
  }

  #isWanted(index: number): boolean {
    return this.#open === undefined || this.#open[index - this.#firstIndex] === 1;
  }

  /** Marks one message as settled; false when it was already. */
  #take(index: number): boolean {
    if (!this.#isWanted(index)) return false;
    this.#open ??= new Uint8Array(this.#endIndex - this.#firstIndex).fill(1);
    this.#open[index - this.#firstIndex] = 0;
    this.#openCount -= 1;
    return true;
  }

  #settleRuns(settle: (queueOffset: number, count: number) => Settlement): Settlement {
    const count = this.#openCount;
    if (count === 0) return DONE;
    let settlement = DONE;
    this.#eachRun((queueOffset, runCount) => {
      settlement = settle(queueOffset, runCount);
    });
    this.#openCount = 0;
    this.#open = new Uint8Array(this.#endIndex - this.#firstIndex);
    this.#owner.onSettled(count);
    return settlement;
  }

  /** Runs of messages side by side that are not settled. */
  #eachRun(visit: (queueOffset: number, count: number) => void): void {
    if (this.#openCount === 0) return;
    const open = this.#open;
    const total = this.#endIndex - this.#firstIndex;
    const firstOffset = this.baseQueueOffset + this.#firstIndex;
    if (open === undefined) {
      visit(firstOffset, total);
      return;
    }
    let start = -1;
    for (let index = 0; index <= total; index += 1) {
      const isOpen = index < total && open[index] === 1;
      if (isOpen && start < 0) start = index;
      else if (!isOpen && start >= 0) {
        visit(firstOffset + start, index - start);
        start = -1;
      }
    }
  }

  /** Where the selection begins: behind the stored batch. */
  get #selectionAt(): number {
    return DELIVER_STORED_BATCH + this.view.getUint32(DELIVER_STORED_BATCH + STORED_BYTES, true);
  }

  /** With a filter the broker has settled the records that are not wanted: they are not here. */
  #keepOnly(isWanted: (index: number, at: number) => boolean): void {
    const open = new Uint8Array(this.#endIndex - this.#firstIndex);
    let count = 0;
    let at = this.#firstAt;
    for (let index = 0; index < open.length; index += 1) {
      if (isWanted(index, at)) {
        open[index] = 1;
        count += 1;
      }
      at += recordBytesAt(this.view, at);
    }
    this.#open = open;
    this.#openCount = count;
  }
}

/** What is settled already. */
const DONE: Settlement = new Settlement();
DONE.finish();
