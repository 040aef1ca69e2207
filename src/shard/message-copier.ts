/**
 * Copies stored messages to other queues of this shard, with other properties: dead letters and their redrive. Old batches
 * are read by a side job, so the duty cycle never waits. Copies are batches like any other. What the disk does not give is
 * set aside and tried again at growing intervals, and holds up nothing else. Shard thread.
 */
import { invariant } from '../base/assert.ts';
import { crc32 } from '../base/crc32-native.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import { heapPop, heapPush, type IsBefore } from '../base/heap.ts';
import { BATCH_BYTES_MAX, PROPERTIES_BYTES_MAX, PROPERTIES_COUNT_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import { isLostForGood } from '../log/stored-read.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { textBytes } from '../protocol/batch/text-bytes.ts';
import { appendBatch } from './append-batch.ts';
import type { PageLoader } from './page-loader.ts';
import { READ_AGAIN_MS_MAX, readAgainMs } from './read-again.ts';
import { PENDING_SILENT, type ShardContext } from './shard-context.ts';

/** Where a copy goes and with which properties; undefined: this message cannot be copied and is left where it is. */
export type CopyTarget = {
  readonly queue: ConsumeQueue;
  readonly properties: Readonly<Record<string, string>>;
};

export type CopyTask = {
  readonly source: ConsumeQueue;
  /** Offset of the first message to copy. */
  readonly start: number;
  readonly end: number;
  readonly route: (reader: BatchReader, queueOffset: number) => CopyTarget | undefined;
  /** Messages [start, end) were copied, or cannot be (`isCopied` false). Not always in order of their offsets. */
  readonly onPart: (start: number, end: number, isCopied: boolean) => void;
  readonly onEnd: () => void;
};

/** What is left of a task, or of one batch of it that the disk did not give. */
type Work = {
  readonly task: CopyTask;
  /** Of its task, what is not at its end yet. */
  readonly open: { parts: number };
  /** Next offset to copy; moves along. */
  next: number;
  end: number;
  /** How often in a row the disk did not give what comes next. */
  failures: number;
  dueAtMs: number;
  /** Of those that are due at the same time the one that was set aside first is tried first. */
  turn: number;
};

type Step = 'more' | 'wait' | 'unreadable' | 'end';

/**
 * Bytes that the copy of one message may be larger by: the properties of a dead letter, which are a reason of 1,000
 * characters, a topic's name and three numbers. A batch that is stored leaves room for it, so that each message of it
 * can be copied.
 */
export const COPY_GROWTH_BYTES: number = 4 * KIB;
/** Bytes of the two lengths in front of a property's name and value. */
const PROPERTY_LENGTHS_BYTES = 4;
/** Unreadable batches that wait by themselves; with more of them, a task waits as a whole. */
const ALONE_MAX = 1024;

export class MessageCopier {
  private readonly context: ShardContext;
  private readonly pages: PageLoader;
  /** First come, first served. */
  private readonly ready: Work[] = [];
  /** Heap of what waits for the disk, by due time. */
  private readonly aside: Work[] = [];
  /** The one of those that is in line again: however many wait, what is new is not behind all of them. */
  private retried: Work | undefined;
  private readonly entry: QueueEntry = emptyEntry();
  private readonly appended: QueueEntry = emptyEntry();
  private readonly reader = new BatchReader();
  private readonly builder = new BatchBuilder(4 * KIB, '', 0, crc32);
  private isReading = false;
  private turn = 0;
  /** How many parts of work the disk did not give the last time. */
  private unread = 0;
  /** The batch that a side job has read: its position and bytes, or why it cannot be read. */
  private read: { position: number; bytes: Uint8Array | undefined } | undefined;
  /** Why the first of those waits that the disk did not give. */
  private trouble:
    | { readonly position: number; readonly code: ErrorCode; text: string }
    | undefined;
  /** The position that the broker was told of. */
  private told: number | undefined;

  constructor(context: ShardContext, pages: PageLoader) {
    this.context = context;
    this.pages = pages;
  }

  add(task: CopyTask): void {
    const { start, end } = task;
    this.ready.push(workOf(task, { parts: 1 }, start, end));
  }

  /** Copies up to one batch. @returns work done */
  doWork(): number {
    this.tell();
    if (this.isReading || this.context.refusal !== undefined) return 0;
    this.takeDue();
    const work = this.ready[0];
    if (work === undefined) return 0;
    const step = this.copyNext(work);
    if (step === 'wait') return 0;
    if (step === 'unreadable') this.setAside(work, 0);
    else if (this.retried === work) this.retried = undefined;
    if (step !== 'end') return 1;
    this.ready.shift();
    work.open.parts -= 1;
    if (work.open.parts === 0) work.task.onEnd();
    return 1;
  }

  private copyNext(work: Work): Step {
    const { source } = work.task;
    if (work.next >= work.end) return 'end';
    if (work.next < source.minOffset)
      return this.pass(work, Math.min(source.minOffset, work.end), false);
    let isUnreadable = false as boolean;
    const found = source.find(work.next, this.entry, (segment, offset) => {
      isUnreadable = this.pages.load(source, segment, offset) !== undefined;
    });
    if (found === 'loading') return isUnreadable ? 'unreadable' : 'wait';
    if (found !== 'found') return this.pass(work, work.end, false);
    if (this.entry.baseOffset > work.next)
      return this.pass(work, Math.min(this.entry.baseOffset, work.end), false);
    return this.copyBatch(work);
  }

  private copyBatch(work: Work): Step {
    const { position, bytes: length } = this.entry;
    const { tail, log } = this.context;
    let view = tail.view;
    let bytes = tail.bytes;
    let at = tail.place(position);
    if (position < log.hotStart) {
      const partEnd = Math.min(this.entry.baseOffset + this.entry.count, work.end);
      if (this.read?.position !== position) return this.startRead(work, partEnd, position, length);
      if (this.read.bytes === undefined) return this.pass(work, partEnd, false);
      bytes = this.read.bytes;
      view = new DataView(bytes.buffer, bytes.byteOffset);
      at = 0;
    }
    const bytesMax = Math.min(
      ...[length + COPY_GROWTH_BYTES, log.batchBytesMax - layout.STORED_HEADER_BYTES],
      BATCH_BYTES_MAX,
    );
    if (this.context.pending.room === 0 || log.noRoomFor(bytesMax) !== undefined) return 'wait';
    this.reader.open(bytes, view, at + layout.STORED_HEADER_BYTES);
    return this.copyRecords(work, this.reader, bytesMax);
  }

  /** Copies the run of records from `work.next` that go to one queue, as many as the room that was found holds. */
  private copyRecords(work: Work, reader: BatchReader, bytesMax: number): Step {
    const batchStart = this.entry.baseOffset;
    let target: ConsumeQueue | undefined;
    let offset = batchStart;
    this.builder.reset('');
    while (reader.next()) {
      offset = batchStart + reader.index;
      if (offset < work.next) continue;
      if (offset >= work.end) break;
      const to = work.task.route(reader, offset);
      if (to === undefined) {
        if (target === undefined) return this.pass(work, offset + 1, false);
        break;
      }
      if (target !== undefined && to.queue !== target) break;
      target = to.queue;
      const record: RecordInput = {
        // A copy: the builder must not read from a window that moves.
        body: reader.body,
        bodyKind: reader.bodyKind,
        key: reader.key === '' ? undefined : reader.key,
        tag: reader.tag === '' ? undefined : reader.tag,
        properties: fittingProperties(to.properties),
      };
      if (!this.builder.append(record, recordBytes(record), bytesMax, reader.bornAtMs)) break;
      offset += 1;
    }
    if (target === undefined) return this.pass(work, work.end, false);
    invariant(this.builder.recordCount > 0, 'the copy of one message fits', bytesMax);
    const batch = this.builder.finish(0, 0);
    appendBatch(this.context, target, batch, viewOf(batch), 0, batch.length, this.appended);
    const reply = this.context.pending.push(this.appended.position + this.appended.bytes);
    reply.kind = PENDING_SILENT;
    reply.subject = target;
    reply.baseOffset = this.appended.baseOffset;
    reply.count = this.appended.count;
    return this.pass(work, work.next + this.builder.recordCount, true);
  }

  private pass(work: Work, to: number, isCopied: boolean): Step {
    const from = work.next;
    work.next = to;
    if (work.failures > 0) this.unread -= 1;
    work.failures = 0;
    work.task.onPart(from, to, isCopied);
    return 'more';
  }

  private startRead(work: Work, partEnd: number, position: number, bytes: number): Step {
    const { clock, config } = this.context;
    const startedAtMs = clock.monotonicMs();
    this.isReading = true;
    const { segmentBytes } = config;
    this.context.submit({ kind: 'read-batch', position, bytes, segmentBytes }, (result) => {
      this.isReading = false;
      const { error } = result;
      if (error === undefined || isLostForGood(error.code)) {
        this.read = { position, bytes: result.bytes };
        return;
      }
      this.splitOff(work, partEnd);
      this.setAside(work, clock.monotonicMs() - startedAtMs);
      this.trouble ??= { position, code: error.code, text: error.message };
    });
    return 'wait';
  }

  /** What is behind a batch that the disk does not give goes on by itself. */
  private splitOff(work: Work, partEnd: number): void {
    if (partEnd >= work.end || this.aside.length >= ALONE_MAX) return;
    work.open.parts += 1;
    this.ready.splice(1, 0, workOf(work.task, work.open, partEnd, work.end));
    work.end = partEnd;
  }

  /**
   * The first is tried again later, and the others go on.
   *
   * @param tookMs - milliseconds that the disk took to refuse it: as long it leaves the others in peace
   */
  private setAside(work: Work, tookMs: number): void {
    invariant(this.ready[0] === work, 'what is set aside is what was tried');
    this.ready.shift();
    if (this.retried === work) this.retried = undefined;
    if (work.failures === 0) this.unread += 1;
    work.failures += 1;
    work.dueAtMs = this.context.clock.monotonicMs() + Math.max(readAgainMs(work.failures), tookMs);
    this.turn += 1;
    work.turn = this.turn;
    heapPush(this.aside, work, isEarlier);
  }

  /** What was set aside has its turn behind all others, one after the other. */
  private takeDue(): void {
    const first = this.aside[0];
    if (first === undefined || this.retried !== undefined) return;
    if (first.dueAtMs > this.context.clock.monotonicMs()) return;
    heapPop(this.aside, isEarlier);
    this.ready.push(first);
    this.retried = first;
  }

  /** Says once that the disk does not give something, and once that nothing waits for it any more. */
  private tell(): void {
    const { emit } = this.context;
    if (this.unread === 0) this.trouble = undefined;
    if (this.trouble !== undefined && this.told === undefined) {
      const { position, code, text } = this.trouble;
      const message =
        `the batch at position ${position} cannot be read (${code}: ${text}). Dead letters, and such as are sent back, that ` +
        `need it wait, the others go on, and it is tried again every ${READ_AGAIN_MS_MAX} ms. Check the disk and the file`;
      if (emit({ event: 'unreadable', position, code, message })) this.told = position;
    } else if (this.trouble === undefined && this.told !== undefined) {
      const message = 'dead letters wait for the disk no more';
      if (emit({ event: 'readable', position: this.told, message })) this.told = undefined;
    }
  }
}

function workOf(task: CopyTask, open: { parts: number }, next: number, end: number): Work {
  return { task, open, next, end, failures: 0, dueAtMs: 0, turn: 0 };
}

const isEarlier: IsBefore<Work> = (one, other) =>
  one.dueAtMs < other.dueAtMs || (one.dueAtMs === other.dueAtMs && one.turn < other.turn);

/**
 * A message may come with as many properties as are allowed: then the last ones give way to what the broker adds, which
 * comes first. The message itself stays whole where it was.
 */
function fittingProperties(
  properties: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const fitting: Record<string, string> = Object.create(null);
  let bytes = 0;
  let count = 0;
  for (const [name, value] of Object.entries(properties)) {
    bytes += PROPERTY_LENGTHS_BYTES + textBytes(name) + textBytes(value);
    count += 1;
    if (bytes > PROPERTIES_BYTES_MAX || count > PROPERTIES_COUNT_MAX) break;
    fitting[name] = value;
  }
  return fitting;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
