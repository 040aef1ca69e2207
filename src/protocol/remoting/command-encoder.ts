/** A command to the bytes of its frame, in either header form. Browser-safe. */
import { checkArgument } from '../../base/assert.ts';
import { REMOTING_FRAME_BYTES_MAX, REMOTING_HEADER_BYTES_MAX } from '../../base/limits.ts';
import { textBytes, writeText } from '../batch/text-bytes.ts';
import { binaryHeaderBytes, writeBinaryHeader } from './binary-header-codec.ts';
import type { Command } from './command.ts';
import {
  FORM_BINARY,
  FORM_JSON,
  FRAME_FORM,
  FRAME_HEADER,
  FRAME_LENGTH,
  FRAME_LENGTH_BYTES,
  type HeaderForm,
} from './frame-layout.ts';
import { jsonHeaderText } from './json-header-codec.ts';

/**
 * The frame of a command, its length field included.
 *
 * @throws INVALID_ARGUMENT when it does not fit a frame, or its code not the binary form
 */
export function encodeCommand(command: Command, form: HeaderForm = FORM_JSON): Uint8Array {
  const json = form === FORM_JSON ? jsonHeaderText(command) : '';
  const headerBytes = form === FORM_BINARY ? binaryHeaderBytes(command) : textBytes(json);
  const bodyBytes = command.body?.length ?? 0;
  const total = FRAME_HEADER + headerBytes + bodyBytes;
  const fits = headerBytes <= REMOTING_HEADER_BYTES_MAX && total <= REMOTING_FRAME_BYTES_MAX;
  checkArgument(
    fits,
    `a frame of ${headerBytes} bytes of header and ${bodyBytes} of body is too large`,
    `At most ${REMOTING_HEADER_BYTES_MAX} and ${REMOTING_FRAME_BYTES_MAX} in all.`,
  );
  const frame = new Uint8Array(total);
  const view = new DataView(frame.buffer);
  view.setInt32(FRAME_LENGTH, total - FRAME_LENGTH_BYTES);
  view.setInt32(FRAME_FORM, (form << 24) | headerBytes);
  if (form === FORM_BINARY) writeBinaryHeader(frame, FRAME_HEADER, command);
  else writeText(frame, FRAME_HEADER, json);
  if (command.body !== undefined) frame.set(command.body, FRAME_HEADER + headerBytes);
  return frame;
}
