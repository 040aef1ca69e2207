/**
 * The acceptor's end of one shard: the only writer of its request ring. Batches are copied from where they are into the
 * ring, once. A request that may be refused is refused when the ring is full; one that must arrive (flow, releases, acks,
 * control) waits in order in a backlog, and as long as something waits there nothing overtakes it. Never blocks.
 */
import { invariant } from '../base/assert.ts';
import { setU64 } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { LABEL_LENGTH_MAX, RING_BACKLOG_BYTES_MAX, SHARD_ANSWER_MS_MAX } from '../base/limits.ts';
import { alignUp } from '../base/units.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as layout from '../protocol/envelope-layout.ts';
import type { ShardControlRequest } from '../protocol/shard-control.ts';
import { RING_RECORD_HEADER_BYTES, ringPayloadMax } from '../ring/ring-layout.ts';
import { RING_FULL } from '../ring/ring-producer.ts';
import type { PendingRequests } from './pending-requests.ts';
import type { ShardPort } from './shard-port.ts';
import {
  controlWriter,
  type FetchRequest,
  fetchWriter,
  flowWriter,
  type RecordWriter,
  type SettleRequest,
  settleRequestBytes,
  settleWriter,
} from './shard-requests.ts';

/** Milliseconds after which a shard that restarts is worth asking again. */
export const SHARD_RETRY_MS = 500;
/** Reading from senders stops above this part of the ring, and goes on below the other. */
const RING_PAUSE_PART = 0.75;
const RING_RESUME_PART = 0.5;
/** Ranges of one settle request, so that a long ack does not hold up the shard's duty cycle. */
const SETTLE_RANGES_AT_ONCE = 1024;

type Waiting = { readonly type: number; readonly payload: Uint8Array };

const encoder = new TextEncoder();

/** Bytes that a record with this payload takes in a ring. */
export function recordSpace(payloadBytes: number): number {
  return alignUp(RING_RECORD_HEADER_BYTES + payloadBytes, 8);
}

export class ShardLink {
  readonly shard: number;
  /** Replaced when the shard comes back from a restart. */
  port: ShardPort;
  /** Bytes that wait for space in the ring. */
  backlogBytes = 0;
  private backlog: Waiting[] = [];
  private phase: 'down' | 'catching-up' | 'up' = 'catching-up';
  private readonly pending: PendingRequests;
  private readonly clock: Clock;

  constructor(port: ShardPort, pending: PendingRequests, clock: Clock) {
    this.shard = port.shard;
    this.port = port;
    this.pending = pending;
    this.clock = clock;
  }

  /** Takes requests of clients. */
  get isRunning(): boolean {
    return this.phase === 'up' && this.port.state === 'running';
  }

  /** Takes what the acceptor itself has to say: also while it is being brought up to date. */
  get isReachable(): boolean {
    return this.phase !== 'down' && this.port.state === 'running';
  }

  /** Why requests for this shard are refused now. */
  refusal(): SluiceError {
    const facts = { shard: this.shard };
    if (this.port.state === 'fenced')
      return new SluiceError('SHARD_FENCED', `shard ${this.shard} is fenced`, { facts });
    return new SluiceError('SHARD_RESTARTING', `shard ${this.shard} is restarting`, {
      facts,
      retryAfterMs: SHARD_RETRY_MS,
    });
  }

  /** The shard is gone with everything it was told. */
  goDown(): void {
    this.phase = 'down';
    this.backlog = [];
    this.backlogBytes = 0;
  }

  /** The shard is back, with rings of its own, and is to be brought up to date. */
  comeBack(port: ShardPort): void {
    invariant(port.shard === this.shard, 'a shard keeps its number', port.shard, this.shard);
    this.port = port;
    this.phase = 'catching-up';
  }

  /** It knows all topics and groups. */
  caughtUp(): void {
    if (this.phase === 'catching-up') this.phase = 'up';
  }

