/**
 * The front door on uWebSockets.js. All of it runs on the event-loop thread that opened it.
 *
 * Buffers that the library hands out end with the callback (they are detached, and must never be transferred); an
 * ended response or socket must not be touched; `close` comes before the thread exits, or the process aborts.
 */
import type { Clock } from '../base/clock.ts';
import { ConnectionCensus } from './connection-census.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { freePort } from './free-port.ts';
import { checkRange, noStatistics } from './front-door-options.ts';
import { refuseConnection, refuseUpgrade } from './http-refusal.ts';
import { findListenError } from './listen-error.ts';
import type { FrontDoor, FrontDoorOptions, FrontDoorStatistics } from './transport.ts';
import { UwsConnection } from './uws-connection.ts';
import { readHead, UwsHttp } from './uws-http.ts';
import type { UwsApp, UwsBehavior, UwsLibrary, UwsRequest, UwsResponse } from './uws-library.ts';

/** What an upgrade attaches to the library's socket. */
type SocketData = { readonly connection: UwsConnection };

/**
 * A message above the library's own limit ends the connection without a close frame. So that limit is some way above
 * ours, and a message in between is refused properly, with 1009.
 */
const PAYLOAD_MARGIN = 2;
const PAYLOAD_BYTES_MAX = 2 ** 31 - 1;

/**
 * Seconds without a byte after which the library itself closes: a backstop for `ConnectionWatch`, and what ends a
 * connection whose peer does not answer our close.
 */
const IDLE_MARGIN_SECONDS = 8;
const IDLE_SECONDS_MAX = 960;

/**
 * Milliseconds for a request that can be kept: the library itself ends one that stands still, or comes slower than 16 KiB a
 * second, after 10 s as it counts them (8 to 12), and without an answer.
 */
const REQUEST_MS_MAX = 10_000;

/** Free ports that are tried before a start is given up. */
const FREE_PORTS_TRIED_MAX = 10;

/** Why the library closed a connection by itself: it has no number for it, only these texts. */
const CLOSE_CODES: ReadonlyMap<string, number> = new Map([
  ['Received too big message', 1009],
  ['Received invalid UTF-8', 1007],
]);

function closeCodeOf(reason: ArrayBuffer): number {
  return CLOSE_CODES.get(Buffer.from(reason).toString()) ?? 1006;
}

class UwsFrontDoor implements FrontDoor {
  readonly transport = 'uws';
  readonly canPause = false;
  readonly canLimitIncoming = false;
  readonly reason: string;
  readonly statistics: FrontDoorStatistics = noStatistics();
  port = 0;
  private readonly library: UwsLibrary;
  private readonly options: FrontDoorOptions;
  private readonly app: UwsApp;
  private readonly census: ConnectionCensus;
  private readonly watch: ConnectionWatch;
  private readonly http: UwsHttp;
  private readonly connections: Set<UwsConnection> = new Set();
  private listenToken: unknown = undefined;
  private connectionsOpened = 0;

  constructor(library: UwsLibrary, options: FrontDoorOptions, reason: string, clock: Clock) {
    this.library = library;
    this.options = options;
    this.reason = reason;
    this.app = library.App();
    this.census = new ConnectionCensus(options.limits);
    this.watch = new ConnectionWatch(options.limits, this.statistics);
    this.http = new UwsHttp(this.app, options, this.statistics, this.census, clock);
    this.app.ws(options.webSocketPath, this.behavior());
  }

  get connectionCount(): number {
    return this.census.total;
  }

  async listen(): Promise<void> {
    const { host } = this.options;
    const isAnyPort = this.options.port === 0;
    let port = this.options.port;
    // One that is free now may be taken by another process before the library has it.
    for (let round = 0; round < (isAnyPort ? FREE_PORTS_TRIED_MAX : 1); round += 1) {
      // Given port 0 the library binds without SO_REUSEADDR, and a broker that is killed could not come back to its port.
      if (isAnyPort) port = await freePort(host);
      if (this.listenOn(host, port)) return;
    }
    await this.close();
    throw await findListenError(host, port);
  }

