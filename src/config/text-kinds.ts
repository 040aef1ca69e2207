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
export const origin: Kind<string> = text(
  'an origin such as https://shop.example, or null for pages without one, or * for all',
  (value) => value === '*' || value === 'null' || isOrigin(value),
);
/** What a bearer token may consist of (RFC 6750), and long enough not to be guessed. */
export const token: Kind<string> = text(
  '16 to 1024 characters of a-z A-Z 0-9 - . _ ~ + / =',
  (value) => /^[\w.~+/=-]{16,1024}$/.test(value),
);

function isOrigin(value: string): boolean {
  return /^https?:\/\/[^*]+$/.test(value) && URL.canParse(value) && new URL(value).origin === value;
}
