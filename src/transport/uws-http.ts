/**
 * HTTP on uWebSockets.js: which connections there are, which request belongs to which, and when each has to end.
 * Event-loop thread of the front door.
 *
 * The library names no connection: it hands out a new response object for each request, and says of a closed connection
 * neither which one nor whose. But what is registered on a connection stays until its next response is sent, so
 * each connection is given, when it opens, callbacks that know it:
 *
 *     filter(+1)     → HttpSocket, its onAborted and onData registered              the socket waits for a request
 *     any(request)   → UwsExchange kept in `arriving`: whose it is, is not known
 *     onData(socket) → the same turn: `arriving` belongs to this socket             the socket has its request
 *     response sent  → both registered again                                        the socket waits for a request
 *     onAborted      → the socket is gone
 *
 * The library calls onData in the same turn for every request whose length is known and not announced as 0. The others
 * (chunks, Content-Length: 0) are served alone, with callbacks of their own, and their connection closes afterwards.
 * So it is for upgrades. Those take a socket away without a word; where an address had several sockets waiting, it is
 * not known which: none of them is touched any more, and the library's own timer (10 s) ends them.
 */
import type { Clock } from '../base/clock.ts';
import type { ConnectionCensus } from './connection-census.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import { addHeader, contentLengthOf, type RequestHead } from './http-head.ts';
import {
  isWebSocketUpgrade,
  refuseConnection,
  refuseHead,
  refuseSlowRequest,
  refuseUpgrade,
} from './http-refusal.ts';
import { addressOfBytes } from './remote-address.ts';
import type { FrontDoorOptions, FrontDoorStatistics, HttpResponse } from './transport.ts';
import { type ExchangeOwner, UwsExchange } from './uws-exchange.ts';
import type { UwsApp, UwsRequest, UwsResponse } from './uws-library.ts';
import { UwsWaiting, type WaitingSocket } from './uws-waiting.ts';

/** Milliseconds in which a refused peer may read its refusal before the connection is closed. */
const LINGER_MS = 1000;
/**
 * Milliseconds after which a socket that still seems to wait for its next request is one that went away unnamed: the
 * library ends those that are open after 10 s, looking every 4 s.
 */
const FORGET_MS = 30_000;
/** Colon, space and line break of a header line. */
const LINE_EXTRA_BYTES = 4;
const NOTHING = new Uint8Array(0);

/** A connection that has a request to receive in time. */
interface Expiring {
  expire(): void;
}

/** A TCP connection while it speaks HTTP. */
class HttpSocket implements ExchangeOwner, Expiring, WaitingSocket {
  readonly address: string;
  /** A response object that stays valid as long as the connection speaks HTTP. */
  readonly response: UwsResponse;
  /** Above a limit: its first request is answered with 503. */
  readonly isExcess: boolean;
  exchange: UwsExchange | undefined = undefined;
  lossesBefore = 0;
  isGone = false;
  readonly aborted: () => void;
  readonly data: (chunk: ArrayBuffer, isLast: boolean) => void;
  private readonly http: UwsHttp;

  constructor(http: UwsHttp, address: string, response: UwsResponse, isExcess: boolean) {
    this.http = http;
    this.address = address;
    this.response = response;
    this.isExcess = isExcess;
    this.aborted = () => http.gone(this);
    this.data = (chunk, isLast) => http.data(this, chunk, isLast);
  }

  received(): void {
    this.http.received(this);
  }

  respond(exchange: UwsExchange, response: HttpResponse): void {
    this.http.respond(this, exchange, response);
  }

  expire(): void {
    this.http.expire(this);
  }
}

/** A request whose socket is not known, with the connection that it is on. */
class AloneRequest implements ExchangeOwner, Expiring {
  private readonly http: UwsHttp;
  private readonly exchange: UwsExchange;
  private isGone = false;

  constructor(http: UwsHttp, exchange: UwsExchange) {
    this.http = http;
    this.exchange = exchange;
    exchange.owner = this;
  }

