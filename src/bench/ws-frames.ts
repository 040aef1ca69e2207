/**
 * WebSocket frames as a load generator needs them: a client's headers with a mask of zeros, which leaves the payload as it
 * is and is allowed (a mask protects proxies on the way from a page, and a measurement has neither), and the cutting of
 * what a server sends.
 *
 * @source RFC 6455, section 5.2
 */
import { SluiceError } from '../base/errors.ts';

export const OPCODE_TEXT = 1;
export const OPCODE_BINARY = 2;
export const OPCODE_CLOSE = 8;
export const OPCODE_PING = 9;
export const OPCODE_PONG = 10;

const FINAL = 0x80;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;

/** Bytes of the header before a client's payload. */
export function clientHeaderBytes(payloadBytes: number): number {
  return serverHeaderBytes(payloadBytes) + MASK_BYTES;
}

function serverHeaderBytes(payloadBytes: number): number {
  if (payloadBytes < LENGTH_16) return 2;
  return payloadBytes <= 0xffff ? 4 : 10;
}

/** Writes the header of a whole message at `at`; the payload follows it as it is. */
export function writeClientHeader(
  bytes: Uint8Array,
  at: number,
  opcode: number,
  payloadBytes: number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  view.setUint8(0, FINAL | opcode);
  const size = serverHeaderBytes(payloadBytes);
  if (size === 2) view.setUint8(1, MASKED | payloadBytes);
  else if (size === 4) {
    view.setUint8(1, MASKED | LENGTH_16);
    view.setUint16(2, payloadBytes);
  } else {
    view.setUint8(1, MASKED | LENGTH_64);
    view.setUint32(2, 0);
    view.setUint32(6, payloadBytes);
  }
  view.setUint32(size, 0);
}

/** A payload with its header, for the few frames that are not hot. */
export function clientFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const header = clientHeaderBytes(payload.length);
  const frame = new Uint8Array(header + payload.length);
  writeClientHeader(frame, 0, opcode, payload.length);
  frame.set(payload, header);
  return frame;
}

/** Called for each frame: its payload stands at `at` of the buffer until the call returns. */
export type FrameVisitor = (opcode: number, at: number, length: number) => void;

/**
 * Cuts the whole frames from `start` to `end`.
 *
 * @returns where the first frame begins that is not whole
 * @throws BAD_FRAME for a masked or fragmented frame, which no server of ours sends
 */
export function cutServerFrames(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  visit: FrameVisitor,
): number {
  let at = start;
  while (end - at >= 2) {
    const first = bytes[at] as number;
    const short = bytes[at + 1] as number;
    if ((first & FINAL) === 0 || (first & 0x70) !== 0 || (short & MASKED) !== 0)
      throw new SluiceError('BAD_FRAME', `a frame of the server begins with ${first}, ${short}`);
    const header = short < LENGTH_16 ? 2 : short === LENGTH_16 ? 4 : 10;
    if (end - at < header) break;
    const length =
      short < LENGTH_16
        ? short
        : short === LENGTH_16
          ? view.getUint16(at + 2)
          : view.getUint32(at + 2) * 0x1_0000_0000 + view.getUint32(at + 6);
    if (end - at - header < length) break;
    visit(first & 0x0f, at + header, length);
    at += header + length;
  }
  return at;
}
