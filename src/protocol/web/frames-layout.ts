/**
 * Bytes of the binary WebSocket frames: nothing but numbers (docs/PROTOCOL.md, section 3, draws them). Little-endian,
 * unsigned; reserved fields are zero. Browser-safe.
 */
import { STORED_HEADER_BYTES } from '../batch/batch-layout.ts';

/** First byte of every binary frame. */
export const FRAME_KIND = 0;
export const FRAME_CONTROL = 0x01;
export const FRAME_SEND_BATCH = 0x10;
export const FRAME_RECEIPTS = 0x11;
export const FRAME_DELIVER = 0x20;
export const FRAME_SETTLE = 0x21;

/** CONTROL: the kind and one msgpack map. */
export const CONTROL_BODY = 1;
/** Maps and arrays inside one another, the outermost counted. */
export const CONTROL_DEPTH_MAX = 16;

export const SEND_FLAGS = 1; // u8, SEND_FLAG_DELAY or SEND_FLAG_TIME or 0
export const SEND_QUEUE_ID = 2; // u16
export const SEND_CORRELATION_ID = 4; // u32
export const SEND_TOPIC_ID = 8; // u32
export const SEND_RESERVED = 12; // u32, 0
export const SEND_BATCH = 16; // the producer's batch fills the rest
export const SEND_HEADER_BYTES = 16;
/** The batch is seen after u64 milliseconds, or at a time in milliseconds since 1970: they stand between header and batch. */
export const SEND_FLAG_DELAY = 1;
export const SEND_FLAG_TIME = 2;
export const SEND_DEFERRAL = 16; // u64
export const SEND_DEFERRED_BATCH = 24;

export const RECEIPTS_FLAGS = 1; // u8, 0
export const RECEIPTS_COUNT = 2; // u16
export const RECEIPTS_RESERVED = 4; // u32, 0
export const RECEIPTS_ENTRIES = 8;
export const RECEIPTS_COUNT_MAX = 0xffff;
/** Byte offsets within one entry. */
export const RECEIPT_CORRELATION_ID = 0; // u32
export const RECEIPT_QUEUE_ID = 4; // u16
export const RECEIPT_DURABILITY = 6; // u8
export const RECEIPT_FLAGS = 7; // u8
/** u64, all ones: a duplicate too old to know. With RECEIPT_FLAG_DEFERRED when it is to be seen; all ones: it waits no more. */
export const RECEIPT_BASE_OFFSET = 8;
export const RECEIPT_POSITION = 16; // u64
export const RECEIPT_RECORD_COUNT = 24; // u32
export const RECEIPT_SHARD = 28; // u16
export const RECEIPT_RESERVED = 30; // u16, 0
export const RECEIPT_BYTES = 32;
export const RECEIPT_FLAG_DUPLICATE = 1;
export const RECEIPT_FLAG_DEFERRED = 2;

export const DELIVER_FLAGS = 1; // u8
export const DELIVER_QUEUE_ID = 2; // u16
export const DELIVER_SUBSCRIPTION = 4; // u32
export const DELIVER_BASE_OFFSET = 8; // u64, of the batch
export const DELIVER_FIRST_INDEX = 16; // u32
export const DELIVER_COUNT = 20; // u32
export const DELIVER_ATTEMPT = 24; // u32
export const DELIVER_SHARD = 28; // u16
export const DELIVER_RESERVED = 30; // u16, 0
export const DELIVER_LEASE_ID = 32; // u64
export const DELIVER_LEASE_MS = 40; // u32, remaining
export const DELIVER_TOPIC_ID = 44; // u32
export const DELIVER_STORED_BATCH = 48; // the stored batch, and the selection where there is one
export const DELIVER_HEADER_BYTES = 48;
/** Behind the stored batch stands a bit for each of `count` records, lowest first: 1 is delivered. */
export const DELIVER_FLAG_SELECTION = 1;

export const SETTLE_ACTION = 1; // u8
export const SETTLE_RANGE_COUNT = 2; // u16
export const SETTLE_CORRELATION_ID = 4; // u32, 0: no answer wanted
export const SETTLE_SUBSCRIPTION = 8; // u32
export const SETTLE_ARGUMENT = 12; // u32
export const SETTLE_RANGES = 16;
export const SETTLE_HEADER_BYTES = 16;
export const SETTLE_RANGES_MAX = 0xffff;
/** Bytes of UTF-8 that a nack may carry after its ranges: why it was refused. */
export const SETTLE_REASON_BYTES_MAX = 1024;
/** Byte offsets within one range. */
export const RANGE_QUEUE_ID = 0; // u16
export const RANGE_RESERVED = 2; // u16, 0
export const RANGE_COUNT = 4; // u32
export const RANGE_OFFSET = 8; // u64
export const RANGE_LEASE_ID = 16; // u64
export const RANGE_BYTES = 24;

/** What a SETTLE does. */
export const SETTLE_ACK = 1;
export const SETTLE_NACK = 2;
export const SETTLE_EXTEND = 3;
export type SettleAction = typeof SETTLE_ACK | typeof SETTLE_NACK | typeof SETTLE_EXTEND;
/** As the argument of a nack: the group's own back-off. */
export const SETTLE_DELAY_DEFAULT = 0xffff_ffff;

/** Durability of a receipt on the wire. */
export const DURABILITY_MEMORY = 1;
export const DURABILITY_DISK = 2;
export const DURABILITY_REPLICATED = 3;

if (SEND_BATCH !== SEND_HEADER_BYTES || SEND_RESERVED + 4 !== SEND_HEADER_BYTES)
  throw new Error('frames-layout: SEND_BATCH');
if (RECEIPTS_RESERVED + 4 !== RECEIPTS_ENTRIES || RECEIPT_RESERVED + 2 !== RECEIPT_BYTES)
  throw new Error('frames-layout: RECEIPTS');
if (DELIVER_TOPIC_ID + 4 !== DELIVER_HEADER_BYTES || DELIVER_STORED_BATCH % 8 !== 0)
  throw new Error('frames-layout: DELIVER');
if (SETTLE_ARGUMENT + 4 !== SETTLE_HEADER_BYTES || RANGE_LEASE_ID + 8 !== RANGE_BYTES)
  throw new Error('frames-layout: SETTLE');
if (STORED_HEADER_BYTES % 8 !== 0) throw new Error('frames-layout: stored batch');
