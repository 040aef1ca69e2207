/**
 * The binary frames of the hot path: bytes to values and back, in place. Decoders are for bytes from outside: every
 * length is checked before it is used, nothing is allocated, nothing throws; the answer is `ok` or the first rule that
 * is broken. They fill an object that the caller keeps, so that a million frames make no garbage. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 3
 */
import { getU64, setU64 } from '../../base/bytes.ts';
import {
  BATCH_BYTES,
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  BATCH_RECORD_COUNT,
  STORED_BYTES,
  STORED_HEADER_BYTES,
  STORED_MAGIC,
} from '../batch/batch-layout.ts';
import type { Deferral } from './checked-requests.ts';
import * as layout from './frames-layout.ts';

/** `ok`, or the first rule that the bytes break. */
export type FrameVerdict =
  | 'ok'
  | 'too-short'
  | 'wrong-length'
  | 'wrong-kind'
  | 'wrong-action'
  | 'wrong-argument'
  | 'wrong-number'
  | 'wrong-range'
  | 'no-entries'
  | 'reserved-not-zero';

/** A view over the same memory, for the codecs below. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const RECEIPT_FLAGS_ALL = layout.RECEIPT_FLAG_DUPLICATE | layout.RECEIPT_FLAG_DEFERRED;

/** Header of SEND_BATCH. */
export type SendBatchHeader = {
  queueId: number;
  correlationId: number;
  topicId: number;
  /** Milliseconds after which it is seen, or -1. */
  delayMs: number;
  /** Milliseconds since 1970 at which it is seen, or -1. */
  deliverAt: number;
  /** Where in the frame the batch begins. */
  batchAt: number;
};

export function newSendBatchHeader(): SendBatchHeader {
  return {
    ...{ queueId: 0, correlationId: 0, topicId: 0, delayMs: -1, deliverAt: -1 },
    batchAt: layout.SEND_BATCH,
  };
}

/** Where the batch of a frame begins: behind its header, or behind the time at which it is to be seen. */
export function sendBatchAt(deferral: Deferral | undefined): number {
  return deferral === undefined ? layout.SEND_BATCH : layout.SEND_DEFERRED_BATCH;
}

/** When the batch of a frame that this side has written is to be seen. */
export function sendDeferral(view: DataView): Deferral | undefined {
  const flags = view.getUint8(layout.SEND_FLAGS);
  if (flags === 0) return undefined;
  const value = getU64(view, layout.SEND_DEFERRAL);
  return flags === layout.SEND_FLAG_DELAY ? { delayMs: value } : { deliverAt: value };
}

/** Writes the header before the batch, which already stands at `sendBatchAt` of the view. */
export function encodeSendBatchHeader(
  view: DataView,
  queueId: number,
  correlationId: number,
  topicId: number,
  deferral?: Deferral,
): void {
  view.setUint8(layout.FRAME_KIND, layout.FRAME_SEND_BATCH);
  view.setUint8(layout.SEND_FLAGS, 0);
  if (deferral !== undefined) {
    const isDelay = 'delayMs' in deferral;
    view.setUint8(layout.SEND_FLAGS, isDelay ? layout.SEND_FLAG_DELAY : layout.SEND_FLAG_TIME);
    setU64(view, layout.SEND_DEFERRAL, isDelay ? deferral.delayMs : deferral.deliverAt);
  }
  view.setUint16(layout.SEND_QUEUE_ID, queueId, true);
  view.setUint32(layout.SEND_CORRELATION_ID, correlationId, true);
  view.setUint32(layout.SEND_TOPIC_ID, topicId, true);
  view.setUint32(layout.SEND_RESERVED, 0, true);
}

/**
 * Reads the header and checks that the rest can be a batch; what is in the batch is `checkBatch`'s to judge.
 *
 * @param view - exactly the frame
 */
