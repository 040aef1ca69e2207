/** From a line of text to a message: JSON where it is JSON, text where it is text, bytes where it is neither. Pure. */
import { isUtf8 } from 'node:buffer';
import { decodeBase64 } from '../protocol/web/base64.ts';
import type { JsonValue } from '../protocol/web/messages.ts';

export type LineMessage = {
  readonly body: Uint8Array | JsonValue;
  readonly key: string | undefined;
  readonly tag: string | undefined;
  readonly delayMs?: number;
  readonly deliverAt?: number;
};

export type LineFields = {
  /** Field of a JSON object that is the message's key. */
  readonly keyField: string | undefined;
  readonly tagField: string | undefined;
  /** When each message can be seen; empty: at once. */
  readonly deferral?: Pick<LineMessage, 'delayMs' | 'deliverAt'>;
};

/** What a JSON text begins with, white space aside: most lines of text are told by it. */
const JSON_START = /^\s*[{["\-0-9tfn]/;
const BYTES_FIELD = '$bytes';

/** @shape `bytes` are copied where they are kept */
export function messageOfLine(bytes: Uint8Array, fields: LineFields): LineMessage {
  if (!isUtf8(bytes))
    return { body: bytes.slice(), key: undefined, tag: undefined, ...fields.deferral };
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const value = jsonOf(text);
  if (value === undefined)
    return { body: text, key: undefined, tag: undefined, ...fields.deferral };
  const object = isObject(value) ? value : undefined;
  return {
    body: bytesOf(object) ?? value,
    key: fieldText(object, fields.keyField),
    tag: fieldText(object, fields.tagField),
    ...fields.deferral,
  };
}

function jsonOf(text: string): JsonValue | undefined {
  if (!JSON_START.test(text)) return undefined;
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

function isObject(value: JsonValue): value is { readonly [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `{"$bytes":"<base64>"}` means bytes, as everywhere in the JSON dialect. */
function bytesOf(
  object: { readonly [name: string]: JsonValue } | undefined,
): Uint8Array | undefined {
  if (object === undefined || !Object.hasOwn(object, BYTES_FIELD)) return undefined;
  const text = object[BYTES_FIELD];
  if (typeof text !== 'string' || Object.keys(object).length !== 1) return undefined;
  return decodeBase64(text);
}

/** Text, numbers and booleans make a key; an object, null or nothing makes none. */
function fieldText(
  object: { readonly [name: string]: JsonValue } | undefined,
  field: string | undefined,
): string | undefined {
  if (object === undefined || field === undefined || !Object.hasOwn(object, field))
    return undefined;
  const value = object[field];
  if (typeof value === 'string') return value === '' ? undefined : value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
