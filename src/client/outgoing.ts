/**
 * From a user's message to a record of a batch: what is wrong is refused here, before anything is buffered. One
 * object is filled again and again, so that a message costs no garbage. Browser-safe.
 */
import { SluiceError } from '../base/errors.ts';
import { DELAY_MS_MAX, EPOCH_MS_MIN } from '../base/limits.ts';
import { checkTopicName } from '../base/names.ts';
import { KIB } from '../base/units.ts';
import { type RecordInput, recordBytes } from '../protocol/batch/batch-builder.ts';
import { BODY_BYTES, BODY_JSON, BODY_TEXT, type BodyKind } from '../protocol/batch/batch-layout.ts';
import { checkPropertyName } from '../protocol/batch/reserved-property.ts';
import type { Deferral } from '../protocol/web/checked-requests.ts';
import type { OutgoingMessage } from './types.ts';

/** Strings up to here go to the builder as they are; longer ones are cheaper encoded first (measured, Node 20). */
const TEXT_DIRECT_MAX = 32;
/** Strings up to a third of this are encoded without an allocation. */
const SCRATCH_BYTES = 64 * KIB;

type MutableRecord = { -readonly [Field in keyof RecordInput]: RecordInput[Field] };

export class RecordScratch {
  /** The record of the message that `fill` was last given. */
  readonly record: MutableRecord = {
    body: '',
    bodyKind: BODY_BYTES,
    key: undefined,
    tag: undefined,
    properties: undefined,
  };
  /** When that message is to be seen; undefined: at once. */
  deferral: Deferral | undefined;
  private readonly encoder = new TextEncoder();
  private readonly bytes = new Uint8Array(SCRATCH_BYTES);

  /**
   * Makes `record` the record of `message`.
   *
   * @returns bytes that the record takes in a batch
   * @throws INVALID_ARGUMENT, MESSAGE_TOO_LARGE
   * @shape `record` is valid until the next call
   */
  fill(message: OutgoingMessage): number {
    const { record } = this;
    const { body, key, tag, properties } = message;
    if (body instanceof Uint8Array) {
      record.body = body;
      record.bodyKind = BODY_BYTES;
    } else this.fillText(body);
    record.key = key === undefined || key === null ? undefined : checkText('key', key);
    record.tag = tag === undefined || tag === null ? undefined : checkText('tag', tag);
    record.properties =
      properties === undefined || properties === null ? undefined : checkProperties(properties);
    const { delayMs, deliverAt } = message;
    this.deferral =
      delayMs === undefined && deliverAt === undefined
        ? undefined
        : checkDeferral(delayMs, deliverAt);
    return recordBytes(record);
  }

  private fillText(body: unknown): void {
    let text: string | undefined;
    let kind: BodyKind = BODY_TEXT;
    if (typeof body === 'string') text = body;
    else {
      text = stringify(body);
      kind = BODY_JSON;
    }
    if (text === undefined)
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the body is ${body === undefined ? 'missing' : `a ${typeof body}`}; bytes, text or a JSON value are allowed`,
      );
    const { record } = this;
    record.bodyKind = kind;
    if (text.length <= TEXT_DIRECT_MAX) record.body = text;
    else if (text.length * 3 <= this.bytes.length) {
      const { written } = this.encoder.encodeInto(text, this.bytes);
      record.body = this.bytes.subarray(0, written);
    } else record.body = this.encoder.encode(text);
  }
}

function stringify(body: unknown): string | undefined {
  try {
    return JSON.stringify(body);
  } catch (error) {
    throw new SluiceError('INVALID_ARGUMENT', 'the body is no JSON value', { cause: error });
  }
}

function checkText(field: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the ${field} is a ${typeof value}; a string is allowed`,
  );
}

function checkProperties(properties: unknown): Readonly<Record<string, string>> {
  if (typeof properties !== 'object')
    throw new SluiceError('INVALID_ARGUMENT', 'properties is not an object of strings');
  for (const name of Object.keys(properties as object)) {
    checkPropertyName(name);
    const value = (properties as Record<string, unknown>)[name];
    if (typeof value !== 'string')
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the property ${JSON.stringify(name)} is a ${typeof value}; a string is allowed`,
      );
  }
  return properties as Readonly<Record<string, string>>;
}

/** @throws INVALID_ARGUMENT */
function checkDeferral(delayMs: unknown, deliverAt: unknown): Deferral {
  if (deliverAt === undefined) {
    if (typeof delayMs === 'number' && delayMs >= 0 && delayMs <= DELAY_MS_MAX)
      return { delayMs: Math.round(delayMs) };
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `delayMs is ${String(delayMs)}; 0 to ${DELAY_MS_MAX} milliseconds are allowed`,
    );
  }
  if (delayMs !== undefined)
    throw new SluiceError('INVALID_ARGUMENT', 'delayMs and deliverAt exclude each other');
  const time = deliverAt instanceof Date ? deliverAt.getTime() : deliverAt;
  if (typeof time === 'number' && time >= EPOCH_MS_MIN && time <= Number.MAX_SAFE_INTEGER)
    return { deliverAt: Math.round(time) };
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `deliverAt is ${String(deliverAt)}; a Date or milliseconds since 1970 (not seconds) are allowed`,
  );
}

/** @throws INVALID_ARGUMENT, INVALID_NAME */
export function checkMessage(message: unknown): asserts message is OutgoingMessage {
  if (typeof message !== 'object' || message === null)
    throw new SluiceError('INVALID_ARGUMENT', 'a message is an object with topic and body');
  checkTopicName((message as { topic?: unknown }).topic);
}
