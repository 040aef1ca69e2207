/**
 * Frames of the replication stream, to bytes and back. Reads bytes that may be anything: nothing throws, every length is
 * checked before it is used, and what is wrong is `undefined`.
 */
import { getU64, setU64 } from '../base/bytes.ts';
import { crc32 } from '../base/crc32-native.ts';
import type { EpochStart } from './epoch-history.ts';
import * as layout from './transfer-layout.ts';

/** A whole frame in a buffer. @shape borrowed until more bytes are pushed */
export type Frame = {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
  readonly length: number;
};

/** What a broker says of its log when it connects. */
export type LogState = {
  readonly shard: number;
  readonly shards: number;
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  readonly end: number;
  /** -1: there is none, or it is not known. */
  readonly lastHeaderAt: number;
  readonly lastCrc: number;
  readonly logId: string;
  readonly epochs: readonly EpochStart[];
};

export type StateFrame = LogState & { readonly name: string };

export type VerdictFrame = {
  readonly kind: number;
  readonly epoch: number;
  readonly position: number;
  /** Of VERDICT_FETCH: the master's last batch header, or -1, and the checksum in it. */
  readonly lastHeaderAt: number;
  readonly lastCrc: number;
  readonly text: string;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes of a frame whose checksum the frame's own covers. */
function checkedBytes(type: number, length: number): number {
  if (type === layout.DATA) return layout.DATA_RUN;
  return type === layout.FILE ? layout.FILE_PIECE : length;
}

/** Completes a frame of `length` bytes at the start of `bytes`. */
export function sealFrame(bytes: Uint8Array, view: DataView, type: number, length: number): void {
  view.setUint32(layout.FRAME_BYTES, length, true);
  view.setUint16(layout.FRAME_TYPE, type, true);
  view.setUint16(layout.FRAME_VERSION, layout.TRANSFER_VERSION, true);
  view.setUint32(layout.FRAME_RESERVED, 0, true);
  const crc = crc32(bytes, layout.FRAME_CRC_FROM, checkedBytes(type, length));
  view.setUint32(layout.FRAME_CRC, crc, true);
}

/** Smallest length that a frame of each type may have. */
const BYTES_MIN: Readonly<Record<number, number>> = {
  [layout.HELLO]: layout.HELLO_BYTES,
  [layout.CHALLENGE]: layout.CHALLENGE_BYTES,
  [layout.STATE]: layout.STATE_EPOCHS,
  [layout.VERDICT]: layout.VERDICT_TEXT,
  [layout.DATA]: layout.DATA_RUN,
  [layout.ACK]: layout.ACK_BYTES,
  [layout.FILE]: layout.FILE_PIECE,
  [layout.SETTLED]: layout.SETTLED_RECORDS,
  [layout.LOGGED]: layout.LOGGED_BYTES,
};

/** Is the frame of `length` bytes at `at` one of this version, with the right checksum? All its bytes are there. */
export function isFrame(bytes: Uint8Array, view: DataView, at: number, length: number): boolean {
  const type = view.getUint16(at + layout.FRAME_TYPE, true);
  const bytesMin = BYTES_MIN[type];
  if (bytesMin === undefined || length < bytesMin) return false;
  if (view.getUint16(at + layout.FRAME_VERSION, true) !== layout.TRANSFER_VERSION) return false;
  const crc = crc32(bytes, at + layout.FRAME_CRC_FROM, at + checkedBytes(type, length));
  return crc === view.getUint32(at + layout.FRAME_CRC, true);
}

/** HELLO or CHALLENGE. */
export function encodeNonce(type: number, nonce: Uint8Array): Uint8Array {
  const { bytes, view } = newFrame(layout.HELLO_BYTES);
  bytes.set(nonce.subarray(0, layout.NONCE_BYTES), layout.HELLO_NONCE);
  sealFrame(bytes, view, type, bytes.length);
  return bytes;
}

export function decodeNonce({ bytes, at }: Frame): Uint8Array {
  return bytes.slice(at + layout.HELLO_NONCE, at + layout.HELLO_NONCE + layout.NONCE_BYTES);
}

/** @param prove - gives the proof over the bytes behind it */
export function encodeState(
  state: StateFrame,
  prove: (body: Uint8Array) => Uint8Array,
): Uint8Array {
  const logId = encoder.encode(state.logId).subarray(0, layout.LOG_ID_BYTES_MAX);
  const name = encoder.encode(state.name).subarray(0, layout.NAME_BYTES_MAX);
  const epochs = state.epochs.slice(-layout.EPOCHS_MAX);
  const logIdAt = layout.STATE_EPOCHS + epochs.length * layout.EPOCH_BYTES;
  const { bytes, view } = newFrame(logIdAt + logId.length + name.length);
  view.setUint32(layout.STATE_SHARD, state.shard, true);
  view.setUint32(layout.STATE_SHARDS, state.shards, true);
  view.setUint32(layout.STATE_SEGMENT_BYTES, state.segmentBytes, true);
  view.setUint32(layout.STATE_CHUNK_BYTES, state.chunkBytes, true);
  setU64(view, layout.STATE_END, state.end);
  setU64(view, layout.STATE_LAST_HEADER, state.lastHeaderAt + 1);
  view.setUint32(layout.STATE_LAST_CRC, state.lastCrc, true);
  view.setUint16(layout.STATE_LOG_ID_BYTES, logId.length, true);
  view.setUint16(layout.STATE_NAME_BYTES, name.length, true);
  view.setUint32(layout.STATE_EPOCH_COUNT, epochs.length, true);
  epochs.forEach(({ epoch, first }, index) => {
    const place = layout.STATE_EPOCHS + index * layout.EPOCH_BYTES;
    view.setUint32(place, epoch, true);
    setU64(view, place + 8, first);
  });
  bytes.set(logId, logIdAt);
  bytes.set(name, logIdAt + logId.length);
  bytes.set(prove(bytes.subarray(layout.STATE_SHARD)), layout.STATE_PROOF);
  sealFrame(bytes, view, layout.STATE, bytes.length);
  return bytes;
}

export function decodeState({ bytes, view, at, length }: Frame): StateFrame | undefined {
  const count = view.getUint32(at + layout.STATE_EPOCH_COUNT, true);
  const logIdBytes = view.getUint16(at + layout.STATE_LOG_ID_BYTES, true);
  const nameBytes = view.getUint16(at + layout.STATE_NAME_BYTES, true);
  if (count > layout.EPOCHS_MAX || logIdBytes > layout.LOG_ID_BYTES_MAX) return undefined;
  if (nameBytes > layout.NAME_BYTES_MAX) return undefined;
  const logIdAt = at + layout.STATE_EPOCHS + count * layout.EPOCH_BYTES;
  if (logIdAt + logIdBytes + nameBytes !== at + length) return undefined;
  const epochs: EpochStart[] = [];
  for (let index = 0; index < count; index += 1) {
    const place = at + layout.STATE_EPOCHS + index * layout.EPOCH_BYTES;
    const start = { epoch: view.getUint32(place, true), first: getU64(view, place + 8) };
    const before = epochs.at(-1) ?? { epoch: -1, first: -1 };
    if (start.epoch <= before.epoch || start.first < before.first || start.first < 0)
      return undefined;
    epochs.push(start);
  }
  const end = getU64(view, at + layout.STATE_END);
  const lastHeader = getU64(view, at + layout.STATE_LAST_HEADER);
  if (end < 0 || end % 8 !== 0 || lastHeader < 0 || lastHeader > end) return undefined;
  return {
    shard: view.getUint32(at + layout.STATE_SHARD, true),
    shards: view.getUint32(at + layout.STATE_SHARDS, true),
    segmentBytes: view.getUint32(at + layout.STATE_SEGMENT_BYTES, true),
    chunkBytes: view.getUint32(at + layout.STATE_CHUNK_BYTES, true),
    end,
    lastHeaderAt: lastHeader - 1,
    lastCrc: view.getUint32(at + layout.STATE_LAST_CRC, true),
    logId: decoder.decode(bytes.slice(logIdAt, logIdAt + logIdBytes)),
    name: decoder.decode(bytes.slice(logIdAt + logIdBytes, at + length)),
    epochs,
  };
}

/** @param prove - gives the proof over the bytes behind it */
export function encodeVerdict(
  verdict: VerdictFrame,
  prove: (body: Uint8Array) => Uint8Array,
): Uint8Array {
  const text = encoder.encode(verdict.text).subarray(0, layout.TEXT_BYTES_MAX);
  const { bytes, view } = newFrame(layout.VERDICT_TEXT + text.length);
  view.setUint16(layout.VERDICT_KIND, verdict.kind, true);
  view.setUint16(layout.VERDICT_TEXT_BYTES, text.length, true);
  view.setUint32(layout.VERDICT_EPOCH, verdict.epoch, true);
  setU64(view, layout.VERDICT_POSITION, verdict.position);
  setU64(view, layout.VERDICT_LAST_HEADER, verdict.lastHeaderAt + 1);
  view.setUint32(layout.VERDICT_LAST_CRC, verdict.lastCrc, true);
  bytes.set(text, layout.VERDICT_TEXT);
  bytes.set(prove(bytes.subarray(layout.VERDICT_KIND)), layout.VERDICT_PROOF);
  sealFrame(bytes, view, layout.VERDICT, bytes.length);
  return bytes;
}

export function decodeVerdict({ bytes, view, at, length }: Frame): VerdictFrame | undefined {
  const textBytes = view.getUint16(at + layout.VERDICT_TEXT_BYTES, true);
  const kind = view.getUint16(at + layout.VERDICT_KIND, true);
  const position = getU64(view, at + layout.VERDICT_POSITION);
  const lastHeader = getU64(view, at + layout.VERDICT_LAST_HEADER);
  if (lastHeader < 0) return undefined;
  if (layout.VERDICT_TEXT + textBytes !== length || textBytes > layout.TEXT_BYTES_MAX)
    return undefined;
  if (kind < layout.VERDICT_STREAM || kind > layout.VERDICT_FENCED || position < 0)
    return undefined;
  return {
    kind,
    epoch: view.getUint32(at + layout.VERDICT_EPOCH, true),
    position,
    lastHeaderAt: lastHeader - 1,
    lastCrc: view.getUint32(at + layout.VERDICT_LAST_CRC, true),
    text: decoder.decode(bytes.slice(at + layout.VERDICT_TEXT, at + length)),
  };
}

/** The proof in a STATE or VERDICT, and what it is over. */
export function proofOf({ bytes, at, length }: Frame): { proof: Uint8Array; body: Uint8Array } {
  return {
    proof: bytes.slice(at + layout.STATE_PROOF, at + layout.STATE_PROOF + layout.PROOF_BYTES),
    body: bytes.slice(at + layout.STATE_SHARD, at + length),
  };
}

export function encodeAck(epoch: number, session: number, position: number): Uint8Array {
  const { bytes, view } = newFrame(layout.ACK_BYTES);
  view.setUint32(layout.ACK_EPOCH, epoch, true);
  view.setUint32(layout.ACK_SESSION, session, true);
  setU64(view, layout.ACK_POSITION, position);
  sealFrame(bytes, view, layout.ACK, bytes.length);
  return bytes;
}

function newFrame(length: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}
