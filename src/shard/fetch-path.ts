/** Messages by offset: answered with extents at once, or held until something is visible or the time is over. Shard thread. */
import { getU64 } from '../base/bytes.ts';
import type { ConsumeQueue, LookUp } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { PageLoader } from './page-loader.ts';
import type { ShardContext } from './shard-context.ts';
import type { Extent, ShardPort } from './shard-port.ts';
import { queueKey } from './shard-state.ts';

/** Extents of one answer: as many records as a small reply holds. */
const EXTENTS_MAX = 64;

/** `nothing`: the end of the queue. `later`: entries are being loaded, or the reply ring is full. */
type FetchOutcome = 'done' | 'nothing' | 'later';

type Fetch = {
  readonly port: ShardPort;
  readonly session: number;
  readonly correlation: number;
  readonly queue: ConsumeQueue;
  readonly offset: number;
  readonly messagesMax: number;
  readonly bytesMax: number;
  readonly deadlineMs: number;
};

export class FetchPath {
  private readonly context: ShardContext;
  private readonly pages: PageLoader;
  private readonly entry: QueueEntry = emptyEntry();
  private readonly waiting = new Map<number, Fetch[]>();
  private waitingCount = 0;

  constructor(context: ShardContext, pages: PageLoader) {
    this.context = context;
    this.pages = pages;
  }

  /** @param at - payload of a REQUEST_FETCH */
  handle(port: ShardPort, at: number): void {
    const { view } = port.requests;
    const session = view.getUint32(at + envelope.FETCH_SESSION, true);
    const correlation = view.getUint32(at + envelope.FETCH_CORRELATION, true);
    const topicId = view.getUint32(at + envelope.FETCH_TOPIC_ID, true);
    const queue = this.context.state.queue(
      topicId,
      view.getUint16(at + envelope.FETCH_QUEUE_ID, true),
    );
    if (queue === undefined) {
      port.failed(
        session,
        correlation,
        envelope.REQUEST_FETCH,
        'QUEUE_NOT_FOUND',
        'the topic has no such queue',
      );
      return;
    }
    const fetch: Fetch = {
      port,
      session,
      correlation,
      queue,
      offset: getU64(view, at + envelope.FETCH_OFFSET),
      messagesMax: view.getUint32(at + envelope.FETCH_MESSAGES_MAX, true),
      bytesMax: view.getUint32(at + envelope.FETCH_BYTES_MAX, true),
      deadlineMs:
        this.context.clock.monotonicMs() + view.getUint32(at + envelope.FETCH_WAIT_MS, true),
    };
    if (this.answer(fetch) !== 'done') this.hold(fetch);
  }

  /** Something of this queue is visible, or in memory, that was not. */
  wake(queue: ConsumeQueue): void {
    if (this.waitingCount === 0) return;
    const key = queueKey(queue.topicId, queue.queueId);
    this.retry(key, (fetch) => this.answer(fetch) === 'done');
  }

  /** Answers those whose time is over. */
  onTime(nowMs: number): void {
    if (this.waitingCount === 0) return;
    for (const key of this.waiting.keys()) {
      this.retry(key, (fetch) => this.answerInTime(fetch, nowMs));
    }
  }

  nextTimerMs(): number {
    let next = Number.POSITIVE_INFINITY;
    if (this.waitingCount > 0) {
      for (const list of this.waiting.values())
        for (const fetch of list) next = Math.min(next, fetch.deadlineMs);
    }
    return next;
  }

  private hold(fetch: Fetch): void {
    const key = queueKey(fetch.queue.topicId, fetch.queue.queueId);
    const list = this.waiting.get(key);
    if (list === undefined) this.waiting.set(key, [fetch]);
    else list.push(fetch);
    this.waitingCount += 1;
  }

  private retry(key: number, isDone: (fetch: Fetch) => boolean): void {
    const list = this.waiting.get(key);
    if (list === undefined) return;
    const left = list.filter((fetch) => !isDone(fetch));
    this.waitingCount -= list.length - left.length;
    if (left.length === 0) this.waiting.delete(key);
    else this.waiting.set(key, left);
  }

  private answerInTime(fetch: Fetch, nowMs: number): boolean {
    const outcome = this.answer(fetch);
    if (outcome !== 'nothing' || fetch.deadlineMs > nowMs) return outcome === 'done';
    return this.reply(fetch, fetch.offset, []);
  }

  private answer(fetch: Fetch): FetchOutcome {
    const { queue } = fetch;
    if (fetch.offset < queue.minOffset || fetch.offset > queue.visibleEnd) {
      const text = `offset ${fetch.offset} is outside ${queue.minOffset} to ${queue.visibleEnd}`;
      const { port, session, correlation } = fetch;
      return port.failed(session, correlation, envelope.REQUEST_FETCH, 'OFFSET_OUT_OF_RANGE', text)
        ? 'done'
        : 'later';
    }
    const extents: Extent[] = [];
    let next = fetch.offset;
    let messages = 0;
    let bytes = 0;
    let found: LookUp = 'end';
    while (
      next < queue.visibleEnd &&
      messages < fetch.messagesMax &&
      bytes < fetch.bytesMax &&
      extents.length < EXTENTS_MAX
    ) {
      found = queue.find(next, this.entry, this.pages.loaderFor(queue));
      if (found !== 'found') break;
      const { entry } = this;
      if (entry.baseOffset + entry.count > queue.visibleEnd) break;
      // A hole left by damage is passed over; the offsets show it.
      next = Math.max(next, entry.baseOffset);
      const count = Math.min(entry.baseOffset + entry.count - next, fetch.messagesMax - messages);
      if (count > 0) {
        extents.push({
          position: entry.position,
          baseOffset: entry.baseOffset,
          batchBytes: entry.bytes,
          firstIndex: next - entry.baseOffset,
          count,
          isCold: entry.position < this.context.log.hotStart,
        });
      }
      next += count;
      messages += count;
      bytes += entry.bytes;
    }
    // At the end after damage there may be offsets that no message has: they are the end as well.
    if (extents.length === 0) return found === 'loading' ? 'later' : 'nothing';
    return this.reply(fetch, next, extents) ? 'done' : 'later';
  }

  private reply(fetch: Fetch, next: number, extents: readonly Extent[]): boolean {
    const { queue } = fetch;
    const offsets = { min: queue.minOffset, max: queue.visibleEnd, next };
    return fetch.port.fetched(fetch.session, fetch.correlation, offsets, extents);
  }
}
