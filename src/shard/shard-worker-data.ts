/** What crosses between the broker and a shard's threads by message: at start, and rarely after. */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../base/error-codes.ts';
import type { ShardMetadata } from '../protocol/shard-control.ts';
import type { ShardConfig } from './shard-config.ts';
import type { ShardMemory } from './shard-memory.ts';

export type ShardWorkerData = {
  readonly config: ShardConfig;
  readonly directory: string;
  readonly memory: ShardMemory;
  readonly epoch: number;
  /** A name for a log that has none; undefined: it gets none. */
  readonly logId: string | undefined;
  /** To the replication thread: a message when it sleeps and there is news for it. */
  readonly news: MessagePort | undefined;
  /** Memory of the `LatencyHistogram` of barriers, which the flusher has too. */
  readonly histogram: SharedArrayBuffer;
  /** Memory of a `SharedDeferredMeter`. */
  readonly meter: SharedArrayBuffer;
  /** Side jobs out, results in. */
  readonly jobs: MessagePort;
};

export type ShardWorkerMessage =
  /** There is something in a reply ring, and the acceptor slept. */
  | { readonly kind: 'wake' }
  | { readonly kind: 'opened'; readonly metadata: ShardMetadata; readonly position: number }
  | {
      readonly kind: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      readonly stack: string;
    };
