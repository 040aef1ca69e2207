/** 32-bit FNV-1a over UTF-8: routes keys to queues and tags to Bloom bits, the same in every client. Browser-safe. */

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;
const encoder = new TextEncoder();

/** Hash of the UTF-8 bytes of `text`, unsigned 32 bits. */
export function fnv1a(text: string): number {
  let hash = OFFSET_BASIS;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return fnv1aBytes(encoder.encode(text));
    hash = Math.imul(hash ^ code, PRIME);
  }
  return hash >>> 0;
}

/** The same over bytes from `start` (inclusive) to `end` (exclusive). */
export function fnv1aBytes(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let hash = OFFSET_BASIS;
  for (let index = start; index < end; index += 1) {
    hash = Math.imul(hash ^ (bytes[index] as number), PRIME);
  }
  return hash >>> 0;
}
