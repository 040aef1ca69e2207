/**
 * The registry of error codes: the only place where one is defined. `docs/ERRORS.md` lists exactly these and a
 * test compares both. Numbers cross threads and the binary dialect; they are never reused. Browser-safe.
 */

/** How far the damage of an error reaches: its owner must stop, this operation failed, or it was handled. */
export type ErrorCategory = 'fatal' | 'error' | 'warn';

/** One row of the registry. */
export type ErrorDefinition = {
  /** Number of the code on the binary dialect and between threads, 1 to 65535. */
  readonly number: number;
  readonly category: ErrorCategory;
  /** May the same request succeed later, unchanged? */
  readonly retryable: boolean;
  /** Was the message stored? `unknown` when the broker cannot tell; `no` when it certainly was not. */
  readonly stored: 'no' | 'unknown';
  /** HTTP status of the same refusal. */
  readonly httpStatus: number;
  /** One sentence: what happened. */
  readonly sentence: string;
  /** One sentence: what to do next. */
  readonly hint: string;
};

const row = (
  number: number,
  category: ErrorCategory,
  retryable: boolean,
  stored: 'no' | 'unknown',
  httpStatus: number,
  sentence: string,
  hint: string,
): ErrorDefinition => ({ number, category, retryable, stored, httpStatus, sentence, hint });