  /** The largest batch that a record of this ring can carry. */
  get batchBytesMax(): number {
    return Math.floor((this.payloadMax - layout.DEFER_BATCH) / 8) * 8;
  }

  private get payloadMax(): number {
    return ringPayloadMax(this.port.requests.capacityBytes);
  }

  /** Is there room now for records of `space` bytes in all (`recordSpace` of each), the largest of `largest`? */
  hasRoom(space: number, largest: number): boolean {
    const { requests } = this.port;
    // Records end before the ring's end: at most one of them leaves a gap as large as itself.
    return (
      this.backlog.length === 0 && requests.usedBytes() + space + largest <= requests.capacityBytes
    );
  }

  /** The ring is so full that senders should feel it. */
  get isCrowded(): boolean {
    const { requests } = this.port;
    return (
      this.backlog.length > 0 || requests.usedBytes() > requests.capacityBytes * RING_PAUSE_PART
    );
  }

  get hasDrained(): boolean {
    const { requests } = this.port;
    return (
      !this.isReachable ||
      (this.backlog.length === 0 &&
        requests.usedBytes() < requests.capacityBytes * RING_RESUME_PART)
    );
  }

  /** Acks are taken as long as their backlog stays within its bound. */
  get takesAcks(): boolean {
    return this.backlogBytes < RING_BACKLOG_BYTES_MAX;
  }

  /**
   * Copies the batch at `from` of `source` into the ring.
   *
   * @returns false when the ring is full; nothing was handed over
   */
  produce(
    session: number,
    correlation: number,
    topicId: number,
    queueId: number,
    source: Uint8Array,
    from: number,
  ): boolean {
    if (this.backlog.length > 0) return false;
    const { requests } = this.port;
    const at = requests.claim(layout.REQUEST_PRODUCE, layout.PRODUCE_BATCH + source.length - from);
    if (at === RING_FULL) return false;
    const { view } = requests;
    view.setUint32(at + layout.PRODUCE_SESSION, session, true);
    view.setUint32(at + layout.PRODUCE_CORRELATION, correlation, true);
    view.setUint32(at + layout.PRODUCE_TOPIC_ID, topicId, true);
    view.setUint16(at + layout.PRODUCE_QUEUE_ID, queueId, true);
    view.setUint16(at + layout.PRODUCE_RESERVED, 0, true);
    requests.bytes.set(from === 0 ? source : source.subarray(from), at + layout.PRODUCE_BATCH);
    this.publish();
    return true;
  }

  /**
   * The same for a batch that is stored now and seen later; it is answered like one of `produce`, with
   * PRODUCED_FLAG_DEFERRED.
   *
   * @returns false when the ring is full; nothing was handed over
   */
  defer(
    session: number,
    correlation: number,
    target: { readonly topicId: number; readonly queueId: number },
    deferral: { readonly dueAtMs: number; readonly isHalf?: boolean },
    source: Uint8Array,
    from: number,
  ): boolean {
    if (this.backlog.length > 0) return false;
    const { requests } = this.port;
    const at = requests.claim(layout.REQUEST_DEFER, layout.DEFER_BATCH + source.length - from);
    if (at === RING_FULL) return false;
    const { view } = requests;
    view.setUint32(at + layout.PRODUCE_SESSION, session, true);
    view.setUint32(at + layout.PRODUCE_CORRELATION, correlation, true);
    view.setUint32(at + layout.PRODUCE_TOPIC_ID, target.topicId, true);
    view.setUint16(at + layout.PRODUCE_QUEUE_ID, target.queueId, true);
    const flags = deferral.isHalf === true ? layout.DEFER_FLAG_HALF : 0;
    view.setUint16(at + layout.DEFER_FLAGS, flags, true);
    setU64(view, at + layout.DEFER_DUE_AT_MS, deferral.dueAtMs);
    requests.bytes.set(from === 0 ? source : source.subarray(from), at + layout.DEFER_BATCH);
    this.publish();
    return true;
  }

