/**
 * HTTP requests to checked requests, and refusals to responses. Knows paths' parameters, headers and bodies; what happens
 * then is the same as for JSON frames. Decoders throw SluiceError, which the acceptor turns into a response at one place.
 * Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 2
 */
import { ERROR_CODES } from '../../base/error-codes.ts';
import { type ErrorBody, SluiceError } from '../../base/errors.ts';
import {
  DELAYED_LIST_MAX,
  FETCH_MESSAGES_MAX,
  LABEL_LENGTH_MAX,
  NACK_DELAY_MS_MAX,
  SEND_MESSAGES_MAX,
  TOKENS_MAX,
  WAIT_MS_MAX,
} from '../../base/limits.ts';
import { BODY_BYTES, BODY_TEXT, type BodyKind } from '../batch/batch-layout.ts';
import { SETTLE_ACK, SETTLE_DELAY_DEFAULT, SETTLE_NACK } from '../envelope-layout.ts';
import type { SubscriptionFilter } from '../subscription-filter.ts';
import type {
  DelayedTarget,
  PollCommand,
  SendCommand,
  SendRecord,
  SettleCommand,
} from './checked-requests.ts';
import { parseFilter, parseSqlFilter, parseStartPoint } from './consume-fields.ts';
import { FieldReader, type Fields, isFields, shown } from './field-reader.ts';
import { DELAYED_LIST_DEFAULT, readDelayedTarget, readProducer } from './json-codec.ts';
import { readDeferral, readMessage } from './message-codec.ts';
import { DEEPER_THAN_MAX, parseJson } from './parse-json.ts';

/** Headers with names in lower case. */
export type Headers = ReadonlyMap<string, string>;

/** As the front door wants it. */
export type Response = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

export const JSON_TYPE = 'application/json; charset=utf-8';
const POLL_MESSAGES_DEFAULT = 32;
/** Long enough for messages that are there to be found; `waitMs` says otherwise. */
const POLL_WAIT_MS_DEFAULT = 1000;
const DIGITS = /^\d{1,16}$/;
const strictDecoder = new TextDecoder('utf-8', { fatal: true });

export function jsonResponse(status: number, value: object | string): Response {
  const body = typeof value === 'string' ? value : JSON.stringify(value);
  return { status, headers: { 'Content-Type': JSON_TYPE }, body };
}

/** The response of a refusal: the status of its code, the error as in JSON frames, and when to come back. */
export function refusalResponse(body: ErrorBody): Response {
  const response = jsonResponse(ERROR_CODES[body.code].httpStatus, { error: body });
  const headers: Record<string, string> = { ...response.headers };
  if (body.retryAfterMs !== undefined)
    headers['Retry-After'] = String(Math.max(1, Math.ceil(body.retryAfterMs / 1000)));
  if (body.code === 'UNAUTHENTICATED') headers['WWW-Authenticate'] = 'Bearer';
  return { ...response, headers };
}

