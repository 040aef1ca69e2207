/**
 * Addresses of machines as messages carry them: four or sixteen bytes, and a port. Browser-safe.
 *
 * @source RocketMQ MessageDecoder, createMessageId
 */

/** An address and a port. */
export type HostBytes = { readonly address: Uint8Array; readonly port: number };

/** Nobody: for messages whose producer is not known. */
export const NO_HOST: HostBytes = { address: new Uint8Array(4), port: 0 };

const PORT_MAX = 65_535;
const GROUPS = 8;

/** The bytes of an address in text; undefined for a name, or anything else that is none. */
export function hostBytesOf(address: string, port: number): HostBytes | undefined {
  if (!Number.isInteger(port) || port < 0 || port > PORT_MAX) return undefined;
  const bytes = address.includes(':') ? ipv6Bytes(address) : ipv4Bytes(address);
  return bytes === undefined ? undefined : { address: bytes, port };
}

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined;
  return Uint8Array.from(parts, Number);
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const first = groupsOf(head);
  const last = groupsOf(tail ?? '');
  if (first === undefined || last === undefined) return undefined;
  const missing = GROUPS - first.length - last.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...first, ...new Array<number>(missing).fill(0), ...last];
  return Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff]));
}

/** Sixteen bits each; an IPv4 address at the end is two. */
function groupsOf(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  for (const part of text.split(':')) {
    if (part.includes('.')) {
      const [a = 0, b = 0, c = 0, d = 0] = ipv4Bytes(part) ?? [];
      if (ipv4Bytes(part) === undefined) return undefined;
      groups.push((a << 8) | b, (c << 8) | d);
    } else if (/^[\da-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** Address and port in hex digits: 12 of them for IPv4, 36 for IPv6. */
export function hostHex({ address, port }: HostBytes): string {
  let text = '';
  for (const byte of address) text += byte.toString(16).padStart(2, '0');
  return text + port.toString(16).padStart(4, '0');
}

/** The way back; undefined for other texts. */
export function hostOfHex(text: string): HostBytes | undefined {
  if (!/^(?:[\da-f]{12}|[\da-f]{36})$/i.test(text)) return undefined;
  const address = new Uint8Array((text.length - 4) / 2);
  for (let index = 0; index < address.length; index += 1)
    address[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16);
  return { address, port: Number.parseInt(text.slice(-4), 16) };
}

/** `a.b.c.d:port`, an IPv6 address in full and in brackets. */
export function hostText({ address, port }: HostBytes): string {
  if (address.length === 4) return `${address.join('.')}:${port}`;
  const groups: string[] = [];
  for (let index = 0; index + 1 < address.length; index += 2)
    groups.push((((address[index] ?? 0) << 8) | (address[index + 1] ?? 0)).toString(16));
  return `[${groups.join(':')}]:${port}`;
}
