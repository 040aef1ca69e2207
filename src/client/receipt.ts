/**
 * Where messages were stored. The broker answers per batch; a receipt of one message is a window on that answer,
 * made when somebody asks, so that a million messages do not make a million objects. Browser-safe.
 */
import { messageIdOf } from '../protocol/message-id.ts';
import type { ReceiptEntry } from '../protocol/web/binary-codec.ts';
import { DURABILITY_DISK, DURABILITY_REPLICATED } from '../protocol/web/frames-layout.ts';
import type { Durability } from '../protocol/web/messages.ts';

/** Where a batch of messages of one queue was stored: they have consecutive offsets. */
export class BatchReceipt {
  readonly topic: string;
  readonly queueId: number;
  /** Offset of the first message; -1 for a duplicate too old for the broker to know, and for messages that cannot be seen yet. */
  readonly queueOffset: number;
  readonly messageCount: number;
  /** Name of the broker that stored it. */
  readonly broker: string;
  /** What the acknowledgement is worth. */
  readonly durability: Durability;
  /** It had been stored before: an earlier answer was lost, nothing is stored twice. */
  readonly duplicate: boolean;
  /** When delayed messages can be seen, milliseconds since 1970; undefined for others, and when they were seen already. */
  readonly deliverAt: number | undefined;
  readonly #messageIdPrefix: string;
  readonly #shard: number;
  readonly #position: number;

  /** @internal */
  constructor(
    topic: string,
    entry: Readonly<ReceiptEntry>,
    messageIdPrefix: string,
    broker: string,
  ) {
    this.topic = topic;
    this.broker = broker;
    this.queueId = entry.queueId;
    const { deferred, baseQueueOffset } = entry;
    this.queueOffset = deferred ? -1 : baseQueueOffset;
    this.deliverAt = deferred && baseQueueOffset >= 0 ? baseQueueOffset : undefined;
    this.messageCount = entry.recordCount;
    this.durability =
      entry.durability === DURABILITY_REPLICATED
        ? 'replicated'
        : entry.durability === DURABILITY_DISK
          ? 'disk'
          : 'memory';
    this.duplicate = entry.duplicate;
    this.#messageIdPrefix = messageIdPrefix;
    this.#shard = entry.shard;
    this.#position = entry.position;
  }

  /** The receipt of message number `index`, from 0 to `messageCount - 1`. */
  at(index: number): Receipt {
    return new Receipt(this, index);
  }

  /** Id of message number `index`: 32 hex digits. */
  messageIdAt(index: number): string {
    return messageIdOf(this.#messageIdPrefix, this.#shard, this.#position, index);
  }
}

/** Where one message was stored. */
export class Receipt {
  readonly #batch: BatchReceipt;
  readonly #index: number;

  /** @internal */
  constructor(batch: BatchReceipt, index: number) {
    this.#batch = batch;
    this.#index = index;
  }

  /** Topic that the message was sent to. */
  get topic(): string {
    return this.#batch.topic;
  }

  /** Name of the broker that stored it. */
  get broker(): string {
    return this.#batch.broker;
  }

  /** Queue of the topic that holds it. */
  get queueId(): number {
    return this.#batch.queueId;
  }

  /** Index of the message in its queue; -1 for a duplicate too old for the broker to know, and for one that cannot be seen yet. */
  get queueOffset(): number {
    const { queueOffset } = this.#batch;
    return queueOffset < 0 ? -1 : queueOffset + this.#index;
  }

  /** 32 hex digits that name the message for people and for `client.admin.message`. */
  get messageId(): string {
    return this.#batch.messageIdAt(this.#index);
  }

  /** What the acknowledgement is worth: the bytes are with the operating system, on disk, or on a slave too. */
  get durability(): Durability {
    return this.#batch.durability;
  }

  /** The message had been stored before: an earlier answer was lost, nothing is stored twice. */
  get duplicate(): boolean {
    return this.#batch.duplicate;
  }

  /** When a delayed message can be seen, milliseconds since 1970; undefined for others, and when it was seen already. */
  get deliverAt(): number | undefined {
    return this.#batch.deliverAt;
  }

  /** Its fields, for `JSON.stringify` and logs. */
  toJSON(): Record<string, string | number | boolean> {
    const { topic, queueId, queueOffset, messageId, durability, duplicate, deliverAt } = this;
    const fields = { topic, queueId, queueOffset, messageId, durability, duplicate };
    return deliverAt === undefined ? fields : { ...fields, deliverAt };
  }
}

/** The receipts of one `sendBatch`, in the order of its messages. */
export class Receipts implements Iterable<Receipt> {
  readonly #parts: readonly ReceiptsPart[];
  /** Number of messages. */
  readonly length: number;

  /** @internal */
  constructor(parts: readonly ReceiptsPart[], length: number) {
    this.#parts = parts;
    this.length = length;
  }

  /** The receipt of message number `index`, from 0; undefined outside. */
  at(index: number): Receipt | undefined {
    let low = 0;
    let high = this.#parts.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const part = this.#parts[middle] as ReceiptsPart;
      if (index < part.first) high = middle - 1;
      else if (index >= part.first + part.count) low = middle + 1;
      else return part.receipt.at(part.firstRecord + index - part.first);
    }
    return undefined;
  }

  /** The receipts in the order of the messages. */
  *[Symbol.iterator](): IterableIterator<Receipt> {
    for (const part of this.#parts) {
      for (let index = 0; index < part.count; index += 1)
        yield part.receipt.at(part.firstRecord + index);
    }
  }
}

/** Consecutive messages of a `sendBatch` that stand side by side in one batch. @internal */
export type ReceiptsPart = {
  /** Index of the first in the `sendBatch`. */
  readonly first: number;
  readonly count: number;
  /** Index of the first in the batch. */
  readonly firstRecord: number;
  readonly receipt: BatchReceipt;
};