/** The segments of a path, percent-decoded. @throws INVALID_ARGUMENT */
export function pathSegments(path: string): readonly string[] {
  try {
    return path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the path ${shown(path)} has a broken percent-encoding`,
      { hint: 'Write % as %25: the topic %DLQ%billing is %25DLQ%25billing in a path.' },
    );
  }
}

/** UTF-8 text of a body. @throws INVALID_ARGUMENT */
export function bodyText(body: Uint8Array): string {
  try {
    return strictDecoder.decode(body);
  } catch {
    throw new SluiceError('INVALID_ARGUMENT', 'the body is not UTF-8');
  }
}

/** A JSON object as body; an empty body is an empty object. @throws BAD_FRAME */
export function bodyFields(body: Uint8Array): Fields {
  const value = body.length === 0 ? {} : jsonOf(bodyText(body), 'the body');
  if (isFields(value)) return value;
  throw new SluiceError('BAD_FRAME', `the body is ${shown(value)}, not a JSON object`);
}

function jsonOf(text: string, what: string): unknown {
  const parsed = parseJson(text);
  if (parsed.verdict === 'ok') return parsed.value;
  const why = parsed.verdict === 'too-deep' ? DEEPER_THAN_MAX : 'is not JSON';
  throw new SluiceError('BAD_FRAME', `${what} ${shown(text)} ${why}`);
}

/** `POST /v1/topics/{topic}/messages`. @throws INVALID_ARGUMENT, BAD_FRAME */
export function decodePost(topic: string, headers: Headers, body: Uint8Array): SendCommand {
  const records = decodePostRecords(headers, body);
  const producer = new FieldReader(producerFields(headers), 'the headers');
  return {
    topic,
    records,
    queueId: undefined,
    ...readProducer(producer, records.length, 'X-Producer-Id', 'X-Producer-Epoch', 'X-Sequence'),
  };
}

function producerFields(headers: Headers): Fields {
  const fields = numberFields(headers, ['X-Producer-Epoch', 'X-Sequence']);
  return { ...fields, 'X-Producer-Id': headers.get('x-producer-id') };
}

/** Headers that hold numbers; what does not is left for the check of the field to refuse. */
function numberFields(headers: Headers, names: readonly string[]): Fields {
  const fields = Object.create(null) as Record<string, unknown>;
  for (const name of names) {
    const text = headers.get(name.toLowerCase());
    fields[name] = text !== undefined && DIGITS.test(text) ? Number(text) : text;
  }
  return fields;
}

function decodePostRecords(headers: Headers, body: Uint8Array): readonly SendRecord[] {
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';');
  switch (type.trim()) {
    case 'application/json': {
      const value = jsonOf(bodyText(body), 'the body');
      if (!Array.isArray(value)) return [readMessage(value, 'the body')];
      checkCount(value.length);
      return value.map((message, index) => readMessage(message, `the body[${index}]`));
    }
    case 'application/x-ndjson': {
      const lines = bodyText(body).split('\n');
      const records: SendRecord[] = [];
      for (const [index, line] of lines.entries()) {
        if (line.trim() === '') continue;
        checkCount(records.length + 1);
        const where = `line ${index + 1}`;
        records.push(readMessage(jsonOf(line, where), where));
      }
      checkCount(records.length);
      return records;
    }
    default:
      return [rawRecord(type.trim(), parameters, headers, body)];
  }
}

function checkCount(count: number): void {
  if (count >= 1 && count <= SEND_MESSAGES_MAX) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the body has ${count === 0 ? 'no messages' : `more than ${SEND_MESSAGES_MAX} messages`}`,
    { hint: `Send 1 to ${SEND_MESSAGES_MAX} messages a request.` },
  );
}

function rawRecord(
  type: string,
  parameters: readonly string[],
  headers: Headers,
  body: Uint8Array,
): SendRecord {
  return {
    body,
    bodyKind: type.startsWith('text/') ? textKind(parameters, body) : BODY_BYTES,
    key: headers.get('x-message-key'),
    tag: headers.get('x-message-tag'),
    properties: undefined,
    deferral: readDeferral(
      new FieldReader(numberFields(headers, ['X-Delay-Ms', 'X-Deliver-At']), 'the headers'),
      ...(['X-Delay-Ms', 'X-Deliver-At'] as const),
    ),
  };
}

/** Text is stored as it came, so it must be what it will be read as. */
function textKind(parameters: readonly string[], body: Uint8Array): BodyKind {
  const charset = parameters.map(charsetOf).find((value) => value !== undefined);
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new SluiceError('INVALID_ARGUMENT', `the charset ${shown(charset)} is not UTF-8`, {
      hint: 'Send text as UTF-8, or as application/octet-stream to have the bytes back as they are.',
    });
  }
  bodyText(body);
  return BODY_TEXT;
}

/** The value of a parameter `charset=…`. Without a pattern: one with blanks around takes quadratic time on blanks. */
function charsetOf(parameter: string): string | undefined {
  const [name = '', ...rest] = parameter.split('=');
  if (name.trim() !== 'charset') return undefined;
  const value = rest.join('=').trim();
  const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
  return isQuoted ? value.slice(1, -1) : value;
}

