/**
 * Addresses of peers as text, written the same way whatever the transport: they are keys of limits and appear in
 * logs. IPv4 inside IPv6 is IPv4; IPv6 is in its short form.
 *
 * @source RFC 5952, section 4
 */

const MAPPED_PREFIX = '::ffff:';

/** The text Node gives for a socket, without the prefix of an IPv4 address on an IPv6 socket. */
export function addressOfText(text: string | undefined): string {
  if (text === undefined) return '';
  const isMapped = text.startsWith(MAPPED_PREFIX) && text.includes('.');
  return isMapped ? text.slice(MAPPED_PREFIX.length) : text;
}

/** The text of 4 or 16 bytes in network order; '' for any other number of bytes (the peer is gone). */
export function addressOfBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return '';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) === 0 && view.getUint32(4) === 0 && view.getUint32(8) === 0xffff) {
    return bytes.subarray(12).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2));
  return shortenZeros(groups);
}

/** Replaces the longest run of two and more zero groups, the first one of equals, by `::`. */
function shortenZeros(groups: readonly number[]): string {
  let [start, length] = [0, 0];
  for (let index = 0; index < groups.length; index += 1) {
    let end = index;
    while (groups[end] === 0) end += 1;
    if (end - index > length) [start, length] = [index, end - index];
    index = end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
