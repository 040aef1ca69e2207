/**
 * What crosses the rings: requests from acceptor to shard, replies from shard to acceptor. Ring record type and byte
 * offsets of each payload; `u64` and positions as in base/bytes.ts, little-endian. Text and JSON are UTF-8 and fill the
 * rest of the record. Errors cross as a number and text. All dialects decode to these and encode from these.
 */

/** A batch to store: answered by PRODUCED or FAILED. */
export const REQUEST_PRODUCE = 1;
export const PRODUCE_SESSION = 0; // u32, chosen by the acceptor, comes back in the reply
export const PRODUCE_CORRELATION = 4; // u32
export const PRODUCE_TOPIC_ID = 8; // u32
export const PRODUCE_QUEUE_ID = 12; // u16
export const PRODUCE_RESERVED = 14; // u16
export const PRODUCE_BATCH = 16; // the producer's batch fills the rest

/** A batch that is stored now and seen later; the same as PRODUCE up to the batch. Answered by PRODUCED or FAILED. */
export const REQUEST_DEFER = 7;
export const DEFER_FLAGS = 14; // u16, DEFER_FLAG_HALF
export const DEFER_DUE_AT_MS = 16; // u64, wall time
export const DEFER_BATCH = 24; // the producer's batch fills the rest
export const DEFER_FLAG_HALF = 1;

/** Acks, nacks and lease extensions of one group and topic: answered by SETTLED or FAILED unless the correlation is 0. */
export const REQUEST_SETTLE = 2;
export const SETTLE_SESSION = 0; // u32
export const SETTLE_CORRELATION = 4; // u32
export const SETTLE_GROUP_ID = 8; // u32
export const SETTLE_TOPIC_ID = 12; // u32
export const SETTLE_ACTION = 16; // u32, SETTLE_ACK …
export const SETTLE_ARGUMENT = 20; // u32, nack: delay in ms or SETTLE_DELAY_DEFAULT; extend: lease in ms; release: its number
export const SETTLE_RANGE_COUNT = 24; // u32
export const SETTLE_REASON_BYTES = 28; // u32, a nack's reason in UTF-8 after the ranges
export const SETTLE_RANGES = 32;
export const SETTLE_RANGE_BYTES = 24;
export const SETTLE_RANGE_QUEUE_ID = 0; // u16
export const SETTLE_RANGE_COUNT_AT = 4; // u32
export const SETTLE_RANGE_OFFSET = 8; // u64
export const SETTLE_RANGE_LEASE = 16; // u64

export const SETTLE_ACK = 1;
export const SETTLE_NACK = 2;
export const SETTLE_EXTEND = 3;
/** Gives a delivery back as if it had not happened: no attempt is counted, no answer sent. Acceptor only. */
export const SETTLE_RELEASE = 4;
/** The disk did not give what was delivered: it comes again after a pause, without a delivery attempt. */
export const SETTLE_UNREAD = 5;
export const SETTLE_DELAY_DEFAULT = 0xffff_ffff;

/** Flow of one subscription: no answer. */
export const REQUEST_FLOW = 3;
export const FLOW_SUBSCRIPTION = 0; // u32
export const FLOW_ACTION = 4; // u32
export const FLOW_CREDIT = 8; // u32, messages, for FLOW_ADD and FLOW_SET
export const FLOW_BYTES = 16;
export const FLOW_ADD = 1;
export const FLOW_SET = 2;
export const FLOW_PAUSE = 3;
export const FLOW_RESUME = 4;

/** Messages by offset: answered by FETCHED (at once, or when something arrives within waitMs) or FAILED. */
export const REQUEST_FETCH = 4;
export const FETCH_SESSION = 0; // u32
export const FETCH_CORRELATION = 4; // u32
export const FETCH_TOPIC_ID = 8; // u32
export const FETCH_QUEUE_ID = 12; // u16
export const FETCH_OFFSET = 16; // u64
export const FETCH_MESSAGES_MAX = 24; // u32
export const FETCH_BYTES_MAX = 28; // u32
export const FETCH_WAIT_MS = 32; // u32
export const FETCH_BYTES = 40;

/** Anything rare, as JSON: answered by CONTROL or FAILED. */
export const REQUEST_CONTROL = 5;
export const CONTROL_SESSION = 0; // u32
export const CONTROL_CORRELATION = 4; // u32
export const CONTROL_JSON = 8;

