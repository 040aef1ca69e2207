/**
 * Copies stored messages to other queues of this shard, with other properties: dead letters and their redrive. Old batches
 * are read by a side job, so the duty cycle never waits. Copies are batches like any other. Shard thread.
 */
import { invariant } from '../base/assert.ts';
import { crc32 } from '../base/crc32-native.ts';
import { BATCH_BYTES_MAX, PROPERTIES_BYTES_MAX, PROPERTIES_COUNT_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import { emptyEntry, type QueueEntry } from '../log/entry-table.ts';
import { BatchBuilder, type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import { textBytes } from '../protocol/batch/text-bytes.ts';
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

/**
 * Bytes that the copy of one message may be larger by: the properties of a dead letter, which are a reason of 1,000
 * characters, a topic's name and three numbers. A batch that is stored leaves room for it, so that each message of it
 * can be copied.
 */
export const COPY_GROWTH_BYTES: number = 4 * KIB;
/** Bytes of the two lengths in front of a property's name and value. */
const PROPERTY_LENGTHS_BYTES = 4;
/** Milliseconds before a batch that could not be read is read again. */
const READ_AGAIN_MS = 100;

export class MessageCopier {
  private readonly context: ShardContext;
  private readonly pages: PageLoader;
  private readonly tasks: CopyTask[] = [];
  private readonly entry: QueueEntry = emptyEntry();
  private readonly appended: QueueEntry = emptyEntry();
  private readonly reader = new BatchReader();
  private readonly builder = new BatchBuilder(4 * KIB, '', 0, crc32);
  private isReading = false;
  private readNotBeforeMs = 0;
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
    const bytesMax = Math.min(
      ...[length + COPY_GROWTH_BYTES, log.batchBytesMax - layout.STORED_HEADER_BYTES],
      BATCH_BYTES_MAX,
    );
    if (this.context.pending.room === 0 || log.noRoomFor(bytesMax) !== undefined) return 'wait';
    this.reader.open(bytes, view, at + layout.STORED_HEADER_BYTES);
    return this.copyRecords(task, this.reader, bytesMax);
  }

  /** Copies the run of records from `task.next` that go to one queue, as many as the room that was found holds. */
  private copyRecords(task: CopyTask, reader: BatchReader, bytesMax: number): Step {
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
        properties: fittingProperties(to.properties),
      };
      if (!this.builder.append(record, recordBytes(record), bytesMax, reader.bornAtMs)) break;
      offset += 1;
    }
    if (target === undefined) return this.pass(task, task.end, false);
    invariant(this.builder.recordCount > 0, 'the copy of one message fits', bytesMax);
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
    const nowMs = this.context.clock.monotonicMs();
    if (nowMs < this.readNotBeforeMs) return 'wait';
    this.isReading = true;
    const job = {
      kind: 'read-batch',
      position,
      bytes,
      segmentBytes: this.context.config.segmentBytes,
    } as const;
    this.context.submit(job, (result) => {
      this.isReading = false;
      const code = result.error?.code;
      // Damaged or gone is for ever; everything else is the disk's mood, and no reason to lose a message.
      if (code === undefined || code === 'RECORD_CORRUPT' || code === 'MESSAGE_NOT_FOUND')
        this.read = { position, bytes: result.bytes };
      else this.readNotBeforeMs = nowMs + READ_AGAIN_MS;
    });
    return 'wait';
  }
}

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
