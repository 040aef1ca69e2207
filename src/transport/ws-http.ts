/**
 * HTTP on node:http. Node reads requests, keeps their deadlines and closes idle connections; refusals, limits and the
 * handler are here. Event-loop thread of the front door.
 */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { startTimer } from '../base/clock.ts';
import type { ConnectionCensus } from './connection-census.ts';
import {
  answer,
  bodyBytes,
  hasNoBody,
  ownHeaders,
  ReceivedRequest,
  RequestBody,
} from './http-exchange.ts';
import { addHeader, type RequestHead } from './http-head.ts';
import {
  refusal,
  refuseBody,
  refuseConnection,
  refuseRequest,
  refuseSlowRequest,
} from './http-refusal.ts';
import { addressOfText } from './remote-address.ts';
import type {
  FrontDoorLimits,
  FrontDoorOptions,
  FrontDoorStatistics,
  HttpResponse,
} from './transport.ts';

/** Milliseconds in which a refused peer may read its refusal before the connection is closed. */
const LINGER_MS = 1000;
/** Milliseconds in which a peer has to take a further part of its response. */
const SEND_TIMEOUT_MS = 10_000;

/** What HTTP needs of a front door's options. */
export type WsHttpOptions = Pick<FrontDoorOptions, 'http' | 'admitBody'> & {
  readonly limits: Pick<FrontDoorLimits, 'httpBodyBytesMax' | 'requestTimeoutMs'>;
};

export class WsHttp {
  /** Set when the front door takes no more connections: those that are open end with their next response. */
  isStopping = false;
  private readonly options: WsHttpOptions;
  private readonly statistics: FrontDoorStatistics;
  private readonly census: ConnectionCensus;
  /** Open connections. */
  private readonly sockets: Set<Socket> = new Set();
  /** Connections above a limit. */
  private readonly excess: WeakSet<Socket> = new WeakSet();
  /** Connections whose last response is sent: what still arrives is dropped. */
  private readonly refused: WeakSet<Socket> = new WeakSet();

  constructor(
    server: Server,
    options: WsHttpOptions,
    statistics: FrontDoorStatistics,
    census: ConnectionCensus,
  ) {
    this.options = options;
    this.statistics = statistics;
    this.census = census;
    server.on('connection', (socket) => this.connection(socket));
    server.on('request', (request, response) => this.request(request, response));
    server.on('clientError', (error, socket) => this.badRequest(error, socket as Socket));
  }

  isExcess(socket: Socket): boolean {
    return this.excess.has(socket);
  }

  /** Sends a last response, reads on for a while so that the peer does not lose it, and closes. */
  refuse(socket: Socket, response: HttpResponse): void {
    if (this.refused.has(socket)) return;
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    this.refused.add(socket);
    socket.on('error', () => socket.destroy());
    socket.end(encodeLastResponse(response));
    socket.resume();
    socket.once(
      'close',
      startTimer(LINGER_MS, () => socket.destroy()),
    );
  }

  destroyAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Resolves when every connection that is open now is closed. */
  async allClosed(): Promise<void> {
    const closing = [...this.sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    await Promise.all(closing);
  }

  private connection(socket: Socket): void {
    // A connection comes a second time after it offered an upgrade that was not taken.
    if (this.sockets.has(socket)) return;
    const address = addressOfText(socket.remoteAddress);
    const admission = this.census.enter(address);
    if (admission !== 'admitted') this.statistics.connectionsRefused += 1;
    if (admission === 'dropped') {
      socket.destroy();
      return;
    }
    if (admission === 'refused') this.excess.add(socket);
    this.sockets.add(socket);
    socket.once('close', () => {
      this.sockets.delete(socket);
      this.census.leave(address);
    });
  }

  private request(message: IncomingMessage, response: ServerResponse): void {
    const { socket } = message;
    const { httpBodyBytesMax } = this.options.limits;
    const head = readHead(message);
    const refused = this.excess.has(socket)
      ? refuseConnection()
      : refuseRequest(head, this.options);
    if (refused !== undefined || this.refused.has(socket)) {
      this.refuseRequest(message, response, refused ?? refuseConnection());
      return;
    }
    const body = new RequestBody(httpBodyBytesMax);
    message.on('data', (chunk: Buffer) => {
      if (this.refused.has(socket) || body.append(chunk)) return;
      this.refuseRequest(message, response, refuseBody(httpBodyBytesMax));
    });
    message.once('end', () => {
      if (!this.refused.has(socket)) this.handle(head, body.take(), response);
    });
  }

  private refuseRequest(
    message: IncomingMessage,
    response: ServerResponse,
    refused: HttpResponse,
  ): void {
    this.statistics.requestsRefused += 1;
    message.resume();
    // Before its turn among pipelined requests, a response has no socket yet, and a refusal cannot overtake.
    if (response.socket === null) message.socket.destroy();
    else this.refuse(message.socket, refused);
  }

  private handle(head: RequestHead, body: Uint8Array, response: ServerResponse): void {
    const request = new ReceivedRequest(head, body);
    response.once('close', () => {
      if (!response.writableFinished) request.abort();
    });
    void answer(this.options.http, request, this.statistics).then((answered) => {
      if (!response.destroyed) this.respond(response, answered);
    });
  }

  private respond(response: ServerResponse, answered: HttpResponse): void {
    response.socket?.setTimeout(SEND_TIMEOUT_MS);
    response.writeHead(answered.status, responseHeaders(answered, this.isStopping).flat());
    response.end(hasNoBody(answered.status) ? undefined : answered.body);
  }

  /** Node could not read the request, or did not get it in time. */
  private badRequest(error: Error, socket: Socket): void {
    if (this.refused.has(socket)) return;
    const { code } = error as { readonly code?: string };
    if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      this.statistics.requestTimeouts += 1;
      this.refuse(socket, refuseSlowRequest(this.options.limits.requestTimeoutMs));
    } else if (code === 'HPE_HEADER_OVERFLOW') {
      this.statistics.requestsRefused += 1;
      this.refuse(socket, refusal('BAD_FRAME', 'the headers are too large', { status: 431 }));
    } else if (code?.startsWith('HPE_') === true) {
      this.statistics.requestsRefused += 1;
      this.refuse(socket, refusal('BAD_FRAME', 'the bytes are not an HTTP request'));
    } else {
      socket.destroy();
    }
  }
}

export function readHead(message: IncomingMessage): RequestHead {
  const headers = new Map<string, string>();
  const { rawHeaders, url = '/', method = 'GET' } = message;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    addHeader(headers, (rawHeaders[index] ?? '').toLowerCase(), rawHeaders[index + 1] ?? '');
  }
  const queryStart = url.indexOf('?');
  return {
    method,
    path: queryStart === -1 ? url : url.slice(0, queryStart),
    query: queryStart === -1 ? '' : url.slice(queryStart + 1),
    headers,
    headerCount: rawHeaders.length / 2,
    // Node has looked at the bytes themselves.
    headerBytes: 0,
    remoteAddress: addressOfText(message.socket.remoteAddress),
  };
}

function responseHeaders(response: HttpResponse, isLast: boolean): [string, string][] {
  const headers = ownHeaders(response);
  if (!hasNoBody(response.status)) headers.push(['Content-Length', String(bodyBytes(response))]);
  if (isLast) headers.push(['Connection', 'close']);
  return headers;
}

/** A response as bytes: for connections on which Node has no response object, or would close too early. */
function encodeLastResponse(response: HttpResponse): Buffer {
  const { status, body } = response;
  const lines = responseHeaders(response, true).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body as string)]);
}
