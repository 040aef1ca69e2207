/**
 * Bytes of the replication stream: nothing but numbers (docs/PROTOCOL.md, "Replication stream", draws them). Little-endian.
 * A frame is a header and a body; its checksum covers the header behind it and the body, of DATA and FILE only as far as the
 * bytes they carry, which have checksums of their own.
 */
import { KIB } from '../base/units.ts';
import { STORED_BYTES_MAX } from '../log/stored-header.ts';
import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';

export const TRANSFER_VERSION = 2;

export const FRAME_BYTES = 0; // u32, the whole frame
export const FRAME_TYPE = 4; // u16
export const FRAME_VERSION = 6; // u16
export const FRAME_CRC = 8; // u32 of FRAME_CRC_FROM to the end of the checked part
export const FRAME_CRC_FROM = 12;
export const FRAME_RESERVED = 12; // u32, 0
export const FRAME_HEADER_BYTES = 16;

export const NONCE_BYTES = 32;
export const PROOF_BYTES = 32;

/** Slave to master, first: begins a connection. */
export const HELLO = 1;
export const HELLO_NONCE = 16;
export const HELLO_BYTES: number = HELLO_NONCE + NONCE_BYTES;

/** Master to slave: prove who you are. */
export const CHALLENGE = 2;
export const CHALLENGE_NONCE = 16;
export const CHALLENGE_BYTES: number = CHALLENGE_NONCE + NONCE_BYTES;

/** Slave to master: the proof, and what its log is. */
export const STATE = 3;
export const STATE_PROOF = 16;
export const STATE_SHARD = 48; // u32
export const STATE_SHARDS = 52; // u32
export const STATE_SEGMENT_BYTES = 56; // u32
export const STATE_CHUNK_BYTES = 60; // u32
export const STATE_END = 64; // u64
export const STATE_LAST_HEADER = 72; // u64, position of the last batch header and 1; 0: none
export const STATE_LAST_CRC = 80; // u32, checksum in that header
export const STATE_LOG_ID_BYTES = 84; // u16
export const STATE_NAME_BYTES = 86; // u16
export const STATE_EPOCH_COUNT = 88; // u32
export const STATE_RESERVED = 92; // u32, 0
export const STATE_EPOCHS = 96; // then the log id, then the slave's name, UTF-8
export const EPOCH_BYTES = 16; // u32 epoch, u32 0, u64 first position

/** Master to slave: the proof, and what is to be done. */
export const VERDICT = 4;
export const VERDICT_PROOF = 16;
export const VERDICT_KIND = 48; // u16
export const VERDICT_TEXT_BYTES = 50; // u16
export const VERDICT_EPOCH = 52; // u32, of the master's reign
export const VERDICT_POSITION = 56; // u64
export const VERDICT_LAST_HEADER = 64; // u64, of VERDICT_FETCH: the master's last batch header and 1; 0: none
export const VERDICT_LAST_CRC = 72; // u32, checksum in that header
export const VERDICT_RESERVED = 76; // u32, 0
export const VERDICT_TEXT = 80; // UTF-8

export const VERDICT_STREAM = 1;
export const VERDICT_CUT = 2;
export const VERDICT_FETCH = 3;
export const VERDICT_REPLACE = 4;
export const VERDICT_REFUSED = 5;
export const VERDICT_FENCED = 6;

/** A run of the log, or none: then it tells positions only. */
export const DATA = 5;
export const DATA_EPOCH = 16; // u32, of the master's reign
export const DATA_SESSION = 20; // u32
export const DATA_POSITION = 24; // u64, of the first byte of the run
export const DATA_COMMIT = 32; // u64, the sender's commit position
export const DATA_END = 40; // u64, the sender has this much to send
export const DATA_RUN = 48;

/** Slave to master: this much is safe here. */
export const ACK = 6;
export const ACK_EPOCH = 16; // u32
export const ACK_SESSION = 20; // u32
export const ACK_POSITION = 24; // u64
export const ACK_BYTES = 32;

/** Master to slave, instead of a stream: a piece of a file. */
export const FILE = 7;
export const FILE_SESSION = 16; // u32
export const FILE_KIND = 20; // u16
export const FILE_RESERVED = 22; // u16, 0
export const FILE_NUMBER = 24; // u64, of the segment, or position of the snapshot
export const FILE_BYTE_OFFSET = 32; // u64
export const FILE_CRC = 40; // u32 of the piece
export const FILE_RESERVED_44 = 44; // u32, 0
export const FILE_PIECE = 48;

export const FILE_SEGMENT = 1;
export const FILE_SNAPSHOT = 2;
/** No piece: all files were sent; FILE_NUMBER is the position of the snapshot. */
export const FILE_END = 3;

/** Slave to master, at the beginning of a stream: what consumers have settled with it while it was alone; the last has a flag. */
export const SETTLED = 8;
export const SETTLED_EPOCH = 16; // u32
export const SETTLED_SESSION = 20; // u32
export const SETTLED_NUMBER = 24; // u32, of this frame, from 0
export const SETTLED_FLAGS = 28; // u16
export const SETTLED_COUNT = 30; // u16
export const SETTLED_RECORDS = 32;
export const SETTLED_RECORD_BYTES = 32; // u32 kind, u32 groupId, u32 topicId, u32 queueId, u64 start, u64 count
export const SETTLED_FLAG_LAST = 1;

/** Master to slave: the records of that frame are in its log, below a position. */
export const LOGGED = 9;
export const LOGGED_EPOCH = 16; // u32
export const LOGGED_SESSION = 20; // u32
export const LOGGED_NUMBER = 24; // u32
export const LOGGED_RESERVED = 28; // u32, 0
export const LOGGED_POSITION = 32; // u64
export const LOGGED_BYTES = 40;

/** Bytes of log in one frame, unless a single batch is larger. */
export const RUN_BYTES_TARGET: number = 256 * KIB;
/** Bytes of the longest run: the largest batch, or padding as long, and the rest of a chunk. */
export const RUN_BYTES_MAX: number = STORED_BYTES_MAX + STORED_HEADER_BYTES;
/** Bytes of the longest frame of somebody who has proved who it is. */
export const TRANSFER_BYTES_MAX: number = DATA_RUN + RUN_BYTES_MAX;
/** The same before that: a history of some thousand reigns still fits. */
export const GREETING_BYTES_MAX: number = 64 * KIB;
export const EPOCHS_MAX = 2048;
export const NAME_BYTES_MAX = 255;
export const LOG_ID_BYTES_MAX = 64;
export const TEXT_BYTES_MAX = 1024;

if (HELLO_BYTES !== 48 || STATE_PROOF + PROOF_BYTES !== STATE_SHARD)
  throw new Error('transfer-layout: nonce and proof');
if (DATA_RUN % 8 !== 0 || FILE_PIECE % 8 !== 0) throw new Error('transfer-layout: alignment');
if (
  STATE_EPOCHS + EPOCHS_MAX * EPOCH_BYTES + LOG_ID_BYTES_MAX + NAME_BYTES_MAX >
  GREETING_BYTES_MAX
)
  throw new Error('transfer-layout: a greeting holds the longest history');
