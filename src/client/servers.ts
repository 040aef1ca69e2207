/** Addresses of brokers: from what people write to the URLs of WebSocket and HTTP. Browser-safe. */
import { SluiceError } from '../base/errors.ts';

const WEB_SOCKET_PATH = '/v1/ws';
const DEFAULT_PORT = '8880';
const SERVERS_MAX = 64;

/**
 * The WebSocket URLs of `servers`: `ws://host:8880`, `wss://…`, `http(s)://…` or `host:8880`; without a path it is `/v1/ws`.
 *
 * @throws INVALID_ARGUMENT
 */
export function webSocketUrls(servers: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(servers) ? servers : [servers];
  if (list.length === 0 || list.length > SERVERS_MAX)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `servers has ${list.length} addresses; 1 to ${SERVERS_MAX} are allowed`,
    );
  return list.map(webSocketUrl);
}

function webSocketUrl(server: unknown): string {
  const refuse = (): never => {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the server ${JSON.stringify(server)} is no address`,
      { hint: 'Give it as ws://host:8880, wss://host, or host:8880.' },
    );
  };
  if (typeof server !== 'string' || server.trim() === '') return refuse();
  const text = server.includes('://') ? server : `ws://${server}`;
  if (!URL.canParse(text)) return refuse();
  const url = new URL(text);
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') return refuse();
  // Without a scheme a port is meant to be ours; with one, the port of the scheme is what people expect.
  if (url.port === '' && !server.includes('://')) url.port = DEFAULT_PORT;
  if (url.pathname === '/' || url.pathname === '') url.pathname = WEB_SOCKET_PATH;
  url.hash = '';
  return url.href;
}

/**
 * The addresses of a broker that fit how the client came in, as URLs: loopback ones for who reached the NameServer that way,
 * the others for everybody else, and for nobody the loopback of another machine while there is a choice.
 *
 * @param addresses - `host:port`
 * @param nameServer - URL of the NameServer that gave them
 */
export function reachableAddresses(
  addresses: readonly string[],
  nameServer: string,
): readonly string[] {
  const { protocol, hostname } = new URL(nameServer);
  const scheme = protocol === 'https:' ? 'wss' : 'ws';
  const near = addresses.filter((address) => isLoopback(new URL(`ws://${address}`).hostname));
  const far = addresses.filter((address) => !near.includes(address));
  const fitting = isLoopback(hostname) ? [...near, ...far] : far.length > 0 ? far : near;
  return fitting.map((address) => `${scheme}://${address}`);
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** The base URL for HTTP on the same port as a WebSocket URL, without a slash at its end. */
export function httpUrlOf(webSocketUrl: string): string {
  const url = new URL(webSocketUrl);
  const scheme = url.protocol === 'wss:' ? 'https' : 'http';
  const path = url.pathname.endsWith(WEB_SOCKET_PATH)
    ? url.pathname.slice(0, -WEB_SOCKET_PATH.length)
    : '';
  return `${scheme}://${url.host}${path}`;
}
