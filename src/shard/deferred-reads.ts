/**
 * Where the bytes of a deferred batch are: in the tail window, or brought from its file by a side job, many with one job.
 * Shard thread; never blocks.
 */
import * as layout from '../protocol/batch/batch-layout.ts';
import type { DeferredFields } from './deferred-columns.ts';
import type { DeferredState } from './deferred-state.ts';
import { NO_ROW } from './deferred-table.ts';
import type { ShardContext } from './shard-context.ts';

/** A producer's batch in somebody's memory. @shape borrowed until the next append */
export type BatchSource = {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Byte offset of the producer's batch. */
  readonly at: number;
  readonly length: number;
};

/** Milliseconds before what the disk did not give is read again. */
const READ_AGAIN_MS = 100;

export class DeferredReads {
  private readonly context: ShardContext;
  private readonly deferred: DeferredState;
  /** By position; undefined: damaged or gone. */
  private readonly read = new Map<number, Uint8Array | undefined>();
  /** By position: why these cannot be read now. */
  private readonly unreadable = new Map<number, string>();
  /** A read of many has failed: one after the other from here on, so that only those that are bad are passed over. */
  private isAlone = false;
  private notBeforeMs = 0;
  isReading = false;

  constructor(context: ShardContext) {
    this.context = context;
    this.deferred = context.state.deferred;
  }

  /**
   * Room for the copy must have been found before: what is in the window now stays there until it is written.
   *
   * @param others - origins that will be asked for next, read with the same job
   */
  sourceOf(
    one: DeferredFields,
    others: readonly number[],
  ): BatchSource | 'wait' | 'damaged' | 'unreadable' {
    const { tail, log } = this.context;
    const length = one.bytes - layout.STORED_HEADER_BYTES;
    if (one.position >= log.hotStart) {
      const at = tail.place(one.position) + layout.STORED_HEADER_BYTES;
      return { bytes: tail.bytes, view: tail.view, at, length };
    }
    if (this.unreadable.has(one.position)) return 'unreadable';
    if (!this.read.has(one.position)) {
      this.start(others);
      return 'wait';
    }
    const bytes = this.read.get(one.position);
    if (bytes === undefined) return 'damaged';
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { bytes, view, at: layout.STORED_HEADER_BYTES, length };
  }

  /** Why a batch cannot be read now. */
  reasonFor({ position }: DeferredFields): string {
    return this.unreadable.get(position) ?? '';
  }

  /** Forgets what was read. */
  clear(): void {
    if (this.isReading) return;
    this.read.clear();
    this.unreadable.clear();
    this.isAlone = false;
  }

  private start(origins: readonly number[]): void {
    const { context } = this;
    const nowMs = context.clock.monotonicMs();
    if (this.isReading || nowMs < this.notBeforeMs) return;
    const extents: { position: number; bytes: number }[] = [];
    for (const origin of origins) {
      const row = this.deferred.table.rowOf(origin);
      if (row === NO_ROW) continue;
      const { position, bytes } = this.deferred.table.get(row);
      if (position < context.log.hotStart && !this.read.has(position))
        extents.push({ position, bytes });
      // The first is the one that is asked for.
      if (this.isAlone && extents.length > 0) break;
    }
    this.isReading = true;
    const { segmentBytes } = context.config;
    context.submit({ kind: 'read-batches', extents, segmentBytes }, (result) => {
      this.isReading = false;
      const { bytes } = result;
      // What is not said to be damaged is the disk's mood, and no reason to lose a message.
      if (bytes === undefined) {
        this.notBeforeMs = nowMs + READ_AGAIN_MS;
        const [first] = extents;
        if (this.isAlone && first !== undefined)
          this.unreadable.set(first.position, result.error?.message ?? '');
        this.isAlone = true;
        return;
      }
      const damaged = new Set(result.damaged);
      let at = 0;
      for (const extent of extents) {
        const one = bytes.subarray(at, at + extent.bytes);
        this.read.set(extent.position, damaged.has(extent.position) ? undefined : one);
        at += extent.bytes;
      }
    });
  }
}
