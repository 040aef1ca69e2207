/**
 * Walks over JSON in bytes without building anything: enters objects, gives the range of each key and value, and passes
 * over nested values up to a depth. Strict JSON but for what nobody looks at: the escapes of a string are checked, its
 * UTF-8 is not; and for control characters in strings, which fastjson takes and old clients in C++ write. Never throws,
 * never recurses. Browser-safe.
 */

export const KIND_STRING = 1;
export const KIND_NUMBER = 2;
/** true, false or null. */
export const KIND_WORD = 3;
/** An object or an array, passed over as a whole. */
export const KIND_OBJECT = 4;

/** Nested objects and arrays in a value that is passed over. */
const DEPTH_MAX = 16;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const LETTER_U = 0x75;

const WORDS: readonly Uint8Array[] = ['true', 'false', 'null'].map((word) =>
  new TextEncoder().encode(word),
);
/** The letters that may follow a backslash. */
const ESCAPED = new Set([...'"\\/bfnrtu'].map((letter) => letter.charCodeAt(0)));

export class JsonScanner {
  bytes: Uint8Array = new Uint8Array(0);
  /** Between the quotes. */
  keyStart = 0;
  keyEnd = 0;
  isKeyEscaped = false;
  kind = 0;
  /** Between the quotes for a string. */
  valueStart = 0;
  valueEnd = 0;
  isValueEscaped = false;
  /** Something was not JSON; everything answers false from then on. */
  hasFailed = false;
  private at = 0;
  private end = 0;
  /** The next key is the first of its object. */
  private isFirst = false;
  private stringEnd = 0;
  private isStringEscaped = false;

  start(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.hasFailed = false;
    this.isFirst = false;
  }

  /** Does an object begin here? */
  beginsObject(): boolean {
    return this.peek() === OPEN_BRACE;
  }

  enterObject(): boolean {
    if (!this.take(OPEN_BRACE)) return this.fail();
    this.isFirst = true;
    return true;
  }

  /** The next key and its colon; false at the end of the object, which is then left, and when it is not JSON. */
  nextKey(): boolean {
    if (this.hasFailed) return false;
    const isFirst = this.isFirst;
    this.isFirst = false;
    if (this.take(CLOSE_BRACE)) return false;
    if (!isFirst && !this.take(COMMA)) return this.fail();
    if (this.peek() !== QUOTE || !this.string()) return this.fail();
    this.keyStart = this.valueStart;
    this.keyEnd = this.stringEnd;
    this.isKeyEscaped = this.isStringEscaped;
    return this.take(COLON) || this.fail();
  }

  /** The next value, whatever it is. */
  value(): boolean {
    if (this.hasFailed) return false;
    const first = this.peek();
    this.valueStart = this.at;
    this.isValueEscaped = false;
    if (first === QUOTE) return this.stringValue();
    if (first === OPEN_BRACE || first === OPEN_BRACKET) return this.nested();
    const isScanned = isNumberStart(first) ? this.number() : this.word();
    this.valueEnd = this.at;
    return isScanned || this.fail();
  }

  /** Nothing but blanks follows, and nothing was wrong before. */
  isAtEnd(): boolean {
    return !this.hasFailed && this.peek() === -1;
  }

  private fail(): false {
    this.hasFailed = true;
    return false;
  }

  private stringValue(): boolean {
    this.kind = KIND_STRING;
    if (!this.string()) return this.fail();
    this.valueEnd = this.stringEnd;
    this.isValueEscaped = this.isStringEscaped;
    return true;
  }

  /** The next byte after blanks, which are passed; -1 at the end. */
  private peek(): number {
    while (this.at < this.end) {
      const byte = this.bytes[this.at] as number;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.at += 1;
    }
    return -1;
  }

  private take(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.at += 1;
    return true;
  }

  /** A string from its opening quote on. */
  private string(): boolean {
    const { bytes, end } = this;
    let at = this.at + 1;
    this.valueStart = at;
    this.isStringEscaped = false;
    for (; at < end; at += 1) {
      const byte = bytes[at] as number;
      if (byte === QUOTE) {
        this.stringEnd = at;
        this.at = at + 1;
        return true;
      }
      if (byte !== BACKSLASH) continue;
      this.isStringEscaped = true;
      at += 1;
      const escaped = at < end ? (bytes[at] as number) : 0;
      if (!ESCAPED.has(escaped)) return false;
      if (escaped !== LETTER_U) continue;
      if (at + 4 >= end || !isHex(bytes, at + 1)) return false;
      at += 4;
    }
    return false;
  }

  private number(): boolean {
    this.kind = KIND_NUMBER;
    if (this.bytes[this.at] === 0x2d) this.at += 1;
    if (!this.digits()) return false;
    if (this.bytes[this.at] === 0x2e && this.at < this.end) {
      this.at += 1;
      if (!this.digits()) return false;
    }
    const exponent = this.at < this.end ? this.bytes[this.at] : 0;
    if (exponent !== 0x65 && exponent !== 0x45) return true;
    this.at += 1;
    const sign = this.at < this.end ? this.bytes[this.at] : 0;
    if (sign === 0x2b || sign === 0x2d) this.at += 1;
    return this.digits();
  }

  private digits(): boolean {
    const from = this.at;
    while (this.at < this.end && isDigit(this.bytes[this.at] as number)) this.at += 1;
    return this.at > from;
  }

  private word(): boolean {
    this.kind = KIND_WORD;
    for (const word of WORDS) {
      if (this.end - this.at < word.length) continue;
      if (!word.every((byte, index) => this.bytes[this.at + index] === byte)) continue;
      this.at += word.length;
      return true;
    }
    return false;
  }

  /** Passes over an object or array. Its inside is looked at only as far as finding its end needs. */
  private nested(): boolean {
    let depth = 0;
    do {
      const byte = this.peek();
      if (byte === -1) return this.fail();
      if (byte === QUOTE) {
        const { valueStart } = this;
        if (!this.string()) return this.fail();
        this.valueStart = valueStart;
        continue;
      }
      this.at += 1;
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
      if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
      if (depth > DEPTH_MAX) return this.fail();
    } while (depth > 0);
    this.kind = KIND_OBJECT;
    this.valueEnd = this.at;
    return true;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isNumberStart(byte: number): boolean {
  return byte === 0x2d || isDigit(byte);
}

function isHex(bytes: Uint8Array, start: number): boolean {
  for (let index = start; index < start + 4; index += 1) {
    const byte = bytes[index] as number;
    const isLetter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66;
    if (!isLetter && !isDigit(byte)) return false;
  }
  return true;
}
