/**
 * JSON text frames to checked requests and answers to JSON text; the same checks serve CONTROL frames, which carry the
 * same objects. The decoders are for input from outside: they never throw, and what they refuse says why. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 1
 */
import { type ErrorBody, SluiceError, toSluiceError } from '../../base/errors.ts';
import {
  CREDIT_MAX,
  DELAYED_LIST_MAX,
  FETCH_MESSAGES_MAX,
  LABEL_LENGTH_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  NACK_DELAY_MS_MAX,
  PRODUCER_GROUP_PROPERTY,
  SEND_MESSAGES_MAX,
  TOKENS_MAX,
  WAIT_MS_MAX,
} from '../../base/limits.ts';
import { checkGroupName } from '../../base/names.ts';
import {
  SETTLE_ACK,
  SETTLE_DELAY_DEFAULT,
  SETTLE_EXTEND,
  SETTLE_NACK,
} from '../envelope-layout.ts';
import type {
  CheckedRequest,
  DelayedTarget,
  GivenId,
  SendCommand,
  SendRecord,
} from './checked-requests.ts';
import { parseFilterField, parseSeekTarget, parseStartPoint } from './consume-fields.ts';
import { closestWord } from './did-you-mean.ts';
import { FieldReader, type Fields, isFields, shown } from './field-reader.ts';
import { readMessage, readMessageFields } from './message-codec.ts';
import { MESSAGE_FIELDS, REQUEST_FIELDS, type RequestOp } from './messages.ts';
import { DEEPER_THAN_MAX, parseJson } from './parse-json.ts';

const U32_MAX = 0xffff_ffff;
const CREDIT_DEFAULT = 100;
const FETCH_MESSAGES_DEFAULT = 32;
export const DELAYED_LIST_DEFAULT = 100;
const OPS = Object.keys(REQUEST_FIELDS) as RequestOp[];

/** A frame that was understood, or why it was not. */
export type DecodedRequest =
  | { readonly id: GivenId; readonly request: CheckedRequest }
  | { readonly id: GivenId; readonly refusal: SluiceError };

/** Decodes one text frame. Never throws. */
export function decodeJsonFrame(text: string): DecodedRequest {
  const parsed = parseJson(text);
  if (parsed.verdict !== 'ok') {
    const what = parsed.verdict === 'too-deep' ? DEEPER_THAN_MAX : 'is not JSON';
    const refusal = new SluiceError('BAD_FRAME', `the text frame ${shown(text)} ${what}`, {
      hint: 'Send one JSON object a text frame, such as {"op":"ping","id":1}.',
    });
    return { id: null, refusal };
  }
  const { value } = parsed;
  if (!isFields(value)) {
    const refusal = new SluiceError('BAD_FRAME', `the frame is ${shown(value)}, not a JSON object`);
    return { id: null, refusal };
  }
  return checkRequest(value);
}

/** Checks the object of a JSON or CONTROL frame. Never throws. */
export function checkRequest(fields: Fields): DecodedRequest {
  let id: GivenId = null;
  try {
    id = readId(fields);
    const op = readOp(fields);
    const reader = new FieldReader(fields, op).allow(['op', 'id', ...REQUEST_FIELDS[op]]);
    return { id, request: REQUEST_READERS[op](reader, fields) };
  } catch (error) {
    return { id, refusal: toSluiceError(error) };
  }
}

function readId(fields: Fields): GivenId {
  const id = Object.hasOwn(fields, 'id') ? fields['id'] : undefined;
  if (id === undefined || id === null) return undefined;
  const fits =
    (typeof id === 'string' && id.length <= LABEL_LENGTH_MAX) ||
    (typeof id === 'number' && Number.isFinite(id));
  if (fits) return id;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `the field "id" is ${shown(id)}, but must be a number or a string of at most ${LABEL_LENGTH_MAX} characters`,
  );
}

function readOp(fields: Fields): RequestOp {
  const list = `The ops are: ${OPS.join(', ')}.`;
  const op = Object.hasOwn(fields, 'op') ? fields['op'] : undefined;
  if (typeof op !== 'string') {
    const text =
      op === undefined || op === null
        ? 'the field "op" is missing'
        : `the field "op" is ${shown(op)}, but must be a string`;
    throw new SluiceError('INVALID_ARGUMENT', text, { hint: list });
  }
  if (Object.hasOwn(REQUEST_FIELDS, op)) return op as RequestOp;
  const close = closestWord(op, OPS);
  throw new SluiceError(
    'UNKNOWN_REQUEST',
    `the op ${shown(op)} is not known. ${list}`,
    close === undefined ? {} : { hint: `Did you mean ${JSON.stringify(close)}?` },
  );
}