  private listenOn(host: string, port: number): boolean {
    const exclusive = this.library.LIBUS_LISTEN_EXCLUSIVE_PORT;
    this.app.listen(host, port, exclusive, (token) => {
      this.listenToken = token === false ? undefined : token;
    });
    if (this.listenToken === undefined) return false;
    this.port = this.library.us_socket_local_port(this.listenToken);
    return true;
  }

  stopListening(): void {
    this.http.isStopping = true;
    if (this.listenToken !== undefined) this.library.us_listen_socket_close(this.listenToken);
    this.listenToken = undefined;
  }

  async close(): Promise<void> {
    this.stopListening();
    for (const connection of this.connections) connection.close(1001, 'the broker is stopping');
    this.app.close();
    this.watch.stop();
    this.http.stop();
    // Callbacks that were put off until their caller returned, and responses that will not be written any more.
    await new Promise((resolve) => setImmediate(resolve));
  }

  private behavior(): UwsBehavior<SocketData> {
    const { limits, webSocket } = this.options;
    return {
      compression: 0,
      maxPayloadLength: Math.min(limits.frameBytesMax * PAYLOAD_MARGIN, PAYLOAD_BYTES_MAX),
      maxBackpressure: 0,
      idleTimeout: Math.min(limits.idleTimeoutSeconds + IDLE_MARGIN_SECONDS, IDLE_SECONDS_MAX),
      sendPingsAutomatically: false,
      upgrade: (response, request, context) => this.upgrade(response, request, context),
      open: (socket) => {
        this.connections.add(socket.connection);
        this.watch.add(socket.connection);
        socket.connection.opened(socket);
      },
      message: ({ connection }, message, isBinary) => {
        connection.isActive = true;
        if (message.byteLength > limits.frameBytesMax) {
          connection.close(1009, `a message has at most ${limits.frameBytesMax} bytes`);
        } else if (isBinary) {
          webSocket.binary(connection, new Uint8Array(message));
        } else {
          webSocket.text(connection, Buffer.from(message).toString());
        }
      },
      drain: ({ connection }) => webSocket.drained(connection),
      ping: ({ connection }) => this.watch.controlFrame(connection),
      pong: ({ connection }) => this.watch.controlFrame(connection),
      close: ({ connection }, code, reason) => {
        this.connections.delete(connection);
        this.watch.delete(connection);
        this.census.leave(connection.remoteAddress);
        connection.ended(code === 1006 ? closeCodeOf(reason) : code);
      },
    };
  }

  /** Decides within the library's callback, because a request is not valid after it. */
  private upgrade(response: UwsResponse, request: UwsRequest, context: unknown): void {
    const head = readHead(response, request);
    const { remoteAddress } = head;
    const refused = this.http.isExcess(remoteAddress)
      ? refuseConnection()
      : refuseUpgrade(head, this.options);
    if (refused !== undefined) {
      this.statistics.upgradesRefused += 1;
      this.http.arrive(response, head, refused);
      return;
    }
    this.http.upgraded(remoteAddress);
    this.connectionsOpened += 1;
    const { webSocket } = this.options;
    const connection = new UwsConnection(this.connectionsOpened, remoteAddress, webSocket);
    const key = head.headers.get('sec-websocket-key') ?? '';
    const protocols = head.headers.get('sec-websocket-protocol') ?? '';
    response.upgrade<SocketData>({ connection }, key, protocols, '', context);
  }
}

/** @throws INVALID_ARGUMENT when the port is taken, the address is not ours, or the library cannot keep a limit */
export async function openFrontDoorUws(
  library: UwsLibrary,
  options: FrontDoorOptions,
  reason: string,
  clock: Clock,
): Promise<FrontDoor> {
  const { requestTimeoutMs } = options.limits;
  checkRange('requestTimeoutMs', requestTimeoutMs, 1, REQUEST_MS_MAX, 'with uWebSockets.js');
  const door = new UwsFrontDoor(library, options, reason, clock);
  await door.listen();
  return door;
}
