/**
 * A WebSocket on uWebSockets.js. Event-loop thread of the front door.
 *
 * The library's object must not be touched once its `close` event was called: `socket` is undefined from then on, and
 * every call is harmless. What `send` cannot hand to the kernel at once, the library copies before it returns.
 */
import { invariant } from '../base/assert.ts';
import { checkCloseCode, closeReason } from './close-frame.ts';
import type { WatchedConnection } from './connection-watch.ts';
import type { WebSocketConnection, WebSocketHandler } from './transport.ts';
import type { UwsSocket } from './uws-library.ts';

/** What `UwsSocket.send` answers. */
const SENT = 1;
const DROPPED = 2;

export class UwsConnection implements WebSocketConnection, WatchedConnection {
  readonly id: number;
  readonly remoteAddress: string;
  isActive = true;
  readonly isPaused = false;
  silentSeconds = 0;
  controlFrames = 0;
  private readonly handler: WebSocketHandler;
  private socket: UwsSocket | undefined = undefined;
  /** The code given to `close`; 0 before. */
  private closeCode = 0;

  constructor(id: number, remoteAddress: string, handler: WebSocketHandler) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.handler = handler;
  }

  sendBinary(bytes: Uint8Array): boolean {
    return this.send(bytes, true);
  }

  sendText(text: string): boolean {
    return this.send(text, false);
  }

  bufferedBytes(): number {
    return this.socket?.getBufferedAmount() ?? 0;
  }

  /** The library cannot stop reading a WebSocket; see `FrontDoor.canPause`. */
  pause(): void {}

  resume(): void {}

  /** The library tells of whole frames only; see `FrontDoor.canLimitIncoming`. */
  limitIncoming(): void {}

  cork(action: () => void): void {
    if (this.socket === undefined) action();
    else this.socket.cork(action);
  }

  close(code: number, reason: string): void {
    checkCloseCode(code);
    if (this.socket === undefined) return;
    this.closeCode = code;
    this.socket.end(code, closeReason(reason));
  }

  ping(): void {
    this.socket?.ping();
  }

  /** The library's `open` event. */
  opened(socket: UwsSocket): void {
    this.socket = socket;
    this.handler.open(this);
  }

  /** The library's `close` event, which `end` calls before it returns. */
  ended(code: number): void {
    this.socket = undefined;
    const { closeCode } = this;
    if (closeCode === 0) this.handler.closed(this, code);
    else queueMicrotask(() => this.handler.closed(this, closeCode));
  }

  private send(message: Uint8Array | string, isBinary: boolean): boolean {
    if (this.socket === undefined) return true;
    const status = this.socket.send(message, isBinary);
    invariant(status !== DROPPED, 'a frame was dropped though the library was told not to');
    return status === SENT;
  }
}