  received(): void {
    this.http.received(this);
  }

  respond(exchange: UwsExchange, response: HttpResponse): void {
    exchange.write(response, 'close');
    this.gone();
  }

  expire(): void {
    this.http.tooSlow(this.exchange);
  }

  gone(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.exchange.abort();
    this.http.goneAlone(this, this.exchange.head.remoteAddress);
  }
}

export class UwsHttp {
  /** Set when the front door takes no more connections: those that are open end with their next response. */
  isStopping = false;
  private readonly options: FrontDoorOptions;
  private readonly statistics: FrontDoorStatistics;
  private readonly census: ConnectionCensus;
  private readonly waiting: UwsWaiting<HttpSocket> = new UwsWaiting();
  private readonly deadlines: DeadlineQueue<Expiring>;
  private readonly lingering: DeadlineQueue<HttpSocket>;
  private readonly idle: DeadlineQueue<HttpSocket>;
  /** The request whose socket is about to be known. */
  private arriving: UwsExchange | undefined = undefined;
  /** HTTP connections closed so far: tells whether a call closed one. */
  private closedCount = 0;

  constructor(
    app: UwsApp,
    options: FrontDoorOptions,
    statistics: FrontDoorStatistics,
    census: ConnectionCensus,
    clock: Clock,
  ) {
    this.options = options;
    this.statistics = statistics;
    this.census = census;
    const { requestTimeoutMs } = options.limits;
    this.deadlines = new DeadlineQueue(clock, requestTimeoutMs, (item) => item.expire());
    this.lingering = new DeadlineQueue(clock, LINGER_MS, (socket) => socket.response.close());
    this.idle = new DeadlineQueue(clock, FORGET_MS, (socket) => this.waiting.delete(socket));
    app.filter((response, change) => this.connection(response, change));
    app.any('/*', (response, request) => this.request(response, request));
  }

  stop(): void {
    this.deadlines.stop();
    this.lingering.stop();
    this.idle.stop();
  }

  /**
   * A waiting socket of this address stops being one without a callback of its own: it is upgraded, or served alone.
   * @returns whether its connection is above a limit
   */
  takeAway(address: string): boolean {
    const socket = this.waiting.lose(address);
    if (socket === undefined) return this.census.isOver(address);
    this.deadlines.delete(socket);
    this.idle.delete(socket);
    return socket.isExcess;
  }

  /** The library said that this socket is closed. */
  gone(socket: HttpSocket): void {
    if (socket.isGone) return;
    socket.isGone = true;
    this.waiting.delete(socket);
    this.deadlines.delete(socket);
    this.idle.delete(socket);
    this.lingering.delete(socket);
    this.census.leave(socket.address);
    socket.exchange?.abort();
  }

  goneAlone(alone: AloneRequest, address: string): void {
    this.deadlines.delete(alone);
    this.census.leave(address);
  }

  data(socket: HttpSocket, chunk: ArrayBuffer, isLast: boolean): void {
    if (socket.exchange === undefined) this.join(socket);
    socket.exchange?.receive(new Uint8Array(chunk), isLast);
  }

  received(item: Expiring): void {
    this.deadlines.delete(item);
  }

  respond(socket: HttpSocket, exchange: UwsExchange, response: HttpResponse): void {
    const closedBefore = this.closedCount;
    const isLast = exchange.isRefused || this.isStopping;
    const after = exchange.write(
      response,
      !isLast ? 'keep-alive' : exchange.isReceived ? 'close' : 'linger',
    );
    if (this.closedCount !== closedBefore) {
      this.gone(socket);
      return;
    }
    // A sent response takes the callbacks off the connection.
    socket.response.onAborted(socket.aborted);
    if (after === 'linger') this.lingering.add(socket);
    if (after !== 'keep-alive') return;
    socket.response.onData(socket.data);
    socket.exchange = undefined;
    this.waiting.add(socket);
    this.idle.add(socket);
  }

