/**
 * Work that would keep a shard from its duty cycle: files prepared ahead, indexes, snapshots, old reads. The shard submits
 * and polls; who runs them is injected: piscina threads in a broker, the caller itself in tests and simulation.
 */
import type { ErrorCode } from '../base/error-codes.ts';

export type SideJob = { readonly job: number } & (
  | {
      /** Makes the file of a segment: an old one renamed, or zeros written and synced. */
      readonly kind: 'prepare-segment';
      readonly segment: number;
      readonly segmentBytes: number;
      /** Segment whose file is free to be used again, or null. */
      readonly recycle: number | null;
      /** Refused above this share of the volume in use, 0 to 1. */
      readonly usedRatioMax: number;
    }
  | {
      readonly kind: 'load-page';
      readonly segment: number;
      readonly segmentBytes: number;
      readonly chunkBytes: number;
      readonly topicId: number;
      readonly queueId: number;
      readonly offset: number;
    }
  | {
      readonly kind: 'build-index';
      readonly segment: number;
      readonly segmentBytes: number;
      readonly chunkBytes: number;
    }
  | { readonly kind: 'write-snapshot'; readonly position: number; readonly bytes: Uint8Array }
  | {
      /** Writes down that segments are let go, then removes some of them; the others are used again. */
      readonly kind: 'release-segments';
      readonly released: readonly number[];
      readonly removed: readonly number[];
    }
  /** No snapshot names these segments any more: what says that they were let go may go. */
  | { readonly kind: 'forget-released'; readonly segments: readonly number[] }
  | {
      readonly kind: 'read-batch';
      readonly position: number;
      readonly bytes: number;
      readonly segmentBytes: number;
    }
  | {
      /** Many batches at once; neighbours are read together. */
      readonly kind: 'read-batches';
      readonly extents: readonly { readonly position: number; readonly bytes: number }[];
      readonly segmentBytes: number;
    }
  | {
      readonly kind: 'find-key';
      readonly topicId: number;
      readonly key: string;
      readonly max: number;
      /** Sealed segments with an index, newest first. */
      readonly sealed: readonly number[];
      /** Segments without one yet, newest first: walked whole, up to `committed`. */
      readonly open: readonly number[];
      readonly committed: number;
      readonly segmentBytes: number;
      readonly chunkBytes: number;
    }
  | {
      /** Finds the message whose batch begins at `value - index`: what a message id says. */
      readonly kind: 'locate';
      readonly value: number;
      readonly segmentBytes: number;
      readonly chunkBytes: number;
    }
  | {
      readonly kind: 'scrub';
      readonly segment: number;
      readonly segmentBytes: number;
      readonly chunkBytes: number;
    }
  | { readonly kind: 'measure-volume' }
  /** The journal of a slave (settled-file.ts), as a whole. */
  | { readonly kind: 'write-settled'; readonly bytes: Uint8Array }
  /** More of it. */
  | { readonly kind: 'append-settled'; readonly byteOffset: number; readonly bytes: Uint8Array }
  /** Says on the disk whether the log follows a master's (cut-tail.ts). */
  | { readonly kind: 'set-following'; readonly follows: boolean }
);

/** Without the number that the queue of jobs gives it. */
export type SideJobInput = SideJob extends infer Job
  ? Job extends SideJob
    ? Omit<Job, 'job'>
    : never
  : never;

/** Where a message was found. */
export type FoundMessage = {
  readonly topicId: number;
  readonly queueId: number;
  readonly baseOffset: number;
  readonly position: number;
  readonly batchBytes: number;
  readonly index: number;
  /** It is, or was, not to be seen there: its copy is elsewhere. */
  readonly isDeferred: boolean;
};

export type SideJobResult = {
  readonly job: number;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
  /** `load-page`: flat entries (entry-table.ts). */
  readonly numbers?: Float64Array;
  /** `read-batch`: the stored batch, verified. `read-batches`: one after another; those named in `damaged` are not to be used. */
  readonly bytes?: Uint8Array;
  /** `find-key`, `locate`. */
  readonly found?: readonly FoundMessage[];
  /** `scrub`, `read-batches`: positions of damaged batches, or of such whose segment is gone. */
  readonly damaged?: readonly number[];
  /** `prepare-segment`, `measure-volume`: share of the volume in use, 0 to 1, and bytes free. */
  readonly usedRatio?: number;
  readonly freeBytes?: number;
};

/**
 * Memory that moves with a job or a result to another thread instead of being copied: whoever sends one is done with it. What is
 * a part of something else, or shared, stays where it is.
 */
export function memoryOf(message: SideJob | SideJobResult): ArrayBuffer[] {
  const moved: ArrayBuffer[] = [];
  for (const value of Object.values(message) as unknown[]) {
    if (!(value instanceof Uint8Array || value instanceof Float64Array)) continue;
    const { buffer } = value;
    if (buffer instanceof ArrayBuffer && buffer.byteLength === value.byteLength) moved.push(buffer);
  }
  return moved;
}

export interface SideJobs {
  /** @shape the bytes of the job belong to whoever carries it out */
  submit(job: SideJob): void;
  /** Is a finished job waiting to be polled? */
  hasResults(): boolean;
  /** A finished job; undefined when there is none. */
  poll(): SideJobResult | undefined;
}
