/** Making a client: options checked, link started. The doors add the runtime. Browser-safe. */
import { checkArgument } from '../base/assert.ts';
import { Client } from './client.ts';
import { Cluster } from './cluster.ts';
import { Link } from './link.ts';
import { nameServerUrls } from './name-servers.ts';
import { range } from './producer-settings.ts';
import type { Reach } from './reach.ts';
import { RECONNECT_POLICY } from './retry-policy.ts';
import type { ClientRuntime } from './runtime.ts';
import { webSocketUrls } from './servers.ts';
import { StatusHub } from './status-hub.ts';
import type { ConnectOptions } from './types.ts';

const TIMER_MS_MAX = 0x7fff_ffff;
/** RocketMQ's clients have the same. */
const ROUTE_REFRESH_MS = 30_000;

/** `connect` with the given runtime; see there. */
export async function connectWith(
  runtime: ClientRuntime,
  options: ConnectOptions,
): Promise<Client> {
  checkArgument(
    typeof options === 'object' && options !== null,
    'connect takes an object with servers or nameServers',
  );
  const { signal, onStatus } = options;
  const milliseconds = (name: keyof ConnectOptions, value: number): number =>
    range(name, options[name] ?? value, 1, TIMER_MS_MAX);
  const minMs = milliseconds('reconnectMinMs', RECONNECT_POLICY.minMs);
  const maxMs = milliseconds('reconnectMaxMs', Math.max(minMs, RECONNECT_POLICY.maxMs));
  const status = new StatusHub();
  if (onStatus !== undefined) status.listen(onStatus);
  const { servers, nameServers } = options;
  checkArgument(
    (servers === undefined) !== (nameServers === undefined),
    'connect takes either servers or nameServers',
    'servers are the addresses of one broker; nameServers know all brokers of a cluster.',
  );
  const shared = {
    token: options.token,
    name: options.name,
    connectTimeoutMs: milliseconds('connectTimeoutMs', 5000),
    requestTimeoutMs: milliseconds('requestTimeoutMs', 10_000),
    pingIntervalMs: milliseconds('pingIntervalMs', 10_000),
    pingTimeoutMs: milliseconds('pingTimeoutMs', 5000),
    reconnect: { minMs, maxMs },
    onStatus: status.emit,
  };
  const reach: Reach =
    nameServers === undefined
      ? new Link(runtime, { ...shared, servers: webSocketUrls(servers) })
      : new Cluster(runtime, {
          ...shared,
          nameServers: nameServerUrls(nameServers),
          routeRefreshMs: milliseconds('routeRefreshMs', ROUTE_REFRESH_MS),
        });
  const client = new Client(reach, status);
  if (options.waitForConnection === false) {
    reach.start();
    return client;
  }
  signal?.throwIfAborted();
  const abort = (): void => void client.close();
  signal?.addEventListener('abort', abort);
  try {
    await reach.startOnce();
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  return client;
}
