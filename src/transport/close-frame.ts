/** What a WebSocket close frame may carry. Event-loop thread of the front door. */
import { checkArgument } from '../base/assert.ts';

/** @source RFC 6455, section 5.5: a control frame has at most 125 bytes, and 2 of them are the code */
const REASON_BYTES_MAX = 123;
/** Codes that describe what happened and are never sent. @source RFC 6455, section 7.4.1 */
const NEVER_SENT: ReadonlySet<number> = new Set([1004, 1005, 1006, 1015]);

/** @throws INVALID_ARGUMENT when a close frame may not carry this code */
export function checkCloseCode(code: number): void {
  const isDefined = code >= 1000 && code <= 1014 && !NEVER_SENT.has(code);
  const isOwn = code >= 3000 && code <= 4999;
  checkArgument(
    Number.isInteger(code) && (isDefined || isOwn),
    `${code} is not a close code that can be sent`,
    'Use 1000 to 1014 without 1004, 1005 and 1006, or 3000 to 4999.',
  );
}

/** The reason, cut after a whole character where it is too long for a close frame. */
export function closeReason(text: string): string {
  if (Buffer.byteLength(text) <= REASON_BYTES_MAX) return text;
  const bytes = Buffer.from(text).subarray(0, REASON_BYTES_MAX);
  // A cut character decodes to U+FFFD, which is longer than what it replaces.
  return bytes.toString().replace(/\ufffd+$/, '');
}
