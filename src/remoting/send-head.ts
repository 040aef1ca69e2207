/**
 * The header of a send, in either of its two spellings: long names for SEND_MESSAGE, letters for SEND_MESSAGE_V2 and
 * SEND_BATCH_MESSAGE. Read from the frame in place, once per send.
 *
 * @source RocketMQ SendMessageRequestHeader, SendMessageRequestHeaderV2
 */
import { SluiceError } from '../base/errors.ts';
import {
  type FieldName,
  fieldName,
  type HeaderFields,
} from '../protocol/remoting/header-fields.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';

type SendNames = Readonly<Record<keyof SendHead, FieldName>>;

export type SendHead = {
  readonly producerGroup: string;
  readonly topic: string;
  /** Topic whose settings a new one gets. */
  readonly defaultTopic: string;
  readonly defaultTopicQueueNums: number;
  /** Negative: any. */
  readonly queueId: number;
  readonly sysFlag: number;
  readonly bornTimestamp: number;
  readonly flag: number;
  /** Text of all properties; see property-text.ts. */
  readonly properties: string;
  readonly reconsumeTimes: number;
  readonly maxReconsumeTimes: number | undefined;
  /** The field says that its body is a batch: see `isBatchSend`. */
  readonly batch: boolean;
};

function namesOf(spelling: readonly (readonly [keyof SendHead, string])[]): SendNames {
  return Object.fromEntries(
    spelling.map(([name, written]) => [name, fieldName(written)]),
  ) as SendNames;
}

const LETTERS: readonly (readonly [keyof SendHead, string])[] = [
  ['producerGroup', 'a'],
  ['topic', 'b'],
  ['defaultTopic', 'c'],
  ['defaultTopicQueueNums', 'd'],
  ['queueId', 'e'],
  ['sysFlag', 'f'],
  ['bornTimestamp', 'g'],
  ['flag', 'h'],
  ['properties', 'i'],
  ['reconsumeTimes', 'j'],
  ['maxReconsumeTimes', 'l'],
  ['batch', 'm'],
];

/** Names of SEND_MESSAGE and SEND_REPLY_MESSAGE. */
export const LONG_NAMES: SendNames = namesOf(LETTERS.map(([name]) => [name, name]));
/** Names of SEND_MESSAGE_V2, SEND_BATCH_MESSAGE and SEND_REPLY_MESSAGE_V2. */
export const LETTER_NAMES: SendNames = namesOf(LETTERS);

/** Is the body of this request a batch? Clients in C++ say so in a field alone. */
export function isBatchSend(code: number, fields: HeaderFields): boolean {
  if (code === REQUEST_CODES.SEND_BATCH_MESSAGE) return true;
  const names = code === REQUEST_CODES.SEND_MESSAGE ? LONG_NAMES : LETTER_NAMES;
  return fields.boolean(names.batch) === true;
}

/** @throws INVALID_ARGUMENT that names the field */
export function readSendHead(fields: HeaderFields, names: SendNames): SendHead {
  const integer = (name: keyof SendHead, absent: number): number => {
    const value = fields.integer(names[name]);
    if (value === undefined) return absent;
    if (Number.isNaN(value)) throw wrong(name, 'is no integer');
    return value;
  };
  const topic = fields.text(names.topic);
  if (topic === undefined || topic === '') throw wrong('topic', 'is missing');
  const maxReconsumeTimes = integer('maxReconsumeTimes', -1);
  return {
    topic,
    producerGroup: fields.text(names.producerGroup) ?? '',
    defaultTopic: fields.text(names.defaultTopic) ?? '',
    defaultTopicQueueNums: integer('defaultTopicQueueNums', 4),
    queueId: integer('queueId', -1),
    sysFlag: integer('sysFlag', 0) | 0,
    bornTimestamp: integer('bornTimestamp', 0),
    flag: integer('flag', 0) | 0,
    properties: fields.text(names.properties) ?? '',
    reconsumeTimes: integer('reconsumeTimes', 0) | 0,
    maxReconsumeTimes: maxReconsumeTimes < 0 ? undefined : maxReconsumeTimes,
    batch: fields.boolean(names.batch) === true,
  };
}

function wrong(name: string, what: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', `the field ${name} of the send ${what}`);
}
