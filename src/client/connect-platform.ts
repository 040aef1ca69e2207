/** Connecting on a platform that has a `WebSocket` of its own: browsers above all. */
import type { Client } from './client.ts';
import { connectWith } from './connect.ts';
import { platformRuntime } from './runtime.ts';
import type { ConnectOptions } from './types.ts';

/**
 * Connects to a broker and resolves when it has answered.
 *
 * @param options.servers - tried in turn, until one answers
 * @throws DISCONNECTED, TIMEOUT when none answers; UNAUTHENTICATED; INVALID_ARGUMENT; the signal's reason
 * @example const client = await connect({ servers: 'wss://events.example.com' });
 */
export function connect(options: ConnectOptions): Promise<Client> {
  return connectWith(platformRuntime(), options);
}