/** The name of an error code, as users match on it. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_NAME'
  | 'MESSAGE_TOO_LARGE'
  | 'CLOSED'
  | 'DRAINING'
  | 'DISCONNECTED'
  | 'BUSY'
  | 'WINDOW_FULL'
  | 'RATE_LIMITED'
  | 'TIMEOUT'
  | 'FLUSH_TIMEOUT'
  | 'FLUSH_SLAVE_TIMEOUT'
  | 'TOPIC_NOT_FOUND'
  | 'QUEUE_NOT_FOUND'
  | 'GROUP_NOT_FOUND'
  | 'TOPIC_EXISTS'
  | 'SUBSCRIPTION_NOT_FOUND'
  | 'MESSAGE_NOT_FOUND'
  | 'GROUP_IN_USE'
  | 'LIMIT_REACHED'
  | 'TOO_MANY_DEFERRED'
  | 'OFFSET_OUT_OF_RANGE'
  | 'BAD_FRAME'
  | 'UNSUPPORTED_VERSION'
  | 'UNKNOWN_REQUEST'
  | 'NOT_FOUND'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'STORAGE_FULL'
  | 'STORAGE_IO'
  | 'RECORD_CORRUPT'
  | 'SHARD_RESTARTING'
  | 'SHARD_FENCED'
  | 'NOT_MASTER'
  | 'SLAVE_NOT_AVAILABLE'
  | 'SEQUENCE_GAP'
  | 'STALE_PRODUCER_EPOCH'
  | 'LEASE_EXPIRED'
  | 'SUBSCRIPTION_MISMATCH'
  | 'UNSUPPORTED'
  | 'INVARIANT';

// biome-ignore format: one row a line reads as the table that it is
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorDefinition>> = {
  INVALID_ARGUMENT: row(1, 'error', false, 'no', 400, 'A field of the request is missing or wrong.', 'Correct the field that the message names; nothing was changed.'),
  INVALID_NAME: row(2, 'error', false, 'no', 400, 'A topic or group name breaks the naming rule.', 'Use 1 to 127 characters (groups 120) of a-z A-Z 0-9 _ - % |.'),
  MESSAGE_TOO_LARGE: row(3, 'error', false, 'no', 413, 'A message or frame is larger than the limit.', 'Send smaller messages, or raise maxMessageSize on the broker.'),
  CLOSED: row(10, 'error', false, 'unknown', 503, 'The client or broker was closed.', 'Create a new one; a request that was under way may have been carried out.'),
  DRAINING: row(11, 'error', true, 'no', 503, 'The broker is shutting down and takes no new work.', 'Connect to another broker, or retry once it is back.'),
  DISCONNECTED: row(12, 'error', true, 'unknown', 503, 'The connection to the broker was lost or could not be made.', 'The client reconnects by itself; if it lasts, check the address (the WebSocket port, by default 8880) and the network.'),
  BUSY: row(20, 'warn', true, 'no', 503, 'The broker cannot take more at this moment.', 'Wait retryAfterMs and send the same request again.'),
  WINDOW_FULL: row(21, 'warn', true, 'no', 429, 'Too many unanswered requests on this connection.', 'Wait for answers before sending more; the window is in the welcome frame.'),
  RATE_LIMITED: row(22, 'warn', true, 'no', 429, 'The sender is faster than its limit.', 'Wait retryAfterMs; batch messages to use fewer requests.'),
  TIMEOUT: row(30, 'error', true, 'unknown', 504, 'No answer within the time allowed; the outcome is unknown.', 'Send again with the same producerId and sequence: nothing is stored twice.'),
  FLUSH_TIMEOUT: row(31, 'error', true, 'unknown', 504, 'The disk did not confirm in time; the outcome is unknown.', 'Send again with the same producerId and sequence; look at sluice_flush_seconds in /metrics.'),
  FLUSH_SLAVE_TIMEOUT: row(32, 'error', true, 'unknown', 504, 'No slave confirmed in time; the outcome is unknown.', 'Send again with the same producerId and sequence: nothing is stored twice. Look at the slave and at the network between.'),
  TOPIC_NOT_FOUND: row(40, 'error', false, 'no', 404, 'The topic does not exist and is not created automatically.', 'Create it with: sluice admin topics create NAME'),
  QUEUE_NOT_FOUND: row(41, 'error', false, 'no', 404, 'The topic has no queue with this number.', 'Ask for the topic with the op "topic": it names its queues.'),
  GROUP_NOT_FOUND: row(42, 'error', false, 'no', 404, 'The consumer group does not exist.', 'A group comes into being with its first subscribe; list them with: sluice admin groups list'),
  TOPIC_EXISTS: row(43, 'error', false, 'no', 409, 'A topic of this name exists with other settings.', 'Choose another name, or delete the topic first.'),
  SUBSCRIPTION_NOT_FOUND: row(44, 'error', false, 'no', 404, 'This connection has no subscription with this number.', 'Subscribe again; subscriptions end with their connection.'),
  MESSAGE_NOT_FOUND: row(45, 'error', false, 'no', 404, 'No message has this id, or retention has removed it.', 'Check the id; retention is shown by: sluice admin topics status NAME'),
  GROUP_IN_USE: row(46, 'error', false, 'no', 409, 'The group has members connected.', 'Stop its consumers first, then repeat.'),
  LIMIT_REACHED: row(47, 'error', false, 'no', 409, 'A hard limit of the broker is reached.', 'The message names the limit; delete what is not needed or raise it in the configuration.'),
  TOO_MANY_DEFERRED: row(48, 'warn', true, 'no', 503, 'As many messages wait for their time, or for the end of their transaction, as the broker keeps.', 'Wait until some of them are due; sluice admin delayed list TOPIC shows them. For work that is far in the future use a database.'),
  OFFSET_OUT_OF_RANGE: row(50, 'error', false, 'no', 416, 'The queue offset is outside what the queue holds.', 'Use an offset between the minimum and maximum that the message names.'),
  BAD_FRAME: row(60, 'error', false, 'no', 400, 'The bytes are not a frame of this protocol.', 'See docs/PROTOCOL.md; the message names the byte or field.'),
  UNSUPPORTED_VERSION: row(61, 'error', false, 'no', 400, 'The frame or batch has a version this broker does not know.', 'Use version 1.'),
  UNKNOWN_REQUEST: row(62, 'error', false, 'no', 400, 'The op is not known.', 'The message lists the ops of this broker.'),
  NOT_FOUND: row(63, 'error', false, 'no', 404, 'There is nothing at this HTTP path.', 'See docs/PROTOCOL.md for the paths; the WebSocket is at /v1/ws.'),
  UNAUTHENTICATED: row(70, 'error', false, 'no', 401, 'The request needs a credential.', 'Send the bearer token in the hello op or the Authorization header.'),
  FORBIDDEN: row(71, 'error', false, 'no', 403, 'This is not allowed from here.', 'The message names the rule (origin, host or right) that refused it.'),
  STORAGE_FULL: row(80, 'error', true, 'no', 507, 'The disk of the broker is too full to take messages.', 'The message names volume, bytes free and the rule; free space or shorten retention. Reads and acks go on.'),
  STORAGE_IO: row(81, 'fatal', true, 'unknown', 503, 'The disk reported an error; the shard takes no more messages.', 'Check the disk, then restart the broker: recovery keeps everything that was acknowledged.'),
  RECORD_CORRUPT: row(82, 'error', false, 'no', 422, 'A checksum does not match.', 'On send: the batch was damaged on its way, send it again. On read: the stored bytes are damaged, run: sluice inspect'),
  SHARD_RESTARTING: row(83, 'warn', true, 'unknown', 503, 'The shard of this queue is restarting; the outcome is unknown.', 'Retry after retryAfterMs with the same producerId and sequence.'),
  SHARD_FENCED: row(84, 'fatal', true, 'unknown', 503, 'The shard of this queue is fenced after repeated failures.', 'Read the broker log for the cause; restart the broker once it is removed.'),
  NOT_MASTER: row(85, 'error', true, 'no', 503, 'This broker is not the master of this log.', 'Send to the master: ask a NameServer for the route again.'),
  SLAVE_NOT_AVAILABLE: row(86, 'warn', true, 'no', 503, 'A synchronous master has too few slaves connected and near; nothing was stored.', 'Wait retryAfterMs, or send to another master; start the slave, or look at its lag.'),
  SEQUENCE_GAP: row(90, 'error', false, 'no', 409, 'The sequence is not the next one of this producer.', 'Send the missing sequences first, or start over with a higher producer epoch.'),
  STALE_PRODUCER_EPOCH: row(91, 'error', false, 'no', 409, 'A newer instance of this producer exists.', 'Stop this instance, or choose another producerId.'),
  LEASE_EXPIRED: row(100, 'error', false, 'no', 409, 'The token is no longer valid: the lease ended and the message went elsewhere or will.', 'Drop the result; the message is delivered again. Extend leases for slow work.'),
  SUBSCRIPTION_MISMATCH: row(101, 'error', false, 'no', 409, 'Members of one group must have the same subscription.', 'The message shows both; use the same filter or another group.'),
  UNSUPPORTED: row(110, 'error', false, 'no', 501, 'This broker does not offer what was asked.', 'The message says what it is and what to use instead.'),
  INVARIANT: row(120, 'fatal', false, 'unknown', 500, 'The broker found itself in a state that must not happen.', 'Please report it with the broker log.'),
};

const codeByNumber = new Map<number, ErrorCode>(
  (Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => [ERROR_CODES[code].number, code]),
);

/** The code with this number; INVARIANT for a number that does not exist. */
export function errorCodeOf(number: number): ErrorCode {
  return codeByNumber.get(number) ?? 'INVARIANT';
}
