/** What a group has left to do on a queue, as it stands in the log and in a snapshot, and back. Pure. */
import type { RetryRange } from '../log/control-record.ts';
import type { GroupQueue } from './group-queue.ts';
import type { RetryEntry } from './retry-queue.ts';

/** As it stands in a snapshot. */
export type GroupQueueState = {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  readonly settledThrough: number;
  readonly settled: readonly (readonly [number, number])[];
  readonly retries: readonly RetryRange[];
};

/**
 * Wall time is all that outlives a process, and it may have been set meanwhile: whatever it says, nobody waits longer than
 * was left when this was written.
 */
export function retryEntry(
  range: RetryRange,
  writtenAtMs: number,
  nowMs: number,
  epochNowMs: number,
): RetryEntry {
  const leftMs = Math.max(0, range.dueAtMs - writtenAtMs);
  return {
    start: range.start,
    end: range.start + range.count,
    attempt: range.attempt,
    dueAtMs: nowMs + Math.min(leftMs, Math.max(0, range.dueAtMs - epochNowMs)),
    reason: '',
  };
}

export function groupQueueImage(
  one: GroupQueue,
  nowMs: number,
  epochNowMs: number,
): GroupQueueState {
  const toEpoch = (monotonicMs: number): number =>
    Math.max(0, Math.round(epochNowMs + (monotonicMs - nowMs)));
  return {
    groupId: one.groupId,
    topicId: one.topicId,
    queueId: one.queueId,
    settledThrough: one.settledThrough,
    settled: one.settled.runs(),
    retries: one.retriesAfterRestart(nowMs).map((entry) => ({
      start: entry.start,
      count: entry.end - entry.start,
      attempt: entry.attempt,
      dueAtMs: toEpoch(entry.dueAtMs),
    })),
  };
}
