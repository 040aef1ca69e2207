/**
 * The binary SETTLE frame (ack, nack, extend): bytes to values and back, in place; the same rules as binary-codec.ts.
 * Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 3
 */
import { getU64, setU64 } from '../../base/bytes.ts';
import { readText } from '../batch/text-bytes.ts';
import type { FrameVerdict } from './binary-codec.ts';
import * as layout from './frames-layout.ts';

/** Header of SETTLE. */
export type SettleHeader = {
  /** SETTLE_ACK, SETTLE_NACK or SETTLE_EXTEND. */
  action: number;
  rangeCount: number;
  /** 0: no answer wanted. */
  correlationId: number;
  subscription: number;
  /** Nack: delay in ms or SETTLE_DELAY_DEFAULT; extend: lease in ms; ack: 0. */
  argument: number;
  /** Bytes of a nack's reason after the ranges; 0: none. */
  reasonBytes: number;
};

/** One range of SETTLE: `count` messages from `queueOffset` on, of one lease. */
export type SettleRange = { queueId: number; queueOffset: number; count: number; leaseId: number };

export function newSettleHeader(): SettleHeader {
  return {
    action: 0,
    rangeCount: 0,
    correlationId: 0,
    subscription: 0,
    argument: 0,
    reasonBytes: 0,
  };
}

export function newSettleRange(): SettleRange {
  return { queueId: 0, queueOffset: 0, count: 0, leaseId: 0 };
}

/** Bytes of a SETTLE frame with this many ranges and no reason. */
export function settleBytes(rangeCount: number): number {
  return layout.SETTLE_RANGES + rangeCount * layout.RANGE_BYTES;
}

/** Writes the header; ranges follow with `encodeSettleRange`, then a nack's reason, if any, as UTF-8. */
export function encodeSettleHeader(view: DataView, header: Readonly<SettleHeader>): void {
  view.setUint8(layout.FRAME_KIND, layout.FRAME_SETTLE);
  view.setUint8(layout.SETTLE_ACTION, header.action);
  view.setUint16(layout.SETTLE_RANGE_COUNT, header.rangeCount, true);
  view.setUint32(layout.SETTLE_CORRELATION_ID, header.correlationId, true);
  view.setUint32(layout.SETTLE_SUBSCRIPTION, header.subscription, true);
  view.setUint32(layout.SETTLE_ARGUMENT, header.argument, true);
}

/** Writes range number `index`. */
export function encodeSettleRange(
  view: DataView,
  index: number,
  queueId: number,
  queueOffset: number,
  count: number,
  leaseId: number,
): void {
  const at = settleBytes(index);
  view.setUint16(at + layout.RANGE_QUEUE_ID, queueId, true);
  view.setUint16(at + layout.RANGE_RESERVED, 0, true);
  view.setUint32(at + layout.RANGE_COUNT, count, true);
  setU64(view, at + layout.RANGE_OFFSET, queueOffset);
  setU64(view, at + layout.RANGE_LEASE_ID, leaseId);
}

/**
 * Reads the header and checks every range; after `ok`, `decodeSettleRange` reads ranges 0 to `rangeCount - 1`.
 *
 * @param view - exactly the frame
 */
export function decodeSettleHeader(view: DataView, into: SettleHeader): FrameVerdict {
  const length = view.byteLength;
  if (length < layout.SETTLE_HEADER_BYTES) return 'too-short';
  if (view.getUint8(layout.FRAME_KIND) !== layout.FRAME_SETTLE) return 'wrong-kind';
  // Before any refusal, so that an answer can name the correlation id.
  into.correlationId = view.getUint32(layout.SETTLE_CORRELATION_ID, true);
  into.action = view.getUint8(layout.SETTLE_ACTION);
  into.rangeCount = view.getUint16(layout.SETTLE_RANGE_COUNT, true);
  into.subscription = view.getUint32(layout.SETTLE_SUBSCRIPTION, true);
  into.argument = view.getUint32(layout.SETTLE_ARGUMENT, true);
  if (into.action < layout.SETTLE_ACK || into.action > layout.SETTLE_EXTEND) return 'wrong-action';
  if (into.action === layout.SETTLE_ACK && into.argument !== 0) return 'wrong-argument';
  if (into.rangeCount === 0) return 'no-entries';
  const rangesEnd = settleBytes(into.rangeCount);
  into.reasonBytes = Math.max(0, length - rangesEnd);
  if (length < rangesEnd || into.reasonBytes > layout.SETTLE_REASON_BYTES_MAX)
    return 'wrong-length';
  if (into.reasonBytes > 0 && into.action !== layout.SETTLE_NACK) return 'wrong-length';
  return settleCheckRanges(view, rangesEnd);
}

function settleCheckRanges(view: DataView, end: number): FrameVerdict {
  for (let at = layout.SETTLE_RANGES; at < end; at += layout.RANGE_BYTES) {
    if (view.getUint16(at + layout.RANGE_RESERVED, true) !== 0) return 'reserved-not-zero';
    const count = view.getUint32(at + layout.RANGE_COUNT, true);
    const queueOffset = getU64(view, at + layout.RANGE_OFFSET);
    if (count === 0) return 'wrong-range';
    if (queueOffset < 0 || getU64(view, at + layout.RANGE_LEASE_ID) < 0) return 'wrong-number';
    if (!Number.isSafeInteger(queueOffset + count)) return 'wrong-range';
  }
  return 'ok';
}

/** Reads range number `index` of a frame that `decodeSettleHeader` has let pass. */
export function decodeSettleRange(view: DataView, index: number, into: SettleRange): void {
  const at = settleBytes(index);
  into.queueId = view.getUint16(at + layout.RANGE_QUEUE_ID, true);
  into.count = view.getUint32(at + layout.RANGE_COUNT, true);
  into.queueOffset = getU64(view, at + layout.RANGE_OFFSET);
  into.leaseId = getU64(view, at + layout.RANGE_LEASE_ID);
}

/** The reason of a nack that `decodeSettleHeader` has let pass; empty when it has none. Broken UTF-8 becomes U+FFFD. */
export function decodeSettleReason(frame: Uint8Array, header: Readonly<SettleHeader>): string {
  const start = settleBytes(header.rangeCount);
  return readText(frame, start, start + header.reasonBytes);
}
