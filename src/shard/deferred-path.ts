/**
 * Deferred messages whose time has come are copied to where consumers see them, a slice per duty cycle, so that ingest goes
 * on beside it. Old batches are read by side jobs. What retention wants to let go although it still waits is written again.
 * Shard thread, only while the shard writes its own log.
 */
import {
  TRANSACTION_CHECK_INTERVAL_MS_DEFAULT,
  TRANSACTION_CHECK_MAX_DEFAULT,
} from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { ControlWriter } from '../log/control-record.ts';
import {
  CONTROL_CHECK,
  CONTROL_DROP,
  CONTROL_RELEASE,
  DEFERRED_ENTRIES_AT,
  DEFERRED_ENTRY_BYTES,
  DROP_ALL,
  DROP_DAMAGED,
  deferredEntry,
} from '../log/deferred-record.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { appendBatch, appendDeferred } from './append-batch.ts';
import type { DeferredFields } from './deferred-columns.ts';
import { type BatchSource, DeferredReads } from './deferred-reads.ts';
import type { DeferredState } from './deferred-state.ts';
import { NO_ROW } from './deferred-table.ts';
import { withoutDropped } from './deferred-trim.ts';
import { PENDING_SILENT, type ShardContext } from './shard-context.ts';

/** Batches and bytes that one RELEASE record announces: what one duty cycle copies. */
const SLICE_BATCHES = 256;
const SLICE_BYTES: number = 256 * KIB;
/**
 * Bytes of copies that are not committed, about: who sends meanwhile waits for a barrier over so many of them, and not over as
 * many as the window holds. However much is sent, each barrier lets so many go on.
 */
const COPIES_UNCOMMITTED_MAX: number = 512 * KIB;
/** Answers that may be under way are left to those who send: this many at least. */
const REPLIES_KEPT = 1024;
/** A segment that nobody else needs is emptied when this share of it waits at most: for less gain it stays. */
const MOVE_RATIO = 0.25;
/** Milliseconds between two looks while the shard takes nothing. */
const REFUSED_MS = 100;
/** Milliseconds before what the disk did not give has its turn again. */
const UNREADABLE_MS = 60_000;

/** Told what became of a commit; `notFound`: the message was damaged, or its topic is gone. */
export type CommitDone = (outcome: 'committed' | 'notFound') => void;

/** What `DeferredPath` tells of its work. */
export type DeferredMeter = {
  /** Messages of one batch became visible. @param lateMs - milliseconds behind their time */
  released(messages: number, lateMs: number): void;
  /** Messages that wait now. */
  waiting(messages: number): void;
};

export class DeferredPath {
  private readonly context: ShardContext;
  private readonly deferred: DeferredState;
  private readonly reads: DeferredReads;
  private readonly meter: DeferredMeter;
  private readonly writer: ControlWriter;
  private readonly sliceMax: number;
  private readonly entry: QueueEntry = emptyEntry();
  /** What is announced is written again elsewhere, not shown. */
  private isMoving = false;
  /** Origins of batches whose segments are to be let go. */
  private toMove: number[] = [];
  private readonly moving = new Set<number>();
  /** Bytes of copies since the last of them was seen to be committed, and the end of the log behind them. */
  private burstBytes = 0;
  private burstEnd = 0;
  /** Half messages that were committed and whose copies are still to come, and who waits for that. */
  private readonly commits = new Map<number, CommitDone[]>();
  private dropsSeen = 0;
  /** Segments from which the last batch has left, and the end of the log then. */
  private readonly emptySince = new Map<number, number>();

  constructor(context: ShardContext, meter: DeferredMeter) {
    this.context = context;
    this.meter = meter;
    this.deferred = context.state.deferred;
    this.reads = new DeferredReads(context);
    const payloadBytesMax = context.log.batchBytesMax - layout.STORED_HEADER_BYTES;
    this.writer = new ControlWriter(payloadBytesMax);
    const room = payloadBytesMax - 8 - DEFERRED_ENTRIES_AT;
    this.sliceMax = Math.min(SLICE_BATCHES, Math.floor(room / DEFERRED_ENTRY_BYTES));
  }

