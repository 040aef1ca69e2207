/**
 * The head of an HTTP request (request line and headers) as both transports hand it on. Event-loop thread of the front
 * door.
 */

/** What is known of a request once its header lines are there. */
export type RequestHead = {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  /** Without the question mark; '' when there is none. */
  readonly query: string;
  /** Names in lower case; a repeated one has its values joined by ', '. */
  readonly headers: ReadonlyMap<string, string>;
  /** Header lines, repeated names counted each. */
  readonly headerCount: number;
  /** Characters of the request line and of the header lines, about. */
  readonly headerBytes: number;
  readonly remoteAddress: string;
};

/** Adds a header line to a head that is being read. A Map, because names such as `__proto__` come from strangers. */
export function addHeader(headers: Map<string, string>, name: string, value: string): void {
  const before = headers.get(name);
  headers.set(name, before === undefined ? value : `${before}, ${value}`);
}

/** Bytes of the body as announced: 0 without a body, NaN for nonsense, undefined when it comes in chunks. */
export function contentLengthOf(head: RequestHead): number | undefined {
  if (head.headers.has('transfer-encoding')) return undefined;
  const text = head.headers.get('content-length');
  if (text === undefined) return 0;
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
