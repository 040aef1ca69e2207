/**
 * The front door as the acceptor sees it: WebSocket connections and HTTP requests on one port, whatever library
 * carries them (`front-door-uws.ts`, `front-door-ws.ts`). All calls and callbacks are on the event-loop thread that listens.
 */

/** One WebSocket connection, from its upgrade to its close. */
export interface WebSocketConnection {
  /** Counts from 1 and never comes back within a front door. */
  readonly id: number;
  /** Address of the peer, for limits and logs. */
  readonly remoteAddress: string;
  /**
   * Sends one frame.
   * @shape the bytes are borrowed until the call returns: what the socket does not take at once is copied
   * @returns false when bytes are now waiting in the broker (see `bufferedBytes`); true otherwise. Inside `cork`, and
   *   inside a callback on uWebSockets.js, the bytes leave at its end, so that a true says nothing about the socket
   */
  sendBinary(bytes: Uint8Array): boolean;
  sendText(text: string): boolean;
  /** Bytes accepted by `send…` and not yet taken by the socket. */
  bufferedBytes(): number;
  /**
   * Stops reading from the socket, so that the sender feels it. Frames already cut may still arrive. Does nothing where
   * `FrontDoor.canPause` is false.
   */
  pause(): void;
  resume(): void;
  /**
   * Closes the connection with 1008 once more than so many bytes have come from here on, also of a frame that is not
   * whole yet; undefined: no more. Does nothing where `FrontDoor.canLimitIncoming` is false.
   */
  limitIncoming(bytesMax: number | undefined): void;
  /** Runs `action` with as few system calls as possible for the frames it sends. */
  cork(action: () => void): void;
  /**
   * Closes with a WebSocket close code and a reason of at most 123 bytes (a longer one is cut). Harmless when already
   * closed. Frames that arrive later are dropped, and so is what is sent.
   * @throws INVALID_ARGUMENT when the code is not one that a close frame may carry
   */
  close(code: number, reason: string): void;
}

/** What the acceptor does with a connection's events. The same object serves all connections. */
export interface WebSocketHandler {
  open(connection: WebSocketConnection): void;
  /** @shape `bytes` are borrowed until the call returns */
  binary(connection: WebSocketConnection, bytes: Uint8Array): void;
  text(connection: WebSocketConnection, text: string): void;
  /** The socket took bytes that were waiting. */
  drained(connection: WebSocketConnection): void;
  /**
   * Called exactly once for each `open`, also after `close`, and never from within a call of the connection: after the
   * code that called `close` has returned.
   * @param code - the code given to `close`, else what the peer sent (1005 when it sent none), else why the
   *   transport gave up: 1006 broken, 1007 text not UTF-8, 1009 too large
   */
  closed(connection: WebSocketConnection, code: number): void;
}

/** One HTTP request with its whole body, at most `httpBodyBytesMax` bytes. */
export type HttpRequest = {
  /** Upper case. */
  readonly method: string;
  /** Still percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Owned by the receiver. */
  readonly body: Uint8Array;
  readonly remoteAddress: string;
  /** Aborted when the peer goes away before the response. */
  readonly signal: AbortSignal;
};

export type HttpResponse = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
};

/** Must not throw; a rejection is answered with 500 and counted. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;

/** Limits that the front door itself keeps, before anything is parsed. */
export type FrontDoorLimits = {
  /** Bytes of one WebSocket message; a larger one closes the connection with 1009. */
  readonly frameBytesMax: number;
  readonly httpBodyBytesMax: number;
  /** Connections (WebSocket and HTTP) in all; more are refused with 503. */
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** Milliseconds until request line, headers and body must be there; on uws 10,000 at most. */
  readonly requestTimeoutMs: number;
  /** Seconds after which a silent WebSocket is closed (pings are sent in between). */
  readonly idleTimeoutSeconds: number;
  /** Control frames (ping, pong) a second and connection; more close it with 1008. */
  readonly controlFramesPerSecondMax: number;
};

export type FrontDoorOptions = {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly webSocketPath: string;
  readonly limits: FrontDoorLimits;
  readonly webSocket: WebSocketHandler;
  readonly http: HttpHandler;
  /**
   * Decides before the upgrade. `origin` is undefined when the header is absent.
   * @returns undefined to let it in, or the refusal to answer
   */
  readonly admit: (request: {
    origin: string | undefined;
    host: string | undefined;
    remoteAddress: string;
  }) => HttpResponse | undefined;
  /** With the choice `auto`: takes only a transport that has `canLimitIncoming`. Default false. */
  readonly needsLimitIncoming?: boolean;
  /**
   * Decides about an HTTP request with a body before that is read; absent: all are read.
   * @returns undefined to read the body, or the refusal to answer
   */
  readonly admitBody?: (request: BodyAnnouncement) => HttpResponse | undefined;
};

/** A request whose body is about to be read. */
export type BodyAnnouncement = {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly remoteAddress: string;
  /** As announced; undefined when it comes in chunks. */
  readonly bodyBytes: number | undefined;
};

/** What the front door refused or gave up, counted since it opened. */
export type FrontDoorStatistics = {
  /** Connections above a limit: refused with 503, or closed at once when too many wait for their refusal. */
  connectionsRefused: number;
  /** Upgrades that `admit` or the handshake refused. */
  upgradesRefused: number;
  /** Requests refused before the handler saw them: body too large, too many headers. */
  requestsRefused: number;
  /** Connections whose request was not there in time. */
  requestTimeouts: number;
  /** Handlers that failed; each is also published on the diagnostics channel `broker:transport:handler-failed`. */
  handlerFailures: number;
  /** WebSockets closed because they were silent, and because they sent too many control frames. */
  idleClosed: number;
  floodsClosed: number;
};

export type TransportName = 'uws' | 'ws';

export interface FrontDoor {
  readonly transport: TransportName;
  /** Why this transport and not the other, one sentence. */
  readonly reason: string;
  /**
   * Can `WebSocketConnection.pause` stop a sender? uWebSockets.js has no such call for WebSockets: there the acceptor
   * answers BUSY, and closes who does not listen.
   */
  readonly canPause: boolean;
  /**
   * Can `WebSocketConnection.limitIncoming` see bytes of a frame that is not whole? uWebSockets.js keeps those to itself, up to
   * the largest frame.
   */
  readonly canLimitIncoming: boolean;
  readonly statistics: Readonly<FrontDoorStatistics>;
  /** The port that was bound. */
  readonly port: number;
  readonly connectionCount: number;
  /** Takes no new connections; those that are open go on. */
  stopListening(): void;
  /** Closes everything. Resolves when the port is free and every `closed` was called. */
  close(): Promise<void>;
}