  /** Copies one slice, or goes on with it. @returns batches copied and announced */
  doWork(): number {
    this.meter.waiting(this.deferred.table.messages);
    if (this.commits.size > 0 && this.dropsSeen !== this.deferred.drops) this.dropLostCommits();
    if (!this.mayWrite()) return 0;
    let work = 0;
    if (this.deferred.nextAnnounced === undefined) {
      this.reads.clear();
      work = this.announceDue() || this.announceMoves();
      if (work === 0) return 0;
    }
    return work + this.copyAnnounced();
  }

  /** Milliseconds until there may be something to do. */
  msUntilDue(): number {
    const { context, deferred } = this;
    if (context.isFollowing || context.fenced !== undefined) return Number.POSITIVE_INFINITY;
    if (deferred.nextAnnounced !== undefined || this.toMove.length > 0)
      return this.reads.isReading ? Number.POSITIVE_INFINITY : 1;
    const dueAtMs = deferred.table.firstDueAtMs();
    if (dueAtMs === Number.POSITIVE_INFINITY) return dueAtMs;
    if (context.refusal !== undefined) return REFUSED_MS;
    return Math.max(0, dueAtMs - context.clock.epochMs());
  }

  /**
   * May the file of a segment that no queue needs be let go? If something waits in it, that is written again first, where it
   * is worth it or has to be.
   *
   * @param mustMove - the room is needed
   */
  mayLetGo(segment: number, mustMove: boolean): boolean {
    const { config, log, control, commit, isBounded } = this.context;
    const { segmentBytes } = config;
    const { table } = this.deferred;
    const bytes = table.bytesBySegment(segmentBytes).get(segment) ?? 0;
    if (bytes > 0) {
      this.emptySince.delete(segment);
      if (mustMove || bytes <= segmentBytes * MOVE_RATIO)
        this.moveLater(table.rowsIn(segment * segmentBytes, (segment + 1) * segmentBytes));
      return false;
    }
    if (this.deferred.departures === 0) return true;
    // What has left must not need its old place again after a power cut: not before that is on the disk, and confirmed.
    const left = this.emptySince.get(segment);
    if (left === undefined) {
      if (control.isEmpty) this.emptySince.set(segment, log.appended);
      return false;
    }
    if ((isBounded ? Math.min(log.flushed, commit) : log.flushed) < left) return false;
    this.emptySince.delete(segment);
    return true;
  }

  /**
   * A half message is to be seen.
   *
   * @param done - called when its copy is in the log, not yet on the disk
   */
  commitHalf(row: number, done: CommitDone): void {
    const { origin } = this.deferred.table.get(row);
    const waiting = this.commits.get(origin);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    this.commits.set(origin, [done]);
    // Before all that is due: its time is over. One that is announced, to be moved, gets its turn after that.
    if (this.deferred.table.isScheduled(row)) this.deferred.table.schedule(row, 0);
  }

  /** Their rows are gone, with their topic or because they were damaged. */
  private dropLostCommits(): void {
    this.dropsSeen = this.deferred.drops;
    for (const [origin, waiting] of this.commits) {
      if (this.deferred.table.rowOf(origin) !== NO_ROW) continue;
      this.commits.delete(origin);
      for (const done of waiting) done('notFound');
    }
  }

  /** Is its commit decided, though not in the log yet? */
  isCommitting(origin: number): boolean {
    return this.commits.has(origin);
  }

  private mayWrite(): boolean {
    const { isFollowing, fenced, bootEnd, control } = this.context;
    if (isFollowing || fenced !== undefined) return false;
    // What was decided about these batches before must stand in the log before their copies do.
    return bootEnd !== Number.POSITIVE_INFINITY && control.isEmpty;
  }