export function decodeSendBatchHeader(view: DataView, into: SendBatchHeader): FrameVerdict {
  const length = view.byteLength;
  if (length < layout.SEND_HEADER_BYTES) return 'too-short';
  if (view.getUint8(layout.FRAME_KIND) !== layout.FRAME_SEND_BATCH) return 'wrong-kind';
  // First, so that an answer can name the correlation id of a frame that is wrong further on.
  into.correlationId = view.getUint32(layout.SEND_CORRELATION_ID, true);
  into.queueId = view.getUint16(layout.SEND_QUEUE_ID, true);
  into.topicId = view.getUint32(layout.SEND_TOPIC_ID, true);
  const flags = view.getUint8(layout.SEND_FLAGS);
  if (flags > layout.SEND_FLAG_TIME || view.getUint32(layout.SEND_RESERVED, true) !== 0)
    return 'reserved-not-zero';
  into.batchAt = flags === 0 ? layout.SEND_BATCH : layout.SEND_DEFERRED_BATCH;
  const batchBytes = length - into.batchAt;
  if (batchBytes < BATCH_HEADER_BYTES) return 'too-short';
  into.delayMs = flags === layout.SEND_FLAG_DELAY ? getU64(view, layout.SEND_DEFERRAL) : -1;
  into.deliverAt = flags === layout.SEND_FLAG_TIME ? getU64(view, layout.SEND_DEFERRAL) : -1;
  // -1 is a number above 2^53 as well.
  if (flags !== 0 && into.delayMs < 0 && into.deliverAt < 0) return 'wrong-number';
  return view.getUint32(into.batchAt + BATCH_BYTES, true) === batchBytes ? 'ok' : 'wrong-length';
}

/** One entry of RECEIPTS. */
export type ReceiptEntry = {
  correlationId: number;
  queueId: number;
  /** DURABILITY_MEMORY, DURABILITY_DISK or DURABILITY_REPLICATED. */
  durability: number;
  duplicate: boolean;
  /** It cannot be seen yet: `baseQueueOffset` is the time at which it can, -1 when it does not wait any more. */
  deferred: boolean;
  /** Of the first record; -1 for a duplicate too old to know. */
  baseQueueOffset: number;
  position: number;
  recordCount: number;
  shard: number;
};

export function newReceiptEntry(): ReceiptEntry {
  return {
    correlationId: 0,
    queueId: 0,
    durability: 0,
    duplicate: false,
    deferred: false,
    baseQueueOffset: 0,
    position: 0,
    recordCount: 0,
    shard: 0,
  };
}

/** Bytes of a RECEIPTS frame with this many entries. */
export function receiptsBytes(entryCount: number): number {
  return layout.RECEIPTS_ENTRIES + entryCount * layout.RECEIPT_BYTES;
}

/** Writes the header; entries follow with `encodeReceipt`. */
export function encodeReceiptsHeader(view: DataView, entryCount: number): void {
  view.setUint8(layout.FRAME_KIND, layout.FRAME_RECEIPTS);
  view.setUint8(layout.RECEIPTS_FLAGS, 0);
  view.setUint16(layout.RECEIPTS_COUNT, entryCount, true);
  view.setUint32(layout.RECEIPTS_RESERVED, 0, true);
}

/** Writes entry number `index`. */
export function encodeReceipt(view: DataView, index: number, entry: Readonly<ReceiptEntry>): void {
  const at = receiptsBytes(index);
  view.setUint32(at + layout.RECEIPT_CORRELATION_ID, entry.correlationId, true);
  view.setUint16(at + layout.RECEIPT_QUEUE_ID, entry.queueId, true);
  view.setUint8(at + layout.RECEIPT_DURABILITY, entry.durability);
  const flags =
    (entry.duplicate ? layout.RECEIPT_FLAG_DUPLICATE : 0) |
    (entry.deferred ? layout.RECEIPT_FLAG_DEFERRED : 0);
  view.setUint8(at + layout.RECEIPT_FLAGS, flags);
  if (entry.baseQueueOffset < 0) {
    view.setUint32(at + layout.RECEIPT_BASE_OFFSET, 0xffff_ffff, true);
    view.setUint32(at + layout.RECEIPT_BASE_OFFSET + 4, 0xffff_ffff, true);
  } else setU64(view, at + layout.RECEIPT_BASE_OFFSET, entry.baseQueueOffset);
  setU64(view, at + layout.RECEIPT_POSITION, entry.position);
  view.setUint32(at + layout.RECEIPT_RECORD_COUNT, entry.recordCount, true);
  view.setUint16(at + layout.RECEIPT_SHARD, entry.shard, true);
  view.setUint16(at + layout.RECEIPT_RESERVED, 0, true);
}

