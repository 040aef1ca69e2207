/**
 * One HTTP request and its answer, the part that both transports share: the body as it grows, what the handler sees,
 * and what may be sent back. Event-loop thread of the front door.
 */
import { channel } from 'node:diagnostics_channel';
import { SluiceError } from '../base/errors.ts';
import type { RequestHead } from './http-head.ts';
import { refusal } from './http-refusal.ts';
import type { FrontDoorStatistics, HttpHandler, HttpRequest, HttpResponse } from './transport.ts';

const BODY_CAPACITY_FIRST = 4096;

/** A body that grows by doubling, so that a peer who sends it byte by byte costs no more memory than its bytes. */
export class RequestBody {
  private readonly bytesMax: number;
  private buffer: Buffer = Buffer.alloc(0);
  private used = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /**
   * @shape `chunk` is borrowed until the call returns
   * @returns false when the body would be larger than allowed; nothing of the chunk was taken
   */
  append(chunk: Uint8Array): boolean {
    const needed = this.used + chunk.length;
    if (needed > this.bytesMax) return false;
    if (needed > this.buffer.length) {
      const capacity = Math.max(needed, Math.min(this.used * 2, this.bytesMax));
      // The first chunk is usually the whole body: exactly its size.
      const first = this.used === 0 ? needed : BODY_CAPACITY_FIRST;
      const grown = Buffer.allocUnsafeSlow(Math.max(first, capacity));
      this.buffer.copy(grown, 0, 0, this.used);
      this.buffer = grown;
    }
    this.buffer.set(chunk, this.used);
    this.used = needed;
    return true;
  }

  /** The bytes so far; they belong to the caller. */
  take(): Uint8Array {
    return this.buffer.subarray(0, this.used);
  }
}

/** What the handler sees. Query and signal are made when they are asked for: most requests use neither. */
export class ReceivedRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  readonly remoteAddress: string;
  private readonly queryText: string;
  private parsedQuery: URLSearchParams | undefined = undefined;
  private controller: AbortController | undefined = undefined;
  private isAborted = false;

  constructor(head: RequestHead, body: Uint8Array) {
    this.method = head.method;
    this.path = head.path;
    this.headers = head.headers;
    this.body = body;
    this.remoteAddress = head.remoteAddress;
    this.queryText = head.query;
  }

  get query(): URLSearchParams {
    this.parsedQuery ??= new URLSearchParams(this.queryText);
    return this.parsedQuery;
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.isAborted) this.controller.abort();
    }
    return this.controller.signal;
  }

  /** The peer is gone. */
  abort(): void {
    this.isAborted = true;
    this.controller?.abort();
  }
}

const handlerFailed = channel('broker:transport:handler-failed');

/** Runs the handler. Always resolves: a failure, or a response that cannot be written, becomes a 500. */
export async function answer(
  handler: HttpHandler,
  request: HttpRequest,
  statistics: FrontDoorStatistics,
): Promise<HttpResponse> {
  try {
    const response = await handler(request);
    checkResponse(response);
    return response;
  } catch (error) {
    statistics.handlerFailures += 1;
    handlerFailed.publish({ error, method: request.method, path: request.path });
    return refusal('INVARIANT', `the handler of ${request.method} ${request.path} failed`);
  }
}

/** @source RFC 9110, section 5: a field name is a token, a field value has no control characters */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a header
const CONTROL_CHARACTER = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** A header value with a line break would let a stranger write the rest of the response. */
function checkResponse(response: HttpResponse): void {
  const { status, headers } = response;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new SluiceError('INVARIANT', `an HTTP handler answered with the status ${status}`);
  }
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (!HEADER_NAME.test(name) || CONTROL_CHARACTER.test(value)) {
      throw new SluiceError('INVARIANT', `an HTTP handler set the header ${JSON.stringify(name)}`);
    }
  }
}

/** Headers that the transport writes by itself. */
const TRANSPORT_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'transfer-encoding',
]);

/** The headers to write, without those that belong to the transport. */
export function ownHeaders(response: HttpResponse): [string, string][] {
  return Object.entries(response.headers ?? {}).filter(
    ([name]) => !TRANSPORT_HEADERS.has(name.toLowerCase()),
  );
}

/** A response of this status has no body and announces none. @source RFC 9110, sections 8.6, 15.3.5, 15.4.5 */
export function hasNoBody(status: number): boolean {
  return status === 204 || status === 304;
}

/** Bytes of a response body. */
export function bodyBytes(response: HttpResponse): number {
  return typeof response.body === 'string'
    ? Buffer.byteLength(response.body)
    : response.body.length;
}
