/**
 * JSON as fastjson writes it: integers as keys without quotes, whole objects as keys, and the rest of JSON. Strings with
 * single quotes and names without any are taken as well, because fastjson takes them. Objects become Maps, since their keys
 * come from outside; depth and number of values are bounded. Browser-safe.
 *
 * @source RocketMQ RemotingSerializable; fastjson 1.2.69 and 1.2.83
 */
import { SluiceError, toSluiceError } from '../../base/errors.ts';
import { REMOTING_BODY_DEPTH_MAX, REMOTING_BODY_VALUES_MAX } from '../../base/limits.ts';
import { readText } from '../batch/text-bytes.ts';

export type LenientObject = ReadonlyMap<string, LenientValue>;
export type LenientValue =
  | null
  | boolean
  | number
  | string
  | readonly LenientValue[]
  | LenientObject;

/** What was understood, or why it was not. */
export type Decoded<Value> = { readonly value: Value } | { readonly refusal: SluiceError };

/** Runs a decoder whose parts throw; what it gives never does. */
export function decoded<Value>(decode: () => Value): Decoded<Value> {
  try {
    return { value: decode() };
  } catch (error) {
    return { refusal: toSluiceError(error) };
  }
}

/** Parses the text of a body. @throws BAD_FRAME naming the place */
export function parseLenientJson(body: Uint8Array): LenientValue {
  return new LenientParser(readText(body, 0, body.length)).parse();
}

const BLANK = /[ \t\r\n\f]*/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const NAME = /[A-Za-z_$][\w$]*/y;
/** The run of a string up to its quote or the next escape. */
const RUNS: ReadonlyMap<string, RegExp> = new Map([
  ['"', /[^"\\]*/y],
  ["'", /[^'\\]*/y],
]);
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ...([...'"\'\\/'].map((letter) => [letter, letter]) as [string, string][]),
  ['b', '\b'],
  ['f', '\f'],
  ['F', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ['0', '\0'],
]);
const WORDS: ReadonlyMap<string, LenientValue> = new Map<string, LenientValue>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

class LenientParser {
  private readonly text: string;
  private at = 0;
  private valueCount = 0;

  constructor(text: string) {
    this.text = text;
  }

  parse(): LenientValue {
    const value = this.value(0);
    this.match(BLANK);
    if (this.at !== this.text.length) this.fail('something follows the value');
    return value;
  }

  private value(depth: number): LenientValue {
    this.match(BLANK);
    this.valueCount += 1;
    if (this.valueCount > REMOTING_BODY_VALUES_MAX) this.fail('there are too many values');
    if (depth > REMOTING_BODY_DEPTH_MAX) this.fail('it is nested too deeply');
    const first = this.text[this.at];
    if (first === '{') return this.object(depth);
    if (first === '[') return this.array(depth);
    if (first === '"' || first === "'") return this.string(first);
    const number = this.match(NUMBER);
    if (number !== '') return Number(number);
    const word = WORDS.get(this.match(NAME));
    return word === undefined ? this.fail('no value begins here') : word;
  }

  private object(depth: number): LenientObject {
    const entries = new Map<string, LenientValue>();
    this.at += 1;
    if (this.take('}')) return entries;
    do {
      const key = this.key(depth);
      if (!this.take(':')) this.fail('a colon is missing');
      entries.set(key, this.value(depth + 1));
    } while (this.take(','));
    if (!this.take('}')) this.fail('an object does not end');
    return entries;
  }

  private array(depth: number): readonly LenientValue[] {
    const values: LenientValue[] = [];
    this.at += 1;
    if (this.take(']')) return values;
    do values.push(this.value(depth + 1));
    while (this.take(','));
    if (!this.take(']')) this.fail('an array does not end');
    return values;
  }

  /** The text of a key; of an object as key the text that it has in the body. */
  private key(depth: number): string {
    this.match(BLANK);
    const first = this.text[this.at];
    if (first === '"' || first === "'") return this.string(first);
    const start = this.at;
    if (first === '{') {
      this.value(depth + 1);
      return this.text.slice(start, this.at);
    }
    const key = this.match(NUMBER) || this.match(NAME);
    return key === '' ? this.fail('no key begins here') : key;
  }

  private string(quote: string): string {
    const run = RUNS.get(quote) as RegExp;
    this.at += 1;
    let text = this.match(run);
    while (this.text[this.at] === '\\') {
      text += this.escape();
      text += this.match(run);
    }
    if (this.text[this.at] !== quote) this.fail('a string does not end');
    this.at += 1;
    return text;
  }

  private escape(): string {
    const letter = this.text[this.at + 1] ?? '';
    const digits = letter === 'u' ? 4 : letter === 'x' ? 2 : 0;
    if (digits === 0) {
      const plain = ESCAPES.get(letter) ?? this.fail('a backslash escapes nothing');
      this.at += 2;
      return plain;
    }
    const hex = this.text.slice(this.at + 2, this.at + 2 + digits);
    if (hex.length !== digits || !/^[0-9a-f]+$/i.test(hex)) this.fail('an escape has no digits');
    this.at += 2 + digits;
    return String.fromCharCode(Number.parseInt(hex, 16));
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? '';
    this.at += found.length;
    return found;
  }

  private take(mark: string): boolean {
    this.match(BLANK);
    if (this.text[this.at] !== mark) return false;
    this.at += 1;
    return true;
  }

  private fail(reason: string): never {
    throw new SluiceError('BAD_FRAME', `the body is no JSON: ${reason}, at character ${this.at}`);
  }
}