/** Checks a whole RECEIPTS frame; after `ok`, `decodeReceipt` reads entries 0 to `receiptCount - 1`. */
export function checkReceipts(view: DataView): FrameVerdict {
  const length = view.byteLength;
  if (length < layout.RECEIPTS_ENTRIES) return 'too-short';
  if (view.getUint8(layout.FRAME_KIND) !== layout.FRAME_RECEIPTS) return 'wrong-kind';
  if (
    view.getUint8(layout.RECEIPTS_FLAGS) !== 0 ||
    view.getUint32(layout.RECEIPTS_RESERVED, true) !== 0
  )
    return 'reserved-not-zero';
  const count = receiptCount(view);
  if (count === 0) return 'no-entries';
  if (length !== receiptsBytes(count)) return 'wrong-length';
  for (let at = layout.RECEIPTS_ENTRIES; at < length; at += layout.RECEIPT_BYTES) {
    const durability = view.getUint8(at + layout.RECEIPT_DURABILITY);
    if (durability < layout.DURABILITY_MEMORY || durability > layout.DURABILITY_REPLICATED)
      return 'wrong-number';
    if (view.getUint8(at + layout.RECEIPT_FLAGS) > RECEIPT_FLAGS_ALL) return 'reserved-not-zero';
    if (view.getUint16(at + layout.RECEIPT_RESERVED, true) !== 0) return 'reserved-not-zero';
    if (getU64(view, at + layout.RECEIPT_POSITION) < 0) return 'wrong-number';
    if (
      getU64(view, at + layout.RECEIPT_BASE_OFFSET) < 0 &&
      !allOnes(view, at + layout.RECEIPT_BASE_OFFSET)
    )
      return 'wrong-number';
  }
  return 'ok';
}

function allOnes(view: DataView, at: number): boolean {
  return view.getUint32(at, true) === 0xffff_ffff && view.getUint32(at + 4, true) === 0xffff_ffff;
}

/** Entries of a RECEIPTS frame that `checkReceipts` has let pass. */
export function receiptCount(view: DataView): number {
  return view.getUint16(layout.RECEIPTS_COUNT, true);
}

/** Reads entry number `index` of a frame that `checkReceipts` has let pass. */
export function decodeReceipt(view: DataView, index: number, into: ReceiptEntry): void {
  const at = receiptsBytes(index);
  into.correlationId = view.getUint32(at + layout.RECEIPT_CORRELATION_ID, true);
  into.queueId = view.getUint16(at + layout.RECEIPT_QUEUE_ID, true);
  into.durability = view.getUint8(at + layout.RECEIPT_DURABILITY);
  const flags = view.getUint8(at + layout.RECEIPT_FLAGS);
  into.duplicate = (flags & layout.RECEIPT_FLAG_DUPLICATE) !== 0;
  into.deferred = (flags & layout.RECEIPT_FLAG_DEFERRED) !== 0;
  into.baseQueueOffset = getU64(view, at + layout.RECEIPT_BASE_OFFSET);
  into.position = getU64(view, at + layout.RECEIPT_POSITION);
  into.recordCount = view.getUint32(at + layout.RECEIPT_RECORD_COUNT, true);
  into.shard = view.getUint16(at + layout.RECEIPT_SHARD, true);
}

/** Header of DELIVER. */
export type DeliverHeader = {
  queueId: number;
  subscription: number;
  /** Queue offset of the first record of the batch, delivered or not. */
  baseQueueOffset: number;
  /** First record of the batch that is delivered. */
  firstIndex: number;
  /** Records delivered. */
  count: number;
  attempt: number;
  shard: number;
  leaseId: number;
  /** Milliseconds until the lease ends. */
  leaseMs: number;
  topicId: number;
  /** Are only the records delivered that the selection behind the stored batch names? */
  hasSelection: boolean;
};

export function newDeliverHeader(): DeliverHeader {
  return {
    queueId: 0,
    subscription: 0,
    baseQueueOffset: 0,
    firstIndex: 0,
    count: 0,
    attempt: 0,
    shard: 0,
    leaseId: 0,
    leaseMs: 0,
    topicId: 0,
    hasSelection: false,
  };
}

/** Bytes of a selection among `count` records. */
export function selectionBytes(count: number): number {
  return (count + 7) >>> 3;
}

/** Is record number `index` of those that a selection is about among them? */
export function isSelected(bytes: Uint8Array, selectionAt: number, index: number): boolean {
  return (((bytes[selectionAt + (index >>> 3)] as number) >>> (index & 7)) & 1) === 1;
}

