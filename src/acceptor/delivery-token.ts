/**
 * Tokens of delivered messages in JSON and HTTP: which message of which group, and under which lease. Text of five numbers
 * in base 36, so that an ack needs no table in the broker. Written in one way only; everything else is no token.
 */
import { SluiceError } from '../base/errors.ts';
import { shown } from '../protocol/web/field-reader.ts';

export type DeliveryToken = {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly leaseId: number;
};

const TOKEN = /^(0|[1-9a-z][0-9a-z]{0,10})(\.(0|[1-9a-z][0-9a-z]{0,10})){4}$/;
const U32_MAX = 0xffff_ffff;
const U16_MAX = 0xffff;

/** What the tokens of one queue's messages begin with. */
export function tokenPrefix(groupId: number, topicId: number, queueId: number): string {
  return `${groupId.toString(36)}.${topicId.toString(36)}.${queueId.toString(36)}.`;
}

export function tokenOf(prefix: string, queueOffset: number, leaseId: number): string {
  return `${prefix}${queueOffset.toString(36)}.${leaseId.toString(36)}`;
}

/** @throws INVALID_ARGUMENT */
export function parseToken(text: string): DeliveryToken {
  const numbers = TOKEN.test(text) ? text.split('.').map((part) => Number.parseInt(part, 36)) : [];
  const [groupId = -1, topicId = -1, queueId = -1, queueOffset = -1, leaseId = -1] = numbers;
  const fits =
    groupId >= 0 &&
    groupId <= U32_MAX &&
    topicId <= U32_MAX &&
    queueId <= U16_MAX &&
    Number.isSafeInteger(queueOffset) &&
    Number.isSafeInteger(leaseId);
  if (fits) return { groupId, topicId, queueId, queueOffset, leaseId };
  throw new SluiceError('INVALID_ARGUMENT', `${shown(text)} is not a token of a message`, {
    hint: 'Give the token of the message exactly as it came.',
  });
}
