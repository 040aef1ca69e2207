/**
 * One message of a RocketMQ client as a record of ours: TAGS and KEYS are its tag and key, all other properties stay what they
 * are, and what a record has no place for goes into one property of its own. One object, filled again for each message.
 */
import { SluiceError } from '../base/errors.ts';
import { PROPERTIES_BYTES_MAX } from '../base/limits.ts';
import type { RecordInput } from '../protocol/batch/batch-builder.ts';
import { BODY_BYTES, type BodyKind } from '../protocol/batch/batch-layout.ts';
import { PropertyBytes } from '../protocol/batch/property-bytes.ts';
import { ORIGIN_PROPERTY } from '../protocol/batch/reserved-property.ts';
import { textBytes } from '../protocol/batch/text-bytes.ts';
import { MESSAGE_PROPERTIES_BYTES_MAX } from '../protocol/remoting/message-layout.ts';
import { DEFAULT_REGION, PROPERTY } from '../protocol/remoting/message-properties.ts';
import { PropertyText } from '../protocol/remoting/property-text.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import { CodedError } from './remoting-refusal.ts';
import { SendDeferral } from './send-deferral.ts';

const NO_BYTES = new Uint8Array(0);
/** Bytes of the one property that each message has besides when it is read. */
const MESSAGE_REGION_BYTES: number = PROPERTY.MSG_REGION.length + DEFAULT_REGION.length + 2;

export class SentRecord implements RecordInput {
  readonly bodyKind: BodyKind = BODY_BYTES;
  body: Uint8Array = NO_BYTES;
  key: string | undefined;
  tag: string | undefined;
  readonly propertyBytes: PropertyBytes = new PropertyBytes();
  /** The id that the client gave it; undefined when it gave none. */
  uniqueKey: string | undefined;
  /** When it is to be seen. */
  readonly deferral: SendDeferral = new SendDeferral();
  /** It is half of a transaction: nobody sees it before its producer says so. */
  isHalf = false;
  /** Milliseconds until its producer is asked; undefined: as the broker is configured. */
  firstCheckMs: number | undefined;
  /** Its sender waits for a reply. */
  asksReply = false;
  private readonly reader = new PropertyText();
  private readonly clusterName: string;

  constructor(clusterName: string) {
    this.clusterName = clusterName;
  }

  /**
   * @param origin - text of its origin
   * @param properties - texts of its properties: its own, then those of the batch it came in
   * @throws MESSAGE_TOO_LARGE
   */
  fill(body: Uint8Array, origin: string, ...properties: readonly string[]): this {
    this.body = body;
    this.key = undefined;
    this.tag = undefined;
    this.uniqueKey = undefined;
    this.isHalf = false;
    this.firstCheckMs = undefined;
    this.asksReply = false;
    this.deferral.reset();
    this.propertyBytes.reset();
    this.add(ORIGIN_PROPERTY, origin);
    for (const text of properties) {
      this.reader.open(text);
      while (this.reader.next()) this.take(this.reader.name, this.reader.value);
    }
    // Who replies does so by a topic of this name.
    if (this.asksReply) this.add(PROPERTY.CLUSTER, this.clusterName);
    this.checkText(origin);
    return this;
  }

  /** Tag and key are properties again where the message is read: all of them must fit into one text there. */
  private checkText(origin: string): void {
    const { propertyBytes, key, tag } = this;
    // A record has two lengths of two bytes for each property, a text two separators of one.
    let bytes = propertyBytes.length - 2 * propertyBytes.count + MESSAGE_REGION_BYTES;
    bytes -= ORIGIN_PROPERTY.length + origin.length + 2;
    if (key !== undefined) bytes += PROPERTY.KEYS.length + textBytes(key) + 2;
    if (tag !== undefined) bytes += PROPERTY.TAGS.length + textBytes(tag) + 2;
    if (bytes > MESSAGE_PROPERTIES_BYTES_MAX) throw tooLarge();
  }

  private take(name: string, value: string): void {
    switch (name) {
      case PROPERTY.TAGS:
        this.tag = value;
        return;
      case PROPERTY.KEYS:
        this.key = value;
        return;
      case ORIGIN_PROPERTY:
      case PROPERTY.CLUSTER:
      case PROPERTY.MSG_REGION:
        return;
      case PROPERTY.REPLY_TO_CLIENT:
        this.asksReply = true;
        break;
      case PROPERTY.UNIQ_KEY:
        this.uniqueKey = value;
        break;
      case PROPERTY.TRANSACTION_PREPARED:
        // The record says so itself, until it is committed.
        this.isHalf = value.toLowerCase() === 'true';
        return;
      case PROPERTY.TIMER_DELETE:
        throw notCancelled();
      case PROPERTY.CHECK_IMMUNITY_TIME:
        this.firstCheckMs = secondsIn(value);
        break;
      default:
        this.deferral.hear(name, value);
    }
    this.add(name, value);
  }

  private add(name: string, value: string): void {
    if (!this.propertyBytes.add(name, value)) throw tooLarge();
  }
}

function tooLarge(): SluiceError {
  const text = `the properties take more than ${PROPERTIES_BYTES_MAX} bytes`;
  return new SluiceError('MESSAGE_TOO_LARGE', text);
}

/** Stored as a message, the request to cancel another one would be delivered, and the other one too. */
function notCancelled(): SluiceError {
  const text = `a message does not cancel another one, as the property ${PROPERTY.TIMER_DELETE} asks`;
  const hint = 'Cancel with cancelDelayed of the client, or sluice admin delayed cancel.';
  const refusal = new SluiceError('UNSUPPORTED', text, { hint });
  return new CodedError(RESPONSE_CODES.MESSAGE_ILLEGAL, refusal);
}

/** Whole seconds in digits, as milliseconds. */
function secondsIn(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) * 1000 : undefined;
}
