/**
 * RocketMQ's response code for each of our refusals, and its words where clients look at them. What decides is what the client
 * does next: 10, 11 and 12 count as sent, so nothing that was not stored has one of them; 1, 14, 16 and 17 are sent again to
 * another broker; 13 and 29 never.
 *
 * @source docs/ROCKETMQ.md; RocketMQ ResponseCode, DefaultMQProducer.retryResponseCodes
 */
import type { ErrorCode } from '../base/error-codes.ts';
import { SluiceError } from '../base/errors.ts';
import { RESPONSE_CODES as CODES } from '../protocol/remoting/response-codes.ts';
import type { RemotingAnswer } from './remoting-request.ts';

const CODE_OF: Readonly<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: CODES.INVALID_PARAMETER,
  INVALID_NAME: CODES.INVALID_PARAMETER,
  MESSAGE_TOO_LARGE: CODES.MESSAGE_ILLEGAL,
  CLOSED: CODES.SERVICE_NOT_AVAILABLE,
  DRAINING: CODES.SERVICE_NOT_AVAILABLE,
  DISCONNECTED: CODES.SYSTEM_ERROR,
  BUSY: CODES.SYSTEM_BUSY,
  WINDOW_FULL: CODES.SYSTEM_BUSY,
  RATE_LIMITED: CODES.SYSTEM_BUSY,
  TIMEOUT: CODES.SYSTEM_ERROR,
  FLUSH_TIMEOUT: CODES.SYSTEM_ERROR,
  FLUSH_SLAVE_TIMEOUT: CODES.SYSTEM_ERROR,
  TOPIC_NOT_FOUND: CODES.TOPIC_NOT_EXIST,
  QUEUE_NOT_FOUND: CODES.INVALID_PARAMETER,
  GROUP_NOT_FOUND: CODES.SUBSCRIPTION_GROUP_NOT_EXIST,
  TOPIC_EXISTS: CODES.TOPIC_EXIST_ALREADY,
  SUBSCRIPTION_NOT_FOUND: CODES.SUBSCRIPTION_NOT_EXIST,
  MESSAGE_NOT_FOUND: CODES.SYSTEM_ERROR,
  GROUP_IN_USE: CODES.SYSTEM_ERROR,
  LIMIT_REACHED: CODES.SYSTEM_ERROR,
  TOO_MANY_DEFERRED: CODES.SYSTEM_BUSY,
  OFFSET_OUT_OF_RANGE: CODES.PULL_OFFSET_MOVED,
  BAD_FRAME: CODES.INVALID_PARAMETER,
  UNSUPPORTED_VERSION: CODES.VERSION_NOT_SUPPORTED,
  UNKNOWN_REQUEST: CODES.REQUEST_CODE_NOT_SUPPORTED,
  NOT_FOUND: CODES.QUERY_NOT_FOUND,
  UNAUTHENTICATED: CODES.NO_PERMISSION,
  FORBIDDEN: CODES.NO_PERMISSION,
  STORAGE_FULL: CODES.SERVICE_NOT_AVAILABLE,
  STORAGE_IO: CODES.SERVICE_NOT_AVAILABLE,
  RECORD_CORRUPT: CODES.SYSTEM_ERROR,
  SHARD_RESTARTING: CODES.SERVICE_NOT_AVAILABLE,
  SHARD_FENCED: CODES.SERVICE_NOT_AVAILABLE,
  NOT_MASTER: CODES.SERVICE_NOT_AVAILABLE,
  SLAVE_NOT_AVAILABLE: CODES.SERVICE_NOT_AVAILABLE,
  SEQUENCE_GAP: CODES.SYSTEM_ERROR,
  STALE_PRODUCER_EPOCH: CODES.SYSTEM_ERROR,
  LEASE_EXPIRED: CODES.SYSTEM_ERROR,
  SUBSCRIPTION_MISMATCH: CODES.SUBSCRIPTION_NOT_LATEST,
  UNSUPPORTED: CODES.REQUEST_CODE_NOT_SUPPORTED,
  INVARIANT: CODES.SYSTEM_ERROR,
};

/** How RocketMQ's remarks begin where a client, or a person who knows them, looks for it. */
const PREFIX_OF: Partial<Record<ErrorCode, string>> = {
  BUSY: '[REJECTREQUEST]',
  WINDOW_FULL: '[OVERLOAD]',
  RATE_LIMITED: '[OVERLOAD]',
};

/** A refusal that RocketMQ answers with another code than the table says, because of the request it is about. */
export class CodedError extends SluiceError {
  readonly remotingCode: number;

  constructor(remotingCode: number, { code, message, hint, cause }: SluiceError) {
    super(code, message, { hint, cause });
    this.remotingCode = remotingCode;
  }
}

/** The answer that refuses a request. */
export function remotingRefusal(error: SluiceError): RemotingAnswer {
  const { code, message, hint } = error;
  const prefix = PREFIX_OF[code];
  const text = `${code}: ${message}. ${hint}`;
  const remotingCode = error instanceof CodedError ? error.remotingCode : CODE_OF[code];
  return { code: remotingCode, remark: prefix === undefined ? text : `${prefix}${text}` };
}
