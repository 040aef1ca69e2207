/**
 * What consumers have settled with this slave and its master's log does not say yet: a set of ranges in memory, and the file that
 * keeps it. All that gathers while a write is under way goes with the next one, so many acks share one sync. Answers leave when
 * what they answer is on the disk. Shard thread; the writes are side jobs, one at a time.
 */
import { SETTLED_JOURNAL_RANGES_MAX } from '../base/limits.ts';
import { RangeSet } from '../base/range-set.ts';
import type { GroupPosition, OffsetRange } from '../log/control-record.ts';
import {
  encodeSettled,
  encodeSettledRecords,
  SETTLED_HEADER_BYTES,
  SETTLED_POSITION,
  SETTLED_RANGE,
  SETTLED_RECORD_BYTES,
  type SettledHeader,
  type SettledRecord,
} from '../log/settled-file.ts';
import type { SideJobResult } from '../log/side-job.ts';
import type { GroupLog } from './group-log.ts';
import type { ShardContext } from './shard-context.ts';

/** Records of a file that is not written anew, however few of them would do. */
const REWRITE_RECORDS_MIN = 65_536;
/** Milliseconds until the next attempt on a full disk. */
const RETRY_MS = 500;

type JobError = NonNullable<SideJobResult['error']>;
/** Sends an answer, or the error in its place. @returns false when the ring is full */
export type JournalAnswer = (error: JobError | undefined) => boolean;

type Entry = {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  /** Where the group has begun here; -1: where the log says. */
  from: number;
  readonly ranges: RangeSet;
};

export class SettledJournal implements GroupLog {
  private readonly entries = new Map<string, Entry>();
  private period: number;
  /** What was confirmed of the log when this period began. */
  private commit: number;
  private rangeCount = 0;
  /** Not handed to a write yet. */
  private fresh: SettledRecord[] = [];
  private isRewriteDue = false;
  private isWriting = false;
  private notBeforeMs: number = Number.NEGATIVE_INFINITY;
  /** Records in the file. */
  private written: number;
  /** Wait for the write under way, and for the one after it. */
  private writing: JournalAnswer[] = [];
  private waiting: JournalAnswer[] = [];
  /** May be sent, as soon as the ring has room. */
  private done: (() => boolean)[] = [];
  /** The file of this period is on the disk. */
  isBegun = false;

  /** @param records - of the file, as far as they are to be believed */
  constructor(header: Omit<SettledHeader, 'logId'>, records: readonly SettledRecord[]) {
    this.period = header.period;
    this.commit = header.commit;
    this.written = records.length;
    for (const record of records) this.take(record);
  }

  get isEmpty(): boolean {
    return this.entries.size === 0;
  }

  /** Nothing more is taken: what is settled lies too far apart. */
  get isFull(): boolean {
    return this.rangeCount >= SETTLED_JOURNAL_RANGES_MAX;
  }

  get ranges(): number {
    return this.rangeCount;
  }

  /** Number of the time without a master that is going on, or was last. */
  get periodNumber(): number {
    return this.period;
  }

  settled(groupId: number, topicId: number, queueId: number, ranges: readonly OffsetRange[]): void {
    for (const { start, count } of ranges)
      this.add({ kind: SETTLED_RANGE, groupId, topicId, queueId, start, count });
  }

  /** What comes again is known here only: after a restart it begins anew. */
  retry(): void {}

  positions(positions: readonly GroupPosition[]): void {
    for (const { offset, ...place } of positions)
      this.add({ kind: SETTLED_POSITION, ...place, start: offset, count: 0 });
  }

  /** A time without a master begins. @param commit - what the master had confirmed */
  begin(commit: number): void {
    this.period += 1;
    this.commit = commit;
    this.isBegun = false;
    this.isRewriteDue = true;
  }

  /** The log has all of it. */
  empty(): void {
    this.entries.clear();
    this.rangeCount = 0;
    this.fresh = [];
    this.isRewriteDue = true;
  }

