/**
 * Bytes of one remoting frame, and the rule by which a stream is cut into frames. All integers are big-endian.
 *
 * ```
 *  0         4    5          8            8+H                    4+L
 *  ├─ L ─────┼form┼─ H ──────┼─ header ───┼─ body ───────────────┤
 *  int32      u8   u24        H bytes      L - 4 - H bytes
 * ```
 *
 * Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 7; RocketMQ NettyDecoder, RemotingCommand
 */
import { REMOTING_FRAME_BYTES_MAX } from '../../base/limits.ts';

export const FRAME_LENGTH = 0;
/** The form of the header in the top byte, its length in the three others. */
export const FRAME_FORM = 4;
export const FRAME_HEADER = 8;
/** Bytes of the length field, which does not count itself. */
export const FRAME_LENGTH_BYTES = 4;

/** How a header is written. */
export const FORM_JSON = 0;
export const FORM_BINARY = 1;
export type HeaderForm = typeof FORM_JSON | typeof FORM_BINARY;

/** Bit of `flag`: this frame answers one. */
export const FLAG_RESPONSE = 1;
/** Bit of `flag`: nobody waits for an answer. */
export const FLAG_ONEWAY = 2;

/** What `frameBytes` says instead of a length: these bytes begin no frame. */
export const NOT_A_FRAME = -1;
/** They begin a frame that is longer than allowed. */
export const FRAME_TOO_LARGE = -2;

/** Bytes of a stream from which the length of a frame is known. */
export const FRAME_HEAD_BYTES: number = FRAME_LENGTH_BYTES;

/**
 * Bytes of the frame that begins at `start`, its length field included; NOT_A_FRAME or FRAME_TOO_LARGE. TLS, HTTP and
 * text do not pass: the first byte of every frame is zero.
 *
 * @param start - at least FRAME_HEAD_BYTES bytes follow it
 */
export function frameBytes(bytes: Uint8Array, start: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [
    bytes[start],
    bytes[start + 1],
    bytes[start + 2],
    bytes[start + 3],
  ];
  if (a !== 0) return a === 1 && b + c + d === 0 ? FRAME_TOO_LARGE : NOT_A_FRAME;
  const length = ((b << 16) | (c << 8) | d) + FRAME_LENGTH_BYTES;
  if (length > REMOTING_FRAME_BYTES_MAX) return FRAME_TOO_LARGE;
  return length > FRAME_HEADER ? length : NOT_A_FRAME;
}

/** The rule as a stream is cut by it. What `frameBytes` says instead of a length are the numbers of transport/frame-cutter.ts. */
export const REMOTING_FRAMES: {
  readonly headBytes: number;
  readonly frameBytes: (bytes: Uint8Array, start: number) => number;
} = { headBytes: FRAME_HEAD_BYTES, frameBytes };
