/** CONTROL frames: the object of a JSON frame as msgpack becomes the same checked request as its JSON twin. Never throws. */
import { SluiceError } from '../base/errors.ts';
import { decodeControl } from '../protocol/web/control-codec.ts';
import { isFields } from '../protocol/web/field-reader.ts';
import { checkRequest, type DecodedRequest } from '../protocol/web/json-codec.ts';

/** @shape bytes in the result are copies: the frame may be gone when they are used */
export function decodeControlRequest(frame: Uint8Array): DecodedRequest {
  const decoded = decodeControl(frame);
  if (decoded.verdict !== 'ok') {
    const facts = { kind: 'CONTROL', verdict: decoded.verdict };
    const text = `the CONTROL frame is refused: ${decoded.verdict}`;
    return { id: null, refusal: new SluiceError('BAD_FRAME', text, { facts }) };
  }
  const { value } = decoded;
  if (!holdsBytes(value['body'], 0) && !anyHoldsBytes(value['messages']))
    return checkRequest(value);
  const refusal = new SluiceError('INVALID_ARGUMENT', 'a body has bytes within a JSON value', {
    hint: 'Send bytes as the whole body, or as {"$bytes":"<base64>"}.',
  });
  return { id: checkRequest({ op: 'ping', id: value['id'] }).id, refusal };
}

function anyHoldsBytes(messages: unknown): boolean {
  return (
    Array.isArray(messages) &&
    messages.some((message) => isFields(message) && holdsBytes(message['body'], 0))
  );
}

/** JSON has no bytes, so within a JSON body they could not come back as they were. The frame's depth is bounded. */
function holdsBytes(value: unknown, depth: number): boolean {
  if (value instanceof Uint8Array) return depth > 0;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((item) => holdsBytes(item, depth + 1));
}
