/**
 * RocketMQ's messages, one behind the other, to values: what a consumer reads from an answer. Every length is checked before
 * it is used. For tools and tests; the broker only writes them.
 *
 * @source RocketMQ MessageDecoder.decode
 */
import { readText } from '../protocol/batch/text-bytes.ts';
import { type HostBytes, hostHex, hostText } from '../protocol/remoting/host-bytes.ts';
import { BORN_HOST_IPV6, STORE_HOST_IPV6 } from '../protocol/remoting/message-flags.ts';
import * as layout from '../protocol/remoting/message-layout.ts';
import { PropertyText } from '../protocol/remoting/property-text.ts';

/** A message as a consumer gets it. */
export type RemotingMessage = {
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  /** Physical offset. */
  readonly place: bigint;
  readonly sysFlag: number;
  readonly flag: number;
  readonly bornAtMs: number;
  readonly storedAtMs: number;
  /** `host:port` */
  readonly bornHost: string;
  readonly storeHost: string;
  readonly reconsumeTimes: number;
  readonly preparedTransactionOffset: bigint;
  /** CRC-32 of the body, without its highest bit. */
  readonly bodyCrc: number;
  readonly body: Uint8Array;
  readonly properties: ReadonlyMap<string, string>;
  /** 32 or 56 hex digits. */
  readonly offsetMessageId: string;
};

/** The messages in `bytes`, or the first thing that is wrong with them. */
export type DecodedMessages =
  | { readonly messages: readonly RemotingMessage[] }
  | { readonly refusal: string };

/** Reads within one message; past its end everything is zero and `isOver` is true. */
class Cursor {
  at: number;
  isOver = false;
  private readonly view: DataView;
  private readonly end: number;

  constructor(view: DataView, at: number, end: number) {
    this.view = view;
    this.at = at;
    this.end = end;
  }

  i32(): number {
    return this.move(4) ? this.view.getInt32(this.at - 4) : 0;
  }

  i64(): bigint {
    return this.move(8) ? this.view.getBigInt64(this.at - 8) : 0n;
  }

  i16(): number {
    return this.move(2) ? this.view.getInt16(this.at - 2) : 0;
  }

  u8(): number {
    return this.move(1) ? this.view.getUint8(this.at - 1) : 0;
  }

  /** Start of `length` bytes; the end of the message when there are not so many. */
  span(length: number): number {
    return this.move(length) ? this.at - length : this.end;
  }

  private move(bytes: number): boolean {
    if (bytes < 0 || bytes > this.end - this.at) this.isOver = true;
    if (this.isOver) return false;
    this.at += bytes;
    return true;
  }
}

/** Reads all messages in `bytes`. Never throws. */
export function decodeMessages(bytes: Uint8Array): DecodedMessages {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: RemotingMessage[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < layout.MESSAGE_BORN_HOST) return { refusal: 'a message is cut off' };
    const length = view.getInt32(at + layout.MESSAGE_BYTES);
    if (length < layout.MESSAGE_BORN_HOST || length > bytes.length - at)
      return { refusal: `a message says that it has ${length} bytes` };
    const message = decodeMessage(bytes, view, at, at + length);
    if (typeof message === 'string') return { refusal: message };
    messages.push(message);
    at += length;
  }
  return { messages };
}

function decodeMessage(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): RemotingMessage | string {
  const magic = view.getInt32(start + layout.MESSAGE_MAGIC);
  if (magic !== layout.MAGIC_V1 && magic !== layout.MAGIC_V2) return `the magic number is ${magic}`;
  const cursor = new Cursor(view, start + layout.MESSAGE_BORN_HOST, end);
  const sysFlag = view.getInt32(start + layout.MESSAGE_SYS_FLAG);
  const bornHost = readHost(bytes, cursor, (sysFlag & BORN_HOST_IPV6) !== 0);
  const storedAtMs = Number(cursor.i64());
  const storeHost = readHost(bytes, cursor, (sysFlag & STORE_HOST_IPV6) !== 0);
  const reconsumeTimes = cursor.i32();
  const preparedTransactionOffset = cursor.i64();
  const bodyStart = cursor.span(cursor.i32());
  const body = bytes.slice(bodyStart, cursor.at);
  const topicStart = cursor.span(magic === layout.MAGIC_V1 ? cursor.u8() : cursor.i16());
  const topic = readText(bytes, topicStart, cursor.at);
  const propertiesStart = cursor.span(cursor.i16());
  const properties = readProperties(readText(bytes, propertiesStart, cursor.at));
  if (cursor.isOver || cursor.at !== end) return 'the lengths within a message are wrong';
  const place = view.getBigInt64(start + layout.MESSAGE_PLACE);
  const id = storeHost.hex.slice(0, -4) + storeHost.hex.slice(-4).padStart(8, '0');
  return {
    ...{ topic, body, properties, sysFlag, reconsumeTimes, preparedTransactionOffset, place },
    queueId: view.getInt32(start + layout.MESSAGE_QUEUE_ID),
    queueOffset: Number(view.getBigInt64(start + layout.MESSAGE_QUEUE_OFFSET)),
    flag: view.getInt32(start + layout.MESSAGE_FLAG),
    bodyCrc: view.getInt32(start + layout.MESSAGE_BODY_CRC),
    bornAtMs: Number(view.getBigInt64(start + layout.MESSAGE_BORN_AT_MS)),
    storedAtMs,
    bornHost: bornHost.text,
    storeHost: storeHost.text,
    offsetMessageId: (id + BigInt.asUintN(64, place).toString(16).padStart(16, '0')).toUpperCase(),
  };
}

function readHost(
  bytes: Uint8Array,
  cursor: Cursor,
  isIpv6: boolean,
): { readonly text: string; readonly hex: string } {
  const start = cursor.span(isIpv6 ? 16 : 4);
  const address = bytes.slice(start, cursor.at);
  const host: HostBytes = { address, port: cursor.i32() & 0xffff };
  return { text: hostText(host), hex: hostHex(host) };
}

function readProperties(text: string): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  const reader = new PropertyText().open(text);
  while (reader.next()) properties.set(reader.name, reader.value);
  return properties;
}
