/**
 * Writes WebSocket frames of a server (never masked, never fragmented, never compressed) to a socket. Event-loop thread
 * of the front door.
 *
 * Header and payload go into one buffer, because Node keeps a reference to what the kernel does not take at once, while
 * our callers lend their bytes only until the call returns; one buffer is also one system call. When the kernel took
 * everything, which is the rule, the buffer is used again: a frame then costs one copy and no allocation.
 *
 * @source RFC 6455, section 5.2
 */
import type { Socket } from 'node:net';

export const TEXT_FRAME = 0x81;
export const BINARY_FRAME = 0x82;

const HEADER_BYTES_MAX = 10;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** Bytes of a buffer that is used again: some batches. A socket that stalls keeps at most one. */
const SCRATCH_BYTES = 32_768;

/** The buffer that the writers of one front door lend each other. */
export class FrameScratch {
  private spare: Buffer | undefined = undefined;

  take(): Buffer {
    const buffer = this.spare ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    this.spare = undefined;
    return buffer;
  }

  give(buffer: Buffer): void {
    this.spare = buffer;
  }
}

export class WsFrameWriter {
  private readonly socket: Socket;
  private readonly scratch: FrameScratch;
  /** Called by Node for each write, once the kernel took it. */
  private readonly written: () => void;
  private corkDepth = 0;
  /** Frames collected while corked. */
  private batch: Buffer | undefined = undefined;
  private batchBytes = 0;

  constructor(socket: Socket, scratch: FrameScratch, written: () => void) {
    this.socket = socket;
    this.scratch = scratch;
    this.written = written;
  }

  /** Bytes that the kernel did not take yet. */
  bufferedBytes(): number {
    return this.socket.writableLength + this.batchBytes;
  }

  /** @returns whether the kernel took everything, or will be asked at the end of `cork` */
  binary(payload: Uint8Array): boolean {
    return this.frame(BINARY_FRAME, payload, payload.length);
  }

  text(payload: string): boolean {
    return this.frame(TEXT_FRAME, payload, Buffer.byteLength(payload));
  }

  /** Collects the frames written by `action` and writes them together. */
  cork(action: () => void): void {
    this.corkDepth += 1;
    try {
      action();
    } finally {
      this.corkDepth -= 1;
      if (this.corkDepth === 0) this.flush();
    }
  }

  /** Hands collected frames to the socket; to be called before something else writes to it. */
  flush(): void {
    if (this.batch === undefined) return;
    const { batch, batchBytes } = this;
    this.batch = undefined;
    this.batchBytes = 0;
    this.write(batch, batchBytes);
  }

  private frame(opcode: number, payload: Uint8Array | string, payloadBytes: number): boolean {
    const bytesMax = HEADER_BYTES_MAX + payloadBytes;
    // What waits behind other bytes, or is large, has a buffer of its own size: a scratch would be lost to it.
    if (bytesMax > SCRATCH_BYTES || (this.corkDepth === 0 && this.socket.writableLength > 0)) {
      this.flush();
      const own = Buffer.allocUnsafeSlow(bytesMax);
      this.socket.write(
        own.subarray(0, encode(own, 0, opcode, payload, payloadBytes)),
        this.written,
      );
      return this.socket.writableLength === 0;
    }
    if (this.corkDepth === 0) {
      const scratch = this.scratch.take();
      return this.write(scratch, encode(scratch, 0, opcode, payload, payloadBytes));
    }
    if (this.batchBytes + bytesMax > SCRATCH_BYTES) this.flush();
    this.batch ??= this.scratch.take();
    this.batchBytes = encode(this.batch, this.batchBytes, opcode, payload, payloadBytes);
    return true;
  }

  private write(scratch: Buffer, bytes: number): boolean {
    if (this.socket.writableLength > 0) {
      this.socket.write(Buffer.from(scratch.subarray(0, bytes)), this.written);
      this.scratch.give(scratch);
      return false;
    }
    this.socket.write(scratch.subarray(0, bytes), this.written);
    if (this.socket.writableLength > 0) return false;
    this.scratch.give(scratch);
    return true;
  }
}

/** @returns where the frame ends */
function encode(
  target: Buffer,
  start: number,
  opcode: number,
  payload: Uint8Array | string,
  payloadBytes: number,
): number {
  let byteOffset = target.writeUInt8(opcode, start);
  if (payloadBytes < LENGTH_16) {
    byteOffset = target.writeUInt8(payloadBytes, byteOffset);
  } else if (payloadBytes <= 0xffff) {
    byteOffset = target.writeUInt8(LENGTH_16, byteOffset);
    byteOffset = target.writeUInt16BE(payloadBytes, byteOffset);
  } else {
    byteOffset = target.writeUInt8(LENGTH_64, byteOffset);
    // A buffer has fewer than 2^53 bytes; the upper half is 0 below 4 GiB.
    byteOffset = target.writeUInt32BE(Math.floor(payloadBytes / 2 ** 32), byteOffset);
    byteOffset = target.writeUInt32BE(payloadBytes % 2 ** 32, byteOffset);
  }
  if (typeof payload === 'string') target.write(payload, byteOffset);
  else target.set(payload, byteOffset);
  return byteOffset + payloadBytes;
}