  private announceDue(): number {
    const { context } = this;
    const { table } = this.deferred;
    if (context.refusal !== undefined) return 0;
    const nowMs = context.clock.epochMs();
    if (table.firstDueAtMs() > nowMs || !this.hasRecordRoom()) return 0;
    const origins: number[] = [];
    let asked = 0;
    for (let bytes = 0; origins.length + asked < this.sliceMax && bytes < SLICE_BYTES; ) {
      const row = table.first();
      if (row === NO_ROW || table.firstDueAtMs() > nowMs) break;
      const one = table.get(row);
      if (one.isHalf && !this.commits.has(one.origin)) {
        if (!this.askAbout(one, nowMs)) break;
        asked += 1;
        continue;
      }
      bytes += one.bytes;
      origins.push(one.origin);
      table.unschedule(row);
    }
    if (origins.length > 0) this.announce(origins, false);
    return origins.length + asked;
  }

  /** Has the producer of a half message asked, or gives that up. @returns false when nobody can be told now */
  private askAbout(one: DeferredFields, nowMs: number): boolean {
    const { config, control, emit } = this.context;
    const checksMax = config.transactionCheckMax ?? TRANSACTION_CHECK_MAX_DEFAULT;
    const intervalMs = config.transactionCheckIntervalMs ?? TRANSACTION_CHECK_INTERVAL_MS_DEFAULT;
    const checks = one.checks + 1;
    const isGivenUp = checks > checksMax;
    if (!isGivenUp) {
      const { topicId, queueId, origin, position, bytes } = one;
      const place = { topicId, queueId, origin, position, bytes };
      if (!emit({ event: 'check-half', ...place, checks })) return false;
    }
    const entry = isGivenUp
      ? deferredEntry(one.origin, one.checks, 0, 0)
      : deferredEntry(one.origin, checks, 0, nowMs + intervalMs);
    control.deferred(CONTROL_CHECK, [entry]);
    this.deferred.applyEntry(CONTROL_CHECK, entry);
    return true;
  }

  private announceMoves(): number {
    const { refusal } = this.context;
    if (this.toMove.length === 0 || !this.hasRecordRoom()) return 0;
    // On a full disk this is what makes room again.
    if (refusal !== undefined && refusal.code !== 'STORAGE_FULL') return 0;
    const { table } = this.deferred;
    const origins: number[] = [];
    for (let bytes = 0; origins.length < this.sliceMax && bytes < SLICE_BYTES; ) {
      const origin = this.toMove.pop();
      if (origin === undefined) break;
      this.moving.delete(origin);
      const row = table.rowOf(origin);
      if (row === NO_ROW) continue;
      bytes += table.get(row).bytes;
      origins.push(origin);
    }
    if (origins.length > 0) this.announce(origins, true);
    return origins.length;
  }

  private moveLater(rows: readonly number[]): void {
    if (this.context.isFollowing) return;
    for (const row of rows) {
      const { origin } = this.deferred.table.get(row);
      if (this.moving.has(origin)) continue;
      this.moving.add(origin);
      this.toMove.push(origin);
    }
  }

  private hasRecordRoom(): boolean {
    const bytes = 8 + DEFERRED_ENTRIES_AT + this.sliceMax * DEFERRED_ENTRY_BYTES;
    return this.context.log.noRoomFor(bytes) === undefined;
  }

  private announce(origins: readonly number[], isMoving: boolean): void {
    const { log, steadyEpochMs } = this.context;
    this.isMoving = isMoving;
    const entries = origins.map((origin) => deferredEntry(origin));
    this.writer.deferred(CONTROL_RELEASE, entries);
    const payload = this.writer.finish();
    const fields = { kind: layout.KIND_CONTROL, baseOffset: 0, topicId: 0, queueId: 0 } as const;
    log.append(fields, payload, 0, payload.length, steadyEpochMs());
    for (const entry of entries) this.deferred.applyEntry(CONTROL_RELEASE, entry);
  }