  /** The most ranges of one settle request, beside a reason of the longest kind. */
  get settleRangesMax(): number {
    const room = this.payloadMax - layout.SETTLE_RANGES - 4 * LABEL_LENGTH_MAX;
    return Math.min(SETTLE_RANGES_AT_ONCE, Math.floor(room / layout.SETTLE_RANGE_BYTES));
  }

  settle(request: SettleRequest): void {
    this.mustWrite(layout.REQUEST_SETTLE, settleRequestBytes(request), settleWriter(request));
  }

  flow(subscription: number, action: number, credit: number): void {
    this.mustWrite(
      layout.REQUEST_FLOW,
      layout.FLOW_BYTES,
      flowWriter(subscription, action, credit),
    );
  }

  fetch(request: FetchRequest): void {
    this.mustWrite(layout.REQUEST_FETCH, layout.FETCH_BYTES, fetchWriter(request));
  }

  /**
   * Sends a control request.
   *
   * @returns the `result` of its answer
   * @throws what the shard answered; SHARD_RESTARTING, SHARD_FENCED, TIMEOUT
   */
  control<Result>(
    request: ShardControlRequest,
    timeoutMs: number = SHARD_ANSWER_MS_MAX,
  ): Promise<Result> {
    if (!this.isReachable) return Promise.reject(this.refusal());
    const json = encoder.encode(JSON.stringify(request));
    if (layout.CONTROL_JSON + json.length > this.payloadMax)
      return Promise.reject(
        new SluiceError('LIMIT_REACHED', `the request ${request.op} has ${json.length} bytes`),
      );
    return new Promise((resolve, reject) => {
      const waiter = {
        replied: (type: number, bytes: Uint8Array, _view: DataView, at: number, length: number) => {
          invariant(type === layout.REPLY_CONTROL, 'a control request has a control reply', type);
          const text = readText(bytes, at + layout.CONTROL_JSON, at + length);
          resolve(JSON.parse(text) as Result);
        },
        failed: reject,
      };
      const deadlineMs = this.clock.monotonicMs() + timeoutMs;
      const correlation = this.pending.add(this.shard, waiter, deadlineMs);
      this.mustWrite(
        layout.REQUEST_CONTROL,
        layout.CONTROL_JSON + json.length,
        controlWriter(correlation, json),
      );
    });
  }

  /** Moves what waits into the ring. @returns records moved */
  flushBacklog(): number {
    let moved = 0;
    const { requests } = this.port;
    for (const { type, payload } of this.backlog) {
      const at = requests.claim(type, payload.length);
      if (at === RING_FULL) break;
      requests.bytes.set(payload, at);
      this.backlogBytes -= payload.length;
      moved += 1;
    }
    if (moved === 0) return 0;
    this.backlog.splice(0, moved);
    this.publish();
    return moved;
  }

  get hasBacklog(): boolean {
    return this.backlog.length > 0;
  }

  /** Would `flushBacklog` move something? */
  get canFlush(): boolean {
    const [first] = this.backlog;
    const { requests } = this.port;
    if (first === undefined) return false;
    const space = recordSpace(first.payload.length);
    return requests.usedBytes() + 2 * space <= requests.capacityBytes;
  }

  /** Writes the record now or when there is space; a shard that is down forgets everything anyway. */
  private mustWrite(type: number, payloadBytes: number, write: RecordWriter): void {
    if (!this.isReachable) return;
    const { requests } = this.port;
    const at = this.backlog.length > 0 ? RING_FULL : requests.claim(type, payloadBytes);
    if (at === RING_FULL) {
      const payload = new Uint8Array(payloadBytes);
      write(payload, new DataView(payload.buffer), 0);
      this.backlog.push({ type, payload });
      this.backlogBytes += payloadBytes;
      return;
    }
    write(requests.bytes, requests.view, at);
    this.publish();
  }

  private publish(): void {
    this.port.requests.publish();
    this.port.wake();
  }
}
