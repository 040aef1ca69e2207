/**
 * The body of SEND_BATCH_MESSAGE: messages one behind the other, read in place by one object that is moved along. Every
 * length is checked before it is used. Browser-safe.
 *
 * ```
 *  0 i32 bytes in all   4 i32 0   8 i32 0   12 i32 flag   16 i32 length and body   + i16 length and properties
 * ```
 *
 * @source RocketMQ MessageDecoder.encodeMessage
 */
import { readText } from '../batch/text-bytes.ts';

const FLAG = 12;
const BODY_LENGTH = 16;
const BODY = 20;
const PROPERTIES_LENGTH_BYTES = 2;
/** Bytes of a message with neither body nor properties. */
const ENTRY_BYTES_MIN: number = BODY + PROPERTIES_LENGTH_BYTES;

const NO_BYTES = new Uint8Array(0);

export class BatchBody {
  /** Of the message that `next` has found. */
  flag = 0;
  /** @shape borrowed from the bytes given to `open` */
  body: Uint8Array = NO_BYTES;
  /** Properties text; see property-text.ts. */
  properties = '';
  /** What is wrong where `next` has stopped; undefined at the end of a body that is right. */
  refusal: string | undefined;
  private bytes: Uint8Array = NO_BYTES;
  private view: DataView = new DataView(NO_BYTES.buffer);
  private at = 0;

  open(bytes: Uint8Array): this {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    this.refusal = undefined;
    return this;
  }

  /** Moves to the next message; false after the last, and where the bytes are none. */
  next(): boolean {
    const { bytes, view, at } = this;
    const left = bytes.length - at;
    if (left === 0) return false;
    if (left < ENTRY_BYTES_MIN) return this.refuse(`the last ${left} bytes are no message`);
    const length = view.getInt32(at);
    if (length < ENTRY_BYTES_MIN || length > left)
      return this.refuse(`a message says that it has ${length} bytes of ${left}`);
    const bodyBytes = view.getInt32(at + BODY_LENGTH);
    if (bodyBytes < 0 || bodyBytes > length - ENTRY_BYTES_MIN)
      return this.refuse(`a body says that it has ${bodyBytes} bytes of a message of ${length}`);
    const propertiesAt = at + BODY + bodyBytes + PROPERTIES_LENGTH_BYTES;
    const propertiesBytes = view.getInt16(propertiesAt - PROPERTIES_LENGTH_BYTES);
    if (propertiesBytes !== at + length - propertiesAt)
      return this.refuse(`${propertiesBytes} bytes of properties do not end their message`);
    this.flag = view.getInt32(at + FLAG);
    this.body = bytes.subarray(at + BODY, at + BODY + bodyBytes);
    this.properties = readText(bytes, propertiesAt, propertiesAt + propertiesBytes);
    this.at = at + length;
    return true;
  }

  private refuse(text: string): false {
    this.refusal = text;
    return false;
  }
}
