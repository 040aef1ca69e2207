/** Connects to a TCP port: a broker to its NameServers, a slave to its master, tools. Event-loop thread. */
import { connect as connectSocket } from 'node:net';
import { startTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { type FrameRule, PartialBudget } from './frame-cutter.ts';
import type { TcpConnection, TcpHandler, TcpLimits } from './tcp.ts';
import { NodeTcpConnection } from './tcp-connection.ts';
import { noTcpStatistics } from './tcp-listener.ts';
import { TcpWatch } from './tcp-watch.ts';

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
