/** A message that was read by offset: from the JSON of the answer to a value that users can work with. Browser-safe. */
import { SluiceError } from '../base/errors.ts';
import type { BytesBody, JsonValue, WireMessage } from '../protocol/web/messages.ts';
import type { AnyAnswer } from './answers.ts';

/** A stored message, read without a group. */
export type FetchedMessage = {
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly messageId: string;
  readonly key: string | undefined;
  readonly tag: string | undefined;
  readonly properties: Readonly<Record<string, string>>;
  /** As it was sent: bytes, text, or a JSON value. */
  readonly body: Uint8Array | JsonValue;
  /** When the broker stored it, milliseconds since 1970. */
  readonly storedAt: number;
};

/** @throws BAD_FRAME when the answer holds no messages */
export function readFetched(answer: AnyAnswer): readonly FetchedMessage[] {
  const messages = answer['messages'];
  if (!Array.isArray(messages))
    throw new SluiceError('BAD_FRAME', 'the answer to "fetch" holds no messages');
  return (messages as WireMessage[]).map(readMessage);
}

/** A message of JSON form with its body as it was sent. */
export function readMessage(message: WireMessage): FetchedMessage {
  const { topic, queueId, queueOffset, messageId, properties, storedAt } = message;
  return {
    topic,
    queueId,
    queueOffset,
    messageId,
    key: message.key ?? undefined,
    tag: message.tag ?? undefined,
    properties,
    body: readBody(message.body),
    storedAt,
  };
}

function readBody(body: JsonValue | BytesBody): Uint8Array | JsonValue {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  const base64 = (body as BytesBody).$bytes;
  if (typeof base64 !== 'string' || Object.keys(body).length !== 1) return body;
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
