/** The client's public door for Node: `ws` for the socket, the native checksum, and a process that lives while it is needed. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { crc32 } from '../base/crc32-native.ts';
import type { Client } from './client.ts';
import { connectWith } from './connect.ts';
import { type ClientRuntime, platformRuntime } from './runtime.ts';
import { openNodeSocket } from './socket-node.ts';
import type { ConnectOptions } from './types.ts';

export * from './exports.ts';

/**
 * Connects to a broker and resolves when it has answered.
 *
 * @param options.servers - tried in turn, until one answers
 * @throws DISCONNECTED, TIMEOUT when none answers; UNAUTHENTICATED; INVALID_ARGUMENT; the signal's reason
 * @example const client = await connect({ servers: 'ws://127.0.0.1:8880' });
 */
export function connect(options: ConnectOptions): Promise<Client> {
  return connectWith(nodeRuntime(), options);
}

/** The runtime of Node. */
export function nodeRuntime(): ClientRuntime {
  return {
    ...platformRuntime(),
    openSocket: openNodeSocket,
    crc32,
    keepAlive: processHold(),
  };
}

/** A referenced message port is what keeps the process alive: sockets and timers of the client do not. */
function processHold(): (held: boolean) => void {
  let port: MessagePort | undefined;
  return (held) => {
    if (port === undefined) {
      port = new MessageChannel().port1;
      port.on('message', () => {});
    }
    if (held) port.ref();
    else port.unref();
  };
}
