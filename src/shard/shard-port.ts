/**
 * A shard's side of its rings with one acceptor: requests in, replies out. Replies are written field by field in place.
 * Every writer returns false when the ring is full; the caller keeps what it has and comes back.
 */
import { setU64 } from '../base/bytes.ts';
import { ERROR_CODES, type ErrorCode } from '../base/error-codes.ts';
import { KIB } from '../base/units.ts';
import { TAIL_SLOTS, type TailWindow } from '../log/tail-window.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { RingConsumer } from '../ring/ring-consumer.ts';
import { RING_FULL, type RingProducer } from '../ring/ring-producer.ts';

/** A request is taken only when this much of the reply ring is free, so that its refusal always fits. */
const REPLY_RESERVE_BYTES: number = 16 * KIB;
const encoder = new TextEncoder();

export type Extent = {
  position: number;
  baseOffset: number;
  batchBytes: number;
  firstIndex: number;
  count: number;
  isCold: boolean;
};

export class ShardPort {
  readonly requests: RingConsumer;
  private readonly replies: RingProducer;
  private readonly wakeAcceptor: () => void;
  private readonly tail: TailWindow;
  /** Per slot of the tail window: reply ring sequence after the last reply that points into it; undefined: none. */
  private readonly leaseMarks: (number | undefined)[] = new Array<undefined>(TAIL_SLOTS).fill(
    undefined,
  );

  constructor(
    requests: RingConsumer,
    replies: RingProducer,
    tail: TailWindow,
    wakeAcceptor: () => void,
  ) {
    this.requests = requests;
    this.replies = replies;
    this.tail = tail;
    this.wakeAcceptor = wakeAcceptor;
  }

  /** Is there room for the answer to one more request? */
  get canTakeRequest(): boolean {
    return this.replies.capacityBytes - this.replies.usedBytes() >= REPLY_RESERVE_BYTES;
  }

  /** Makes the replies visible and wakes the acceptor when it sleeps. */
  publish(): boolean {
    if (!this.replies.publish()) return false;
    this.wakeAcceptor();
    return true;
  }

  /** Nobody reads the bytes of this slot any more. */
  isSlotFree(slot: number): boolean {
    const mark = this.leaseMarks[slot];
    if (mark === undefined) return true;
    if (!this.replies.consumedPast(mark)) return false;
    this.leaseMarks[slot] = undefined;
    return true;
  }

  /** Forgets marks that the acceptor has passed: a wrapping number must not be compared too late. */
  sweepLeases(): void {
    for (let slot = 0; slot < TAIL_SLOTS; slot += 1) this.isSlotFree(slot);
  }

  failed(
    session: number,
    correlation: number,
    request: number,
    code: ErrorCode,
    text: string,
    retryAfterMs = 0,
  ): boolean {
    const bytes = encoder.encode(text.slice(0, 4000));
    const at = this.replies.claim(envelope.REPLY_FAILED, envelope.FAILED_TEXT + bytes.length);
    if (at === RING_FULL) return false;
    const { view } = this.replies;
    view.setUint32(at + envelope.FAILED_SESSION, session, true);
    view.setUint32(at + envelope.FAILED_CORRELATION, correlation, true);
    view.setUint16(at + envelope.FAILED_CODE, ERROR_CODES[code].number, true);
    view.setUint16(at + envelope.FAILED_REQUEST, request, true);
    view.setUint32(at + envelope.FAILED_RETRY_AFTER_MS, retryAfterMs, true);
    this.replies.bytes.set(bytes, at + envelope.FAILED_TEXT);
    return true;
  }

  produced(reply: {
    session: number;
    correlation: number;
    queueId: number;
    durability: number;
    flags: number;
    count: number;
    baseOffset: number;
    batchPosition: number;
  }): boolean {
    const at = this.replies.claim(envelope.REPLY_PRODUCED, envelope.PRODUCED_BYTES);
    if (at === RING_FULL) return false;
    const { view } = this.replies;
    view.setUint32(at + envelope.PRODUCED_SESSION, reply.session, true);
    view.setUint32(at + envelope.PRODUCED_CORRELATION, reply.correlation, true);
    view.setUint16(at + envelope.PRODUCED_QUEUE_ID, reply.queueId, true);
    view.setUint8(at + envelope.PRODUCED_DURABILITY, reply.durability);
    view.setUint8(at + envelope.PRODUCED_FLAGS, reply.flags);
    view.setUint32(at + envelope.PRODUCED_RECORD_COUNT, reply.count, true);
    setU64(
      view,
      at + envelope.PRODUCED_BASE_OFFSET,
      reply.baseOffset < 0 ? envelope.OFFSET_UNKNOWN : reply.baseOffset,
    );
    setU64(view, at + envelope.PRODUCED_POSITION, reply.batchPosition);
    return true;
  }

  settled(session: number, correlation: number): boolean {
    const at = this.replies.claim(envelope.REPLY_SETTLED, envelope.SETTLED_BYTES);
    if (at === RING_FULL) return false;
    this.replies.view.setUint32(at + envelope.SETTLED_SESSION, session, true);
    this.replies.view.setUint32(at + envelope.SETTLED_CORRELATION, correlation, true);
    return true;
  }

