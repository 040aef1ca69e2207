/**
 * Copies stored messages to other queues of this shard, with other properties: dead letters and their redrive. Old batches
 * are read by a side job, so the duty cycle never waits. Copies are batches like any other. Shard thread.
 */
import { crc32 } from '../base/crc32-native.ts';
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { appendBatch } from './append-batch.ts';
import type { PageLoader } from './page-loader.ts';
import { PENDING_SILENT, type ShardContext } from './shard-context.ts';

/** Where a copy goes and with which properties; undefined: this message cannot be copied and is left where it is. */
export type CopyTarget = {
  readonly queue: ConsumeQueue;
  readonly properties: Readonly<Record<string, string>>;
};

export type CopyTask = {
  readonly source: ConsumeQueue;
  /** Next offset to copy; moves along. */
  next: number;
  readonly end: number;
  readonly route: (reader: BatchReader, queueOffset: number) => CopyTarget | undefined;
  /** Messages [start, end) were copied, or cannot be (`isCopied` false). */
  readonly onPart: (start: number, end: number, isCopied: boolean) => void;
  readonly onEnd: () => void;
};

type Step = 'more' | 'wait' | 'end';

/** Bytes that a copy may grow by: the properties of a dead letter. */
const GROWTH_BYTES: number = 4 * KIB;

export class MessageCopier {
  private readonly context: ShardContext;
  private readonly pages: PageLoader;
  private readonly tasks: CopyTask[] = [];
  private readonly entry: QueueEntry = emptyEntry();
  private readonly appended: QueueEntry = emptyEntry();
  private readonly reader = new BatchReader();
  private readonly builder = new BatchBuilder(4 * KIB, '', 0, crc32);
  private isReading = false;
  /** The batch that a side job has read: its position and bytes, or why it cannot be read. */
  private read: { position: number; bytes: Uint8Array | undefined } | undefined;

  constructor(context: ShardContext, pages: PageLoader) {
    this.context = context;
    this.pages = pages;
  }

  add(task: CopyTask): void {
    this.tasks.push(task);
  }

  get isIdle(): boolean {
    return this.tasks.length === 0;
  }

  /** Copies up to one batch. @returns work done */
  doWork(): number {
    const task = this.tasks[0];
    if (task === undefined || this.isReading || this.context.refusal !== undefined) return 0;
    const step = this.copyNext(task);
    if (step !== 'end') return step === 'more' ? 1 : 0;
    this.tasks.shift();
    task.onEnd();
    return 1;
  }

  private copyNext(task: CopyTask): Step {
    if (task.next >= task.end) return 'end';
    if (task.next < task.source.minOffset)
      return this.pass(task, Math.min(task.source.minOffset, task.end), false);
    const found = task.source.find(task.next, this.entry, this.pages.loaderFor(task.source));
    if (found === 'loading') return 'wait';
    if (found !== 'found') return this.pass(task, task.end, false);
    if (this.entry.baseOffset > task.next)
      return this.pass(task, Math.min(this.entry.baseOffset, task.end), false);
    return this.copyBatch(task);
  }

  private copyBatch(task: CopyTask): Step {
    const { position, bytes: length } = this.entry;
    const { tail, log } = this.context;
    let view = tail.view;
    let bytes = tail.bytes;
    let at = tail.place(position);
    if (position < log.hotStart) {
      if (this.read?.position !== position) return this.startRead(position, length);
      const partEnd = Math.min(this.entry.baseOffset + this.entry.count, task.end);
      if (this.read.bytes === undefined) return this.pass(task, partEnd, false);
      bytes = this.read.bytes;
      view = new DataView(bytes.buffer, bytes.byteOffset);
      at = 0;
    }
    if (
      this.context.pending.room === 0 ||
      log.noRoomFor(Math.min(length + GROWTH_BYTES, BATCH_BYTES_MAX)) !== undefined
    ) {
      return 'wait';
    }
    return this.copyRecords(task, this.reader.open(bytes, view, at + layout.STORED_HEADER_BYTES));
  }

  /** Copies the run of records from `task.next` that go to one queue. */
  private copyRecords(task: CopyTask, reader: BatchReader): Step {
    const batchStart = this.entry.baseOffset;
    let target: ConsumeQueue | undefined;
    let offset = batchStart;
    this.builder.reset('');
    while (reader.next()) {
      offset = batchStart + reader.index;
      if (offset < task.next) continue;
      if (offset >= task.end) break;
      const to = task.route(reader, offset);
      if (to === undefined) {
        if (target === undefined) return this.pass(task, offset + 1, false);
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
        properties: to.properties,
      };
      if (!this.builder.append(record, recordBytes(record), BATCH_BYTES_MAX, reader.bornAtMs))
        break;
      offset += 1;
    }
    if (target === undefined) return this.pass(task, task.end, false);
    const batch = this.builder.finish(0, 0);
    appendBatch(this.context, target, batch, viewOf(batch), 0, batch.length, this.appended);
    const reply = this.context.pending.push(this.appended.position + this.appended.bytes);
    reply.kind = PENDING_SILENT;
    reply.subject = target;
    reply.baseOffset = this.appended.baseOffset;
    reply.count = this.appended.count;
    return this.pass(task, task.next + this.builder.recordCount, true);
  }

  private pass(task: CopyTask, to: number, isCopied: boolean): Step {
    const from = task.next;
    task.next = to;
    task.onPart(from, to, isCopied);
    return 'more';
  }

  private startRead(position: number, bytes: number): Step {
    this.isReading = true;
    const job = {
      kind: 'read-batch',
      position,
      bytes,
      segmentBytes: this.context.config.segmentBytes,
    } as const;
    this.context.submit(job, (result) => {
      this.isReading = false;
      this.read = { position, bytes: result.bytes };
    });
    return 'wait';
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
