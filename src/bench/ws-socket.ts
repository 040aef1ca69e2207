/**
 * A WebSocket over `node:net` for measuring: received bytes land in one buffer and are handled in place, frames that were
 * put together by the caller are written as they are, many in one call. Event loop; plain `ws://` only.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { FRAME_BYTES_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import {
  clientFrame,
  cutServerFrames,
  type FrameVisitor,
  OPCODE_BINARY,
  OPCODE_CLOSE,
  OPCODE_PING,
  OPCODE_PONG,
} from './ws-frames.ts';

/** Room for what one read brings, and for a frame that is not whole yet. */
const BUFFER_BYTES: number = 512 * KIB;
/** A read into less than this would be one system call for a few bytes. */
const READ_BYTES_MIN: number = 64 * KIB;
const HEAD_BYTES_MAX: number = 16 * KIB;
const HEAD_END = '\r\n\r\n';
/** @source RFC 6455, section 1.3 */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** What the owner of a socket does with what comes. */
export type WsSocketHandlers = {
  /** Binary and text frames; the payload stands in `bytes` until the call returns. */
  readonly frame: FrameVisitor;
  /** All frames of one read were handled: answer them together. */
  readonly turn: () => void;
  /** Called once; undefined when this side closed it. */
  readonly closed: (error: SluiceError | undefined) => void;
};

export class WsSocket {
  /** What was received; replaced when a frame does not fit it. */
  bytes: Uint8Array;
  view: DataView;
  private readonly socket: Socket;
  private readonly url: URL;
  private readonly key: string = randomBytes(16).toString('base64');
  private readonly handlers: WsSocketHandlers;
  private readonly visit: FrameVisitor;
  private opened: ((error: SluiceError | undefined) => void) | undefined;
  /** Received and not handled: from 0 to here. */
  private filled = 0;
  private isClosed = false;

  private constructor(url: URL, handlers: WsSocketHandlers) {
    this.url = url;
    this.handlers = handlers;
    this.bytes = new Uint8Array(BUFFER_BYTES);
    this.view = new DataView(this.bytes.buffer);
    this.visit = (opcode, at, length) => this.take(opcode, at, length);
    this.socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port === '' ? 80 : url.port),
      noDelay: true,
      onread: { buffer: () => this.target(), callback: (count) => this.received(count) },
    });
    this.socket.on('connect', () => this.socket.write(this.upgradeRequest()));
    this.socket.on('error', (error) => this.end(toSluiceError(error, 'DISCONNECTED')));
    this.socket.on('close', () =>
      this.end(new SluiceError('DISCONNECTED', `the connection to ${url.host} was closed`)),
    );
  }

  /**
   * Connects and resolves when the upgrade is done.
   *
   * @throws DISCONNECTED; UNSUPPORTED for `wss://`
   */
  static async open(address: string, handlers: WsSocketHandlers): Promise<WsSocket> {
    const url = new URL(address);
    if (url.protocol !== 'ws:') {
      throw new SluiceError('UNSUPPORTED', `the load generator does not speak ${url.protocol}//`, {
        hint: 'Measure the broker itself by its ws:// address; TLS belongs to the proxy in front of it.',
      });
    }
    const socket = new WsSocket(url, handlers);
    await new Promise<void>((resolve, reject) => {
      socket.opened = (error) => (error === undefined ? resolve() : reject(error));
    });
    return socket;
  }

  /** Writes frames that are complete, headers included. @shape borrowed until the peer has answered them */
  write(frames: Uint8Array): void {
    if (!this.isClosed) this.socket.write(frames);
  }

  /** Sends one binary frame. @shape copied */
  send(payload: Uint8Array): void {
    this.write(clientFrame(OPCODE_BINARY, payload));
  }

  close(): void {
    if (this.isClosed) return;
    this.write(clientFrame(OPCODE_CLOSE, new Uint8Array([0x03, 0xe8])));
    this.socket.end();
    this.end(undefined);
  }

  private end(error: SluiceError | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.socket.destroySoon();
    if (this.opened === undefined) this.handlers.closed(error);
    else this.opened(error ?? new SluiceError('CLOSED'));
  }

  /** Where the next bytes go: right behind what is there. */
  private target(): Uint8Array {
    if (this.bytes.length - this.filled < READ_BYTES_MIN) this.grow();
    return this.bytes.subarray(this.filled);
  }

  private grow(): void {
    if (this.filled > FRAME_BYTES_MAX + HEAD_BYTES_MAX)
      throw new SluiceError('BAD_FRAME', 'the server sends a frame above every limit');
    const grown = new Uint8Array(this.bytes.length * 2);
    grown.set(this.bytes.subarray(0, this.filled));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  private received(count: number): boolean {
    this.filled += count;
    try {
      if (this.opened !== undefined && !this.readHead()) return true;
      const end = this.filled;
      const rest = cutServerFrames(this.bytes, this.view, 0, end, this.visit);
      if (rest > 0) this.bytes.copyWithin(0, rest, end);
      this.filled = end - rest;
      this.handlers.turn();
    } catch (error) {
      this.end(toSluiceError(error));
    }
    return !this.isClosed;
  }

  private take(opcode: number, at: number, length: number): void {
    if (opcode === OPCODE_PING)
      this.write(clientFrame(OPCODE_PONG, this.bytes.slice(at, at + length)));
    else if (opcode === OPCODE_CLOSE) {
      const code = length >= 2 ? this.view.getUint16(at) : 1005;
      const reason = Buffer.from(this.bytes.slice(at + 2, at + length)).toString();
      throw new SluiceError('DISCONNECTED', `the broker closed the connection: ${code} ${reason}`);
    } else if (opcode !== OPCODE_PONG) this.handlers.frame(opcode, at, length);
  }

  private upgradeRequest(): string {
    const lines = [
      `GET ${this.url.pathname}${this.url.search} HTTP/1.1`,
      `Host: ${this.url.host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Key: ${this.key}`,
      'Sec-WebSocket-Version: 13',
    ];
    return `${lines.join('\r\n')}${HEAD_END}`;
  }

  /** @returns true when the upgrade is done and its head taken away */
  private readHead(): boolean {
    const text = Buffer.from(this.bytes.subarray(0, this.filled)).toString('latin1');
    const end = text.indexOf(HEAD_END);
    if (end === -1) {
      if (this.filled > HEAD_BYTES_MAX) this.fail('an endless head');
      return false;
    }
    const [status = '', ...lines] = text.slice(0, end).split('\r\n');
    const accept = lines.find((line) => /^sec-websocket-accept:/i.test(line))?.split(':')[1];
    const expected = createHash('sha1')
      .update(this.key + ACCEPT_GUID)
      .digest('base64');
    if (!status.startsWith('HTTP/1.1 101') || accept?.trim() !== expected) return this.fail(status);
    this.bytes.copyWithin(0, end + HEAD_END.length, this.filled);
    this.filled -= end + HEAD_END.length;
    const opened = this.opened;
    this.opened = undefined;
    opened?.(undefined);
    return true;
  }

  private fail(status: string): never {
    throw new SluiceError('DISCONNECTED', `${this.url.host} did not upgrade: ${status}`, {
      hint: 'The address must be that of a SluiceMQ front door: ws://host:8880/v1/ws',
    });
  }
}