/** The query as fields; a parameter given twice is refused. @throws INVALID_ARGUMENT */
export function queryReader(query: URLSearchParams, allowed: readonly string[]): FieldReader {
  const fields = Object.create(null) as Record<string, unknown>;
  for (const [name, text] of query) {
    if (Object.hasOwn(fields, name)) {
      throw new SluiceError('INVALID_ARGUMENT', `the query has the parameter ${shown(name)} twice`);
    }
    // A filter or name of digits is still text; only these are numbers.
    const isNumber = ['max', 'waitMs', 'from'].includes(name) && DIGITS.test(text);
    fields[name] = isNumber ? Number(text) : text;
  }
  return new FieldReader(fields, 'the query').allow(allowed);
}

/** `GET /v1/topics/{topic}/messages`. @throws INVALID_ARGUMENT */
export function decodePoll(topic: string, query: URLSearchParams): PollCommand {
  const reader = queryReader(query, ['group', 'max', 'waitMs', 'filter', 'filterSql', 'from']);
  return {
    topic,
    group: reader.text('group'),
    filter: readPollFilter(reader),
    from: parseStartPoint(reader.raw('from') ?? 'latest', 'from'),
    max: reader.optionalInteger('max', 1, FETCH_MESSAGES_MAX) ?? POLL_MESSAGES_DEFAULT,
    waitMs: reader.optionalInteger('waitMs', 0, WAIT_MS_MAX) ?? POLL_WAIT_MS_DEFAULT,
  };
}

function readPollFilter(reader: FieldReader): SubscriptionFilter {
  const tags = reader.optionalText('filter');
  const sql = reader.optionalText('filterSql');
  if (tags !== undefined && sql !== undefined) {
    throw new SluiceError('INVALID_ARGUMENT', 'the query has both "filter" and "filterSql"', {
      hint: "Ask for the tag in SQL: TAGS = 'paid' AND price > 10.0",
    });
  }
  return sql === undefined ? parseFilter(tags) : parseSqlFilter(sql);
}

/** `POST /v1/groups/{group}/acks`. @throws INVALID_ARGUMENT, BAD_FRAME */
export function decodeAcks(body: Uint8Array): SettleCommand {
  const fields = bodyFields(body);
  const reader = new FieldReader(fields, 'the body').allow(['tokens', 'nack', 'delayMs', 'reason']);
  const nack = reader.raw('nack') !== undefined;
  if (nack && reader.raw('tokens') !== undefined) {
    throw new SluiceError('INVALID_ARGUMENT', 'the body has both "tokens" and "nack"', {
      hint: 'Send acks and nacks in two requests.',
    });
  }
  const delayMs = reader.optionalInteger('delayMs', 0, NACK_DELAY_MS_MAX);
  const reason = reader.optionalText('reason', LABEL_LENGTH_MAX);
  if (!nack && (delayMs !== undefined || reason !== undefined)) {
    throw new SluiceError('INVALID_ARGUMENT', 'the body has "delayMs" or "reason" without "nack"');
  }
  return {
    tokens: reader.texts(nack ? 'nack' : 'tokens', TOKENS_MAX),
    action: nack ? SETTLE_NACK : SETTLE_ACK,
    argument: nack ? (delayMs ?? SETTLE_DELAY_DEFAULT) : 0,
    reason: reason ?? '',
  };
}

/** `GET /v1/topics/{topic}/delayed`. @throws INVALID_ARGUMENT */
export function decodeDelayedList(query: URLSearchParams): {
  key: string | undefined;
  max: number;
} {
  const reader = queryReader(query, ['key', 'max']);
  return {
    key: reader.optionalText('key'),
    max: reader.optionalInteger('max', 1, DELAYED_LIST_MAX) ?? DELAYED_LIST_DEFAULT,
  };
}

/** `DELETE /v1/topics/{topic}/delayed`. @throws INVALID_ARGUMENT */
export function decodeDelayedTarget(query: URLSearchParams): DelayedTarget {
  return readDelayedTarget(queryReader(query, ['key', 'messageId']));
}
