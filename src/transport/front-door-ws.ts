/**
 * The front door on `ws` and node:http, which run everywhere. All of it runs on the event-loop thread that opened it.
 */
import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { startTimer } from '../base/clock.ts';
import { ConnectionCensus } from './connection-census.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { noStatistics } from './front-door-options.ts';
import { isWebSocketUpgrade, refuseConnection, refuseUpgrade } from './http-refusal.ts';
import { createHttpServer } from './http-server.ts';
import { listenError } from './listen-error.ts';
import type {
  FrontDoor,
  FrontDoorLimits,
  FrontDoorOptions,
  FrontDoorStatistics,
} from './transport.ts';
import { WsConnection, type WsConnectionContext } from './ws-connection.ts';
import { FrameScratch } from './ws-frame-writer.ts';
import { readHead, WsHttp } from './ws-http.ts';

/** Fragments of one message. Each costs a hundred bytes beside its own. */
const FRAGMENTS_MAX = 256;
/** Pieces in which the frames of one message may arrive from the socket; most are some KiB long. */
const CHUNKS_MAX = 16_384;
/** Milliseconds that a peer has to answer a close frame. */
const CLOSE_TIMEOUT_MS = 1000;
/** The same when the front door closes. */
const STOP_TIMEOUT_MS = 500;

class WsFrontDoor implements FrontDoor {
  readonly transport = 'ws';
  readonly canPause = true;
  readonly canLimitIncoming = true;
  readonly reason: string;
  readonly statistics: FrontDoorStatistics = noStatistics();
  port = 0;
  private readonly options: FrontDoorOptions;
  private readonly server: Server;
  private readonly webSockets: WebSocketServer;
  private readonly http: WsHttp;
  private readonly census: ConnectionCensus;
  private readonly watch: ConnectionWatch;
  private readonly context: WsConnectionContext;
  private readonly connections: Set<WsConnection> = new Set();
  private connectionsOpened = 0;
  private serverClosed: Promise<void> | undefined = undefined;

  constructor(options: FrontDoorOptions, reason: string) {
    this.options = options;
    this.reason = reason;
    this.server = createHttpServer(options.limits);
    this.webSockets = createWebSocketServer(options.limits);
    this.census = new ConnectionCensus(options.limits);
    this.watch = new ConnectionWatch(options.limits, this.statistics);
    this.http = new WsHttp(this.server, options, this.statistics, this.census);
    this.context = {
      handler: options.webSocket,
      watch: this.watch,
      scratch: new FrameScratch(),
      ended: (connection) => {
        this.connections.delete(connection);
        this.watch.delete(connection);
      },
    };
    this.server.on('upgrade', (message, socket: Socket, head) => {
      this.upgrade(message, socket, head);
    });
  }

  get connectionCount(): number {
    return this.census.total;
  }

  async listen(): Promise<void> {
    const { host, port } = this.options;
    this.server.listen({ host, port, exclusive: true });
    try {
      await once(this.server, 'listening');
    } catch (error) {
      this.watch.stop();
      throw listenError(host, port, error);
    }
    // Node reports here that it could not accept (out of descriptors); the next connection is tried again.
    this.server.on('error', () => {});
    this.port = (this.server.address() as AddressInfo).port;
  }

  stopListening(): void {
    this.http.isStopping = true;
    this.serverClosed ??= new Promise((resolve) => this.server.close(() => resolve()));
  }

  async close(): Promise<void> {
    this.stopListening();
    for (const connection of this.connections) connection.close(1001, 'the broker is stopping');
    this.server.closeAllConnections();
    this.watch.stop();
    const cancel = startTimer(STOP_TIMEOUT_MS, () => this.http.destroyAll());
    await Promise.all([this.serverClosed, this.http.allClosed()]);
    cancel();
  }

  private upgrade(message: IncomingMessage, socket: Socket, firstBytes: Buffer): void {
    const head = readHead(message);
    if (!isWebSocketUpgrade(head)) {
      this.goOnWithoutUpgrade(message, socket, firstBytes);
      return;
    }
    const refused = this.http.isExcess(socket)
      ? refuseConnection()
      : refuseUpgrade(head, this.options);
    if (refused !== undefined) {
      this.statistics.upgradesRefused += 1;
      this.http.refuse(socket, refused);
      return;
    }
    this.webSockets.handleUpgrade(message, socket, firstBytes, (webSocket: WebSocket) => {
      this.connectionsOpened += 1;
      const connection = new WsConnection(
        this.connectionsOpened,
        head.remoteAddress,
        webSocket,
        socket,
        this.context,
      );
      this.connections.add(connection);
      this.watch.add(connection);
      this.options.webSocket.open(connection);
    });
  }

  /**
   * Serves a request that offers another upgrade (h2c, as Java's client does) as the HTTP/1.1 request that it is. Node
   * has stopped reading it as one, so it gets the connection once more, with the offer taken out.
   */
  private goOnWithoutUpgrade(message: IncomingMessage, socket: Socket, firstBytes: Buffer): void {
    const { rawHeaders, method, url } = message;
    let head = `${method} ${url} HTTP/1.1\r\n`;
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
      const name = rawHeaders[index] ?? '';
      const isOffer = ['upgrade', 'connection', 'http2-settings'].includes(name.toLowerCase());
      if (!isOffer) head += `${name}: ${rawHeaders[index + 1]}\r\n`;
    }
    socket.unshift(Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), firstBytes]));
    this.server.emit('connection', socket);
  }
}

function createWebSocketServer(limits: FrontDoorLimits): WebSocketServer {
  // Not written into the call, because its types do not know the newer of these limits.
  const options = {
    noServer: true,
    clientTracking: false,
    allowSynchronousEvents: true,
    skipUTF8Validation: false,
    perMessageDeflate: false,
    maxPayload: limits.frameBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: CHUNKS_MAX,
    maxPendingAutoPongs: limits.controlFramesPerSecondMax + 1,
    closeTimeout: CLOSE_TIMEOUT_MS,
  };
  return new WebSocketServer(options);
}

/** @throws INVALID_ARGUMENT when the port is taken or the address is not ours */
export async function openFrontDoorWs(
  options: FrontDoorOptions,
  reason: string,
): Promise<FrontDoor> {
  const door = new WsFrontDoor(options, reason);
  await door.listen();
  return door;
}
