/**
 * What Java's values are to RocketMQ's SQL filters: a second account of it, for tests, written without looking at src/filter.
 */

/** Java's values: Integer, Long, Double, Boolean, String and null. */
export type JavaValue =
  | null
  | string
  | boolean
  | { readonly type: 'Integer' | 'Long'; readonly number: bigint }
  | { readonly type: 'Double'; readonly number: number };
export type JavaNumber = Extract<JavaValue, object>;

/** What is wrong with an evaluation, as Java throws it. */
export class JavaException extends Error {}

export function integer(number: bigint): JavaNumber {
  const isInt = number >= -(2n ** 31n) && number < 2n ** 31n;
  return { type: isInt ? 'Integer' : 'Long', number };
}

export function javaNegate(value: JavaNumber): JavaNumber {
  return value.type === 'Double'
    ? { type: 'Double', number: -value.number }
    : { type: value.type, number: -value.number };
}

export function equal(a: JavaValue, b: JavaValue): boolean | null {
  if (a === null) return b === null ? true : null;
  if (b === null) return false;
  if (typeof a === 'boolean') {
    if (typeof b === 'string') throw new JavaException('ClassCastException');
    return a === b;
  }
  if (typeof b === 'boolean') return typeof a === 'string' && /^true$/i.test(a) === b;
  if (typeof a === 'string' && typeof b === 'string') return a === b;
  return javaCompare(...alike(a, b)) === 0;
}

/** A text beside a number becomes such a number. */
export function alike(a: JavaValue, b: JavaValue): [JavaNumber, JavaNumber] {
  const number = (typeof a === 'string' ? b : a) as JavaNumber;
  const read = (value: JavaValue): JavaNumber =>
    typeof value === 'string' ? javaRead(value, number.type) : (value as JavaNumber);
  return [read(a), read(b)];
}

export function javaRead(text: string, type: JavaNumber['type']): JavaNumber {
  if (type === 'Double') {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: Java trims all of them
    const trimmed = text.replace(/^[\u0000-\u0020]+|[\u0000-\u0020]+$/g, '');
    const plain = /^[+-]?(NaN|Infinity)$/.test(trimmed) ? trimmed : trimmed.replace(/[fFdD]$/, '');
    const number = Number(plain.replace(/^[+-]?NaN$/, 'NaN'));
    if (/^[+-]?NaN$/.test(plain)) return { type, number: Number.NaN };
    if (plain === '' || Number.isNaN(number) || /^[+-]?0[xXbBoO]/.test(plain))
      throw new JavaException('NumberFormatException');
    return { type, number };
  }
  const bits = type === 'Integer' ? 31n : 63n;
  if (!/^[+-]?[0-9]+$/.test(text)) throw new JavaException('NumberFormatException');
  const number = BigInt(text.replace('+', ''));
  if (number < -(2n ** bits) || number >= 2n ** bits)
    throw new JavaException('NumberFormatException');
  return { type, number };
}

export function javaCompare(a: JavaNumber, b: JavaNumber): number {
  if (a.type !== 'Double' && b.type !== 'Double') return Number(a.number - b.number);
  const [x, y] = [Number(a.number), Number(b.number)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
  if (x === 0 && y === 0) return Math.sign(1 / x) - Math.sign(1 / y);
  return x < y ? -1 : Number(x > y);
}
