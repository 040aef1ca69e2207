/**
 * The messages of a simulated run: bodies that say who they are, batches as producers encode them, and a ledger of what is
 * known about each, which judges what the history alone cannot: retention, deleted topics, rot, and what a power loss
 * under ASYNC_FLUSH may take.
 */
import { crc32 } from '../base/crc32-native.ts';
import type { Prng } from '../base/prng.ts';
import { seededPrng } from '../base/prng.ts';
import { MIB } from '../base/units.ts';
import { BatchBuilder, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BODY_TEXT, STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';

/** Sizes of messages: all the same, so that stale bytes line up with new ones, or anything up to the largest. */
export type SizePlan = 'fixed' | 'random';

export const TAGS: readonly string[] = ['red', 'blue', 'green'];
const FIXED_BODY_BYTES = 168;
const FILLER: string = makeFiller();

export type SimMessage = {
  readonly id: string;
  readonly topic: string;
  readonly producer: string;
  readonly tag: string;
  readonly body: string;
  readonly crc: number;
  /** Where it is known to be; -1 before. */
  q: number;
  off: number;
  /** Position of its batch and its index in it: what a message id says; -1 before it is known. */
  locator: number;
  /** End of its batch in the log; 0 before it is known. */
  end: number;
  /** The last answer was a definite refusal. */
  isRefused: boolean;
  /** Monotonic time it was made, which is before it was first sent. */
  readonly madeAtMs: number;
  /** Monotonic time of the first ack; -1 without. */
  ackedAtMs: number;
  /** On the disk for certain: no later fault may take it. */
  isDurable: boolean;
  /** Why it need not be there at the end. */
  excuse: 'rot' | 'unflushed' | undefined;
  /** Retention let it go; a restart may bring it back for a while. */
  wasExpired: boolean;
};

/** A batch as it is sent, and sent again. */
export type SimBatch = {
  readonly messages: readonly SimMessage[];
  readonly bytes: Uint8Array;
  readonly sequence: number;
  readonly epoch: number;
};

export class MessageLedger {
  readonly messages: Map<string, SimMessage> = new Map();
  /** Topic → queue → offset → message. */
  private readonly slots = new Map<string, Map<number, SimMessage>[]>();
  private readonly builder = new BatchBuilder(1024, '');
  private nextNumber = 1;

  /** A message that nobody has sent yet. @param bodyBytes - at least some 12 */
  create(
    topic: string,
    producer: string,
    tag: string,
    bodyBytes: number,
    madeAtMs: number,
  ): SimMessage {
    const id = `m${this.nextNumber}`;
    this.nextNumber += 1;
    const start = (this.nextNumber * 7919) % 8192;
    const body = `${id} ${FILLER.slice(start, start + bodyBytes - id.length - 1)}`;
    const crc = crcOf(body);
    const message: SimMessage = {
      id,
      topic,
      producer,
      tag,
      body,
      crc,
      q: -1,
      off: -1,
      locator: -1,
      end: 0,
      madeAtMs,
      ackedAtMs: -1,
      isRefused: false,
      isDurable: false,
      excuse: undefined,
      wasExpired: false,
    };
    this.messages.set(id, message);
    return message;
  }

  /** Encodes messages as a producer does; the message's id is its key. */
  encode(
    messages: readonly SimMessage[],
    producerId: string,
    sequence: number,
    epoch: number,
  ): SimBatch {
    const { builder } = this;
    builder.reset(producerId);
    for (const { id, tag, body } of messages) {
      const record = { body, bodyKind: BODY_TEXT, key: id, tag } as const;
      builder.append(record, recordBytes(record), MIB, 1000);
    }
    return { messages, bytes: builder.finish(sequence, epoch).slice(), sequence, epoch };
  }

  /** A delivery shows a body at a slot. @returns the checksum of the body */
  note(topic: string, q: number, off: number, id: string, body: string): number {
    const message = this.messages.get(id);
    if (message === undefined) return crcOf(body);
    this.queue(topic, q).set(off, message);
    // A dead letter is a copy: the message itself is where it was.
    if (topic === message.topic && message.off < 0) {
      message.q = q;
      message.off = off;
    }
    return body === message.body ? message.crc : crcOf(body);
  }

  /** The whole batch was acknowledged. @param position - of the batch in the log */
  acked(batch: SimBatch, q: number, baseOffset: number, position: number, nowMs: number): void {
    const slots = this.queue(batch.messages[0]?.topic ?? '', q);
    batch.messages.forEach((message, index) => {
      message.q = q;
      message.off = baseOffset + index;
      slots.set(message.off, message);
      message.locator = position + index;
      message.end = position + storedBytes(batch);
      if (message.ackedAtMs < 0) message.ackedAtMs = nowMs;
      // What was lost once and sent again is there again.
      if (message.excuse === 'unflushed') message.excuse = undefined;
    });
  }

  at(topic: string, q: number, off: number): SimMessage | undefined {
    return this.slots.get(topic)?.[q]?.get(off);
  }

  /** The queue's known slots. */
  queue(topic: string, q: number): Map<number, SimMessage> {
    let queues = this.slots.get(topic);
    if (queues === undefined) {
      queues = [];
      this.slots.set(topic, queues);
    }
    queues[q] ??= new Map();
    return queues[q];
  }

  /**
   * The power fails, or what stood in the page cache is gone for another reason: what lies below `flushed` must be there
   * for ever, the rest may be lost when the flush mode allows it.
   */
  powerLoss(flushed: number, mayLose: boolean): void {
    for (const message of this.messages.values()) {
      if (message.ackedAtMs < 0 || message.isDurable) continue;
      if (!mayLose || (message.end > 0 && message.end <= flushed)) message.isDurable = true;
      else message.excuse ??= 'unflushed';
    }
  }
}

/** The id that a body carries; its first word, whatever the body is. */
export function idOf(body: string): string {
  const space = body.indexOf(' ');
  return space < 0 ? body.slice(0, 20) : body.slice(0, space);
}

export function crcOf(body: string): number {
  const bytes = Buffer.from(body);
  return crc32(bytes, 0, bytes.length);
}

/** Bytes of a batch in the log. */
export function storedBytes(batch: SimBatch): number {
  return STORED_HEADER_BYTES + batch.bytes.length;
}

/** How many messages the next batch has, and how large their bodies are. */
export function bodySizes(prng: Prng, plan: SizePlan, bytesMax: number): number[] {
  if (plan === 'fixed') return [FIXED_BODY_BYTES];
  const kind = prng.integer(20);
  if (kind === 0) return [bytesMax - prng.integer(64)];
  if (kind < 4) return [1000 + prng.integer(Math.max(1, Math.min(6000, bytesMax - 1000)))];
  const count = 1 + prng.integer(6);
  return Array.from({ length: count }, () => 12 + prng.integer(300));
}

function makeFiller(): string {
  const prng = seededPrng(4711);
  let text = '';
  while (text.length < 131_072) text += String.fromCharCode(33 + prng.integer(90));
  return text;
}
