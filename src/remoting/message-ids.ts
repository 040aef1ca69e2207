/**
 * Ids by which a broker finds a message again: the host of the store, and the place in its log. They are those of message-id.ts
 * with RocketMQ's capitals, so that both dialects take either.
 *
 * @source RocketMQ MessageDecoder.createMessageId
 */
import { messageIdOf } from '../protocol/message-id.ts';
import { type HostBytes, hostHex } from '../protocol/remoting/host-bytes.ts';

const PLACE_BITS = 48n;
const PLACE_MASK: bigint = (1n << PLACE_BITS) - 1n;
const PORT_DIGITS = 4;

/** The digits that all ids of one store begin with. The port has two bytes in an address, and four in an id. */
export function offsetIdPrefix(host: HostBytes): string {
  const hex = hostHex(host).toUpperCase();
  return `${hex.slice(0, -PORT_DIGITS)}0000${hex.slice(-PORT_DIGITS)}`;
}

/**
 * @param prefix - from `offsetIdPrefix`
 * @param place - position of the batch, plus index of the record in it
 */
export function offsetMessageId(prefix: string, shard: number, place: number): string {
  return messageIdOf(prefix, shard, place, 0).toUpperCase();
}

/** Where a message is: the upper sixteen bits of a physical offset are its shard. */
export type Place = { readonly shard: number; readonly place: number };

/** A physical offset in digits; undefined for another text. */
export function placeOf(text: string): Place | undefined {
  if (!/^\d{1,19}$/.test(text)) return undefined;
  const offset = BigInt(text);
  return { shard: Number(offset >> PLACE_BITS), place: Number(offset & PLACE_MASK) };
}

/** The physical offset of a message, in digits. */
export function physicalOffsetText(shard: number, place: number): string {
  return ((BigInt(shard) << PLACE_BITS) | BigInt(place)).toString();
}
