/** Messages by offset: answered with extents at once, or held until something is visible or the time is over. Shard thread. */
import { getU64 } from '../base/bytes.ts';
import { heapPop, heapPush, type IsBefore } from '../base/heap.ts';
import type { ConsumeQueue, LookUp } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { PageLoader } from './page-loader.ts';
import type { ShardContext } from './shard-context.ts';
import type { Extent, ShardPort } from './shard-port.ts';
import { queueKey } from './shard-state.ts';
import type { Unreadable } from './unreadable-segments.ts';

/** Extents of one answer: as many records as a small reply holds. */
const EXTENTS_MAX = 64;
/** Milliseconds until one is looked at again that found the reply ring full. */
const LATER_MS = 2;
/** The same for one whose entries are being loaded: its queue calls when they are there. */
const LOADING_MS = 100;

/** `nothing`: the end of the queue. `later`: the reply ring is full. */
type FetchOutcome = 'done' | 'nothing' | 'loading' | 'later';

type Fetch = {
  readonly port: ShardPort;
  readonly session: number;
  readonly correlation: number;
  readonly queue: ConsumeQueue;
  readonly offset: number;
  readonly messagesMax: number;
  readonly bytesMax: number;
  readonly deadlineMs: number;
  /** When it is looked at next, if its queue does not call before; Infinity once it is answered. */
  dueMs: number;
};

/** A look at a fetch that is planned; another time has been set since where `dueMs` is not the fetch's. */
type Look = { readonly dueMs: number; readonly fetch: Fetch };
const isSooner: IsBefore<Look> = (one, other) => one.dueMs < other.dueMs;
/** Looks that nobody needs any more are swept out when they are more than those that wait, and than this. */
const SWEEP_MIN = 64;

export class FetchPath {
  private readonly context: ShardContext;
  private readonly pages: PageLoader;
  private readonly entry: QueueEntry = emptyEntry();
  /** By queue. */
  private readonly waiting = new Map<number, Set<Fetch>>();
  private waitingCount = 0;
  /** A heap by time. Tens of thousands wait, each with a time of its own: only those whose turn it is are looked at. */
  private looks: Look[] = [];

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
      dueMs: Number.POSITIVE_INFINITY,
    };
    const outcome = this.answer(fetch);
    if (outcome !== 'done') this.hold(fetch, outcome);
  }

  /** Something of this queue is visible, or in memory, that was not. */
  wake(queue: ConsumeQueue): void {
    if (this.waitingCount === 0) return;
    for (const fetch of this.waiting.get(keyOf(queue)) ?? [])
      this.planOrForget(fetch, this.answer(fetch));
  }

  /** Answers those whose time is over. */
  onTime(nowMs: number): void {
    for (
      let look = this.looks[0];
      look !== undefined && look.dueMs <= nowMs;
      look = this.looks[0]
    ) {
      heapPop(this.looks, isSooner);
      const { fetch, dueMs } = look;
      if (fetch.dueMs === dueMs) this.planOrForget(fetch, this.answerInTime(fetch, nowMs));
    }
  }

  nextTimerMs(): number {
    return this.looks[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  private hold(fetch: Fetch, outcome: FetchOutcome): void {
    const key = keyOf(fetch.queue);
    const held = this.waiting.get(key);
    if (held === undefined) this.waiting.set(key, new Set([fetch]));
    else held.add(fetch);
    this.waitingCount += 1;
    this.planOrForget(fetch, outcome);
  }

  /** One that is not answered is looked at again: when its time is over, or soon, when something held it up. */
  private planOrForget(fetch: Fetch, outcome: FetchOutcome): void {
    if (outcome === 'done') {
      this.forget(fetch);
      return;
    }
    const nowMs = this.context.clock.monotonicMs();
    const lookMs = outcome === 'later' ? LATER_MS : LOADING_MS;
    const dueMs = outcome === 'nothing' ? fetch.deadlineMs : nowMs + lookMs;
    if (dueMs === fetch.dueMs) return;
    fetch.dueMs = dueMs;
    heapPush(this.looks, { dueMs, fetch }, isSooner);
    this.sweep();
  }

  private forget(fetch: Fetch): void {
    const key = keyOf(fetch.queue);
    const held = this.waiting.get(key);
    held?.delete(fetch);
    if (held?.size === 0) this.waiting.delete(key);
    this.waitingCount -= 1;
    fetch.dueMs = Number.POSITIVE_INFINITY;
    this.sweep();
  }

  private sweep(): void {
    if (this.looks.length <= 2 * this.waitingCount + SWEEP_MIN) return;
    this.looks = this.looks
      .filter((look) => look.dueMs === look.fetch.dueMs)
      .sort((one, other) => one.dueMs - other.dueMs);
  }

  private answerInTime(fetch: Fetch, nowMs: number): FetchOutcome {
    const outcome = this.answer(fetch);
    if (outcome !== 'nothing' || fetch.deadlineMs > nowMs) return outcome;
    return this.reply(fetch, fetch.offset, []) ? 'done' : 'later';
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
    let unreadable: Unreadable | undefined;
    const load = (segment: number, offset: number): void => {
      unreadable = this.pages.load(queue, segment, offset);
    };
    while (
      next < queue.visibleEnd &&
      messages < fetch.messagesMax &&
      bytes < fetch.bytesMax &&
      extents.length < EXTENTS_MAX
    ) {
      found = queue.find(next, this.entry, load);
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
    if (extents.length > 0) return this.reply(fetch, next, extents) ? 'done' : 'later';
    if (unreadable !== undefined) return this.refuse(fetch, unreadable);
    return found === 'loading' ? 'loading' : 'nothing';
  }

  private refuse({ port, session, correlation }: Fetch, unreadable: Unreadable): FetchOutcome {
    const { code, text, retryMs } = unreadable;
    return port.failed(session, correlation, envelope.REQUEST_FETCH, code, text, retryMs)
      ? 'done'
      : 'later';
  }

  private reply(fetch: Fetch, next: number, extents: readonly Extent[]): boolean {
    const { queue } = fetch;
    const offsets = { min: queue.minOffset, max: queue.visibleEnd, next };
    return fetch.port.fetched(fetch.session, fetch.correlation, offsets, extents);
  }
}

function keyOf({ topicId, queueId }: ConsumeQueue): number {
  return queueKey(topicId, queueId);
}
