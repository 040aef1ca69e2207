/** Under which addresses clients find this broker. Start only. */
import { networkInterfaces } from 'node:os';
import type { BrokerConfig } from '../config/config-schema.ts';

type AddressConfig = Pick<BrokerConfig, 'listenAddress' | 'brokerIP1' | 'brokerIP2'>;
type HaConfig = AddressConfig & Pick<BrokerConfig, 'haToken'>;

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
const LOOPBACK = '127.0.0.1';

/** `host:port`, an IPv6 address in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The hosts of this broker, the one for other machines first: brokerIP1, or the address that it listens on, or of this
 * machine where it listens on all; then brokerIP2; then loopback, where it listens there.
 *
 * @param machine - addresses of this machine that others reach
 */
export function advertisedHosts(
  { listenAddress, brokerIP1, brokerIP2 }: AddressConfig,
  machine: readonly string[] = machineAddresses(),
): readonly string[] {
  const isOnAll = WILDCARDS.has(listenAddress);
  const own = brokerIP1 ?? (isOnAll ? (machine[0] ?? LOOPBACK) : listenAddress);
  const hosts = [own, ...(brokerIP2 === undefined ? [] : [brokerIP2])];
  if (isOnAll) hosts.push(LOOPBACK);
  else if (isLoopbackHost(listenAddress)) hosts.push(listenAddress);
  return [...new Set(hosts)];
}

/**
 * The host by which slaves find the HA port: without a credential it is open to this machine only; with one, others reach it
 * where clients reach the broker, unless brokerIP2 names a network of its own.
 *
 * @param machine - as above
 */
export function haHost(config: HaConfig, machine?: readonly string[]): string {
  if (config.brokerIP2 !== undefined) return config.brokerIP2;
  return config.haToken === undefined ? LOOPBACK : (advertisedHosts(config, machine)[0] as string);
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** IPv4 before IPv6, and none of this machine alone. */
function machineAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outer = all.filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0);
  const of = (family: string): string[] =>
    outer.filter((one) => one.family === family).map(({ address }) => address);
  return [...of('IPv4'), ...of('IPv6')];
}