  expire(socket: HttpSocket): void {
    if (socket.exchange !== undefined) {
      this.tooSlow(socket.exchange);
      return;
    }
    const isCertain = this.waiting.isCertain(socket);
    this.waiting.delete(socket);
    if (!isCertain) return;
    this.statistics.requestTimeouts += 1;
    socket.response.close();
  }

  tooSlow(exchange: UwsExchange): void {
    if (!exchange.isReceiving) return;
    this.statistics.requestTimeouts += 1;
    exchange.refuse(refuseSlowRequest(this.options.limits.requestTimeoutMs));
  }

  private connection(response: UwsResponse, change: number): void {
    if (change < 0) {
      this.closedCount += 1;
      return;
    }
    const address = addressOfBytes(new Uint8Array(response.getRemoteAddress()));
    const admission = this.census.enter(address);
    if (admission !== 'admitted') this.statistics.connectionsRefused += 1;
    if (admission === 'dropped') {
      response.close();
      return;
    }
    const socket = new HttpSocket(this, address, response, admission === 'refused');
    response.onAborted(socket.aborted);
    response.onData(socket.data);
    this.deadlines.add(socket);
    this.waiting.add(socket);
  }

  private request(response: UwsResponse, request: UwsRequest): void {
    const head = readHead(response, request);
    const exchange = new UwsExchange(head, response, this.options, this.statistics);
    const contentLength = contentLengthOf(head);
    const isEmpty = contentLength === 0 && head.headers.has('content-length');
    if (contentLength !== undefined && !Number.isNaN(contentLength) && !isEmpty) {
      this.arriving = exchange;
      return;
    }
    const isExcess = this.takeAway(head.remoteAddress);
    const alone = new AloneRequest(this, exchange);
    this.deadlines.add(alone);
    response.onAborted(() => alone.gone());
    response.onData((chunk, isLast) => exchange.receive(new Uint8Array(chunk), isLast));
    const refused = this.refuse(head, isExcess);
    if (refused !== undefined) exchange.refuse(refused);
    else if (isEmpty) exchange.receive(NOTHING, true);
  }

  /** The socket learns its request. */
  private join(socket: HttpSocket): void {
    const exchange = this.arriving;
    this.arriving = undefined;
    if (exchange === undefined || exchange.head.remoteAddress !== socket.address) return;
    socket.exchange = exchange;
    exchange.owner = socket;
    this.waiting.delete(socket);
    this.idle.delete(socket);
    // The first request has to be there in time since the connection opened, a later one since its head arrived.
    if (!this.deadlines.has(socket)) this.deadlines.add(socket);
    const refused = this.refuse(exchange.head, socket.isExcess);
    if (refused !== undefined) exchange.refuse(refused);
  }

  private refuse(head: RequestHead, isExcess: boolean): HttpResponse | undefined {
    if (isExcess) return refuseConnection();
    // A WebSocket at the right path does not come here, unless its handshake is wrong.
    if (isWebSocketUpgrade(head)) {
      const refused = refuseUpgrade(head, this.options);
      if (refused !== undefined) {
        this.statistics.upgradesRefused += 1;
        return refused;
      }
    }
    return refuseHead(head, this.options.limits.httpBodyBytesMax);
  }
}

/** The library's request is valid within its callback only: everything is read at once. */
export function readHead(response: UwsResponse, request: UwsRequest): RequestHead {
  const headers = new Map<string, string>();
  const path = request.getUrl();
  const query = request.getQuery() ?? '';
  let headerCount = 0;
  let headerBytes = path.length + query.length;
  request.forEach((name, value) => {
    headerCount += 1;
    headerBytes += name.length + value.length + LINE_EXTRA_BYTES;
    addHeader(headers, name, value);
  });
  return {
    method: request.getCaseSensitiveMethod(),
    path,
    query,
    headers,
    headerCount,
    headerBytes,
    remoteAddress: addressOfBytes(new Uint8Array(response.getRemoteAddress())),
  };
}
