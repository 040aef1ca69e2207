/**
 * Opens TCP on node:net: a listener that keeps the limits of its connections, or a connection to one (a broker to its
 * NameServers, a slave to its master, tools). Event-loop thread that opened it.
 */
import { once } from 'node:events';
import {
  type AddressInfo,
  connect as connectSocket,
  createServer,
  type Server,
  type Socket,
} from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { startTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { ConnectionCensus } from './connection-census.ts';
import { type FrameRule, PartialBudget } from './frame-cutter.ts';
import { listenError } from './listen-error.ts';
import { addressOfText } from './remote-address.ts';
import type {
  TcpConnection,
  TcpHandler,
  TcpLimits,
  TcpListener,
  TcpListenerOptions,
  TcpStatistics,
  TcpTraffic,
  TlsRule,
} from './tcp.ts';
import { NodeTcpConnection, type TcpContext } from './tcp-connection.ts';
import { TcpWatch } from './tcp-watch.ts';

/** Connections that the system may hold before we accept them. */
const BACKLOG = 1024;

function noTcpStatistics(): TcpStatistics {
  return {
    connectionsOpened: 0,
    connectionsRefused: 0,
    idleClosed: 0,
    framesRefused: 0,
    handlerFailures: 0,
  };
}

class NodeTcpListener implements TcpListener {
  port = 0;
  readonly statistics: TcpStatistics = noTcpStatistics();
  private readonly options: TcpListenerOptions;
  private readonly server: Server;
  private readonly census: ConnectionCensus;
  private readonly watch: TcpWatch;
  private readonly context: TcpContext;
  private readonly connections: Set<NodeTcpConnection> = new Set();
  /** Of connections that are gone. */
  private receivedBefore = 0;
  private sentBefore = 0;
  private serverClosed: Promise<void> | undefined = undefined;
  private wakeClose: () => void = () => {};

  constructor(options: TcpListenerOptions) {
    this.options = options;
    const { limits, rule, handler, onHttp } = options;
    this.census = new ConnectionCensus(limits);
    this.watch = new TcpWatch(limits.idleTimeoutMs, this.statistics);
    this.context = {
      rule,
      handler,
      budget: new PartialBudget(limits.partialBytesMax),
      sendBufferBytesMax: limits.sendBufferBytesMax,
      statistics: this.statistics,
      onHttp,
      onTls:
        options.tls === undefined
          ? undefined
          : tlsOpener(options.tls, (socket) => this.accept(socket)),
      isTlsRequired: options.tls?.isRequired ?? false,
      ended: (connection) => this.forget(connection),
    };
    // With allowHalfOpen what waits is still sent to a peer that has closed its side.
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
  }

  get connectionCount(): number {
    return this.connections.size;
  }

  traffic(): TcpTraffic {
    let [receivedBytes, sentBytes] = [this.receivedBefore, this.sentBefore];
    for (const connection of this.connections) {
      receivedBytes += connection.receivedBytes;
      sentBytes += connection.sentBytes;
    }
    return { receivedBytes, sentBytes };
  }

  async listen(): Promise<void> {
    const { host, port } = this.options;
    this.server.listen({ host, port, backlog: BACKLOG, exclusive: true });
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
    this.serverClosed ??= new Promise((resolve) => this.server.close(() => resolve()));
  }

  async close(): Promise<void> {
    this.stopListening();
    this.watch.stop();
    for (const connection of this.connections) connection.end('stopping');
    await this.serverClosed;
    // Node says that the server is closed before the last of its connections says that it is.
    while (this.connections.size > 0)
      await new Promise<void>((resolve) => {
        this.wakeClose = resolve;
      });
  }

  private accept(socket: Socket): void {
    const address = addressOfText(socket.remoteAddress);
    const admission = this.census.enter(address);
    if (admission !== 'admitted') {
      if (admission === 'refused') this.census.leave(address);
      this.statistics.connectionsRefused += 1;
      socket.destroy();
      return;
    }
    this.statistics.connectionsOpened += 1;
    const connection = new NodeTcpConnection(
      this.statistics.connectionsOpened,
      socket,
      this.context,
    );
    this.connections.add(connection);
    this.watch.add(connection);
    this.options.handler.open(connection);
  }

  private forget(connection: NodeTcpConnection): void {
    this.connections.delete(connection);
    if (!connection.isHandedOver) {
      this.receivedBefore += connection.receivedBytes;
      this.sentBefore += connection.sentBytes;
    }
    this.watch.delete(connection);
    this.census.leave(connection.remoteAddress);
    // What waits for it goes on after the handler has heard of it, too.
    this.wakeClose();
  }
}

/** Goes on with a connection as a server of TLS, and gives it back as a socket of its own. */
function tlsOpener(
  { cert, key }: TlsRule,
  accept: (socket: Socket) => void,
): (socket: Socket) => void {
  const secureContext = createSecureContext({ cert, key, minVersion: 'TLSv1.2' });
  return (socket) => {
    const secure = new TLSSocket(socket, { isServer: true, secureContext });
    // What fails below closes what is above.
    socket.on('error', (error) => secure.destroy(error));
    socket.on('close', () => secure.destroy());
    accept(secure);
  };
}

/**
 * Opens a TCP port and resolves when it listens.
 *
 * @throws INVALID_ARGUMENT when the port is taken or the address is not ours
 */
export async function openTcpListener(options: TcpListenerOptions): Promise<TcpListener> {
  const listener = new NodeTcpListener(options);
  await listener.listen();
  return listener;
}

export type TcpConnectOptions = {
  readonly host: string;
  readonly port: number;
  readonly connectTimeoutMs: number;
  readonly rule: FrameRule;
  readonly handler: TcpHandler;
  readonly limits: TcpLimits;
};

/**
 * Connects and resolves with a connection whose `open` was called.
 *
 * @throws DISCONNECTED when nobody listens there, or not in time
 */
export function connectTcp(options: TcpConnectOptions): Promise<TcpConnection> {
  const { host, port, connectTimeoutMs, rule, handler, limits } = options;
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, allowHalfOpen: true });
    const cancel = startTimer(connectTimeoutMs, () =>
      socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)),
    );
    const failed = (cause: Error): void => {
      cancel();
      const text = `the connection to ${host}:${port} could not be made`;
      reject(new SluiceError('DISCONNECTED', text, { cause, facts: { host, port } }));
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      cancel();
      socket.off('error', failed);
      const statistics = noTcpStatistics();
      const watch = new TcpWatch(limits.idleTimeoutMs, statistics);
      const connection = new NodeTcpConnection(1, socket, {
        rule,
        handler,
        budget: new PartialBudget(limits.partialBytesMax),
        sendBufferBytesMax: limits.sendBufferBytesMax,
        statistics,
        ended: () => watch.stop(),
      });
      watch.add(connection);
      handler.open(connection);
      resolve(connection);
    });
  });
}
