/** A peer below the level of any library: bytes on a socket, as somebody would send them who means no good. */
import { connect, type Socket } from 'node:net';
import { SluiceError } from '../base/errors.ts';

const FINAL = 0x80;
const MASKED = 0x80;
const LENGTH_64 = 127;
/** @source RFC 6455, section 1.3: any 16 bytes in base64 */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export class RawClient {
  /** What came from the broker, as text of one byte a character. */
  received = '';
  isClosed = false;
  private readonly socket: Socket;
  private readonly host: string;

  private constructor(socket: Socket, host: string) {
    this.socket = socket;
    this.host = host;
    socket.on('data', (bytes) => {
      this.received += bytes.toString('latin1');
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
    // A broker that has had enough resets the connection: that is an end like any other.
    socket.on('error', () => {});
  }

  /** @param http - of the ready event  @param localAddress - 127.0.0.x: connections are counted per address */
  static async open(http: string, localAddress = '127.0.0.1'): Promise<RawClient> {
    const { hostname, port, host } = new URL(http);
    const socket = connect({ host: hostname, port: Number(port), localAddress, noDelay: true });
    const client = new RawClient(socket, host);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) =>
        reject(new SluiceError('DISCONNECTED', cause.message, { cause })),
      );
    });
    return client;
  }

  /** Makes a WebSocket of it and resolves when the broker has agreed. @throws DISCONNECTED */
  async upgrade(): Promise<void> {
    this.write(
      `GET /v1/ws HTTP/1.1\r\nHost: ${this.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`,
    );
    await new Promise<void>((resolve, reject) => {
      this.socket.once('data', () => resolve());
      this.socket.once('close', () => reject(new SluiceError('DISCONNECTED', this.received)));
    });
    if (!this.received.startsWith('HTTP/1.1 101'))
      throw new SluiceError('DISCONNECTED', this.received);
    this.received = '';
  }

  /** Bytes that this side could not hand to the kernel yet. */
  get unsentBytes(): number {
    return this.socket.writableLength;
  }

  write(bytes: Uint8Array | string): void {
    if (!this.isClosed) this.socket.write(bytes);
  }

  /** Reads no more: what the broker sends stays with the kernel, then with the broker. */
  stopReading(): void {
    this.socket.pause();
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A client's frame header that announces any number of bytes, whatever follows. The mask is zero. */
export function frameHeader(opcode: number, announcedBytes: number, isFinal = true): Uint8Array {
  const header = Buffer.alloc(14);
  header.writeUInt8((isFinal ? FINAL : 0) | opcode, 0);
  header.writeUInt8(MASKED | LENGTH_64, 1);
  header.writeBigUInt64BE(BigInt(announcedBytes), 2);
  return header;
}
