/**
 * Reads the fields of a body, one check each: what is of another type or out of range is INVALID_ARGUMENT that names the
 * field. A field that is null or missing has its default, because fastjson leaves out what is null. Browser-safe.
 */
import { SluiceError } from '../../base/errors.ts';
import type { LenientObject, LenientValue } from './lenient-json.ts';

/** Characters of a value that an error shows. */
const SHOWN_LENGTH_MAX = 60;

export class BodyReader {
  private readonly fields: LenientObject;
  /** By folded name; made for bodies that lack a name as it is written. */
  private folded: LenientObject | undefined;
  private readonly what: string;

  /** @param what - what the fields belong to, for errors: `queueDatas[3]` */
  constructor(value: LenientValue | undefined, what: string) {
    if (!(value instanceof Map)) throw wrong(what, value, 'an object');
    this.fields = value;
    this.what = what;
  }

  has(name: string): boolean {
    return (this.find(name) ?? null) !== null;
  }

  /** @throws INVALID_ARGUMENT when it is missing and there is no default, or longer than `lengthMax` */
  text(name: string, lengthMax: number, defaultValue?: string): string {
    const value = this.find(name) ?? defaultValue;
    const fits = typeof value === 'string' && value.length <= lengthMax;
    if (!fits) throw this.wrong(name, value, `a string of at most ${lengthMax} characters`);
    return value;
  }

  optionalText(name: string, lengthMax: number): string | undefined {
    return this.has(name) ? this.text(name, lengthMax) : undefined;
  }

  /** Numbers may stand in quotes. */
  integer(name: string, min: number, max: number, defaultValue?: number): number {
    const given = this.find(name) ?? defaultValue;
    const isDigits = typeof given === 'string' && /^-?\d{1,16}$/.test(given);
    const value = isDigits ? Number(given) : given;
    const fits = typeof value === 'number' && Number.isSafeInteger(value);
    if (!fits || value < min || value > max)
      throw this.wrong(name, given, `an integer from ${min} to ${max}`);
    // -0 is 0 to everybody but Object.is.
    return value + 0;
  }

  /** An integer that may be larger than a number holds exactly, rounded then; 0 when it is absent. Not in quotes. */
  wideInteger(name: string, absoluteMax: number): number {
    const given = this.find(name) ?? 0;
    const fits = typeof given === 'number' && Number.isInteger(given);
    if (!fits || Math.abs(given) > absoluteMax)
      throw this.wrong(name, given, `an integer from ${-absoluteMax} to ${absoluteMax}`);
    return given + 0;
  }

  boolean(name: string, defaultValue: boolean): boolean {
    const value = this.find(name) ?? defaultValue;
    if (typeof value === 'boolean') return value;
    if (value === 'true' || value === 'false') return value === 'true';
    throw this.wrong(name, value, 'true or false');
  }

  /** The value as it is; undefined when it is absent. */
  value(name: string): LenientValue | undefined {
    return this.find(name) ?? undefined;
  }

  /** The entries of an object whose keys are data; none when it is absent. */
  entries(name: string, countMax: number): readonly (readonly [string, LenientValue])[] {
    const value = this.find(name) ?? null;
    if (value === null) return [];
    if (!(value instanceof Map) || value.size > countMax)
      throw this.wrong(name, value, `an object of at most ${countMax} entries`);
    return [...(value as LenientObject)];
  }

  items(name: string, countMax: number): readonly LenientValue[] {
    const value = this.find(name) ?? null;
    if (value === null) return [];
    if (!Array.isArray(value) || value.length > countMax)
      throw this.wrong(name, value, `an array of at most ${countMax} items`);
    return value as readonly LenientValue[];
  }

  texts(name: string, countMax: number, lengthMax: number): readonly string[] {
    return this.items(name, countMax).map((value, index) => {
      if (typeof value === 'string' && value.length <= lengthMax) return value;
      throw this.wrong(`${name}[${index}]`, value, `a string of at most ${lengthMax} characters`);
    });
  }

  /** fastjson takes a name in any case, with and without `_` and `-`: clients of .NET begin theirs with a capital. */
  private find(name: string): LenientValue | undefined {
    const found = this.fields.get(name);
    if (found !== undefined) return found;
    this.folded ??= new Map([...this.fields].map(([key, value]) => [fold(key), value]));
    return this.folded.get(fold(name));
  }

  wrong(name: string, value: LenientValue | undefined, expected: string): SluiceError {
    return wrong(`${this.what}.${name}`, value, expected);
  }
}

function fold(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase();
}

function wrong(what: string, value: LenientValue | undefined, expected: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', `${what} is ${shown(value)}, but must be ${expected}`);
}

/** A value as errors show it: short, and nothing that could be deep. */
function shown(value: LenientValue | undefined): string {
  if (value === undefined || value === null) return 'missing';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, SHOWN_LENGTH_MAX));
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return value instanceof Map ? `an object of ${value.size}` : String(value);
}
