/**
 * Bytes of a batch: nothing but numbers (docs/PROTOCOL.md, section 6, draws them). A stored batch is the broker's
 * 64-byte header followed by the producer's batch exactly as it came. Browser-safe.
 */

/** "SLQ1" read as a little-endian u32. */
export const BATCH_MAGIC = 0x31514c53;
export const BATCH_VERSION = 1;

/** Broker's header: byte offsets from the start of the stored batch. */
export const STORED_MAGIC = 0;
export const STORED_CRC = 4;
/** The checksum covers everything from here to the end of the header, the length included. */
export const STORED_CRC_FROM = 8;
export const STORED_BYTES = 8;
export const STORED_VERSION = 12;
export const STORED_KIND = 14;
export const STORED_POSITION = 16;
export const STORED_BASE_OFFSET = 24;
export const STORED_AT_MS = 32;
export const STORED_FLUSHED = 40;
export const STORED_EPOCH = 48;
export const STORED_TOPIC_ID = 52;
export const STORED_QUEUE_ID = 56;
/** What kind and flags say beside each other: STORED_FLAG_… of data, DEFERRED_FLAG_… of deferred batches; 0 in all others. */
export const STORED_FLAGS = 58;
export const STORED_PAYLOAD_CRC = 60;
export const STORED_HEADER_BYTES = 64;

/** What a stored batch is: messages, control records, the filler at the end of a chunk, or messages that cannot be seen yet. */
export const KIND_DATA = 1;
export const KIND_CONTROL = 2;
export const KIND_PADDING = 3;
export const KIND_DEFERRED = 4;
/** Flag of a data batch: it is the copy of the deferred batch that a RELEASE record before it names. */
export const STORED_FLAG_RELEASED = 1;
/** Flags of a deferred batch: a half message of a transaction; written again because its segment was to be let go. */
export const DEFERRED_FLAG_HALF = 1;
export const DEFERRED_FLAG_MOVED = 2;

/** Producer's header: byte offsets from the start of the producer's batch. */
export const BATCH_CRC = 0;
export const BATCH_BYTES = 4;
export const BATCH_VERSION_AT = 8;
export const BATCH_CODEC = 10;
export const BATCH_FLAGS = 11;
export const BATCH_RECORD_COUNT = 12;
export const BATCH_BORN_AT_MS = 16;
export const BATCH_SEQUENCE = 24;
export const BATCH_PRODUCER_EPOCH = 32;
export const BATCH_PRODUCER_ID_BYTES = 36;
export const BATCH_RESERVED_38 = 38;
export const BATCH_BLOOM_LOW = 40;
export const BATCH_BLOOM_HIGH = 44;
export const BATCH_RECORDS_BYTES = 48;
export const BATCH_RESERVED_52 = 52;
export const BATCH_HEADER_BYTES = 56;

/** Record header: byte offsets from the start of the record. */
export const RECORD_BYTES = 0;
export const RECORD_BORN_DELTA = 4;
export const RECORD_KEY_BYTES = 8;
export const RECORD_TAG_BYTES = 10;
export const RECORD_PROPERTIES_BYTES = 12;
export const RECORD_BODY_KIND = 14;
export const RECORD_RESERVED = 15;
export const RECORD_HEADER_BYTES = 16;

/** What the body's bytes are, so that JSON comes back as the value that was sent. */
export const BODY_BYTES = 0;
export const BODY_TEXT = 1;
export const BODY_JSON = 2;
export type BodyKind = typeof BODY_BYTES | typeof BODY_TEXT | typeof BODY_JSON;

if (STORED_HEADER_BYTES % 8 !== 0 || BATCH_HEADER_BYTES % 8 !== 0)
  throw new Error('batch-layout: alignment');
if (STORED_PAYLOAD_CRC + 4 !== STORED_HEADER_BYTES) throw new Error('batch-layout: stored header');
if (BATCH_RESERVED_52 + 4 !== BATCH_HEADER_BYTES) throw new Error('batch-layout: batch header');
if (RECORD_RESERVED + 1 !== RECORD_HEADER_BYTES) throw new Error('batch-layout: record header');