  /** Copies as much of what is announced as can be read and has room. @returns batches copied */
  private copyAnnounced(): number {
    const { log, pending } = this.context;
    const shown = new Map<ConsumeQueue, number>();
    let copied = 0;
    for (
      let origin = this.deferred.nextAnnounced;
      origin !== undefined;
      origin = this.deferred.nextAnnounced
    ) {
      const one = this.deferred.table.get(this.deferred.table.rowOf(origin));
      if (pending.room < REPLIES_KEPT + shown.size) break;
      if (!this.mayCopyMore()) break;
      if (log.noRoomFor(one.bytes - layout.STORED_HEADER_BYTES) !== undefined) break;
      const source = this.reads.sourceOf(one, this.deferred.announcedOrigins);
      if (source === 'wait') break;
      if (source === 'unreadable') {
        this.passOver(one);
        break;
      }
      copied += 1;
      if (source === 'damaged') {
        this.dropDamaged(one);
        // That must stand in the log before the copies behind it do.
        break;
      }
      if (this.isMoving) this.moveOne(one, source);
      else this.showOne(one, source, shown);
      this.burstBytes += one.bytes;
      this.burstEnd = log.appended;
    }
    for (const [queue, end] of shown) {
      const reply = pending.push(log.appended);
      reply.kind = PENDING_SILENT;
      reply.subject = queue;
      reply.baseOffset = end;
      reply.count = 0;
    }
    return copied;
  }

  private mayCopyMore(): boolean {
    if (this.burstBytes < COPIES_UNCOMMITTED_MAX) return true;
    if (this.context.commit < this.burstEnd) return false;
    this.burstBytes = 0;
    return true;
  }

  private showOne(
    one: DeferredFields,
    source: BatchSource,
    shown: Map<ConsumeQueue, number>,
  ): void {
    const { context, entry } = this;
    const queue = context.state.queue(one.topicId, one.queueId);
    if (queue === undefined) return;
    const dropped = this.deferred.droppedOf(one.origin);
    const { bytes, view, at, length } =
      dropped === undefined ? source : withoutDropped(source, dropped);
    const flags = layout.STORED_FLAG_RELEASED;
    appendBatch(context, queue, bytes, view, at, length, entry, flags);
    this.deferred.addCopy(context.tail.view, context.tail.place(entry.position));
    shown.set(queue, queue.endOffset);
    if (!one.isHalf) this.meter.released(entry.count, context.clock.epochMs() - one.dueAtMs);
    const waiting = this.commits.get(one.origin) ?? [];
    this.commits.delete(one.origin);
    for (const done of waiting) done('committed');
  }

  private moveOne(one: DeferredFields, { bytes, at, length }: BatchSource): void {
    const isHalf = one.isHalf ? layout.DEFERRED_FLAG_HALF : 0;
    appendDeferred(this.context, one, {
      ...{ bytes, at, length, flags: layout.DEFERRED_FLAG_MOVED | isHalf },
      // Nobody reads it again: the time of a batch that was moved stands in the table.
      dueAtMs: Number.isFinite(one.dueAtMs) ? one.dueAtMs : 0,
    });
    const { table } = this.deferred;
    if (this.commits.has(one.origin)) table.schedule(table.rowOf(one.origin), 0);
  }

  /** The disk does not give its bytes: others shall not wait for that. */
  private passOver(one: DeferredFields): void {
    const { clock, emit } = this.context;
    this.deferred.passOver(Math.max(one.dueAtMs, clock.epochMs() + UNREADABLE_MS));
    const reason = this.reads.reasonFor(one);
    const { position: from, bytes, count } = one;
    const message = `${count} messages that waited for their time at position ${from} cannot be read now, which is tried again: ${reason}`;
    emit({ event: 'rot', from, to: from + bytes, message });
  }

  /** Its bytes are damaged, or somebody deleted their segment: said once, and passed over. */
  private dropDamaged({ origin, position, bytes, count }: DeferredFields): void {
    const { control, emit } = this.context;
    const entry = deferredEntry(origin, DROP_ALL, DROP_DAMAGED);
    control.deferred(CONTROL_DROP, [entry]);
    this.deferred.applyEntry(CONTROL_DROP, entry);
    const message = `${count} messages that waited for their time at position ${position} are damaged or gone; they are passed over`;
    emit({ event: 'rot', from: position, to: position + bytes, message });
  }
}
