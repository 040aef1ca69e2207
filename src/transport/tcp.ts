/**
 * Plain TCP as the roles see it that speak a binary protocol of frames: remoting, replication, NameServer. All calls and
 * callbacks are on the event-loop thread that listens or connects.
 */
import type { Socket } from 'node:net';
import type { FrameRule } from './frame-cutter.ts';

/**
 * Why a connection ended. `peer`: the other side closed it; `broken`: the system gave up; `idle`: silence; `bad-frame`,
 * `frame-too-large`, `partial-bytes`: what came is no frame, or too large, or too much is unfinished on this listener;
 * `tls`: it goes on encrypted, as another connection; `not-tls`: it must be and is not; `handler-failed`: a bug; `stopping`: the listener closes; `http`: it was handed to `onHttp`; anything else is what `close` was called with.
 */
export type TcpCloseReason =
  | 'peer'
  | 'broken'
  | 'idle'
  | 'bad-frame'
  | 'frame-too-large'
  | 'partial-bytes'
  | 'handler-failed'
  | 'stopping'
  | 'http'
  | 'tls'
  | 'not-tls'
  | 'refused'
  | 'not-needed';

/** One TCP connection, from its beginning to its close. */
export interface TcpConnection {
  /** Counts from 1 and never comes back within a listener. */
  readonly id: number;
  /** Address and port of the peer, for limits and logs. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Address and port of this side. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly isClosed: boolean;
  /** Is it encrypted? */
  readonly isSecure: boolean;
  /**
   * Sends bytes: one frame or several, or a part of one.
   * @shape the bytes belong to the connection from here on; do not change them
   * @returns false when bytes are now waiting (see `bufferedBytes`): `drained` follows. Above
   *   `sendBufferBytesMax` nothing more is read from the peer until it has taken them
   */
  send(bytes: Uint8Array): boolean;
  /** Bytes accepted by `send` and not yet taken by the socket. */
  bufferedBytes(): number;
  /** Stops reading from the socket, so that the sender feels it. Frames of the chunk being cut still arrive. */
  pause(): void;
  resume(): void;
  /** Runs `action` with as few system calls as possible for what it sends. Frames that arrive are handled in one. */
  cork(action: () => void): void;
  /** Sends what waits, then closes. What arrives from here on is dropped. Harmless when already closed. */
  end(reason: TcpCloseReason): void;
  /** Closes at once; what waits is lost. Harmless when already closed. */
  close(reason: TcpCloseReason): void;
}

/** What a role does with the events of its connections. The same object serves all of them. */
export interface TcpHandler {
  open(connection: TcpConnection): void;
  /** @shape `frame` is borrowed until the call returns */
  frame(connection: TcpConnection, frame: Uint8Array): void;
  /** The socket took everything that was waiting. */
  drained(connection: TcpConnection): void;
  /** Called exactly once for each `open`, never from within a call of the connection. */
  closed(connection: TcpConnection, reason: TcpCloseReason): void;
}

/** Limits of each connection, kept before anything is decoded. */
export type TcpLimits = {
  /** Milliseconds without a whole frame from the peer and without a byte that it took, until it is closed. */
  readonly idleTimeoutMs: number;
  /** Bytes of frames that are not whole, of all connections together. */
  readonly partialBytesMax: number;
  /** Bytes waiting for one peer above which nothing is read from it. */
  readonly sendBufferBytesMax: number;
};

/** How a listener speaks TLS. */
export type TlsRule = {
  /** Certificate chain and key in PEM. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Refuses connections that are not encrypted. */
  readonly isRequired: boolean;
};

export type TcpListenerOptions = {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly rule: FrameRule;
  readonly handler: TcpHandler;
  /**
   * Takes a connection whose first byte is a letter, which begins no frame: a request of HTTP. It is in no count and under no
   * limit of the listener but those of connections. Absent: it is a frame like others, and wrong.
   */
  readonly onHttp?: (socket: Socket) => void;
  /** Takes connections that begin with a handshake of TLS. Absent: they are frames like others, and wrong. */
  readonly tls?: TlsRule | undefined;
  readonly limits: TcpLimits & {
    /** Connections in all, and from one address; more are closed at once. */
    readonly connectionsMax: number;
    readonly connectionsPerAddressMax: number;
  };
};

/** Counted since the listener opened. */
export type TcpStatistics = {
  connectionsOpened: number;
  /** Above a limit: closed before anything was read. */
  connectionsRefused: number;
  idleClosed: number;
  /** Closed for what they sent: no frame, too large a one, or too much unfinished. */
  framesRefused: number;
  /** Handlers that threw; each is also published on the diagnostics channel `broker:transport:handler-failed`. */
  handlerFailures: number;
};

export type TcpTraffic = { readonly receivedBytes: number; readonly sentBytes: number };

export interface TcpListener {
  /** The port that was bound. */
  readonly port: number;
  readonly connectionCount: number;
  readonly statistics: Readonly<TcpStatistics>;
  /** Bytes since the listener opened, of connections that are gone too; those of HTTP and of TLS's own are not in it. */
  traffic(): TcpTraffic;
  /** Takes no new connections; those that are open go on. */
  stopListening(): void;
  /** Sends what waits, closes everything, and resolves when every `closed` was called. */
  close(): Promise<void>;
}
