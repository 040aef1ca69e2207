/** Numbers while a filter is evaluated: Java's int, long and double, and how they compare. Pure. */
import {
  compareDoubles,
  parseDouble,
  parseInt32,
  parseInt64,
  UNREADABLE,
  type Unreadable,
} from './java-values.ts';

export type NumberValue =
  | { readonly kind: 'int' | 'double'; readonly value: number }
  | { readonly kind: 'long'; readonly value: bigint };

/** Reads a text as a number of the same width as `like`. */
export function readAs(like: NumberValue, text: string): NumberValue | Unreadable {
  if (like.kind === 'long') {
    const value = parseInt64(text);
    return value === UNREADABLE ? value : { kind: 'long', value };
  }
  const value = like.kind === 'int' ? parseInt32(text) : parseDouble(text);
  return value === UNREADABLE ? value : { kind: like.kind, value };
}

/** The narrower one is widened. */
export function compareNumbers(left: NumberValue, right: NumberValue): number {
  if (left.kind === 'long' && right.kind === 'long')
    return left.value < right.value ? -1 : Number(left.value > right.value);
  if (left.kind === 'long' && right.kind === 'int') return -compareNumbers(right, left);
  if (left.kind === 'int' && right.kind === 'long') {
    const value = BigInt(left.value);
    return value < right.value ? -1 : Number(value > right.value);
  }
  return compareDoubles(Number(left.value), Number(right.value));
}
