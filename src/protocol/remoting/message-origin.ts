/**
 * What a RocketMQ message has and a record lacks, kept in one property of the record: where it was born, its flags, how often
 * it was consumed again, and the half message that it was. Native dialects neither show the property nor take it from outside.
 *
 * ```
 * 7f000001c822            born at 127.0.0.1:51234, everything else 0
 * 7f000001c822,1,0,3      sysFlag 1, flag 0, reconsumeTimes 3
 * ```
 *
 * Browser-safe.
 */
import { type HostBytes, hostHex, hostOfHex, NO_HOST } from './host-bytes.ts';

export type MessageOrigin = {
  readonly bornHost: HostBytes;
  /** As the producer gave it, without the bits that the broker sets. */
  readonly sysFlag: number;
  /** The producer's own. */
  readonly flag: number;
  readonly reconsumeTimes: number;
  /** Physical offset of the half message that this one was; 0: it was none. */
  readonly preparedTransactionOffset: number;
};

/** The origin of a message that came by another dialect. */
export const NO_ORIGIN: MessageOrigin = {
  bornHost: NO_HOST,
  sysFlag: 0,
  flag: 0,
  reconsumeTimes: 0,
  preparedTransactionOffset: 0,
};

const INT32_MIN = -0x8000_0000;
const INT32_MAX = 0x7fff_ffff;

/** @param bornHex - `hostHex` of the producer's address: made once for each connection */
export function originText(
  bornHex: string,
  { sysFlag, flag, reconsumeTimes, preparedTransactionOffset }: Omit<MessageOrigin, 'bornHost'>,
): string {
  if (preparedTransactionOffset !== 0)
    return `${bornHex},${sysFlag},${flag},${reconsumeTimes},${preparedTransactionOffset}`;
  if ((sysFlag | flag | reconsumeTimes) === 0) return bornHex;
  return `${bornHex},${sysFlag},${flag},${reconsumeTimes}`;
}

/** The text of an origin that was read. */
export function originTextOf(origin: MessageOrigin): string {
  return originText(hostHex(origin.bornHost), origin);
}

/** Reads the property. What is wrong in it is as if it were not there: it may have been written by anybody. */
export function readOrigin(text: string): MessageOrigin {
  const [born = '', ...numbers] = text.split(',');
  const [sysFlag = 0, flag = 0, reconsumeTimes = 0, prepared = 0] = numbers.map(Number);
  const bornHost = hostOfHex(born);
  const isValid =
    bornHost !== undefined &&
    numbers.length <= 4 &&
    [sysFlag, flag, reconsumeTimes].every(isInt32) &&
    Number.isSafeInteger(prepared) &&
    prepared >= 0;
  if (!isValid) return NO_ORIGIN;
  return { bornHost, sysFlag, flag, reconsumeTimes, preparedTransactionOffset: prepared };
}

function isInt32(value: number): boolean {
  return Number.isInteger(value) && value >= INT32_MIN && value <= INT32_MAX;
}
