/**
 * uWebSockets.js as far as it is used here, and how it is loaded. It is an optional peer dependency whose native file
 * exists for some platforms only, and whose published types are older or newer than the file that loads: so the
 * few calls in use are declared here, and looked for at run time.
 */
import { SluiceError } from '../base/errors.ts';
import { HEADER_BYTES_MAX } from './http-refusal.ts';

/** A request; valid until the callback that received it returns. */
export interface UwsRequest {
  getUrl(): string;
  getQuery(): string | undefined;
  getCaseSensitiveMethod(): string;
  getHeader(name: string): string;
  forEach(visit: (name: string, value: string) => void): void;
}

/** A response; valid until it ended or `onAborted` was called. Touching it later is a use after free. */
export interface UwsResponse {
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  end(body: string | Uint8Array, closeConnection: boolean): unknown;
  endWithoutBody(): unknown;
  close(): unknown;
  cork(write: () => void): unknown;
  onAborted(aborted: () => void): unknown;
  onData(receive: (chunk: ArrayBuffer, isLast: boolean) => void): unknown;
  getRemoteAddress(): ArrayBuffer;
  upgrade<Data extends object>(
    data: Data,
    key: string,
    protocol: string,
    extensions: string,
    context: unknown,
  ): void;
}

/** A WebSocket; valid until its `close` event. It has the properties of the object that `upgrade` was given. */
export interface UwsSocket {
  /** @returns 1 sent, 0 kept in the library, 2 dropped for `maxBackpressure` */
  send(message: string | Uint8Array, isBinary: boolean): number;
  ping(): number;
  end(code: number, reason: string): void;
  cork(send: () => void): unknown;
  getBufferedAmount(): number;
}

/** The handlers and settings of a WebSocket route. Message buffers are valid until the callback returns. */
export interface UwsBehavior<Data extends object> {
  readonly compression: number;
  readonly maxPayloadLength: number;
  /** Bytes; 0 for no limit. */
  readonly maxBackpressure: number;
  /** Seconds, 8 to 960: anything else ends the process. */
  readonly idleTimeout: number;
  readonly sendPingsAutomatically: boolean;
  upgrade(response: UwsResponse, request: UwsRequest, context: unknown): void;
  open(socket: UwsSocket & Data): void;
  message(socket: UwsSocket & Data, message: ArrayBuffer, isBinary: boolean): void;
  drain(socket: UwsSocket & Data): void;
  ping(socket: UwsSocket & Data): void;
  pong(socket: UwsSocket & Data): void;
  close(socket: UwsSocket & Data, code: number, reason: ArrayBuffer): void;
}

export interface UwsApp {
  ws<Data extends object>(pattern: string, behavior: UwsBehavior<Data>): unknown;
  any(pattern: string, handler: (response: UwsResponse, request: UwsRequest) => void): unknown;
  /** Called with 1 for each HTTP connection that opens and -1 for each that closes, except by an upgrade. */
  filter(count: (response: UwsResponse, change: number) => void): unknown;
  listen(host: string, port: number, options: number, done: (token: unknown) => void): unknown;
  /** Closes everything, at once. */
  close(): unknown;
}

export interface UwsLibrary {
  App(): UwsApp;
  us_listen_socket_close(token: unknown): void;
  us_socket_local_port(token: unknown): number;
  /** Without it, another process may bind the same port and take half of the connections. */
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

const PACKAGE = 'uWebSockets.js';
/** Read by the library while it loads; its own default is 4096 bytes. */
const HEADER_BYTES_VARIABLE = 'UWS_HTTP_MAX_HEADERS_SIZE';

/** @throws UNSUPPORTED with the cause when the library is not installed, or not for this platform */
export async function loadUws(name: string = PACKAGE): Promise<UwsLibrary> {
  const isSet = process.env[HEADER_BYTES_VARIABLE] !== undefined;
  if (!isSet) process.env[HEADER_BYTES_VARIABLE] = String(HEADER_BYTES_MAX);
  try {
    const module = (await import(name)) as { readonly default?: unknown };
    return checkLibrary(module.default ?? module);
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new SluiceError('UNSUPPORTED', `${name} does not load: ${why}`, {
      cause: error,
      hint: `Install it for Node ${process.versions.node} with: npm install ${PACKAGE}@npm:uwebsockets@3.0.6 - or use the transport "ws", which needs nothing.`,
    });
  } finally {
    if (!isSet) delete process.env[HEADER_BYTES_VARIABLE];
  }
}

function checkLibrary(candidate: unknown): UwsLibrary {
  const library = candidate as UwsLibrary;
  const isKnown =
    typeof library.App === 'function' &&
    typeof library.us_listen_socket_close === 'function' &&
    typeof library.us_socket_local_port === 'function' &&
    typeof library.LIBUS_LISTEN_EXCLUSIVE_PORT === 'number' &&
    typeof library.App().filter === 'function';
  if (!isKnown) throw new Error('it lacks calls that are needed here');
  return library;
}
