/** Kinds of text settings: paths, names, addresses, origins, tokens. Control path, at start only. */
import { isIP } from 'node:net';
import { type Kind, text } from './setting-kinds.ts';

export const path: Kind<string> = text('a path', (value) => value !== '' && !value.includes('\0'));
export const name: Kind<string> = text('1 to 127 characters of a-z A-Z 0-9 _ - .', (value) =>
  /^[\w.-]{1,127}$/.test(value),
);
export const address: Kind<string> = text(
  'an IP address or a host name, without a port',
  (value) => isIP(value) !== 0 || /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(value),
);
export const host: Kind<string> = text(
  'a host name or address in lower case, with its port if it is not 80',
  (value) => /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/.test(value),
);
export const hostAndPort: Kind<string> = text(
  'host:port with a port from 1 to 65535; an IPv6 address in brackets',
  (value) => splitHostAndPort(value) !== undefined,
);
export const origin: Kind<string> = text(
  'an origin such as https://shop.example, or null for pages without one, or * for all',
  (value) => value === '*' || value === 'null' || isOrigin(value),
);
/** What a bearer token may consist of (RFC 6750), and long enough not to be guessed. */
export const token: Kind<string> = text(
  '16 to 1024 characters of a-z A-Z 0-9 - . _ ~ + / =',
  (value) => /^[\w.~+/=-]{16,1024}$/.test(value),
);

/** An access key or its secret: RocketMQ takes anything. */
export const credential: Kind<string> = text('1 to 1024 characters without blanks', (value) =>
  /^\S{1,1024}$/.test(value),
);

function isOrigin(value: string): boolean {
  return /^https?:\/\/[^*]+$/.test(value) && URL.canParse(value) && new URL(value).origin === value;
}

/** `host:port` in its two parts, an IPv6 address without its brackets; undefined when it is none. */
export function splitHostAndPort(
  value: string,
): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-f:.]+)\]|([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)):(\d{1,5})$/i.exec(value) ?? [];
  const part = bracketed ?? plain;
  const port = Number(digits);
  if (part === undefined || port < 1 || port > 65_535) return undefined;
  return bracketed !== undefined && isIP(bracketed) !== 6 ? undefined : { host: part, port };
}

/** Does only this machine reach the address? */
export function isLoopback(address: string): boolean {
  return address === '::1' || address === 'localhost' || /^127(\.\d{1,3}){3}$/.test(address);
}