/** A run of a master's log, whole batches and what stands between them, to append as it is: no answer. Replication only. */
export const REQUEST_REPLICATE = 6;
export const REPLICATE_POSITION = 0; // u64
export const REPLICATE_RUN = 8;

export const REPLY_PRODUCED = 1;
export const PRODUCED_SESSION = 0; // u32
export const PRODUCED_CORRELATION = 4; // u32
export const PRODUCED_QUEUE_ID = 8; // u16
export const PRODUCED_DURABILITY = 10; // u8
export const PRODUCED_FLAGS = 11; // u8
export const PRODUCED_RECORD_COUNT = 12; // u32
/** u64, OFFSET_UNKNOWN for a duplicate too old to know. With PRODUCED_FLAG_DEFERRED: when it is to be seen, if it still waits. */
export const PRODUCED_BASE_OFFSET = 16;
export const PRODUCED_POSITION = 24; // u64
export const PRODUCED_BYTES = 32;
export const PRODUCED_FLAG_DUPLICATE = 1;
export const PRODUCED_FLAG_DEFERRED = 2;
export const DURABILITY_MEMORY = 1;
export const DURABILITY_DISK = 2;
export const DURABILITY_REPLICATED = 3;

/** A request of any type was refused. */
export const REPLY_FAILED = 2;
export const FAILED_SESSION = 0; // u32
export const FAILED_CORRELATION = 4; // u32
export const FAILED_CODE = 8; // u16, number of the code
export const FAILED_REQUEST = 10; // u16, ring type of the request
export const FAILED_RETRY_AFTER_MS = 12; // u32, 0: none
export const FAILED_TEXT = 16; // UTF-8

/** Messages for a subscription: an extent of the log, not bytes. */
export const REPLY_DELIVER = 3;
export const DELIVER_SUBSCRIPTION = 0; // u32
export const DELIVER_QUEUE_ID = 4; // u16
export const DELIVER_FLAGS = 6; // u16
export const DELIVER_FIRST_INDEX = 8; // u32
export const DELIVER_COUNT = 12; // u32
export const DELIVER_ATTEMPT = 16; // u32
export const DELIVER_BATCH_BYTES = 20; // u32, stored batch with its header
export const DELIVER_POSITION = 24; // u64
export const DELIVER_BASE_OFFSET = 32; // u64, of the batch
export const DELIVER_LEASE = 40; // u64
export const DELIVER_LEASE_MS = 48; // u32
export const DELIVER_TOPIC_ID = 52; // u32
/** The last SETTLE_RELEASE of this queue that the shard had carried out for its owner: that request's argument. */
export const DELIVER_RETURNS_KNOWN = 56; // u32
export const DELIVER_RESERVED = 60; // u32
export const DELIVER_BYTES = 64;
/** Set when the extent is no longer in the tail's memory and must be read from the segment file. */
export const EXTENT_COLD = 1;

export const REPLY_SETTLED = 4;
export const SETTLED_SESSION = 0; // u32
export const SETTLED_CORRELATION = 4; // u32
export const SETTLED_BYTES = 8;

export const REPLY_FETCHED = 5;
export const FETCHED_SESSION = 0; // u32
export const FETCHED_CORRELATION = 4; // u32
export const FETCHED_MIN_OFFSET = 8; // u64
export const FETCHED_MAX_OFFSET = 16; // u64, one past the last visible message
export const FETCHED_NEXT_OFFSET = 24; // u64
export const FETCHED_EXTENT_COUNT = 32; // u32
export const FETCHED_EXTENTS = 40;
export const EXTENT_BYTES = 32;
export const EXTENT_POSITION = 0; // u64
export const EXTENT_BASE_OFFSET = 8; // u64, of the batch
export const EXTENT_BATCH_BYTES = 16; // u32
export const EXTENT_FIRST_INDEX = 20; // u32
export const EXTENT_COUNT = 24; // u32
export const EXTENT_FLAGS = 28; // u32

export const REPLY_CONTROL = 6; // CONTROL_SESSION, CONTROL_CORRELATION, CONTROL_JSON
/** Something operators must know: JSON. */
export const REPLY_EVENT = 7;

/** Stands for an offset that is not known any more; all ones on the wire. */
export const OFFSET_UNKNOWN: number = Number.MAX_SAFE_INTEGER;
