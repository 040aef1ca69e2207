/**
 * Sends messages that have numbers of their own: message n of the input has sequence n, so the same input under the same
 * producer id is stored once, however often it is sent and wherever an earlier run ended. One request at a time.
 *
 * @source docs/PROTOCOL.md, section 1, "Sequences"
 */
import { SluiceError, toSluiceError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';
import { recordBytes } from '../protocol/batch/batch-builder.ts';
import { BODY_BYTES, BODY_JSON, BODY_TEXT } from '../protocol/batch/batch-layout.ts';
import { encodeBase64 } from '../protocol/web/base64.ts';
import type { SendMessage, WireReceipt } from '../protocol/web/messages.ts';
import type { LineSender } from './line-sender.ts';
import type { LineMessage } from './message-line.ts';
import { PatientSession } from './patient-session.ts';
import type { SendTally } from './send-tally.ts';
import type { Target } from './target.ts';

/** Messages and bytes of one request: few enough to travel as one batch. */
const MESSAGES_MAX = 500;
const BYTES_MAX: number = 128 * KIB;
/** Bytes of a request beside its messages. */
const REQUEST_BYTES = 1024;

export type SenderIdentity = {
  readonly topic: string;
  readonly producerId: string;
  readonly producerEpoch: number;
};

/** @throws when there is no broker, or it refuses the topic */
export async function openSequencedSender(
  identity: SenderIdentity,
  target: Target,
  tally: SendTally,
): Promise<LineSender> {
  const session = await PatientSession.open(target);
  try {
    await session.request({ op: 'topic', topic: identity.topic });
  } catch (error) {
    await session.close();
    throw error;
  }
  return new SequencedSender(session, identity, tally);
}

export class SequencedSender implements LineSender {
  private readonly session: PatientSession;
  private readonly identity: SenderIdentity;
  private readonly tally: SendTally;
  private waiting: SendMessage[] = [];
  private waitingBytes = 0;
  /** Sequence of the first waiting message. */
  private sequence = 1;

  constructor(session: PatientSession, identity: SenderIdentity, tally: SendTally) {
    this.session = session;
    this.identity = identity;
    this.tally = tally;
  }

  /** Takes a message, and sends those before it when they are enough. @throws MESSAGE_TOO_LARGE, INVALID_ARGUMENT */
  async add(message: LineMessage): Promise<void> {
    const wire = wireMessage(message);
    const bytes = this.checkSize(message, wire);
    if (this.waiting.length >= MESSAGES_MAX || this.waitingBytes + bytes > BYTES_MAX)
      await this.flush();
    this.waiting.push(wire);
    this.waitingBytes += bytes;
  }

  async pause(): Promise<void> {
    await this.flush();
  }

  async close(): Promise<void> {
    await this.flush();
    await this.session.close();
  }

  /** Sends what is waiting and resolves when it is answered. What is refused stands in the tally. */
  private async flush(): Promise<void> {
    const messages = this.waiting;
    if (messages.length === 0) return;
    this.waiting = [];
    this.waitingBytes = 0;
    const sequence = this.sequence;
    this.sequence += messages.length;
    if (this.tally.fatal !== undefined) this.tally.refuse(messages.length, this.tally.fatal);
    else await this.send(messages, sequence);
  }

  /** An earlier run may have ended within these: then they are cut until no part is half old and half new. */
  private async send(messages: readonly SendMessage[], sequence: number): Promise<void> {
    try {
      const answer = await this.session.request({
        op: 'send',
        ...this.identity,
        sequence,
        messages,
      });
      for (const receipt of answer['receipts'] as readonly WireReceipt[])
        this.tally.acknowledged(1, receipt.duplicate);
    } catch (thrown) {
      const error = toSluiceError(thrown);
      if (
        error.code !== 'SEQUENCE_GAP' ||
        messages.length === 1 ||
        this.tally.fatal !== undefined
      ) {
        this.tally.refuse(messages.length, error);
        return;
      }
      const half = messages.length >> 1;
      await this.send(messages.slice(0, half), sequence);
      await this.send(messages.slice(half), sequence + half);
    }
  }

  /** Found out before a number is given: a message that the broker refuses must not leave a gap. */
  private checkSize(message: LineMessage, wire: SendMessage): number {
    const { body } = message;
    const isBytes = body instanceof Uint8Array;
    const text = isBytes ? body : typeof body === 'string' ? body : JSON.stringify(body);
    const size = recordBytes({
      body: text,
      bodyKind: isBytes ? BODY_BYTES : typeof body === 'string' ? BODY_TEXT : BODY_JSON,
      key: message.key,
      tag: message.tag,
    });
    const { bodyBytes, frameBytes } = this.session.limits;
    const bodyLength = isBytes ? body.length : Buffer.byteLength(text as string);
    if (bodyLength > bodyBytes)
      throw new SluiceError(
        'MESSAGE_TOO_LARGE',
        `the body has ${bodyLength} bytes; this broker takes ${bodyBytes}`,
      );
    const frame = Buffer.byteLength(JSON.stringify(wire)) + REQUEST_BYTES;
    if (frame > frameBytes) {
      throw new SluiceError(
        'MESSAGE_TOO_LARGE',
        `as JSON the message has ${frame} bytes; a frame takes ${frameBytes}`,
        {
          hint: 'Send it without --producer-id: that form carries bytes as they are.',
        },
      );
    }
    return Math.max(size, frame - REQUEST_BYTES);
  }
}

function wireMessage({ body, key, tag, delayMs, deliverAt }: LineMessage): SendMessage {
  return {
    body: body instanceof Uint8Array ? { $bytes: encodeBase64(body) } : body,
    ...(key === undefined ? {} : { key }),
    ...(tag === undefined ? {} : { tag }),
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(deliverAt === undefined ? {} : { deliverAt }),
  };
}
