/** What a shard is told at start: plain values, checked by `src/config`. */
import type { AckMode, FlushMode } from '../commit/commit-policy.ts';

export type ShardConfig = {
  /** This shard, from 0. */
  readonly shard: number;
  readonly shards: number;
  readonly flushMode: FlushMode;
  /** The storage is memory: nothing survives the process, and no receipt says that it does. */
  readonly isVolatile: boolean;
  /** Milliseconds between barriers under ASYNC_FLUSH. */
  readonly flushIntervalMs: number;
  /** Microseconds of a sync up to which the shard does it itself; see `commit/shard-share.ts`. */
  readonly shardSyncMicrosMax?: number;
  readonly segmentBytes: number;
  /** Segments prepared ahead of the one that is written. */
  readonly segmentsAhead: number;
  /** Bytes of the tail window. */
  readonly tailBytes: number;
  /** Milliseconds that messages of topics without a retention of their own are kept. */
  readonly retentionMs: number;
  /** Bytes of log kept at most; null: no limit but the disk. */
  readonly retentionBytes: number | null;
  /** Share of the volume in use above which no segment is made and sends are refused, 0 to 1. */
  readonly diskHardRatio: number;
  /** Share above which old segments are let go early where topics allow it, 0 to 1. */
  readonly diskSoftRatio: number;
  /** How often the producer of a half message is asked about it, and the pause between; defaults of RocketMQ where absent. */
  readonly transactionCheckMax?: number;
  readonly transactionCheckIntervalMs?: number;
  /** Absent: nobody else has this log. */
  readonly replication?: ShardReplication;
};

/** What a shard of a replicated broker is. */
export type ShardReplication = {
  readonly role: 'master' | 'slave';
  readonly ack: AckMode;
  /** Brokers that must have a message before SYNC_MASTER acknowledges it, the master counted. @source RocketMQ inSyncReplicas */
  readonly inSyncReplicas: number;
  /** Milliseconds until a message that waits for a slave is answered FLUSH_SLAVE_TIMEOUT. @source RocketMQ syncFlushTimeout */
  readonly syncFlushTimeoutMs: number;
};

/** Bytes of the largest piece that a batch never crosses. */
export function chunkBytesOf(config: Pick<ShardConfig, 'segmentBytes' | 'tailBytes'>): number {
  return Math.min(config.segmentBytes, config.tailBytes);
}
