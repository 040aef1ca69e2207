/**
 * One TCP connection on node:net, for either side: cuts frames, gathers what is answered to one chunk into one write, stops
 * reading while the peer does not read, and ends exactly once with a reason. Event-loop thread.
 */
import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type CancelTimer, startTimer } from '../base/clock.ts';
import { FrameCutter, type FrameRule, type PartialBudget } from './frame-cutter.ts';
import { addressOfText } from './remote-address.ts';
import type { TcpCloseReason, TcpConnection, TcpHandler, TcpStatistics } from './tcp.ts';

/** Milliseconds that a peer has to take what waits for it, once its connection ends. */
const END_TIMEOUT_MS = 2000;
/** First byte of a TLS connection. @source RFC 8446, section 5.1 */
const TLS_HANDSHAKE = 0x16;

const handlerFailed = channel('broker:transport:handler-failed');

/** What all connections of a listener share. */
export type TcpContext = {
  readonly rule: FrameRule;
  readonly handler: TcpHandler;
  readonly budget: PartialBudget;
  readonly sendBufferBytesMax: number;
  readonly statistics: TcpStatistics;
  readonly onHttp?: ((socket: Socket) => void) | undefined;
  /** Takes a connection that begins with a handshake of TLS. */
  readonly onTls?: ((socket: Socket) => void) | undefined;
  readonly isTlsRequired?: boolean;
  /** The connection is gone; called before the handler hears of it. */
  readonly ended: (connection: NodeTcpConnection) => void;
};

export class NodeTcpConnection implements TcpConnection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly isSecure: boolean;
  /** Set by each whole frame and by each drain; the watch clears it. */
  isActive = true;
  silentTicks = 0;
  private readonly socket: Socket;
  private readonly context: TcpContext;
  private readonly cutter: FrameCutter;
  private reason: TcpCloseReason | undefined = undefined;
  private isPausedByUser = false;
  private isPausedByBuffer = false;
  private cancelEnd: CancelTimer | undefined = undefined;
  private hasBegun = false;
  private readonly listeners: readonly (readonly [string, (chunk: Uint8Array) => void])[] = [
    ['data', (chunk) => this.take(chunk)],
    ['drain', () => this.drained()],
    ['end', () => this.end('peer')],
    ['error', () => this.close('broken')],
    ['close', () => this.finish()],
  ];
  private readonly onFrame = (frame: Uint8Array): boolean => {
    this.isActive = true;
    this.context.handler.frame(this, frame);
    return this.reason === undefined;
  };

  constructor(id: number, socket: Socket, context: TcpContext) {
    this.id = id;
    this.socket = socket;
    this.context = context;
    this.cutter = new FrameCutter(context.rule, context.budget);
    this.remoteAddress = addressOfText(socket.remoteAddress);
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = addressOfText(socket.localAddress);
    this.localPort = socket.localPort ?? 0;
    this.isSecure = socket instanceof TLSSocket;
    socket.setNoDelay(true);
    for (const [event, listener] of this.listeners) socket.on(event, listener);
  }

  /** Counted by the socket itself, so it costs nothing until somebody asks. */
  get receivedBytes(): number {
    return this.socket.bytesRead;
  }

  get sentBytes(): number {
    return this.socket.bytesWritten;
  }

  /** Its bytes are another connection's from here on. */
  get isHandedOver(): boolean {
    return this.reason === 'tls' || this.reason === 'http';
  }

  get isClosed(): boolean {
    return this.reason !== undefined;
  }

  /** Nobody listens to a paused connection, so nobody can say that it is silent. */
  get isPaused(): boolean {
    return this.isPausedByUser;
  }

  send(bytes: Uint8Array): boolean {
    if (this.isClosed) return true;
    const isTaken = this.socket.write(bytes);
    if (this.socket.writableLength > this.context.sendBufferBytesMax && !this.isPausedByBuffer) {
      this.isPausedByBuffer = true;
      this.socket.pause();
    }
    return isTaken;
  }

  bufferedBytes(): number {
    return this.socket.writableLength;
  }

  pause(): void {
    this.isPausedByUser = true;
    this.socket.pause();
  }

  resume(): void {
    this.isPausedByUser = false;
    if (!this.isPausedByBuffer) this.socket.resume();
  }

  cork(action: () => void): void {
    this.socket.cork();
    try {
      action();
    } finally {
      this.socket.uncork();
    }
  }

  end(reason: TcpCloseReason): void {
    if (this.isClosed) return;
    this.reason = reason;
    this.socket.end();
    // Without a reader the end of the peer would never be seen.
    this.socket.resume();
    this.cancelEnd = startTimer(END_TIMEOUT_MS, () => this.socket.destroy());
  }

  close(reason: TcpCloseReason): void {
    this.reason ??= reason;
    this.socket.destroy();
  }

  private take(chunk: Uint8Array): void {
    if (this.isClosed) return;
    if (!this.hasBegun) {
      this.hasBegun = true;
      const { onHttp, onTls, isTlsRequired = false } = this.context;
      if (onTls !== undefined && !this.isSecure && chunk[0] === TLS_HANDSHAKE) {
        this.handOver(chunk, 'tls', onTls);
        return;
      }
      if (onHttp !== undefined && isLetter(chunk[0])) {
        this.handOver(chunk, 'http', onHttp);
        this.socket.resume();
        return;
      }
      if (isTlsRequired && !this.isSecure) {
        this.context.statistics.framesRefused += 1;
        this.end('not-tls');
        return;
      }
    }
    this.socket.cork();
    try {
      const verdict = this.cutter.push(chunk, this.onFrame);
      if (verdict === 'ok') return;
      this.context.statistics.framesRefused += 1;
      this.end(verdict);
    } catch (error) {
      this.context.statistics.handlerFailures += 1;
      handlerFailed.publish({ error });
      this.close('handler-failed');
    } finally {
      this.socket.uncork();
    }
  }

  /** To its owner and its handler the connection is over. */
  private handOver(
    chunk: Uint8Array,
    reason: 'http' | 'tls',
    onOther: (socket: Socket) => void,
  ): void {
    const { socket } = this;
    for (const [event, listener] of this.listeners) socket.off(event, listener);
    this.reason = reason;
    this.finish();
    socket.pause();
    socket.unshift(chunk);
    onOther(socket);
  }

  private drained(): void {
    this.isActive = true;
    if (this.isPausedByBuffer) {
      this.isPausedByBuffer = false;
      if (!this.isPausedByUser && !this.isClosed) this.socket.resume();
    }
    if (!this.isClosed) this.context.handler.drained(this);
  }

  private finish(): void {
    this.cancelEnd?.();
    this.cutter.release();
    this.reason ??= 'peer';
    this.context.ended(this);
    this.context.handler.closed(this, this.reason);
  }
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}