type RequestReader = (reader: FieldReader, fields: Fields) => CheckedRequest;

const REQUEST_READERS: Readonly<Record<RequestOp, RequestReader>> = {
  hello: (reader) => ({
    op: 'hello',
    token: reader.optionalText('token'),
    client: reader.optionalText('client', LABEL_LENGTH_MAX) ?? '',
  }),
  send: (reader, fields) => ({ op: 'send', send: readSend(reader, fields) }),
  topic: (reader) => ({
    op: 'topic',
    topic: reader.text('topic'),
    create: reader.optionalBoolean('create'),
  }),
  subscribe: (reader) => ({
    op: 'subscribe',
    subscribe: {
      topic: reader.text('topic'),
      group: reader.text('group'),
      filter: parseFilterField(reader.raw('filter')),
      from: parseStartPoint(reader.raw('from') ?? 'latest', 'from'),
      credit: reader.optionalInteger('credit', 0, CREDIT_MAX) ?? CREDIT_DEFAULT,
      leaseMs: reader.optionalInteger('leaseMs', LEASE_MS_MIN, LEASE_MS_MAX),
      ordered: reader.optionalBoolean('ordered') ?? false,
      member: reader.optionalText('member', LABEL_LENGTH_MAX) ?? '',
    },
  }),
  unsubscribe: (reader) => ({
    op: 'unsubscribe',
    subscription: reader.integer('subscription', 0, U32_MAX),
  }),
  credit: (reader) => ({
    op: 'credit',
    subscription: reader.integer('subscription', 0, U32_MAX),
    ...readCredit(reader),
  }),
  ack: (reader) => ({
    op: 'ack',
    settle: { tokens: readTokens(reader), action: SETTLE_ACK, argument: 0, reason: '' },
  }),
  nack: (reader) => ({
    op: 'nack',
    settle: {
      tokens: readTokens(reader),
      action: SETTLE_NACK,
      argument: reader.optionalInteger('delayMs', 0, NACK_DELAY_MS_MAX) ?? SETTLE_DELAY_DEFAULT,
      reason: reader.optionalText('reason', LABEL_LENGTH_MAX) ?? '',
    },
  }),
  extend: (reader) => ({
    op: 'extend',
    settle: {
      tokens: readTokens(reader),
      action: SETTLE_EXTEND,
      argument: reader.integer('leaseMs', LEASE_MS_MIN, LEASE_MS_MAX),
      reason: '',
    },
  }),
  fetch: (reader) => ({
    op: 'fetch',
    fetch: {
      topic: reader.text('topic'),
      queueId: reader.integer('queueId', 0, 0xffff),
      offset: reader.integer('offset', 0, Number.MAX_SAFE_INTEGER),
      max: reader.optionalInteger('max', 1, FETCH_MESSAGES_MAX) ?? FETCH_MESSAGES_DEFAULT,
      waitMs: reader.optionalInteger('waitMs', 0, WAIT_MS_MAX) ?? 0,
    },
  }),
  seek: (reader) => ({
    op: 'seek',
    seek: {
      topic: reader.text('topic'),
      group: reader.text('group'),
      to: parseSeekTarget(
        reader.raw('to') ?? reader.missing('to', '"earliest", "latest", a time or offsets'),
        'to',
      ),
    },
  }),
  delayed: (reader) => ({
    op: 'delayed',
    topic: reader.text('topic'),
    key: reader.optionalText('key'),
    max: reader.optionalInteger('max', 1, DELAYED_LIST_MAX) ?? DELAYED_LIST_DEFAULT,
  }),
  cancelDelayed: (reader) => ({
    op: 'cancelDelayed',
    topic: reader.text('topic'),
    target: readDelayedTarget(reader),
  }),
  checkTransactions: (reader) => ({ op: 'checkTransactions', group: reader.text('group') }),
  endTransaction: (reader) => ({
    op: 'endTransaction',
    messageId: reader.text('messageId'),
    isCommit: readDecision(reader),
    group: reader.optionalText('group'),
  }),
  ping: () => ({ op: 'ping' }),
};