/** Writes the header; the stored batch stands, or will stand, at `DELIVER_STORED_BATCH` of the frame. */
export function encodeDeliverHeader(view: DataView, header: Readonly<DeliverHeader>): void {
  view.setUint8(layout.FRAME_KIND, layout.FRAME_DELIVER);
  view.setUint8(layout.DELIVER_FLAGS, header.hasSelection ? layout.DELIVER_FLAG_SELECTION : 0);
  view.setUint16(layout.DELIVER_QUEUE_ID, header.queueId, true);
  view.setUint32(layout.DELIVER_SUBSCRIPTION, header.subscription, true);
  setU64(view, layout.DELIVER_BASE_OFFSET, header.baseQueueOffset);
  view.setUint32(layout.DELIVER_FIRST_INDEX, header.firstIndex, true);
  view.setUint32(layout.DELIVER_COUNT, header.count, true);
  view.setUint32(layout.DELIVER_ATTEMPT, header.attempt, true);
  view.setUint16(layout.DELIVER_SHARD, header.shard, true);
  view.setUint16(layout.DELIVER_RESERVED, 0, true);
  setU64(view, layout.DELIVER_LEASE_ID, header.leaseId);
  view.setUint32(layout.DELIVER_LEASE_MS, header.leaseMs, true);
  view.setUint32(layout.DELIVER_TOPIC_ID, header.topicId, true);
}

/** The subscription that a DELIVER frame names, to find who checks the rest; -1 when it is too short to name one. */
export function deliverSubscription(frame: Uint8Array): number {
  const at = layout.DELIVER_SUBSCRIPTION;
  if (frame.length < at + 4) return -1;
  const high = (frame[at + 3] as number) * 0x100_0000;
  return (
    high +
    ((frame[at] as number) | ((frame[at + 1] as number) << 8) | ((frame[at + 2] as number) << 16))
  );
}

/**
 * Reads the header and checks that the rest is one stored batch that has the records named, and the selection. The producer's batch
 * inside (checksum, records) is `checkBatch`'s to judge.
 *
 * @param view - exactly the frame
 */
export function decodeDeliverHeader(view: DataView, into: DeliverHeader): FrameVerdict {
  const length = view.byteLength;
  if (length < layout.DELIVER_HEADER_BYTES + STORED_HEADER_BYTES + BATCH_HEADER_BYTES)
    return 'too-short';
  if (view.getUint8(layout.FRAME_KIND) !== layout.FRAME_DELIVER) return 'wrong-kind';
  const flags = view.getUint8(layout.DELIVER_FLAGS);
  if (flags > layout.DELIVER_FLAG_SELECTION || view.getUint16(layout.DELIVER_RESERVED, true) !== 0)
    return 'reserved-not-zero';
  into.hasSelection = flags === layout.DELIVER_FLAG_SELECTION;
  into.queueId = view.getUint16(layout.DELIVER_QUEUE_ID, true);
  into.subscription = view.getUint32(layout.DELIVER_SUBSCRIPTION, true);
  into.baseQueueOffset = getU64(view, layout.DELIVER_BASE_OFFSET);
  into.firstIndex = view.getUint32(layout.DELIVER_FIRST_INDEX, true);
  into.count = view.getUint32(layout.DELIVER_COUNT, true);
  into.attempt = view.getUint32(layout.DELIVER_ATTEMPT, true);
  into.shard = view.getUint16(layout.DELIVER_SHARD, true);
  into.leaseId = getU64(view, layout.DELIVER_LEASE_ID);
  into.leaseMs = view.getUint32(layout.DELIVER_LEASE_MS, true);
  into.topicId = view.getUint32(layout.DELIVER_TOPIC_ID, true);
  if (into.baseQueueOffset < 0 || into.leaseId < 0) return 'wrong-number';
  return deliverCheckBatch(view, into);
}

function deliverCheckBatch(
  view: DataView,
  { firstIndex, count, hasSelection }: DeliverHeader,
): FrameVerdict {
  const stored = layout.DELIVER_STORED_BATCH;
  const batch = stored + STORED_HEADER_BYTES;
  if (view.getUint32(stored + STORED_MAGIC, true) !== BATCH_MAGIC) return 'wrong-kind';
  const storedBytes = view.byteLength - stored - (hasSelection ? selectionBytes(count) : 0);
  if (view.getUint32(stored + STORED_BYTES, true) !== storedBytes) return 'wrong-length';
  if (view.getUint32(batch + BATCH_BYTES, true) !== storedBytes - STORED_HEADER_BYTES)
    return 'wrong-length';
  if (count === 0) return 'no-entries';
  return firstIndex + count <= view.getUint32(batch + BATCH_RECORD_COUNT, true)
    ? 'ok'
    : 'wrong-range';
}
