/**
 * Texts to numbers as Java reads them, because a filter must choose the same messages here as at a RocketMQ broker. Left
 * out: hexadecimal floating point, and digits of other scripts. Pure.
 *
 * @source java.lang.Integer.valueOf, Long.valueOf, Double.valueOf, Double.compareTo, Boolean.parseBoolean
 */

/** What cannot be read: not a number, so that callers look for it before they use the value. */
export const UNREADABLE: unique symbol = Symbol('unreadable');
export type Unreadable = typeof UNREADABLE;

const INTEGER = /^[+-]?\d+$/;
const DOUBLE = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?$/;
const INFINITE = /^([+-]?)(Infinity|NaN)$/;
const INT_MIN: number = -(2 ** 31);
const INT_MAX: number = 2 ** 31 - 1;
const LONG_MIN: bigint = -(2n ** 63n);
const LONG_MAX: bigint = 2n ** 63n - 1n;
/** Digits and sign of a long, and some leading zeros: BigInt takes quadratic time, so it is not given more. */
const LONG_LENGTH_MAX = 64;

/** A 32-bit integer; blanks around it are not allowed. */
export function parseInt32(text: string): number | Unreadable {
  if (!INTEGER.test(text)) return UNREADABLE;
  const value = Number(text);
  return value >= INT_MIN && value <= INT_MAX ? value + 0 : UNREADABLE;
}

/** A 64-bit integer; blanks around it are not allowed. */
export function parseInt64(text: string): bigint | Unreadable {
  if (text.length > LONG_LENGTH_MAX || !INTEGER.test(text)) return UNREADABLE;
  const value = text.startsWith('+') ? BigInt(text.slice(1)) : BigInt(text);
  return value >= LONG_MIN && value <= LONG_MAX ? value : UNREADABLE;
}

/** A double; blanks around it and a final f or d are allowed. */
export function parseDouble(text: string): number | Unreadable {
  const trimmed = trimControls(text);
  const digits = DOUBLE.exec(trimmed)?.[1];
  if (digits !== undefined) return Number(digits);
  const word = INFINITE.exec(trimmed);
  if (word === null) return UNREADABLE;
  if (word[2] === 'NaN') return Number.NaN;
  return word[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

export function parseBoolean(text: string): boolean {
  return text.length === 4 && text.toLowerCase() === 'true';
}

/** Below, equal or above 0: NaN is equal to itself and above all, -0 is below 0. */
export function compareDoubles(left: number, right: number): number {
  if (left < right) return -1;
  if (left > right) return 1;
  if (Object.is(left, right)) return 0;
  if (Number.isNaN(left)) return 1;
  return Number.isNaN(right) || Object.is(left, -0) ? -1 : 1;
}

/** Java trims all characters up to the blank, and no others. */
function trimControls(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charCodeAt(start) <= 0x20) start += 1;
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end -= 1;
  return text.slice(start, end);
}
