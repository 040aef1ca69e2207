/** Appends a producer's batch to the log and its entry to the consume queue: the one place where a message gets its offset. */
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type { QueueEntry } from '../log/entry-table.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import type { ShardContext } from './shard-context.ts';

/**
 * There must be room in the log. The batch becomes visible when the commit position passes it.
 *
 * @param entry - filled with what was appended
 * @param flags - STORED_FLAG_…
 */
export function appendBatch(
  context: Pick<ShardContext, 'clock' | 'log'>,
  queue: ConsumeQueue,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  entry: QueueEntry,
  flags = 0,
): void {
  entry.baseOffset = queue.endOffset;
  // Store times do not fall within a queue, so that a look-up by time can search them.
  entry.storedAtMs = Math.max(context.clock.epochMs(), queue.lastStoredAtMs);
  entry.position = context.log.append(
    {
      kind: layout.KIND_DATA,
      baseOffset: entry.baseOffset,
      topicId: queue.topicId,
      queueId: queue.queueId,
      flags,
    },
    bytes,
    at,
    length,
    entry.storedAtMs,
  );
  entry.count = view.getUint32(at + layout.BATCH_RECORD_COUNT, true);
  entry.bytes = layout.STORED_HEADER_BYTES + length;
  entry.bloomLow = view.getUint32(at + layout.BATCH_BLOOM_LOW, true);
  entry.bloomHigh = view.getUint32(at + layout.BATCH_BLOOM_HIGH, true);
  queue.push(entry);
}

/** A batch that cannot be seen yet. */
export type DeferredBatch = {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly length: number;
  readonly dueAtMs: number;
  /** DEFERRED_FLAG_… */
  readonly flags: number;
};

/** There must be room in the log. @returns the position of the stored batch */
export function appendDeferred(
  { clock, log, tail, state }: Pick<ShardContext, 'clock' | 'log' | 'tail' | 'state'>,
  { topicId, queueId }: { readonly topicId: number; readonly queueId: number },
  { bytes, at, length, dueAtMs, flags }: DeferredBatch,
): number {
  const fields = {
    kind: layout.KIND_DEFERRED,
    baseOffset: dueAtMs,
    topicId,
    queueId,
    flags,
  } as const;
  const position = log.append(fields, bytes, at, length, clock.epochMs());
  state.addDeferred(tail.bytes, tail.view, tail.place(position), position);
  return position;
}
