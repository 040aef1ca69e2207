/**
 * HTTP on connections that another listener has accepted: a port that speaks frames and HTTP looks at the first byte and
 * gives here what is a request. node:http reads them, with the limits of a front door. Event-loop thread that made it.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { ConnectionCensus } from './connection-census.ts';
import { noStatistics } from './front-door-options.ts';
import { refusal } from './http-refusal.ts';
import { createHttpServer } from './http-server.ts';
import type { FrontDoorLimits, FrontDoorStatistics, HttpHandler } from './transport.ts';
import { WsHttp } from './ws-http.ts';

export type HttpGuestOptions = {
  readonly http: HttpHandler;
  readonly limits: Pick<
    FrontDoorLimits,
    'connectionsMax' | 'connectionsPerAddressMax' | 'httpBodyBytesMax' | 'requestTimeoutMs'
  >;
};

export class HttpGuest {
  readonly statistics: FrontDoorStatistics = noStatistics();
  private readonly server: Server;
  private readonly http: WsHttp;

  constructor({ http, limits }: HttpGuestOptions) {
    this.server = createHttpServer(limits);
    const options = { http, limits };
    this.http = new WsHttp(this.server, options, this.statistics, new ConnectionCensus(limits));
    this.server.on('upgrade', (_, socket: Socket) => {
      this.http.refuse(socket, refusal('NOT_FOUND', 'there is no WebSocket on this port'));
    });
    // node:http begins to keep the deadlines of requests when it listens, and this one never does.
    this.server.emit('listening');
  }

  /** Takes a connection over. Nothing may have been read from it that was not put back. */
  take(socket: Socket): void {
    this.server.emit('connection', socket);
  }

  /** Closes everything; resolves when it is closed. */
  async close(): Promise<void> {
    this.http.isStopping = true;
    this.server.close();
    this.http.destroyAll();
    await this.http.allClosed();
  }
}
