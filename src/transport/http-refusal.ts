/**
 * What the front door refuses by itself, before the handler or a WebSocket sees it, and how it says so: always the
 * JSON form of an error, so that a client needs one way of reading. Event-loop thread of the front door.
 */
import { ERROR_CODES, type ErrorCode } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import { contentLengthOf, type RequestHead } from './http-head.ts';
import type { FrontDoorOptions, HttpResponse } from './transport.ts';

/** Header lines of one request. Their bytes are bounded too, at `HEADER_BYTES_MAX`. */
export const HEADER_COUNT_MAX = 50;
/** Bytes of request line and headers. */
export const HEADER_BYTES_MAX = 8192;
/** Milliseconds until a refused connection should try again. */
const RETRY_AFTER_MS = 1000;

/** Where a refusal differs from what the registry of errors says. */
type RefusalOverrides = {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number;
};

/** The response of an error. */
export function refusal(
  code: ErrorCode,
  message: string,
  overrides: RefusalOverrides = {},
): HttpResponse {
  const { status, headers, ...facts } = overrides;
  return {
    status: status ?? ERROR_CODES[code].httpStatus,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify({ error: new SluiceError(code, message, facts).toBody() }),
  };
}

/** For a connection above a limit of connections. */
export function refuseConnection(): HttpResponse {
  const overrides = { retryAfterMs: RETRY_AFTER_MS, headers: { 'retry-after': '1' } };
  return refusal('BUSY', 'too many connections, in all or from this address', overrides);
}

/** For a body that is, or announces to be, larger than allowed. */
export function refuseBody(bodyBytesMax: number): HttpResponse {
  return refusal('MESSAGE_TOO_LARGE', `the body is larger than ${bodyBytesMax} bytes`);
}

/** For a request that was not there in time. */
export function refuseSlowRequest(requestTimeoutMs: number): HttpResponse {
  const message = `the request was not complete within ${requestTimeoutMs} ms`;
  return refusal('BAD_FRAME', message, { status: 408 });
}

/** Why a request is not read further than its head, or undefined. */
export function refuseRequest(
  head: RequestHead,
  options: Pick<FrontDoorOptions, 'admitBody'> & {
    readonly limits: Pick<FrontDoorOptions['limits'], 'httpBodyBytesMax'>;
  },
): HttpResponse | undefined {
  const refused = refuseHead(head, options.limits.httpBodyBytesMax);
  const bodyBytes = contentLengthOf(head);
  if (refused !== undefined || bodyBytes === 0) return refused;
  const { headers, remoteAddress } = head;
  return options.admitBody?.({ headers, remoteAddress, bodyBytes });
}

/** What is wrong with the head of a request, or undefined. */
export function refuseHead(head: RequestHead, bodyBytesMax: number): HttpResponse | undefined {
  if (head.headerCount > HEADER_COUNT_MAX) {
    const message = `the request has ${head.headerCount} headers; at most ${HEADER_COUNT_MAX} are allowed`;
    return refusal('BAD_FRAME', message, { status: 431 });
  }
  if (head.headerBytes > HEADER_BYTES_MAX) {
    const message = `request line and headers have more than ${HEADER_BYTES_MAX} bytes`;
    return refusal('BAD_FRAME', message, { status: 431 });
  }
  const contentLength = contentLengthOf(head) ?? 0;
  if (Number.isNaN(contentLength)) {
    return refusal('BAD_FRAME', 'Content-Length is not one number');
  }
  return contentLength > bodyBytesMax ? refuseBody(bodyBytesMax) : undefined;
}

/** Does the request ask for a WebSocket? Other upgrades (h2c) are offers that a server may ignore. */
export function isWebSocketUpgrade(head: RequestHead): boolean {
  if (head.headers.get('upgrade')?.toLowerCase() !== 'websocket') return false;
  const tokens = head.headers.get('connection')?.toLowerCase().split(',') ?? [];
  return tokens.some((token) => token.trim() === 'upgrade');
}

/** @source RFC 6455, section 4.2.1: 16 bytes in base64 */
const WEB_SOCKET_KEY = /^[+/0-9A-Za-z]{22}==$/;

/** What is wrong with a request for a WebSocket, or undefined to let it in. */
export function refuseUpgrade(
  head: RequestHead,
  options: FrontDoorOptions,
): HttpResponse | undefined {
  const { headers, remoteAddress } = head;
  if (head.path !== options.webSocketPath) {
    return refusal(
      'NOT_FOUND',
      `there is no WebSocket at this path; it is at ${options.webSocketPath}`,
    );
  }
  if (head.method !== 'GET') return refusal('BAD_FRAME', 'a WebSocket begins with GET');
  if (headers.get('sec-websocket-version') !== '13') {
    return refusal('UNSUPPORTED_VERSION', 'the WebSocket version must be 13', {
      status: 426,
      headers: { 'sec-websocket-version': '13' },
    });
  }
  if (!WEB_SOCKET_KEY.test(headers.get('sec-websocket-key') ?? '')) {
    return refusal('BAD_FRAME', 'Sec-WebSocket-Key is not 16 bytes in base64');
  }
  return (
    refuseHead(head, options.limits.httpBodyBytesMax) ??
    options.admit({ origin: headers.get('origin'), host: headers.get('host'), remoteAddress })
  );
}
