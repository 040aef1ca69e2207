/**
 * Message ids: 32 hex digits that name broker, shard and place of a message, for people, logs and lookups.
 *
 * ```
 * | IPv4 address 8 | port 8 | shard 4 | position of the batch + index in it 12 |
 * ```
 *
 * A batch is longer in bytes than it has records, so the sum is unique in its log. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 1; RocketMQ common/message/MessageDecoder.java, createMessageId
 */

const PATTERN = /^[0-9a-f]{32}$/i;
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** What a message id says. */
export type MessageAddress = {
  readonly address: string;
  readonly port: number;
  readonly shard: number;
  /** Log position of the batch plus the index of the message in it. */
  readonly place: number;
};

/** The 16 digits that all ids of one broker begin with. An address that is not IPv4 gives zeros. */
export function messageIdPrefix(address: string, port: number): string {
  const parts = address.split('.').map(Number);
  const valid =
    parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part < 256);
  return (valid ? parts : [0, 0, 0, 0]).map((part) => hex(part, 2)).join('') + hex(port, 8);
}

/** @param prefix - from `messageIdPrefix` */
export function messageIdOf(
  prefix: string,
  shard: number,
  position: number,
  index: number,
): string {
  return prefix + hex(shard, 4) + hex(position + index, 12);
}

/** Undefined for a text that is no message id. */
export function parseMessageId(messageId: string): MessageAddress | undefined {
  if (!PATTERN.test(messageId)) return undefined;
  const number = (from: number, to: number): number =>
    Number.parseInt(messageId.slice(from, to), 16);
  return {
    address: [0, 2, 4, 6].map((at) => number(at, at + 2)).join('.'),
    port: number(8, 16),
    shard: number(16, 20),
    place: number(20, 32),
  };
}
