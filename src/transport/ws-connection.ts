/**
 * A WebSocket on `ws`: the library reads frames and keeps the protocol, frames are written by `WsFrameWriter`. Event-loop
 * thread of the front door.
 */
import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { checkCloseCode, closeReason } from './close-frame.ts';
import type { ConnectionWatch, WatchedConnection } from './connection-watch.ts';
import type { WebSocketConnection, WebSocketHandler } from './transport.ts';
import { type FrameScratch, WsFrameWriter } from './ws-frame-writer.ts';

/** Why the library gave up a connection, as the code that it closes with. */
const CLOSE_CODES: ReadonlyMap<string, number> = new Map([
  ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 1009],
  ['WS_ERR_INVALID_UTF8', 1007],
  ['WS_ERR_TOO_MANY_BUFFERED_PARTS', 1008],
]);

/** What a connection needs of its front door. */
export type WsConnectionContext = {
  readonly handler: WebSocketHandler;
  readonly watch: ConnectionWatch;
  readonly scratch: FrameScratch;
  /** Called exactly once, before `handler.closed`. */
  readonly ended: (connection: WsConnection) => void;
};

export class WsConnection implements WebSocketConnection, WatchedConnection {
  readonly id: number;
  readonly remoteAddress: string;
  isActive = true;
  isPaused = false;
  silentSeconds = 0;
  controlFrames = 0;
  private readonly library: WebSocket;
  private readonly socket: Socket;
  private checkIncoming: (() => void) | undefined = undefined;
  private readonly writer: WsFrameWriter;
  private readonly context: WsConnectionContext;
  private isEnded = false;
  /** Bytes were left in the broker since the socket took everything. */
  private isWaiting = false;

  constructor(
    id: number,
    remoteAddress: string,
    library: WebSocket,
    socket: Socket,
    context: WsConnectionContext,
  ) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.library = library;
    this.socket = socket;
    this.context = context;
    this.writer = new WsFrameWriter(socket, context.scratch, () => this.written());
    library.on('message', (data, isBinary) => this.message(data, isBinary));
    library.on('ping', () => context.watch.controlFrame(this));
    library.on('pong', () => context.watch.controlFrame(this));
    library.on('error', (error) => this.failed(error));
    library.on('close', (code) => this.end(code));
  }

  sendBinary(bytes: Uint8Array): boolean {
    return this.isEnded || this.sent(this.writer.binary(bytes));
  }

  sendText(text: string): boolean {
    return this.isEnded || this.sent(this.writer.text(text));
  }

  bufferedBytes(): number {
    return this.isEnded ? 0 : this.writer.bufferedBytes();
  }

  pause(): void {
    if (this.isEnded) return;
    this.isPaused = true;
    this.library.pause();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.isActive = true;
    this.library.resume();
  }

  limitIncoming(bytesMax: number | undefined): void {
    const { socket } = this;
    if (this.checkIncoming !== undefined) socket.off('data', this.checkIncoming);
    this.checkIncoming = undefined;
    if (bytesMax === undefined || this.isEnded) return;
    const end = socket.bytesRead + bytesMax;
    this.checkIncoming = () => {
      if (socket.bytesRead <= end || this.isEnded) return;
      this.close(1008, `more than ${bytesMax} bytes`);
      // What else it sends is left with the kernel, until the library gives up waiting for its answer.
      this.library.pause();
    };
    socket.on('data', this.checkIncoming);
  }

  cork(action: () => void): void {
    if (this.isEnded) {
      action();
      return;
    }
    this.writer.cork(action);
    this.isWaiting ||= this.bufferedBytes() > 0;
  }

  close(code: number, reason: string): void {
    checkCloseCode(code);
    if (this.isEnded) return;
    this.writer.flush();
    this.library.close(code, closeReason(reason));
    // Reading goes on until the peer has answered the close frame, or the library gives up.
    this.library.resume();
    this.leave();
    queueMicrotask(() => this.context.handler.closed(this, code));
  }

  ping(): void {
    if (!this.isEnded) this.library.ping();
  }

  private message(data: RawData, isBinary: boolean): void {
    if (this.isEnded) return;
    this.isActive = true;
    // `binaryType` is 'nodebuffer', so that data is one Buffer.
    const bytes = data as Buffer;
    if (isBinary) this.context.handler.binary(this, bytes);
    else this.context.handler.text(this, bytes.toString());
  }

  private sent(isTaken: boolean): boolean {
    if (!isTaken) this.isWaiting = true;
    return isTaken;
  }

  private written(): void {
    if (!this.isWaiting || this.isEnded || this.writer.bufferedBytes() > 0) return;
    this.isWaiting = false;
    this.context.handler.drained(this);
  }

  private failed(error: Error): void {
    const { code } = error as { readonly code?: string };
    const isProtocol = code?.startsWith('WS_ERR_') === true;
    this.end(CLOSE_CODES.get(code ?? '') ?? (isProtocol ? 1002 : 1006));
  }

  private end(code: number): void {
    if (this.isEnded) return;
    this.leave();
    this.context.handler.closed(this, code);
  }

  private leave(): void {
    this.isEnded = true;
    this.isPaused = false;
    this.context.ended(this);
  }
}
