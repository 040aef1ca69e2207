/**
 * Base64 of RFC 4648, section 4, for bytes in JSON: strict on the way in (length, alphabet, padding, no stray bits), so
 * that bytes have one spelling. Browser-safe.
 */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PADDING = 0x3d;
const NOT_A_DIGIT = 0xff;
const DIGIT_CODES: Uint8Array = Uint8Array.from(ALPHABET, (digit) => digit.charCodeAt(0));
const DIGIT_VALUES: Uint8Array = digitValues();
const decoder = new TextDecoder('latin1');

function digitValues(): Uint8Array {
  const values = new Uint8Array(256).fill(NOT_A_DIGIT);
  for (const [value, code] of DIGIT_CODES.entries()) values[code] = value;
  return values;
}

export function encodeBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(PADDING);
  let at = 0;
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const group =
      ((bytes[index] as number) << 16) |
      (left > 1 ? (bytes[index + 1] as number) << 8 : 0) |
      (left > 2 ? (bytes[index + 2] as number) : 0);
    text[at] = DIGIT_CODES[group >>> 18] as number;
    text[at + 1] = DIGIT_CODES[(group >>> 12) & 63] as number;
    if (left > 1) text[at + 2] = DIGIT_CODES[(group >>> 6) & 63] as number;
    if (left > 2) text[at + 3] = DIGIT_CODES[group & 63] as number;
    at += 4;
  }
  return decoder.decode(text);
}

/** The bytes, or undefined when `text` is not exactly what `encodeBase64` gives for some bytes. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let at = 0;
  for (let index = 0; index < text.length; index += 4) {
    const digits = index + 4 === text.length ? 4 - padding : 4;
    let group = 0;
    for (let digit = 0; digit < 4; digit += 1) {
      let value = 0;
      if (digit < digits) {
        const code = text.charCodeAt(index + digit);
        value = code < 256 ? (DIGIT_VALUES[code] as number) : NOT_A_DIGIT;
        if (value === NOT_A_DIGIT) return undefined;
      }
      group = (group << 6) | value;
    }
    if (digits < 4 && (group & (digits === 3 ? 0xff : 0xffff)) !== 0) return undefined;
    bytes[at] = group >>> 16;
    if (digits > 2) bytes[at + 1] = (group >>> 8) & 0xff;
    if (digits > 3) bytes[at + 2] = group & 0xff;
    at += 3;
  }
  return bytes;
}
