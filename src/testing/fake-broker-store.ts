/**
 * What the fake broker keeps: queues of batches with the dedup rules of docs/PROTOCOL.md, and groups with leases and
 * attempts. Simple on purpose, so that it can be believed: the client's tests compare the client with it.
 */
import { setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32.ts';
import { ERROR_CODES, type ErrorCode } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import type { RecordMatcher } from '../filter/record-matcher.ts';
import { checkBatch } from '../protocol/batch/batch-check.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { selectionBytes, viewOf } from '../protocol/web/binary-codec.ts';

/** A stored message, as tests look at it. */
export type FakeMessage = {
  readonly queueId: number;
  readonly queueOffset: number;
  readonly key: string;
  readonly tag: string;
  readonly text: string;
  readonly properties: Readonly<Record<string, string>>;
};

export type FakeBatch = {
  readonly baseOffset: number;
  readonly count: number;
  readonly position: number;
  /** The stored batch: the broker's header and the producer's bytes. */
  readonly stored: Uint8Array;
  readonly messages: readonly FakeMessage[];
};

/** What became of a batch. */
export type FakeVerdict =
  | {
      readonly kind: 'stored' | 'duplicate';
      readonly baseOffset: number;
      readonly position: number;
    }
  | { readonly kind: 'error'; readonly code: string };

type FakeProducer = {
  epoch: number;
  next: number;
  readonly batches: Map<number, { baseOffset: number; position: number }>;
};

export class FakeQueue {
  readonly queueId: number;
  readonly topicId: number;
  readonly batches: FakeBatch[] = [];
  nextOffset = 0;
  private readonly producers = new Map<string, FakeProducer>();
  private readonly reader = new BatchReader();

  constructor(topicId: number, queueId: number) {
    this.topicId = topicId;
    this.queueId = queueId;
  }

  get messages(): FakeMessage[] {
    return this.batches.flatMap((batch) => batch.messages);
  }

  /** Forgets what it knew of producers, as a broker that lost its disk does. */
  forgetProducers(): void {
    this.producers.clear();
  }

  /** Sets a producer back, as a broker that lost its newest data does. */
  rewindProducers(messageCount: number): void {
    for (const producer of this.producers.values()) producer.next -= messageCount;
  }

  append(batch: Uint8Array): FakeVerdict {
    const view = viewOf(batch);
    const verdict = checkBatch(batch, view, 0, batch.length, (bytes, start, end) =>
      crc32(bytes, start, end),
    );
    if (verdict !== 'ok') return { kind: 'error', code: 'RECORD_CORRUPT' };
    const reader = this.reader.open(batch, view, 0);
    const { producerId, producerEpoch: epoch, sequence, recordCount } = reader;
    const known = this.producers.get(producerId);
    if (known !== undefined && epoch < known.epoch)
      return { kind: 'error', code: 'STALE_PRODUCER_EPOCH' };
    if (known !== undefined && epoch === known.epoch) {
      if (sequence > known.next) return { kind: 'error', code: 'SEQUENCE_GAP' };
      if (sequence < known.next) {
        const former = known.batches.get(sequence);
        return { kind: 'duplicate', baseOffset: -1, position: 0, ...former };
      }
    }
    const baseOffset = this.nextOffset;
    const stored = this.store(batch, recordCount);
    const producer = known?.epoch === epoch ? known : { epoch, next: 0, batches: new Map() };
    producer.next = sequence + recordCount;
    producer.batches.set(sequence, { baseOffset, position: stored.position });
    this.producers.set(producerId, producer);
    return { kind: 'stored', baseOffset, position: stored.position };
  }

  private store(batch: Uint8Array, count: number): FakeBatch {
    const baseOffset = this.nextOffset;
    const last = this.batches[this.batches.length - 1];
    const position = last === undefined ? 0 : last.position + last.stored.length;
    const stored = new Uint8Array(layout.STORED_HEADER_BYTES + batch.length);
    stored.set(batch, layout.STORED_HEADER_BYTES);
    const view = viewOf(stored);
    view.setUint32(layout.STORED_MAGIC, layout.BATCH_MAGIC, true);
    view.setUint32(layout.STORED_BYTES, stored.length, true);
    view.setUint16(layout.STORED_VERSION, layout.BATCH_VERSION, true);
    view.setUint16(layout.STORED_KIND, layout.KIND_DATA, true);
    setU64(view, layout.STORED_POSITION, position);
    setU64(view, layout.STORED_BASE_OFFSET, baseOffset);
    setU64(view, layout.STORED_AT_MS, 1_760_000_000_000);
    view.setUint32(layout.STORED_TOPIC_ID, this.topicId, true);
    view.setUint16(layout.STORED_QUEUE_ID, this.queueId, true);
    const messages: FakeMessage[] = [];
    const reader = this.reader.open(stored, view, layout.STORED_HEADER_BYTES);
    while (reader.next())
      messages.push({
        queueId: this.queueId,
        queueOffset: baseOffset + reader.index,
        key: reader.key,
        tag: reader.tag,
        text: reader.bodyText,
        properties: { ...reader.properties },
      });
    const entry = { baseOffset, count, position, stored, messages };
    this.batches.push(entry);
    this.nextOffset += count;
    return entry;
  }
}

/** One delivery: records side by side in one batch, with one lease. */
export type FakeDelivery = {
  readonly batch: FakeBatch;
  readonly firstIndex: number;
  readonly count: number;
  readonly attempt: number;
  readonly leaseId: number;
};

type FakeLease = { readonly leaseId: number; readonly attempt: number };

/** How far a group is in one queue. */
export class FakeGroupQueue {
  readonly acked: Set<number> = new Set();
  /** Reasons of nacks by offset. */
  readonly reasons: Map<number, string> = new Map();
  private readonly queue: FakeQueue;
  private next: number;
  private readonly leased = new Map<number, FakeLease>();
  private readonly retries: { offset: number; attempt: number }[] = [];
  private lastLeaseId = 0;

  constructor(queue: FakeQueue, from: 'earliest' | 'latest') {
    this.queue = queue;
    this.next = from === 'earliest' ? 0 : queue.nextOffset;
  }

  get leasedCount(): number {
    return this.leased.size;
  }

  /** The next delivery of at most `credit` messages, or undefined. */
  deliver(credit: number): FakeDelivery | undefined {
    if (credit < 1) return undefined;
    const retry = this.retries.shift();
    if (retry !== undefined) return this.lease(retry.offset, 1, retry.attempt);
    const batch = this.queue.batches.find(
      ({ baseOffset, count }) => this.next < baseOffset + count && this.next >= baseOffset,
    );
    if (batch === undefined) return undefined;
    const count = Math.min(credit, batch.baseOffset + batch.count - this.next);
    const delivery = this.lease(this.next, count, 1);
    this.next += count;
    return delivery;
  }

  /** Settles a range. @returns whether all of it was leased under this id */
  settle(
    action: 'ack' | 'nack',
    offset: number,
    count: number,
    leaseId: number,
    why: string,
  ): boolean {
    let isWhole = true;
    for (let at = offset; at < offset + count; at += 1) {
      const lease = this.leased.get(at);
      if (lease?.leaseId !== leaseId) {
        isWhole = false;
        continue;
      }
      this.leased.delete(at);
      if (action === 'ack') this.acked.add(at);
      else {
        this.reasons.set(at, why);
        this.retries.push({ offset: at, attempt: lease.attempt + 1 });
      }
    }
    return isWhole;
  }

  /** A message that the member's filter leaves out. */
  skip(offset: number): void {
    this.leased.delete(offset);
  }

  /** The member is gone: what it had is delivered again. */
  release(): void {
    for (const [offset, { attempt }] of this.leased)
      this.retries.push({ offset, attempt: attempt + 1 });
    this.leased.clear();
    this.retries.sort((one, other) => one.offset - other.offset);
  }

  seek(offset: number): void {
    this.next = offset;
    this.leased.clear();
    this.retries.length = 0;
  }

  private lease(offset: number, count: number, attempt: number): FakeDelivery {
    const batch = this.queue.batches.find(
      (one) => offset >= one.baseOffset && offset < one.baseOffset + one.count,
    ) as FakeBatch;
    this.lastLeaseId += 1;
    const leaseId = this.lastLeaseId;
    for (let at = offset; at < offset + count; at += 1) this.leased.set(at, { leaseId, attempt });
    return { batch, firstIndex: offset - batch.baseOffset, count, attempt, leaseId };
  }
}

/** An `error` answer as the wire has it. */
export function fakeError(
  code: ErrorCode,
  retryAfterMs: number | undefined,
): Record<string, unknown> {
  const error = new SluiceError(code, `${ERROR_CODES[code].sentence} (fake)`, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  return { op: 'error', ...error.toBody() };
}

/** Which records of a delivery the filter lets through; the others are settled, and take no credit. */
export function wantedOf(
  matcher: RecordMatcher | null,
  queue: FakeGroupQueue,
  { batch, firstIndex, count }: FakeDelivery,
): { readonly count: number; readonly selection: Uint8Array } {
  const selection = new Uint8Array(selectionBytes(count));
  const reader = new BatchReader();
  reader.open(batch.stored, viewOf(batch.stored), layout.STORED_HEADER_BYTES);
  let wanted = 0;
  while (reader.next()) {
    const index = reader.index - firstIndex;
    if (index < 0 || index >= count) continue;
    if (matcher?.matches(reader) === false) {
      queue.skip(batch.baseOffset + reader.index);
      continue;
    }
    wanted += 1;
    selection[index >>> 3] = (selection[index >>> 3] as number) | (1 << (index & 7));
  }
  return { count: wanted, selection };
}
