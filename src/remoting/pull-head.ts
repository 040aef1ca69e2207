/**
 * The header of a pull, read from the frame in place, once per pull.
 *
 * @source RocketMQ PullMessageRequestHeader
 */
import { SluiceError } from '../base/errors.ts';
import { FETCH_BYTES_MAX, FETCH_MESSAGES_MAX, REGISTERED_NAME_MAX } from '../base/limits.ts';
import { KIB } from '../base/units.ts';
import {
  type FieldName,
  fieldName,
  type HeaderFields,
} from '../protocol/remoting/header-fields.ts';

export type PullHead = {
  readonly consumerGroup: string;
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly messagesMax: number;
  /** Bytes of batches. */
  readonly bytesMax: number;
  readonly sysFlag: number;
  readonly commitOffset: number;
  readonly suspendMs: number;
  readonly subscription: string;
  readonly subVersion: number;
  readonly expressionType: string;
};

const CONSUMER_GROUP = fieldName('consumerGroup');
const TOPIC = fieldName('topic');
const QUEUE_ID = fieldName('queueId');
const QUEUE_OFFSET = fieldName('queueOffset');
const MAX_MSG_NUMS = fieldName('maxMsgNums');
const MAX_MSG_BYTES = fieldName('maxMsgBytes');
const SYS_FLAG = fieldName('sysFlag');
const COMMIT_OFFSET = fieldName('commitOffset');
const SUSPEND_TIMEOUT = fieldName('suspendTimeoutMillis');
const SUBSCRIPTION = fieldName('subscription');
const SUB_VERSION = fieldName('subVersion');
const EXPRESSION_TYPE = fieldName('expressionType');

/** @source RocketMQ MessageStoreConfig.maxTransferBytesOnMessageInMemory */
const BYTES_DEFAULT: number = 256 * KIB;
/** Clients give up after thirty seconds: an answer is there before. */
const SUSPEND_MS_MAX = 25_000;

/** @throws INVALID_ARGUMENT that names the field */
export function readPullHead(fields: HeaderFields): PullHead {
  const integer = (name: FieldName, absent?: number): number => {
    const value = fields.long(name) ?? absent;
    if (value === undefined || Number.isNaN(value))
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the field ${name.text} of the pull is ${value === undefined ? 'missing' : 'no integer'}`,
      );
    return value;
  };
  const bytesMax = integer(MAX_MSG_BYTES, BYTES_DEFAULT);
  const consumerGroup = fields.text(CONSUMER_GROUP) ?? '';
  // What is counted for a group is kept under its name.
  if (consumerGroup.length > REGISTERED_NAME_MAX)
    throw new SluiceError('INVALID_ARGUMENT', 'the field consumerGroup of the pull is too long');
  return {
    consumerGroup,
    topic: fields.text(TOPIC) ?? '',
    queueId: integer(QUEUE_ID),
    queueOffset: integer(QUEUE_OFFSET),
    messagesMax: Math.min(Math.max(1, integer(MAX_MSG_NUMS)), FETCH_MESSAGES_MAX),
    bytesMax: Math.min(bytesMax > 0 ? bytesMax : BYTES_DEFAULT, FETCH_BYTES_MAX),
    sysFlag: integer(SYS_FLAG),
    commitOffset: integer(COMMIT_OFFSET, 0),
    suspendMs: Math.min(Math.max(0, integer(SUSPEND_TIMEOUT, 0)), SUSPEND_MS_MAX),
    subscription: fields.text(SUBSCRIPTION) ?? '',
    subVersion: integer(SUB_VERSION, 0),
    expressionType: fields.text(EXPRESSION_TYPE) ?? 'TAG',
  };
}
