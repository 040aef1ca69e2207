/**
 * One HTTP request on uWebSockets.js and its response. Event-loop thread of the front door.
 *
 * A response is written only from a turn of the event loop of its own, never inside a callback of the library: the
 * library resets what is registered on the connection when such a callback returns.
 */
import { STATUS_CODES } from 'node:http';
import {
  answer,
  bodyBytes,
  hasNoBody,
  ownHeaders,
  ReceivedRequest,
  RequestBody,
} from './http-exchange.ts';
import { contentLengthOf, type RequestHead } from './http-head.ts';
import { refuseBody } from './http-refusal.ts';
import type { FrontDoorOptions, FrontDoorStatistics, HttpResponse } from './transport.ts';
import type { UwsResponse } from './uws-library.ts';

/** How the connection goes on after a response. */
export type AfterResponse =
  /** Ready for the next request. */
  | 'keep-alive'
  /** Closed by the library as soon as everything is sent. */
  | 'close'
  /** Closed later, because closing now would make the peer lose the response among bytes that nobody read. */
  | 'linger';

/** The connection of an exchange. */
export interface ExchangeOwner {
  /** The body is complete or refused: the time of the peer does not count any more. */
  received(): void;
  /** Called at most once, and not after `abort`; calls `write`. */
  respond(exchange: UwsExchange, response: HttpResponse): void;
}

export class UwsExchange {
  readonly head: RequestHead;
  /** What to answer, where that was decided with the head. */
  readonly refused: HttpResponse | undefined;
  readonly isChunked: boolean;
  /** Set before the first byte is received. */
  owner: ExchangeOwner | undefined = undefined;
  /** Whether the last byte of the body arrived. */
  isReceived = false;
  /** Whether the response refuses the request: the connection does not go on after it. */
  isRefused = false;
  private readonly options: FrontDoorOptions;
  private readonly statistics: FrontDoorStatistics;
  private readonly response: UwsResponse;
  private readonly body: RequestBody;
  private state: 'receiving' | 'answering' | 'done' = 'receiving';
  private request: ReceivedRequest | undefined = undefined;

  constructor(
    head: RequestHead,
    response: UwsResponse,
    options: FrontDoorOptions,
    statistics: FrontDoorStatistics,
    refused: HttpResponse | undefined,
  ) {
    this.head = head;
    this.refused = refused;
    this.isChunked = contentLengthOf(head) === undefined;
    this.response = response;
    this.options = options;
    this.statistics = statistics;
    this.body = new RequestBody(options.limits.httpBodyBytesMax);
  }

  get isReceiving(): boolean {
    return this.state === 'receiving';
  }

  /** Whether the response was sent, or never will be. */
  get isDone(): boolean {
    return this.state === 'done';
  }

  /** Takes a part of the body; drops it once the request is refused. */
  receive(chunk: Uint8Array, isLast: boolean): void {
    if (isLast) this.isReceived = true;
    if (this.state !== 'receiving') return;
    if (!this.body.append(chunk)) this.refuse(refuseBody(this.options.limits.httpBodyBytesMax));
    else if (isLast) this.handle();
  }

  /** Answers without the handler. */
  refuse(refused: HttpResponse): void {
    if (this.state !== 'receiving') return;
    this.isRefused = true;
    this.statistics.requestsRefused += 1;
    this.leaveReceiving();
    setImmediate(() => this.respond(refused));
  }

  /** The peer is gone: the response must not be touched again. */
  abort(): void {
    if (this.state === 'done') return;
    this.state = 'done';
    this.request?.abort();
  }

  /** Writes the response. @returns how the connection goes on: 'linger' where 'close' was not possible */
  write(response: HttpResponse, after: AfterResponse): AfterResponse {
    this.state = 'done';
    let written = after;
    this.response.cork(() => {
      written = writeResponse(this.response, this.head.method, response, after);
    });
    return written;
  }

  private handle(): void {
    this.leaveReceiving();
    const request = new ReceivedRequest(this.head, this.body.take());
    this.request = request;
    void answer(this.options.http, request, this.statistics).then((response) => {
      setImmediate(() => this.respond(response));
    });
  }

  private leaveReceiving(): void {
    this.state = 'answering';
    this.owner?.received();
  }

  private respond(response: HttpResponse): void {
    if (this.state === 'answering') this.owner?.respond(this, response);
  }
}

/** Writes a whole response. The caller corks. @returns `after`, or 'linger' where the library cannot close by itself */
function writeResponse(
  target: UwsResponse,
  method: string,
  response: HttpResponse,
  after: AfterResponse,
): AfterResponse {
  const { status, body } = response;
  const isBodiless = hasNoBody(status) || (method === 'HEAD' && after === 'keep-alive');
  target.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
  for (const [name, value] of ownHeaders(response)) target.writeHeader(name, value);
  // Only `end` closes, and then it writes this header itself.
  const isClosedByEnd = after === 'close' && !isBodiless;
  if (after !== 'keep-alive' && !isClosedByEnd) target.writeHeader('Connection', 'close');
  if (isBodiless) {
    // The library would count on the announced bytes to be written, so the header is ours.
    if (!hasNoBody(status)) target.writeHeader('Content-Length', String(bodyBytes(response)));
    target.endWithoutBody();
    return after === 'close' ? 'linger' : after;
  }
  target.end(method === 'HEAD' ? '' : body, isClosedByEnd);
  return after;
}
