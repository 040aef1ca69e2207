/**
 * Takes replies from the rings. Deliveries to one connection that follow each other are written in one corked run, so
 * that many small ones cost few system calls; a run ends when enough bytes are in it to look at the socket again. A record
 * that fails in a way nobody expected is counted and left behind: it must not stop the others.
 */
import { getU64 } from '../base/bytes.ts';
import { errorCodeOf } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';
import { readText } from '../protocol/batch/text-bytes.ts';
import * as layout from '../protocol/envelope-layout.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { AcceptorCore } from './acceptor-core.ts';
import { readDelivery } from './delivery-entry.ts';
import { Responder } from './responder.ts';
import type { Session } from './session.ts';
import type { ShardLink } from './shard-link.ts';
import { sessionOf } from './subscription.ts';

/** Bytes of one corked run before the socket is looked at: little beside the connection's budget. */
const RUN_BYTES_MAX: number = 256 * KIB;

export class ReplyDrain {
  private readonly core: AcceptorCore;
  private readonly onEvent: (shard: number, event: ShardEvent) => void;
  private readonly masterText: () => string | undefined;
  private link: ShardLink;
  private nowMs = 0;
  /** Whose run this is, and whose is to come because its delivery ended the last one. */
  private corked: Session | undefined;
  private wanted: Session | undefined;
  private runBytes = 0;
  private limit = 0;
  private handled = 0;

  /** @param masterText - where the master of a slave is */
  constructor(
    core: AcceptorCore,
    onEvent: (shard: number, event: ShardEvent) => void,
    masterText: () => string | undefined,
  ) {
    this.core = core;
    this.onEvent = onEvent;
    this.masterText = masterText;
    this.link = core.links.get(0);
  }

  /** @returns replies taken, at most `limit` */
  drain(link: ShardLink, limit: number): number {
    this.link = link;
    this.nowMs = this.core.clock.monotonicMs();
    let total = 0;
    let next: Session | undefined;
    do {
      this.limit = limit - total;
      next = this.run(next);
      total += this.handled;
    } while (next !== undefined && total < limit);
    return total;
  }

  /** @returns the session whose delivery ended the run */
  private run(session: Session | undefined): Session | undefined {
    this.corked = session;
    this.wanted = undefined;
    this.runBytes = 0;
    this.handled = 0;
    if (session === undefined) this.read();
    else {
      session.connection.cork(this.read);
      this.core.backPressure.afterSend(session);
    }
    this.corked = undefined;
    return this.wanted;
  }

  /** Told about everything written to a session. */
  wrote(session: Session, bytes: number): void {
    if (session === this.corked) this.runBytes += bytes;
    else this.core.backPressure.afterSend(session);
  }

  private readonly read = (): void => {
    this.handled = this.link.port.replies.read(this.handle, this.limit);
  };

  private readonly handle = (type: number, at: number, length: number): boolean => {
    try {
      return type === layout.REPLY_DELIVER ? this.deliver(at) : this.reply(type, at, length);
    } catch (error) {
      this.core.counters.internalErrors += 1;
      const failure = error instanceof Error ? error : new Error(String(error));
      this.core.log.error('reply-failed', { shard: this.link.shard, type, error: failure });
      return true;
    }
  };

  private deliver(at: number): boolean {
    const { view } = this.link.port.replies;
    const { core, link } = this;
    const number = view.getUint32(at + layout.DELIVER_SUBSCRIPTION, true);
    const subscription = core.subscriptions.get(number);
    // It has ended: its leases end with the detach that is on its way. Those of a shard that has stopped are gone.
    if (subscription === undefined || link.port.state !== 'running') return true;
    const session = sessionOf(subscription);
    const isOtherRun = session !== this.corked || this.runBytes >= RUN_BYTES_MAX;
    if (session !== undefined && isOtherRun) {
      this.wanted = session;
      return false;
    }
    core.deliveries.arrive(subscription, readDelivery(link.shard, view, at, this.nowMs));
    return true;
  }

