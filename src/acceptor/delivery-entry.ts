/** One DELIVER record as values: an extent of the log and what of it goes to which subscription. */
import { getU64 } from '../base/bytes.ts';
import * as layout from '../protocol/envelope-layout.ts';

export type DeliveryEntry = {
  readonly shard: number;
  readonly subscription: number;
  readonly queueId: number;
  readonly isCold: boolean;
  readonly firstIndex: number;
  /** Records from `firstIndex` on, those that a filter leaves out included. */
  readonly count: number;
  readonly attempt: number;
  readonly batchBytes: number;
  readonly position: number;
  /** Queue offset of the batch's first record. */
  readonly baseOffset: number;
  readonly leaseId: number;
  readonly leaseMs: number;
  readonly topicId: number;
  /** Number of the last return of this queue that the shard had been told of. */
  readonly returnsKnown: number;
  /** Monotonic time at which it arrived: what remains of the lease counts from here. */
  readonly arrivedAtMs: number;
  /** The stored batch, once it was read from its file. */
  stored: Uint8Array | undefined;
};

export function readDelivery(
  shard: number,
  view: DataView,
  at: number,
  nowMs: number,
): DeliveryEntry {
  return {
    shard,
    subscription: view.getUint32(at + layout.DELIVER_SUBSCRIPTION, true),
    queueId: view.getUint16(at + layout.DELIVER_QUEUE_ID, true),
    isCold: (view.getUint16(at + layout.DELIVER_FLAGS, true) & layout.EXTENT_COLD) !== 0,
    firstIndex: view.getUint32(at + layout.DELIVER_FIRST_INDEX, true),
    count: view.getUint32(at + layout.DELIVER_COUNT, true),
    attempt: view.getUint32(at + layout.DELIVER_ATTEMPT, true),
    batchBytes: view.getUint32(at + layout.DELIVER_BATCH_BYTES, true),
    position: getU64(view, at + layout.DELIVER_POSITION),
    baseOffset: getU64(view, at + layout.DELIVER_BASE_OFFSET),
    leaseId: getU64(view, at + layout.DELIVER_LEASE),
    leaseMs: view.getUint32(at + layout.DELIVER_LEASE_MS, true),
    topicId: view.getUint32(at + layout.DELIVER_TOPIC_ID, true),
    returnsKnown: view.getUint32(at + layout.DELIVER_RETURNS_KNOWN, true),
    arrivedAtMs: nowMs,
    stored: undefined,
  };
}
