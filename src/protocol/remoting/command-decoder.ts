/** One whole frame to a CommandView: lengths first, then the header in the form it has. Never throws. Browser-safe. */
import { REMOTING_HEADER_BYTES_MAX } from '../../base/limits.ts';
import { readBinaryHeader } from './binary-header-codec.ts';
import type { CommandVerdict, CommandView } from './command.ts';
import { FORM_BINARY, FORM_JSON, FRAME_FORM, FRAME_HEADER, frameBytes } from './frame-layout.ts';
import { readJsonHeader } from './json-header-codec.ts';

/** Each verdict in words, for logs and close reasons. */
export const VERDICT_TEXTS: Readonly<Record<Exclude<CommandVerdict, 'ok'>, string>> = {
  'frame-length': 'the length of the frame is not that of its bytes',
  'header-length': 'the header is empty, too long, or longer than its frame',
  'header-form': 'the header is neither JSON (0) nor binary (1)',
  'header-syntax': 'the header is not written in the form that it claims',
  'header-value': 'a number of the header is missing, or none, or out of range',
  'too-many-fields': 'the header has too many fields',
};

/**
 * Decodes a frame, its length field included.
 *
 * @param headerBytesMax - clients read the ids of a large batch in an answer; nobody asks with as much
 * @shape what `into` gives afterwards is borrowed from `frame`
 */
export function decodeCommand(
  frame: Uint8Array,
  into: CommandView,
  headerBytesMax: number = REMOTING_HEADER_BYTES_MAX,
): CommandVerdict {
  if (frame.length <= FRAME_HEADER || frameBytes(frame, 0) !== frame.length) return 'frame-length';
  const form = frame[FRAME_FORM] as number;
  if (form !== FORM_JSON && form !== FORM_BINARY) return 'header-form';
  const headerBytes =
    ((frame[FRAME_FORM + 1] as number) << 16) |
    ((frame[FRAME_FORM + 2] as number) << 8) |
    (frame[FRAME_FORM + 3] as number);
  const headerEnd = FRAME_HEADER + headerBytes;
  const fits = headerBytes > 0 && headerBytes <= headerBytesMax;
  if (!fits || headerEnd > frame.length) return 'header-length';
  into.reset(frame, form);
  const verdict =
    form === FORM_JSON
      ? readJsonHeader(frame, FRAME_HEADER, headerEnd, into)
      : readBinaryHeader(frame, FRAME_HEADER, headerEnd, into);
  if (verdict === 'ok' && headerEnd < frame.length) into.body = frame.subarray(headerEnd);
  return verdict;
}