  private reply(type: number, at: number, length: number): true {
    const { bytes, view } = this.link.port.replies;
    if (type === layout.REPLY_EVENT) {
      const json = readText(bytes, at, at + length);
      this.onEvent(this.link.shard, JSON.parse(json) as ShardEvent);
      return true;
    }
    if (type === layout.REPLY_PRODUCED) this.countStored(at);
    // All other replies begin with session and correlation.
    const session = view.getUint32(at + layout.PRODUCED_SESSION, true);
    const correlation = view.getUint32(at + layout.PRODUCED_CORRELATION, true);
    if (session !== 0) {
      this.batchReply(type, session, correlation, at, length);
      return true;
    }
    const waiter = this.core.pending.take(correlation);
    if (type === layout.REPLY_FAILED) waiter?.failed(this.failure(at, length));
    else waiter?.replied(type, bytes, view, at, length);
    return true;
  }

  private countStored(at: number): void {
    const { view } = this.link.port.replies;
    if ((view.getUint8(at + layout.PRODUCED_FLAGS) & layout.PRODUCED_FLAG_DUPLICATE) !== 0) return;
    this.core.rates.stored.add(view.getUint32(at + layout.PRODUCED_RECORD_COUNT, true));
  }

  /** The answer to a SEND_BATCH frame. */
  private batchReply(
    type: number,
    number: number,
    correlation: number,
    at: number,
    length: number,
  ): void {
    const { core } = this;
    const session = core.sessions.get(number);
    if (type === layout.REPLY_PRODUCED) core.counters.batchesStored += 1;
    if (session === undefined || !session.batches.delete(correlation)) return;
    session.end();
    if (type === layout.REPLY_PRODUCED) this.receipt(session, correlation, at);
    else
      new Responder(session, 'binary', correlation, core.outbox, core.counters).refuse(
        this.failure(at, length),
      );
  }

  private receipt(session: Session, correlation: number, at: number): void {
    const { view } = this.link.port.replies;
    const { entry } = this.core.outbox;
    const baseOffset = getU64(view, at + layout.PRODUCED_BASE_OFFSET);
    const flags = view.getUint8(at + layout.PRODUCED_FLAGS);
    entry.correlationId = correlation;
    entry.queueId = view.getUint16(at + layout.PRODUCED_QUEUE_ID, true);
    entry.durability = view.getUint8(at + layout.PRODUCED_DURABILITY);
    entry.duplicate = (flags & layout.PRODUCED_FLAG_DUPLICATE) !== 0;
    entry.deferred = (flags & layout.PRODUCED_FLAG_DEFERRED) !== 0;
    entry.baseQueueOffset = baseOffset === layout.OFFSET_UNKNOWN ? -1 : baseOffset;
    entry.position = getU64(view, at + layout.PRODUCED_POSITION);
    entry.recordCount = view.getUint32(at + layout.PRODUCED_RECORD_COUNT, true);
    entry.shard = this.link.shard;
    this.core.outbox.addReceipt(session);
  }

  private failure(at: number, length: number): SluiceError {
    const { bytes, view } = this.link.port.replies;
    const code = errorCodeOf(view.getUint16(at + layout.FAILED_CODE, true));
    const text = readText(bytes, at + layout.FAILED_TEXT, at + length);
    const retryAfterMs = view.getUint32(at + layout.FAILED_RETRY_AFTER_MS, true);
    const master = code === 'NOT_MASTER' ? this.masterText() : undefined;
    if (master !== undefined)
      return new SluiceError(code, `${text}; the master is ${master}`, {
        ...(retryAfterMs === 0 ? {} : { retryAfterMs }),
        facts: { master },
      });
    return new SluiceError(
      code,
      text === '' ? undefined : text,
      retryAfterMs === 0 ? {} : { retryAfterMs },
    );
  }
}
