/**
 * Addresses that an ACL file lets in, in RocketMQ's forms: one address; `10.0.0.*`, `10.0.1-9.*`, `10.0.0.{5,6}`; several with
 * commas between; `*` for all. A part of an address is never matched as text, so that `10.0.0.1` lets in no `10.0.0.100`.
 *
 * @source RocketMQ RemoteAddressStrategyFactory
 */
import { BlockList, isIP } from 'node:net';

/** Does it let this address in? */
export type WhiteAddress = (remoteAddress: string) => boolean;

/** What may be written, for errors. */
export const WHITE_ADDRESS_FORMS =
  'an IP address, 10.0.0.*, 10.0.1-9.*, 10.0.0.{5,6}, several of them with commas between, or *';

const V4 = 4;
const V6 = 6;
const V4_PARTS = 4;
const V4_PART_MAX = 255;

/** What one of the four numbers may be. */
type Part = (value: number) => boolean;

/** @returns undefined when it is none of the forms; an empty text lets nobody in */
export function whiteAddress(text: string): WhiteAddress | undefined {
  if (text === '') return () => false;
  // Commas within braces belong to them.
  const choices = text.split(/,(?![^{]*\})/).map((one) => oneAddress(one.trim()));
  if (choices.includes(undefined)) return undefined;
  return (address) => choices.some((choice) => choice?.(address));
}

function oneAddress(text: string): WhiteAddress | undefined {
  if (text === '*' || text === '*.*.*.*' || text === '*:*:*:*:*:*:*:*') return () => true;
  if (isIP(text) === V6) return v6Address(text);
  const parts = text.split('.').map(partOf);
  if (parts.length !== V4_PARTS || parts.includes(undefined)) return undefined;
  return (address) =>
    isIP(address) === V4 &&
    address.split('.').every((value, index) => parts[index]?.(Number(value)));
}

/** However it is written: `::1` and `0:0:0:0:0:0:0:1` are one. */
function v6Address(text: string): WhiteAddress {
  const list = new BlockList();
  list.addAddress(text, 'ipv6');
  return (address) => isIP(address) === V6 && list.check(address, 'ipv6');
}

function partOf(text: string): Part | undefined {
  if (text === '*') return () => true;
  const [, from = '', to = from] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(text) ?? [];
  if (from !== '') {
    const [first, last] = [Number(from), Number(to)];
    return first <= last && last <= V4_PART_MAX
      ? (value) => value >= first && value <= last
      : undefined;
  }
  const listed = /^\{(\d{1,3}(?:,\d{1,3})*)\}$/.exec(text)?.[1]?.split(',').map(Number);
  if (listed === undefined || listed.some((value) => value > V4_PART_MAX)) return undefined;
  return (value) => listed.includes(value);
}