/** @returns is it a commit? @throws INVALID_ARGUMENT */
export function readDecision(reader: FieldReader): boolean {
  const decision = reader.text('decision');
  if (decision === 'commit' || decision === 'rollback') return decision === 'commit';
  return reader.wrong('decision', decision, '"commit" or "rollback"');
}

/** A half message is one message, names its group, and has no time of its own. @throws INVALID_ARGUMENT */
function asHalf(reader: FieldReader, records: readonly SendRecord[], group: string): SendRecord {
  checkGroupName(group);
  const [record] = records;
  if (record === undefined || records.length > 1 || record.deferral !== undefined)
    return reader.wrong(
      'transactionGroup',
      group,
      'absent where there are several messages, delayMs or deliverAt',
    );
  return { ...record, properties: { ...record.properties, [PRODUCER_GROUP_PROPERTY]: group } };
}

/** Exactly one of the two. @throws INVALID_ARGUMENT */
export function readDelayedTarget(reader: FieldReader): DelayedTarget {
  const key = reader.optionalText('key');
  const messageId = reader.optionalText('messageId');
  if (messageId === undefined)
    return { key: key ?? reader.missing('key', 'the key of the messages, or "messageId"') };
  if (key !== undefined) return reader.wrong('key', key, 'absent where there is "messageId"');
  return { messageId };
}

function readTokens(reader: FieldReader): readonly string[] {
  return reader.texts('tokens', TOKENS_MAX);
}

function readSend(reader: FieldReader, fields: Fields): SendCommand {
  const many = reader.raw('messages') !== undefined;
  const single = MESSAGE_FIELDS.find((name) => reader.has(name));
  if (many && single !== undefined) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `send: the fields "messages" and ${JSON.stringify(single)} exclude each other`,
      { hint: 'Give body, key, tag and properties in each item of "messages".' },
    );
  }
  const records = many
    ? reader
        .array('messages', SEND_MESSAGES_MAX)
        .map((message, index) => readMessage(message, `messages[${index}]`))
    : [readMessageFields(reader, fields)];
  const transactionGroup = reader.optionalText('transactionGroup');
  return {
    topic: reader.text('topic'),
    records: transactionGroup === undefined ? records : [asHalf(reader, records, transactionGroup)],
    transactionGroup,
    queueId: reader.optionalInteger('queueId', 0, 0xffff),
    ...readProducer(reader, records.length, 'producerId', 'producerEpoch', 'sequence'),
  };
}

/**
 * The dedup identity of a send; the names of the fields differ by dialect.
 *
 * @throws INVALID_ARGUMENT
 */
export function readProducer(
  reader: FieldReader,
  recordCount: number,
  idName: string,
  epochName: string,
  sequenceName: string,
): Pick<SendCommand, 'producerId' | 'producerEpoch' | 'sequence'> {
  const producerId = reader.optionalText(idName) ?? '';
  const sequence = reader.optionalInteger(sequenceName, 0, Number.MAX_SAFE_INTEGER - recordCount);
  const producerEpoch = reader.optionalInteger(epochName, 0, U32_MAX) ?? 0;
  // One without the other looks like dedup and is none.
  if (producerId === '' && (sequence !== undefined || producerEpoch !== 0))
    return reader.missing(idName, 'the name of this producer, the same after a restart');
  if (producerId !== '' && sequence === undefined)
    return reader.missing(sequenceName, 'the number of the first message, counted by the producer');
  return { producerId, producerEpoch, sequence: sequence ?? 0 };
}

/** The text of one answer: `op`, the id of the request when it had one, and `fields`. */
export function encodeJsonAnswer(op: string, id: GivenId, fields: object): string {
  return JSON.stringify(id === undefined ? { op, ...fields } : { op, id, ...fields });
}

/** The same for fields that are JSON text already, without braces; empty for none. */
export function encodeJsonAnswerText(op: string, id: GivenId, fieldsJson: string): string {
  const head = encodeJsonAnswer(op, id, {});
  return fieldsJson === '' ? head : `${head.slice(0, -1)},${fieldsJson}}`;
}

export function encodeJsonError(id: GivenId, body: ErrorBody): string {
  return encodeJsonAnswer('error', id, body);
}

function readCredit(reader: FieldReader): { readonly more: number; readonly less: number } {
  if (!reader.has('less')) return { more: reader.integer('more', 1, CREDIT_MAX), less: 0 };
  if (reader.has('more'))
    reader.wrong('less', reader.raw('less'), 'left out where there is "more"');
  return { more: 0, less: reader.integer('less', 1, CREDIT_MAX) };
}