  /** An answer that the ring can never hold becomes an error: what was asked for has been carried out. */
  control(session: number, correlation: number, result: unknown): boolean {
    const json = encoder.encode(JSON.stringify(result));
    const length = envelope.CONTROL_JSON + json.length;
    if (length > this.replies.payloadMax) {
      const text = `the answer has ${json.length} bytes, and ringBytes allows ${this.replies.payloadMax}; what was asked for is done`;
      const { REQUEST_CONTROL } = envelope;
      return this.failed(session, correlation, REQUEST_CONTROL, 'LIMIT_REACHED', text);
    }
    const at = this.replies.claim(envelope.REPLY_CONTROL, length);
    if (at === RING_FULL) return false;
    this.replies.view.setUint32(at + envelope.CONTROL_SESSION, session, true);
    this.replies.view.setUint32(at + envelope.CONTROL_CORRELATION, correlation, true);
    this.replies.bytes.set(json, at + envelope.CONTROL_JSON);
    return true;
  }

  event(event: unknown): boolean {
    const json = encoder.encode(JSON.stringify(event));
    const at = this.replies.claim(envelope.REPLY_EVENT, json.length);
    if (at === RING_FULL) return false;
    this.replies.bytes.set(json, at);
    return true;
  }

  deliver(
    subscription: number,
    topicId: number,
    queueId: number,
    extent: Extent,
    lease: { id: number; attempt: number; leaseMs: number; returnsKnown: number },
  ): boolean {
    const at = this.replies.claim(envelope.REPLY_DELIVER, envelope.DELIVER_BYTES);
    if (at === RING_FULL) return false;
    const { view } = this.replies;
    view.setUint32(at + envelope.DELIVER_SUBSCRIPTION, subscription, true);
    view.setUint16(at + envelope.DELIVER_QUEUE_ID, queueId, true);
    view.setUint16(at + envelope.DELIVER_FLAGS, extent.isCold ? envelope.EXTENT_COLD : 0, true);
    view.setUint32(at + envelope.DELIVER_FIRST_INDEX, extent.firstIndex, true);
    view.setUint32(at + envelope.DELIVER_COUNT, extent.count, true);
    view.setUint32(at + envelope.DELIVER_ATTEMPT, lease.attempt, true);
    view.setUint32(at + envelope.DELIVER_BATCH_BYTES, extent.batchBytes, true);
    setU64(view, at + envelope.DELIVER_POSITION, extent.position);
    setU64(view, at + envelope.DELIVER_BASE_OFFSET, extent.baseOffset);
    setU64(view, at + envelope.DELIVER_LEASE, lease.id);
    view.setUint32(at + envelope.DELIVER_LEASE_MS, lease.leaseMs, true);
    view.setUint32(at + envelope.DELIVER_TOPIC_ID, topicId, true);
    view.setUint32(at + envelope.DELIVER_RETURNS_KNOWN, lease.returnsKnown, true);
    view.setUint32(at + envelope.DELIVER_RESERVED, 0, true);
    if (!extent.isCold) this.markLease(extent);
    return true;
  }

  fetched(
    session: number,
    correlation: number,
    offsets: { min: number; max: number; next: number },
    extents: readonly Extent[],
  ): boolean {
    const length = envelope.FETCHED_EXTENTS + extents.length * envelope.EXTENT_BYTES;
    const at = this.replies.claim(envelope.REPLY_FETCHED, length);
    if (at === RING_FULL) return false;
    const { view } = this.replies;
    view.setUint32(at + envelope.FETCHED_SESSION, session, true);
    view.setUint32(at + envelope.FETCHED_CORRELATION, correlation, true);
    setU64(view, at + envelope.FETCHED_MIN_OFFSET, offsets.min);
    setU64(view, at + envelope.FETCHED_MAX_OFFSET, offsets.max);
    setU64(view, at + envelope.FETCHED_NEXT_OFFSET, offsets.next);
    view.setUint32(at + envelope.FETCHED_EXTENT_COUNT, extents.length, true);
    extents.forEach((extent, index) => {
      const place = at + envelope.FETCHED_EXTENTS + index * envelope.EXTENT_BYTES;
      setU64(view, place + envelope.EXTENT_POSITION, extent.position);
      setU64(view, place + envelope.EXTENT_BASE_OFFSET, extent.baseOffset);
      view.setUint32(place + envelope.EXTENT_BATCH_BYTES, extent.batchBytes, true);
      view.setUint32(place + envelope.EXTENT_FIRST_INDEX, extent.firstIndex, true);
      view.setUint32(place + envelope.EXTENT_COUNT, extent.count, true);
      view.setUint32(place + envelope.EXTENT_FLAGS, extent.isCold ? envelope.EXTENT_COLD : 0, true);
      if (!extent.isCold) this.markLease(extent);
    });
    return true;
  }

  /** The slots of an extent must not be overwritten until the acceptor has passed the reply that was just claimed. */
  private markLease(extent: Extent): void {
    const first = this.tail.slotOf(extent.position);
    const last = this.tail.slotOf(extent.position + extent.batchBytes - 1);
    for (let slot = first; slot <= last; slot += 1) this.leaseMarks[slot] = this.replies.sequence;
  }
}
