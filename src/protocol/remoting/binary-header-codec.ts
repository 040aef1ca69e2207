/**
 * The compact header form (`rocketmq.serialize.type=ROCKETMQ`): a fixed part, the remark, then the fields.
 *
 * ```
 *  0      2      3        5         9       13           17        17+r         21+r
 *  ├ code ┼ lang ┼ version ┼ opaque ─┼ flag ─┼ remark r ──┼ remark ─┼ fields e ──┼ (key, value)…
 *  int16   u8     int16     int32     int32   int32        r bytes   int32        int16+bytes, int32+bytes
 * ```
 *
 * Codes above 32767 do not fit and are refused by the encoder. Browser-safe.
 *
 * @source RocketMQ RocketMQSerializable
 */
import { checkArgument } from '../../base/assert.ts';
import { readText, textBytes, writeText } from '../batch/text-bytes.ts';
import {
  type Command,
  type CommandVerdict,
  type CommandView,
  type FieldList,
  LANGUAGE_JAVA,
  REMOTING_VERSION,
} from './command.ts';
import type { FrameSpace } from './frame-space.ts';

const CODE = 0;
const LANGUAGE = 2;
const VERSION = 3;
const OPAQUE = 5;
const FLAG = 9;
const REMARK_BYTES = 13;
const FIXED_BYTES = 17;
const LENGTH_BYTES = 4;
const KEY_LENGTH_BYTES = 2;
const INT16_MAX = 0x7fff;

/** Reads the header between `start` and `end` into `into`. Never throws. */
export function readBinaryHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: CommandView,
): CommandVerdict {
  if (end - start < FIXED_BYTES + LENGTH_BYTES) return 'header-length';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  into.code = view.getInt16(start + CODE);
  into.language = view.getUint8(start + LANGUAGE);
  into.version = view.getInt16(start + VERSION);
  into.opaque = view.getInt32(start + OPAQUE);
  into.flag = view.getInt32(start + FLAG);
  const remarkBytes = view.getInt32(start + REMARK_BYTES);
  const remarkAt = start + FIXED_BYTES;
  if (remarkBytes < 0 || remarkBytes > end - remarkAt - LENGTH_BYTES) return 'header-syntax';
  const fieldsAt = remarkAt + remarkBytes + LENGTH_BYTES;
  if (view.getInt32(fieldsAt - LENGTH_BYTES) !== end - fieldsAt) return 'header-syntax';
  if (remarkBytes > 0) into.remark = readText(bytes, remarkAt, remarkAt + remarkBytes);
  return readFields(view, fieldsAt, end, into);
}

function readFields(view: DataView, start: number, end: number, into: CommandView): CommandVerdict {
  let at = start;
  while (at < end) {
    if (end - at < KEY_LENGTH_BYTES) return 'header-syntax';
    const keyStart = at + KEY_LENGTH_BYTES;
    const keyEnd = keyStart + view.getUint16(at);
    if (end - keyEnd < LENGTH_BYTES) return 'header-syntax';
    const valueStart = keyEnd + LENGTH_BYTES;
    const valueBytes = view.getInt32(keyEnd);
    if (valueBytes < 0 || valueBytes > end - valueStart) return 'header-syntax';
    at = valueStart + valueBytes;
    // An empty value is an absent one, as Java reads it.
    if (valueBytes === 0) continue;
    if (!into.fields.add(keyStart, keyEnd, valueStart, at, 0)) return 'too-many-fields';
  }
  return 'ok';
}

/** Bytes that `writeBinaryHeader` needs for this command. @throws INVALID_ARGUMENT when it does not fit this form */
export function binaryHeaderBytes(command: Command, fields: FieldList): number {
  if (Math.abs(command.code) > INT16_MAX)
    checkArgument(
      false,
      `the code ${command.code} does not fit the binary header, which has 16 bits for it`,
      'Use the JSON header for codes above 32767, as the pop requests are.',
    );
  let total = FIXED_BYTES + textBytes(command.remark ?? '') + LENGTH_BYTES;
  for (let index = 0; index < fields.length; index += 2) {
    const nameBytes = textBytes(fields[index] as string);
    if (nameBytes > INT16_MAX)
      checkArgument(false, `a field name has ${nameBytes} bytes; at most ${INT16_MAX}`);
    total += KEY_LENGTH_BYTES + nameBytes + LENGTH_BYTES + textBytes(fields[index + 1] as string);
  }
  return total;
}

/** Writes the header at `start` of what was claimed last: `binaryHeaderBytes`, and what else the frame has. */
export function writeBinaryHeader(
  { bytes, view }: FrameSpace,
  start: number,
  command: Command,
  fields: FieldList,
): void {
  view.setInt16(start + CODE, command.code);
  view.setUint8(start + LANGUAGE, command.language ?? LANGUAGE_JAVA);
  view.setInt16(start + VERSION, command.version ?? REMOTING_VERSION);
  view.setInt32(start + OPAQUE, command.opaque);
  view.setInt32(start + FLAG, command.flag);
  const remarkBytes = writeText(bytes, start + FIXED_BYTES, command.remark ?? '');
  view.setInt32(start + REMARK_BYTES, remarkBytes);
  const fieldsAt = start + FIXED_BYTES + remarkBytes + LENGTH_BYTES;
  let at = fieldsAt;
  for (let index = 0; index < fields.length; index += 2) {
    const nameBytes = writeText(bytes, at + KEY_LENGTH_BYTES, fields[index] as string);
    view.setInt16(at, nameBytes);
    at += KEY_LENGTH_BYTES + nameBytes + LENGTH_BYTES;
    const valueBytes = writeText(bytes, at, fields[index + 1] as string);
    view.setInt32(at - LENGTH_BYTES, valueBytes);
    at += valueBytes;
  }
  view.setInt32(fieldsAt - LENGTH_BYTES, at - fieldsAt);
}
