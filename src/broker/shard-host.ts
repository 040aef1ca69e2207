/**
 * A shard as the broker sees it, whether it runs in threads of its own (`threaded-shard.ts`) or in this one
 * (`inline-shard.ts`).
 */
import type { ShardPort } from '../acceptor/shard-port.ts';
import type { ParkWord } from '../agent/park-word.ts';
import type { SluiceError } from '../base/errors.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { LatencyHistogram } from '../observe/latency-histogram.ts';
import type { ShardMetadata } from '../protocol/shard-control.ts';
import type { SharedDeferredMeter } from '../shard/deferred-meter.ts';
import type { ShardConfig } from '../shard/shard-config.ts';

/** What a shard tells the broker. All on the main thread. */
export type ShardHostEvents = {
  /** There may be something in the reply ring. */
  readonly onReplies: () => void;
  /** In this callback of the event loop so many records went into the request ring. */
  readonly onRequests: (count: number) => void;
  /** The shard stopped: its requests are lost. It comes back by `onUp` unless it is fenced. */
  readonly onDown: (shard: number, error: SluiceError, isFenced: boolean) => void;
  /** The disk failed the shard, which refuses what comes from now on: what exactly happened, for the log. */
  readonly onDiskFailure: (shard: number, error: SluiceError) => void;
  /** The shard is back with new rings. */
  readonly onUp: (shard: number, metadata: ShardMetadata) => void;
};

export interface ShardHost {
  readonly config: ShardConfig;
  readonly port: ShardPort;
  /** The acceptor's park word of this shard; undefined when they share a thread. */
  readonly acceptorWord: ParkWord | undefined;
  readonly logMemory: LogMemory;
  readonly flushLatency: LatencyHistogram;
  readonly deferred: SharedDeferredMeter;
  /** Recovers and starts. @throws what recovery refuses */
  start(): Promise<ShardMetadata>;
  /** One committed batch from its file. */
  readCold(position: number, bytes: number): Promise<Uint8Array>;
  /** Runs the shard where it has no thread of its own. @returns work done */
  doWork(): number;
  /** Milliseconds until `doWork` is needed again; Infinity when it has threads. */
  msUntilDue(): number;
  /** Ends the threads after a last flush. */
  stop(): Promise<void>;
}
