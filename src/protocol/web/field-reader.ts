/**
 * Reads the fields of an object from outside, one check each: missing, of another type, out of range or unknown is
 * INVALID_ARGUMENT that names field and value. Used by every dialect that carries named fields. A field that is null is
 * absent, because not every encoder can leave one out. Browser-safe.
 */
import { SluiceError } from '../../base/errors.ts';
import { closestWord } from './did-you-mean.ts';

/** An object from outside: names may be anything, so they are only ever looked up as own properties. */
export type Fields = Readonly<Record<string, unknown>>;

/** Characters of a value that an error shows. */
const SHOWN_LENGTH_MAX = 60;

export function isFields(value: unknown): value is Fields {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value)
  );
}

/** A value as errors show it: short, and nothing that could be deep. */
export function shown(value: unknown): string {
  if (typeof value === 'string') {
    const text = JSON.stringify(value.slice(0, SHOWN_LENGTH_MAX));
    return value.length > SHOWN_LENGTH_MAX ? `${text}…` : text;
  }
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

export class FieldReader {
  private readonly fields: Fields;
  private readonly what: string;

  /** @param what - what the fields belong to, for errors: `send`, `messages[3]` */
  constructor(fields: Fields, what: string) {
    this.fields = fields;
    this.what = what;
  }

  /** Refuses every field that is not in `allowed`. */
  allow(allowed: readonly string[]): this {
    for (const name of Object.keys(this.fields)) {
      if (allowed.includes(name)) continue;
      const close = closestWord(name, allowed);
      const list = allowed.length === 0 ? 'It has none.' : `Its fields are: ${allowed.join(', ')}.`;
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `${this.what}: the field ${shown(name)} is not known`,
        { hint: close === undefined ? list : `Did you mean ${JSON.stringify(close)}? ${list}` },
      );
    }
    return this;
  }

  /** The value as it came; undefined when the field is absent or null. */
  raw(name: string): unknown {
    const value = Object.hasOwn(this.fields, name) ? this.fields[name] : undefined;
    return value === null ? undefined : value;
  }

  /** Is the field there, be it null? */
  has(name: string): boolean {
    return Object.hasOwn(this.fields, name) && this.fields[name] !== undefined;
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.missing(name, 'a string');
  }

  optionalText(name: string, lengthMax: number = Number.MAX_SAFE_INTEGER): string | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'string') return this.wrong(name, value, 'a string');
    if (value.length > lengthMax)
      return this.wrong(name, value, `a string of at most ${lengthMax} characters`);
    return value;
  }

  integer(name: string, min: number, max: number): number {
    return this.optionalInteger(name, min, max) ?? this.missing(name, rangeText(min, max));
  }

  optionalInteger(name: string, min: number, max: number): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const fits = typeof value === 'number' && Number.isSafeInteger(value);
    if (!fits || value < min || value > max) return this.wrong(name, value, rangeText(min, max));
    // -0 is 0 to everybody but Object.is.
    return value + 0;
  }

  optionalBoolean(name: string): boolean | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === 'boolean') return value;
    return this.wrong(name, value, 'true or false');
  }

  /** An array of at least one and at most `countMax` items. */
  array(name: string, countMax: number): readonly unknown[] {
    const value = this.raw(name);
    const expected = `an array of 1 to ${countMax} items`;
    if (value === undefined) return this.missing(name, expected);
    if (!Array.isArray(value)) return this.wrong(name, value, expected);
    if (value.length === 0 || value.length > countMax) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `${this.what}: the field ${JSON.stringify(name)} has ${value.length} items, but must be ${expected}`,
      );
    }
    return value;
  }

  texts(name: string, countMax: number): readonly string[] {
    const values = this.array(name, countMax);
    for (const [index, value] of values.entries()) {
      if (typeof value !== 'string') return this.wrong(`${name}[${index}]`, value, 'a string');
    }
    return values as readonly string[];
  }

  missing(name: string, expected: string): never {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${this.what}: the field ${JSON.stringify(name)} is missing`,
      { hint: `Give it as ${expected}.` },
    );
  }

  wrong(name: string, value: unknown, expected: string): never {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${this.what}: the field ${JSON.stringify(name)} is ${shown(value)}, but must be ${expected}`,
    );
  }
}

function rangeText(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER
    ? `an integer of at least ${min}`
    : `an integer from ${min} to ${max}`;
}
