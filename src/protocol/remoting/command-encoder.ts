/** A command to the bytes of its frame, in either header form. Browser-safe. */
import { checkArgument } from '../../base/assert.ts';
import { REMOTING_ANSWER_HEADER_BYTES_MAX, REMOTING_FRAME_BYTES_MAX } from '../../base/limits.ts';
import { textBytes, writeText } from '../batch/text-bytes.ts';
import { binaryHeaderBytes, writeBinaryHeader } from './binary-header-codec.ts';
import { type Command, fieldListOf } from './command.ts';
import {
  FORM_BINARY,
  FORM_JSON,
  FRAME_FORM,
  FRAME_HEADER,
  FRAME_LENGTH,
  FRAME_LENGTH_BYTES,
  type HeaderForm,
} from './frame-layout.ts';
import { FrameSpace } from './frame-space.ts';
import { jsonHeaderText } from './json-header-codec.ts';

/**
 * The frame of a command, its length field included.
 *
 * @throws INVALID_ARGUMENT when it does not fit a frame, or its code not the binary form
 */
export function encodeCommand(command: Command, form: HeaderForm = FORM_JSON): Uint8Array {
  const space = new FrameSpace(0);
  encodeInto(space, command, form);
  return space.bytes;
}

/**
 * Writes the frame of a command behind the last one of `space`, where it ends at `space.end`.
 *
 * @returns where in `space.bytes` it begins
 * @throws as `encodeCommand`; nothing is claimed then
 */
export function encodeInto(space: FrameSpace, command: Command, form: HeaderForm): number {
  const { body } = command;
  const fields = fieldListOf(command.fields);
  const json = form === FORM_JSON ? jsonHeaderText(command, fields) : '';
  const headerBytes = form === FORM_BINARY ? binaryHeaderBytes(command, fields) : textBytes(json);
  const bodyBytes = body?.length ?? 0;
  const total = FRAME_HEADER + headerBytes + bodyBytes;
  if (headerBytes > REMOTING_ANSWER_HEADER_BYTES_MAX || total > REMOTING_FRAME_BYTES_MAX)
    checkArgument(
      false,
      `a frame of ${headerBytes} bytes of header and ${bodyBytes} of body is too large`,
      `At most ${REMOTING_ANSWER_HEADER_BYTES_MAX} and ${REMOTING_FRAME_BYTES_MAX} in all.`,
    );
  const start = space.claim(total);
  const { bytes, view } = space;
  view.setInt32(start + FRAME_LENGTH, total - FRAME_LENGTH_BYTES);
  view.setInt32(start + FRAME_FORM, (form << 24) | headerBytes);
  if (form === FORM_BINARY) writeBinaryHeader(space, start + FRAME_HEADER, command, fields);
  else writeText(bytes, start + FRAME_HEADER, json);
  if (body !== undefined) bytes.set(body, start + FRAME_HEADER + headerBytes);
  return start;
}
