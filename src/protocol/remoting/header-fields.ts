/**
 * The parameters of one command (`extFields`), left where they are in the frame: a table of byte ranges that is filled
 * by the header decoders and read by name. Nothing is allocated per frame, and a value becomes a string only when
 * somebody asks for it. Browser-safe.
 */
import { REMOTING_FIELDS_MAX } from '../../base/limits.ts';
import { readText } from '../batch/text-bytes.ts';

/** A name prepared for look-ups. Made once, when its module loads. */
export type FieldName = { readonly text: string; readonly bytes: Uint8Array };

const encoder = new TextEncoder();

export function fieldName(text: string): FieldName {
  return { text, bytes: encoder.encode(text) };
}

/** Key or value has a backslash: it is JSON text that must be unescaped. */
export const SPAN_KEY_ESCAPED = 1;
export const SPAN_VALUE_ESCAPED = 2;

const KEY_START = 0;
const KEY_END = 1;
const VALUE_START = 2;
const VALUE_END = 3;
const MARKS = 4;
const WORDS = 5;

/** An integer as Java's parseInt and parseLong take it. */
const INTEGER_LENGTH_MAX = 20;
/** An integer that is too large for a number to hold it exactly. */
const LONG = /^[+-]?\d{16,19}$/;

export class HeaderFields {
  /** Bytes that the ranges are in; borrowed from the frame. */
  private bytes: Uint8Array = new Uint8Array(0);
  private readonly spans: Int32Array = new Int32Array(REMOTING_FIELDS_MAX * WORDS);
  private fieldCount = 0;

  get count(): number {
    return this.fieldCount;
  }

  /** Forgets the fields of the frame before. */
  reset(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.fieldCount = 0;
  }

  /** @returns false when the table is full */
  add(
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    marks: number,
  ): boolean {
    if (this.fieldCount === REMOTING_FIELDS_MAX) return false;
    const at = this.fieldCount * WORDS;
    this.spans[at + KEY_START] = keyStart;
    this.spans[at + KEY_END] = keyEnd;
    this.spans[at + VALUE_START] = valueStart;
    this.spans[at + VALUE_END] = valueEnd;
    this.spans[at + MARKS] = marks;
    this.fieldCount += 1;
    return true;
  }

  has(name: FieldName): boolean {
    return this.find(name) >= 0;
  }

  /** The value as text; undefined when it is absent. Numbers and booleans that came without quotes are text too. */
  text(name: FieldName): string | undefined {
    const at = this.find(name);
    return at < 0 ? undefined : this.valueAt(at);
  }

  /**
   * The value as it is in the frame; undefined when it is absent, or escaped so that `text` must be asked.
   * @shape borrowed from the frame
   */
  rawBytes(name: FieldName): Uint8Array | undefined {
    const at = this.find(name);
    if (at < 0 || (this.word(at, MARKS) & SPAN_VALUE_ESCAPED) !== 0) return undefined;
    return this.bytes.subarray(this.word(at, VALUE_START), this.word(at, VALUE_END));
  }

  /** The value as an integer up to 2^53 - 1; undefined when it is absent, NaN when it is not one. */
  integer(name: FieldName): number | undefined {
    const at = this.find(name);
    if (at < 0) return undefined;
    const start = this.word(at, VALUE_START);
    const end = this.word(at, VALUE_END);
    if (end === start || end - start > INTEGER_LENGTH_MAX) return Number.NaN;
    return this.parseDigits(start, end);
  }

  /** The same for a long of Java: beyond 2^53 - 1 it is that. No offset is as large, and no time. */
  long(name: FieldName): number | undefined {
    const value = this.integer(name);
    if (!Number.isNaN(value)) return value;
    const text = this.text(name) ?? '';
    if (!LONG.test(text)) return value;
    return text.startsWith('-') ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
  }

  /** True for the word true in any case, false for anything else, as Java reads it; undefined when it is absent. */
  boolean(name: FieldName): boolean | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : value.toLowerCase() === 'true';
  }

  /** All fields in the order of the frame; of two with one name the last counts. For signatures, logs and tests. */
  entries(): Map<string, string> {
    const entries = new Map<string, string>();
    for (let index = 0; index < this.fieldCount; index += 1) {
      const at = index * WORDS;
      entries.set(this.keyAt(at), this.valueAt(at));
    }
    return entries;
  }

  private parseDigits(start: number, end: number): number {
    const first = this.bytes[start] as number;
    const isSigned = first === 0x2d || first === 0x2b;
    let index = isSigned ? start + 1 : start;
    if (index === end) return Number.NaN;
    let value = 0;
    for (; index < end; index += 1) {
      const digit = (this.bytes[index] as number) - 0x30;
      if (digit < 0 || digit > 9) return Number.NaN;
      value = value * 10 + digit;
    }
    if (value > Number.MAX_SAFE_INTEGER) return Number.NaN;
    // Not -0, which is 0 to everybody but Object.is.
    return first === 0x2d && value !== 0 ? -value : value;
  }

  /** Place of the last field of this name, because the last one counts; -1 when there is none. */
  private find(name: FieldName): number {
    for (let at = (this.fieldCount - 1) * WORDS; at >= 0; at -= WORDS) {
      if ((this.word(at, MARKS) & SPAN_KEY_ESCAPED) !== 0) {
        if (this.keyAt(at) === name.text) return at;
      } else if (this.hasKey(at, name.bytes)) return at;
    }
    return -1;
  }

  private hasKey(at: number, key: Uint8Array): boolean {
    const start = this.word(at, KEY_START);
    if (this.word(at, KEY_END) - start !== key.length) return false;
    for (let index = 0; index < key.length; index += 1) {
      if (this.bytes[start + index] !== key[index]) return false;
    }
    return true;
  }

  private keyAt(at: number): string {
    const isEscaped = (this.word(at, MARKS) & SPAN_KEY_ESCAPED) !== 0;
    return this.textOf(this.word(at, KEY_START), this.word(at, KEY_END), isEscaped);
  }

  private valueAt(at: number): string {
    const isEscaped = (this.word(at, MARKS) & SPAN_VALUE_ESCAPED) !== 0;
    return this.textOf(this.word(at, VALUE_START), this.word(at, VALUE_END), isEscaped);
  }

  private textOf(start: number, end: number, isEscaped: boolean): string {
    const text = readText(this.bytes, start, end);
    return isEscaped ? unescapeJson(text) : text;
  }

  private word(at: number, which: number): number {
    return this.spans[at + which] as number;
  }
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** The text between the quotes of a JSON string that a scanner has accepted. Never throws. */
export function unescapeJson(text: string): string {
  let plain = '';
  let at = 0;
  // Properties have two escapes each, so that a regular expression with a callback for each is what costs most of a send.
  for (let next = text.indexOf('\\'); next >= 0; next = text.indexOf('\\', at)) {
    const escaped = text[next + 1] ?? '';
    plain += text.slice(at, next);
    if (escaped === 'u') {
      plain += String.fromCharCode(Number.parseInt(text.slice(next + 2, next + 6), 16));
      at = next + 6;
    } else {
      plain += ESCAPES.get(escaped) ?? escaped;
      at = next + 2;
    }
  }
  return plain + text.slice(at);
}
