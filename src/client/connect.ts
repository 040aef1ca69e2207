/** Making a client: options checked, link started. The doors add the runtime. Browser-safe. */
import { checkArgument } from '../base/assert.ts';
import { Client } from './client.ts';
import { Link } from './link.ts';
import { range } from './producer-settings.ts';
import { RECONNECT_POLICY } from './retry-policy.ts';
import type { ClientRuntime } from './runtime.ts';
import { webSocketUrls } from './servers.ts';
import { StatusHub } from './status-hub.ts';
import type { ConnectOptions } from './types.ts';

const TIMER_MS_MAX = 0x7fff_ffff;

/** `connect` with the given runtime; see there. */
export async function connectWith(
  runtime: ClientRuntime,
  options: ConnectOptions,
): Promise<Client> {
  checkArgument(
    typeof options === 'object' && options !== null,
    'connect takes an object with servers',
  );
  const { signal, onStatus } = options;
  const milliseconds = (name: keyof ConnectOptions, value: number): number =>
    range(name, options[name] ?? value, 1, TIMER_MS_MAX);
  const minMs = milliseconds('reconnectMinMs', RECONNECT_POLICY.minMs);
  const maxMs = milliseconds('reconnectMaxMs', Math.max(minMs, RECONNECT_POLICY.maxMs));
  const status = new StatusHub();
  if (onStatus !== undefined) status.listen(onStatus);
  const link = new Link(runtime, {
    servers: webSocketUrls(options.servers),
    token: options.token,
    name: options.name,
    connectTimeoutMs: milliseconds('connectTimeoutMs', 5000),
    requestTimeoutMs: milliseconds('requestTimeoutMs', 10_000),
    pingIntervalMs: milliseconds('pingIntervalMs', 10_000),
    pingTimeoutMs: milliseconds('pingTimeoutMs', 5000),
    reconnect: { minMs, maxMs },
    onStatus: status.emit,
  });
  const client = new Client(link, status);
  if (options.waitForConnection === false) {
    link.start();
    return client;
  }
  signal?.throwIfAborted();
  const abort = (): void => void client.close();
  signal?.addEventListener('abort', abort);
  try {
    await link.startOnce();
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  return client;
}
