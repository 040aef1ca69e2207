/**
 * HTTP on uWebSockets.js: which connections there are, which request belongs to which, and when each has to end.
 * Event-loop thread of the front door.
 *
 * The library names no connection: it hands out a new response object for each request, and says of a closed connection
 * neither which one nor whose. But what is registered on a connection stays there until its next response is sent, so
 * each connection is given, when it opens, callbacks that know it:
 *
 *     filter(+1)     → HttpSocket; its onAborted and onData are registered     it waits for a request
 *     any(request)   → UwsExchange, `arriving`: whose it is, is not known
 *     onData(socket) → `arriving` belongs to this socket                       it has a request
 *     response sent  → both are registered again                               it waits for a request
 *     onAborted      → the socket is gone
 *
 * A request without them registered would end the process. So a response is sent only outside of the library's callbacks
 * (it takes onData away when the last byte was received), and both are registered in the same turn.
 *
 * For a request of known length the library calls onData in the same turn. For one in chunks it waits for the first of
 * them: `parked`, one per address, because two could not be told apart; the second connection is closed. An upgrade takes a
 * socket away without a word. Where its address had several on which it could have come (`waiting`), it is not known which
 * is gone: those are not touched any more, and the library's own timer (10 s) ends them.
 */
import type { Clock } from '../base/clock.ts';
import type { ConnectionCensus } from './connection-census.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import { addHeader, contentLengthOf, type RequestHead } from './http-head.ts';
import {
  isWebSocketUpgrade,
  refuseConnection,
  refuseRequest,
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
 * Milliseconds after which a socket that still seems to wait for its next request went away unnamed, and a parked request
 * has no socket any more: the library ends those that are open after 10 s, looking every 4 s.
 */
const FORGET_MS = 20_000;
/** Colon, space and line break of a header line. */
const LINE_EXTRA_BYTES = 4;

/** A TCP connection while it speaks HTTP. */
class HttpSocket implements ExchangeOwner, WaitingSocket {
  readonly address: string;
  /** A response object that stays valid as long as the connection speaks HTTP. */
  readonly response: UwsResponse;
  /** Above a limit: its first request is answered with 503. */
  readonly isExcess: boolean;
  /** Undefined while it waits for a request. */
  exchange: UwsExchange | undefined = undefined;
  lossesBefore = 0;
  readonly aborted: () => void;
  readonly data: (chunk: ArrayBuffer, isLast: boolean) => void;
  private readonly http: UwsHttp;

  constructor(http: UwsHttp, address: string, response: UwsResponse, isExcess: boolean) {
    this.http = http;
    this.address = address;
    this.response = response;
    this.isExcess = isExcess;
    this.aborted = () => http.gone(this);
    this.data = (chunk, isLast) => http.data(this, new Uint8Array(chunk), isLast);
  }

  received(): void {
    this.http.received(this);
  }

  respond(exchange: UwsExchange, response: HttpResponse): void {
    this.http.respond(this, exchange, response);
  }
}

export class UwsHttp {
  /** Set when the front door takes no more connections: those that are open end with their next response. */
  isStopping = false;
  private readonly options: FrontDoorOptions;
  private readonly statistics: FrontDoorStatistics;
  private readonly census: ConnectionCensus;
  private readonly waiting: UwsWaiting<HttpSocket> = new UwsWaiting();
  /** Sockets whose request has to be complete in time. */
  private readonly deadlines: DeadlineQueue<HttpSocket>;
  /** Sockets between two requests. */
  private readonly idle: DeadlineQueue<HttpSocket>;
  private readonly lingering: DeadlineQueue<HttpSocket>;
  private arriving: UwsExchange | undefined = undefined;
  private readonly parked: Map<string, UwsExchange> = new Map();
  private readonly parkedTimes: DeadlineQueue<UwsExchange>;
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
    this.deadlines = new DeadlineQueue(clock, requestTimeoutMs, (socket) => this.expire(socket));
    this.idle = new DeadlineQueue(clock, FORGET_MS, (socket) => this.waiting.delete(socket));
    this.lingering = new DeadlineQueue(clock, LINGER_MS, (socket) => this.endLingering(socket));
    this.parkedTimes = new DeadlineQueue(clock, FORGET_MS, ({ head }) => {
      this.parked.delete(head.remoteAddress);
    });
    app.filter((response, change) => this.connection(response, change));
    app.any('/*', (response, request) => this.arrive(response, readHead(response, request)));
  }

  stop(): void {
    for (const queue of [this.deadlines, this.idle, this.lingering, this.parkedTimes]) queue.stop();
  }

  /** Is the socket of this address that is in a callback of the library above a limit? */
  isExcess(address: string): boolean {
    return this.waiting.only(address)?.isExcess ?? this.census.isOver(address);
  }

  /** A socket of this address that waited is a WebSocket from now on. */
  upgraded(address: string): void {
    const socket = this.waiting.lose(address);
    if (socket === undefined) return;
    this.deadlines.delete(socket);
    this.idle.delete(socket);
  }

  /** A request whose socket is not known yet. @param refused - what to answer, where that is decided already */
  arrive(response: UwsResponse, head: RequestHead, refused?: HttpResponse): void {
    const left = this.arriving;
    if (left?.isChunked === true) {
      this.parked.set(left.head.remoteAddress, left);
      this.parkedTimes.add(left);
    }
    this.arriving = undefined;
    const exchange = new UwsExchange(head, response, this.options, this.statistics, refused);
    const length = contentLengthOf(head);
    // Announced as empty but cut in pieces, or as nonsense, it may get no onData ever; the socket is closed in time then.
    const isSure = length !== undefined && (length > 0 || !head.headers.has('content-length'));
    if (isSure || !this.parked.has(head.remoteAddress)) this.arriving = exchange;
    else response.close();
  }

  /** The library said that this socket is closed. */
  gone(socket: HttpSocket): void {
    // Where no other socket waits, what is parked was its request.
    if (this.waiting.only(socket.address) === socket) this.unpark(socket.address);
    this.waiting.delete(socket);
    this.deadlines.delete(socket);
    this.idle.delete(socket);
    this.lingering.delete(socket);
    this.census.leave(socket.address);
    socket.exchange?.abort();
  }

  data(socket: HttpSocket, chunk: Uint8Array, isLast: boolean): void {
    if (socket.exchange?.isDone === true) {
      // A request of known length that just arrived is its own, and gets no answer any more.
      if (this.arriving?.isChunked === false) this.arriving = undefined;
      socket.exchange.receive(chunk, isLast);
      if (isLast) this.endReceived(socket);
      return;
    }
    if (socket.exchange === undefined) this.join(socket);
    socket.exchange?.receive(chunk, isLast);
  }

  received(socket: HttpSocket): void {
    this.deadlines.delete(socket);
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
    // The response took them off the connection.
    socket.response.onAborted(socket.aborted);
    socket.response.onData(socket.data);
    if (after === 'linger') this.lingering.add(socket);
    if (exchange.isReceived) this.waiting.add(socket);
    if (after !== 'keep-alive') return;
    socket.exchange = undefined;
    this.idle.add(socket);
  }

  /** The rest of a refused request is there: nobody would lose the response now. */
  private endReceived(socket: HttpSocket): void {
    // From here on the socket may be upgraded. It must not be closed within a callback for its data.
    this.waiting.add(socket);
    setImmediate(() => {
      if (this.waiting.isCertain(socket)) socket.response.close();
    });
  }

  private endLingering(socket: HttpSocket): void {
    const isReceiving = socket.exchange?.isReceived === false;
    if (isReceiving || this.waiting.isCertain(socket)) socket.response.close();
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

  /** The socket learns its request. */
  private join(socket: HttpSocket): void {
    const { address } = socket;
    let exchange = this.arriving;
    if (exchange?.head.remoteAddress === address) {
      this.arriving = undefined;
    } else {
      exchange = this.unpark(address);
      if (exchange === undefined) return;
    }
    socket.exchange = exchange;
    exchange.owner = socket;
    this.waiting.delete(socket);
    this.idle.delete(socket);
    // The first request has to be there in time since the connection opened, a later one since its head arrived.
    if (!this.deadlines.has(socket)) this.deadlines.add(socket);
    const refused = exchange.refused ?? this.refuse(exchange.head, socket.isExcess);
    if (refused !== undefined) exchange.refuse(refused);
  }

  private unpark(address: string): UwsExchange | undefined {
    const exchange = this.parked.get(address);
    if (exchange === undefined) return undefined;
    this.parked.delete(address);
    this.parkedTimes.delete(exchange);
    return exchange;
  }

  private refuse(head: RequestHead, isExcess: boolean): HttpResponse | undefined {
    if (isExcess) return refuseConnection();
    // Those with a right handshake do not come here.
    const refused = isWebSocketUpgrade(head) ? refuseUpgrade(head, this.options) : undefined;
    if (refused !== undefined) this.statistics.upgradesRefused += 1;
    return refused ?? refuseRequest(head, this.options);
  }

  private expire(socket: HttpSocket): void {
    const { exchange } = socket;
    if (exchange === undefined) {
      const isCertain = this.waiting.isCertain(socket);
      this.waiting.delete(socket);
      if (!isCertain) return;
      this.statistics.requestTimeouts += 1;
      socket.response.close();
    } else if (exchange.isReceiving) {
      this.statistics.requestTimeouts += 1;
      exchange.refuse(refuseSlowRequest(this.options.limits.requestTimeoutMs));
    }
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
