/**
 * Which positions an acknowledgement waits for: the flush mode says when the disk counts, the acknowledgement mode whether
 * slaves do. Shard thread, once a duty cycle.
 */

/** When the disk is told to keep what was written: before each ack, or at an interval. @source RocketMQ FlushDiskType */
export type FlushMode = 'SYNC_FLUSH' | 'ASYNC_FLUSH';

/** When a master acknowledges: alone, or when slaves have it too. @source RocketMQ BrokerRole */
export type AckMode = 'ASYNC_MASTER' | 'SYNC_MASTER';

/** What the disk of this broker gives: flushed, or written under ASYNC_FLUSH. */
export function safePosition(mode: FlushMode, written: number, flushed: number): number {
  return mode === 'SYNC_FLUSH' ? flushed : written;
}

/**
 * The commit position of a shard whose log others hold or lead: never above what they have confirmed, and never back.
 *
 * @param replicated - on a master what enough slaves have confirmed, on a slave the master's commit position
 */
export function boundedCommit(before: number, safe: number, replicated: number): number {
  return Math.max(before, Math.min(safe, replicated));
}