  /** Sends an answer once everything that was added before is on the disk. */
  answer(answer: JournalAnswer): void {
    const isIdle = this.fresh.length === 0 && !this.isRewriteDue && !this.isWriting;
    if (!isIdle) this.waiting.push(answer);
    else if (!answer(undefined)) this.done.push(() => answer(undefined));
  }

  /** Everything in it, as few records as possible. */
  records(): SettledRecord[] {
    const found: SettledRecord[] = [];
    for (const { groupId, topicId, queueId, from, ranges } of this.entries.values()) {
      const place = { groupId, topicId, queueId };
      if (from >= 0) found.push({ kind: SETTLED_POSITION, ...place, start: from, count: 0 });
      for (const [start, end] of ranges.runs())
        found.push({ kind: SETTLED_RANGE, ...place, start, count: end - start });
    }
    return found;
  }

  /** Begins a write when there is something to write. @param onFault - the disk has failed @returns work done */
  doWork(context: ShardContext, onFault: (error: JobError) => void): number {
    const before = this.done.length;
    this.done = this.done.filter((send) => !send());
    const work = before - this.done.length;
    if (this.isWriting || context.fenced !== undefined) return work;
    if (this.fresh.length === 0 && !this.isRewriteDue) return work + this.release();
    if (context.clock.monotonicMs() < this.notBeforeMs) return work;
    this.write(context, onFault);
    return work + 1;
  }

  private write(context: ShardContext, onFault: (error: JobError) => void): void {
    this.writing = this.waiting;
    this.waiting = [];
    this.isWriting = true;
    const { period } = this;
    const isWhole =
      this.isRewriteDue ||
      this.written + this.fresh.length > REWRITE_RECORDS_MIN + 4 * this.rangeCount;
    const records = isWhole ? this.records() : this.fresh;
    this.fresh = [];
    this.isRewriteDue = false;
    const first = isWhole ? 0 : this.written;
    const job = isWhole
      ? ({
          kind: 'write-settled',
          bytes: encodeSettled(
            { period, commit: this.commit, logId: context.state.logId },
            records,
          ),
        } as const)
      : ({
          kind: 'append-settled',
          byteOffset: SETTLED_HEADER_BYTES + first * SETTLED_RECORD_BYTES,
          bytes: encodeSettledRecords(records, first, period),
        } as const);
    context.submit(job, ({ error }) => {
      this.isWriting = false;
      if (error === undefined) {
        this.written = first + records.length;
        if (period === this.period && isWhole) this.isBegun = true;
      } else {
        // A part of it may be there: a whole file takes its place, with everything that is known here.
        this.isRewriteDue = true;
        this.notBeforeMs = context.clock.monotonicMs() + RETRY_MS;
        if (error.code !== 'STORAGE_FULL') onFault(error);
      }
      const answered = this.writing;
      this.writing = [];
      this.send(answered, error);
    });
  }

  /** Answers that waited for nothing of their own. */
  private release(): number {
    const answered = this.waiting;
    this.waiting = [];
    this.send(answered, undefined);
    return answered.length;
  }

  private send(answers: readonly JournalAnswer[], error: JobError | undefined): void {
    for (const answer of answers) if (!answer(error)) this.done.push(() => answer(error));
  }

  private add(record: SettledRecord): void {
    this.take(record);
    this.fresh.push(record);
  }

  private take({ kind, groupId, topicId, queueId, start, count }: SettledRecord): void {
    const key = `${groupId}.${topicId}.${queueId}`;
    let entry = this.entries.get(key);
    if (entry === undefined) {
      entry = { groupId, topicId, queueId, from: -1, ranges: new RangeSet() };
      this.entries.set(key, entry);
    }
    if (kind === SETTLED_POSITION) entry.from = start;
    else {
      this.rangeCount -= entry.ranges.size;
      entry.ranges.add(start, start + count);
      this.rangeCount += entry.ranges.size;
    }
  }
}
