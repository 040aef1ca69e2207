/**
 * The client for tests, as patient as a machine needs that does other things too: by default it gives up a broker after five
 * seconds, which a busy one may need for its first answer. What a test sets itself is stronger.
 */
import type { Client } from '../client/client.ts';
import { connect as connectByDefault } from '../client/node.ts';
import type { ConnectOptions } from '../client/types.ts';

const PATIENCE_MS = 60_000;

export function connect(options: ConnectOptions): Promise<Client> {
  return connectByDefault({
    connectTimeoutMs: PATIENCE_MS,
    requestTimeoutMs: PATIENCE_MS,
    pingTimeoutMs: PATIENCE_MS,
    ...options,
  });
}
