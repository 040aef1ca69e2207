/** A message as a consumer gets it: a window on the delivered batch; nothing is decoded that nobody asks for. Browser-safe. */
import { BODY_BYTES, BODY_JSON } from '../protocol/batch/batch-layout.ts';
import type { JsonValue } from '../protocol/web/messages.ts';
import type { Delivery } from './delivery.ts';
import {
  recordBody,
  recordBodyKind,
  recordBornDelta,
  recordKey,
  recordProperties,
  recordTag,
  recordText,
} from './record-view.ts';
import type { Settlement } from './settle.ts';
import type { NackOptions } from './types.ts';

/** A message as a consumer gets it: ack it when it is done, nack it when it failed. */
export class Message {
  readonly #delivery: Delivery;
  /** Byte offset of its record. */
  readonly #at: number;
  /** Index in its batch. */
  readonly #index: number;

  /** @internal */
  constructor(delivery: Delivery, at: number, index: number) {
    this.#delivery = delivery;
    this.#at = at;
    this.#index = index;
  }

  /** Topic that it was sent to. */
  get topic(): string {
    return this.#delivery.topic;
  }

  /** Name of the broker that holds it. */
  get broker(): string {
    return this.#delivery.broker;
  }

  /** Queue of the topic that holds it. */
  get queueId(): number {
    return this.#delivery.queueId;
  }

  /** Index of the message in its queue. */
  get queueOffset(): number {
    return this.#delivery.baseQueueOffset + this.#index;
  }

  /** 32 hex digits that name it for people and for `client.admin.message`. */
  get messageId(): string {
    return this.#delivery.messageIdAt(this.#index);
  }

  /** What its order hangs on; undefined: none was given. */
  get key(): string | undefined {
    const { bytes, view } = this.#delivery;
    return recordKey(bytes, view, this.#at) || undefined;
  }

  /** What consumers filter by; undefined: none was given. */
  get tag(): string | undefined {
    const { bytes, view } = this.#delivery;
    return recordTag(bytes, view, this.#at) || undefined;
  }

  /** Decoded anew with each read. */
  get properties(): Readonly<Record<string, string>> {
    const { bytes, view } = this.#delivery;
    return recordProperties(bytes, view, this.#at);
  }

  /** The body's bytes, whatever was sent. A view of the received frame: copy what you keep for long. */
  get body(): Uint8Array {
    const { bytes, view } = this.#delivery;
    return recordBody(bytes, view, this.#at);
  }

  /** What was sent as the body: bytes, a string, or another JSON value. */
  get bodyKind(): 'bytes' | 'text' | 'json' {
    const kind = recordBodyKind(this.#delivery.view, this.#at);
    if (kind === BODY_BYTES) return 'bytes';
    return kind === BODY_JSON ? 'json' : 'text';
  }

  /** The body as UTF-8 text. */
  text(): string {
    const { bytes, view } = this.#delivery;
    return recordText(bytes, view, this.#at);
  }

  /** The body as the JSON value that was sent. @throws SyntaxError when it is none */
  json<Value = JsonValue>(): Value {
    return JSON.parse(this.text()) as Value;
  }

  /** The body as it was sent: bytes as bytes, text as a string, JSON as its value. */
  value(): Uint8Array | JsonValue {
    const { bodyKind } = this;
    if (bodyKind === 'bytes') return this.body;
    return bodyKind === 'text' ? this.text() : this.json();
  }

  /** 1 for the first delivery to the group. */
  get attempt(): number {
    return this.#delivery.attempt;
  }

  /**
   * A number that rises with each delivery of this queue, to whichever member: with `ordered`, a store that remembers the
   * highest it has seen refuses a member that was thought dead and comes back late.
   */
  get fence(): number {
    return this.#delivery.fence;
  }

  /** When the broker stored it, milliseconds since 1970. */
  get storedAt(): number {
    return this.#delivery.storedAt;
  }

  /** When the producer made it, milliseconds since 1970 by the producer's clock. */
  get bornAt(): number {
    return this.#delivery.bornAt + recordBornDelta(this.#delivery.view, this.#at);
  }

  /** Has it been acked or nacked? */
  get isSettled(): boolean {
    return this.#delivery.isSettled(this.#index);
  }

  /**
   * The message is done: it is not delivered to the group again. A second call does nothing.
   *
   * @returns to be awaited by those who must know that the ack is durable; see `Settlement`
   */
  ack(): Settlement {
    return this.#delivery.ackAt(this.#index);
  }

  /** The message failed: it is delivered again, and after the group's last attempt goes to its dead-letter topic. */
  nack(options?: NackOptions): Settlement {
    return this.#delivery.nackAt(this.#index, options);
  }

  /** Keeps the message for `leaseMs` milliseconds from now (1000 to 43,200,000): for work that takes longer. */
  extend(leaseMs: number): Settlement {
    return this.#delivery.extendAt(this.#index, leaseMs);
  }
}
