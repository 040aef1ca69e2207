/**
 * Messages between JSON and records: `body`, `key`, `tag`, `properties` of a send become what `BatchBuilder` takes, and a
 * stored record becomes the fields of a message. A string is stored as text, `{"$bytes":…}` as bytes, anything else as
 * JSON text, and each comes back as it was given. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 1, Bodies and Messages
 */
import { SluiceError } from '../../base/errors.ts';
import { DELAY_MS_MAX, EPOCH_MS_MIN } from '../../base/limits.ts';
import type { RecordInput } from '../batch/batch-builder.ts';
import { BODY_BYTES, BODY_JSON, BODY_TEXT } from '../batch/batch-layout.ts';
import type { BatchReader } from '../batch/batch-reader.ts';
import { checkPropertyName, ORIGIN_PROPERTY } from '../batch/reserved-property.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import type { Deferral, SendRecord } from './checked-requests.ts';
import { FieldReader, type Fields, isFields, shown } from './field-reader.ts';
import { MESSAGE_FIELDS } from './messages.ts';
import { parseJson } from './parse-json.ts';

const BYTES_FIELD = '$bytes';

/** One message object of a send. @throws INVALID_ARGUMENT */
export function readMessage(value: unknown, where: string): SendRecord {
  if (!isFields(value)) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${where} is ${shown(value)}, but must be an object with a body`,
    );
  }
  return readMessageFields(new FieldReader(value, where).allow(MESSAGE_FIELDS), value);
}

/** The message among the fields of a request that has others too. @throws INVALID_ARGUMENT */
export function readMessageFields(reader: FieldReader, fields: Fields): SendRecord {
  if (!reader.has('body')) reader.missing('body', 'any JSON value, or {"$bytes":"<base64>"}');
  return {
    ...readBody(fields['body'], reader),
    key: reader.optionalText('key'),
    tag: reader.optionalText('tag'),
    properties: readProperties(reader),
    deferral: readDeferral(reader, 'delayMs', 'deliverAt'),
  };
}

/** When a message is to be seen; the names of the fields differ by dialect. @throws INVALID_ARGUMENT */
export function readDeferral(
  reader: FieldReader,
  delayName: string,
  timeName: string,
): Deferral | undefined {
  const delayMs = reader.optionalInteger(delayName, 0, DELAY_MS_MAX);
  const deliverAt = reader.optionalInteger(timeName, 0, Number.MAX_SAFE_INTEGER);
  if (deliverAt === undefined) return delayMs === undefined ? undefined : { delayMs };
  if (delayMs !== undefined)
    return reader.wrong(timeName, deliverAt, `absent where there is ${JSON.stringify(delayName)}`);
  if (deliverAt < EPOCH_MS_MIN)
    return reader.wrong(timeName, deliverAt, 'milliseconds since 1970, not seconds');
  return { deliverAt };
}

function readBody(value: unknown, reader: FieldReader): Pick<RecordInput, 'body' | 'bodyKind'> {
  if (typeof value === 'string') return { body: value, bodyKind: BODY_TEXT };
  // A copy, because `bin` in a CONTROL frame is a view of the frame, and a send may have to wait for its topic.
  if (value instanceof Uint8Array) return { body: value.slice(), bodyKind: BODY_BYTES };
  if (isFields(value) && Object.hasOwn(value, BYTES_FIELD) && Object.keys(value).length === 1) {
    const text = value[BYTES_FIELD];
    const bytes = typeof text === 'string' ? decodeBase64(text) : undefined;
    if (bytes === undefined)
      return reader.wrong('body.$bytes', text, 'bytes in base64 with its padding');
    return { body: bytes, bodyKind: BODY_BYTES };
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // Deep enough to exhaust the stack of the serializer, or a number that JSON has no form for.
    text = undefined;
  }
  if (text === undefined)
    return reader.wrong('body', value, 'a JSON value that is not nested too deeply');
  return { body: text, bodyKind: BODY_JSON };
}

function readProperties(reader: FieldReader): Readonly<Record<string, string>> | undefined {
  const value = reader.raw('properties');
  if (value === undefined) return undefined;
  if (!isFields(value)) return reader.wrong('properties', value, 'an object of strings');
  const names = Object.keys(value);
  for (const name of names) {
    checkPropertyName(name);
    const text = value[name];
    if (typeof text !== 'string') return reader.wrong(`properties.${name}`, text, 'a string');
  }
  return names.length === 0 ? undefined : (value as Readonly<Record<string, string>>);
}

/** Where a stored record is. */
export type RecordPlace = {
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly messageId: string;
  readonly storedAt: number;
};

/** The fields of a message as JSON, from `"topic"` to `"storedAt"`, without braces. */
export function messageFieldsJson(place: RecordPlace, record: BatchReader): string {
  const key = record.keyBytes === 0 ? 'null' : JSON.stringify(record.key);
  const tag = record.tagBytes === 0 ? 'null' : JSON.stringify(record.tag);
  const { properties: all } = record;
  delete all[ORIGIN_PROPERTY];
  const properties = JSON.stringify(all);
  return `"topic":${JSON.stringify(place.topic)},"queueId":${place.queueId},"queueOffset":${place.queueOffset},"messageId":"${place.messageId}","key":${key},"tag":${tag},"properties":${properties},"body":${bodyJson(record)},"storedAt":${place.storedAt}`;
}

function bodyJson(record: BatchReader): string {
  if (record.bodyKind === BODY_TEXT) return JSON.stringify(record.bodyText);
  if (record.bodyKind === BODY_JSON) {
    const text = record.bodyText;
    // The text came from a producer: what is not JSON must not break the frame around it.
    if (parseJson(text).verdict === 'ok') return text;
  }
  return `{"${BYTES_FIELD}":"${encodeBase64(record.body)}"}`;
}
