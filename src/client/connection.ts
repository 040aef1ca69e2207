/**
 * One connection to one broker, from its opening to its end: handshake, correlation of answers, dispatch of frames,
 * and a ping that notices a half-open connection. It never reconnects; `link.ts` does. Browser-safe.
 *
 * ```
 * opening ── socket open, hello ──► welcome ──► up ──► ended
 *    └──────────── timeout, refusal, close ────────────┘
 * ```
 */
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { messageIdPrefix } from '../protocol/message-id.ts';
import {
  checkReceipts,
  decodeReceipt,
  newReceiptEntry,
  type ReceiptEntry,
  receiptCount,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import { decodeControl, encodeControl } from '../protocol/web/control-codec.ts';
import {
  FRAME_CONTROL,
  FRAME_DELIVER,
  FRAME_KIND,
  FRAME_RECEIPTS,
} from '../protocol/web/frames-layout.ts';
import type { ClientRequest, WelcomeLimits } from '../protocol/web/messages.ts';
import { type AnyAnswer, answerError, readWelcome } from './answers.ts';
import type { ClientRuntime } from './runtime.ts';
import { startSlicedTimer } from './sliced-timer.ts';
import type { Socket } from './socket.ts';

/** Somebody who waits for the answer to one correlation id. */
export interface Pending {
  /** An entry of RECEIPTS. @shape borrowed until the call returns */
  receipt(entry: Readonly<ReceiptEntry>): void;
  /** An answer that is no error. Called in the order of arrival, before any later frame is looked at. */
  answer(answer: AnyAnswer): void;
  refuse(error: SluiceError, correlationId: number): void;
  /** The connection ended before an answer came. */
  lost(error: SluiceError): void;
}

export type ConnectionOptions = {
  readonly url: string;
  readonly token: string | undefined;
  readonly name: string | undefined;
  /** Name that the broker must have; undefined: any. */
  readonly broker?: string | undefined;
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
};

/** What a connection tells its owner. */
export type ConnectionEvents = {
  up(connection: Connection): void;
  /** @shape the frame belongs to the receiver */
  deliver(frame: Uint8Array): void;
  /** The broker asks what became of a transaction. */
  check(question: AnyAnswer): void;
  /** A frame with answers was worked off: the windows may have room again. */
  progress(): void;
  /** The broker has ended a subscription by itself, and says why. */
  subscriptionEnded(subscription: number, error: SluiceError): void;
  /** Something that is not understood, and that does not end the connection. */
  protocolError(error: SluiceError): void;
  /** The end, exactly once; all pending have been told before. */
  ended(error: SluiceError, wasUp: boolean): void;
};

/** Ids that the producers leave free in the broker's window, for requests. */
const REQUEST_RESERVE = 16;
/** Milliseconds that a polite close may take. */
const CLOSE_TIMEOUT_MS = 1000;

export class Connection {
  readonly url: string;
  private readonly runtime: ClientRuntime;
  private readonly options: ConnectionOptions;
  private readonly events: ConnectionEvents;
  private readonly socket: Socket;
  private readonly pending = new Map<number, Pending>();
  private readonly receiptEntry = newReceiptEntry();
  private lastId = 0;
  private state: 'opening' | 'up' | 'ended' = 'opening';
  private cancelTimer: CancelTimer;
  /** Has anything arrived since the ping timer was last set? */
  private heard = false;
  limits: WelcomeLimits = {
    frameBytes: 0,
    batchBytes: 0,
    bodyBytes: 0,
    inFlight: 0,
    credit: 0,
    producerBatches: 0,
  };
  /** What the ids of messages of this broker begin with. */
  messageIdPrefix = '';
  brokerName = '';

  constructor(runtime: ClientRuntime, options: ConnectionOptions, events: ConnectionEvents) {
    this.runtime = runtime;
    this.options = options;
    this.url = options.url;
    this.events = events;
    const { connectTimeoutMs } = options;
    this.cancelTimer = startSlicedTimer(runtime.startTimer, connectTimeoutMs, () =>
      this.end(this.error('TIMEOUT', `no answer within ${connectTimeoutMs} ms`)),
    );
    this.socket = runtime.openSocket(options.url, {
      open: () => this.sayHello(),
      binary: (bytes) => this.binary(bytes),
      text: (text) => this.text(text),
      closed: (reason) => this.end(this.error('DISCONNECTED', reason)),
    });
  }

  get isUp(): boolean {
    return this.state === 'up';
  }

  /** May a producer send one more batch? */
  get hasRoom(): boolean {
    return this.pending.size < this.limits.inFlight - REQUEST_RESERVE;
  }

  /** Sends a request as a CONTROL frame, or as JSON text; `pending` hears the answer. */
  request(payload: ClientRequest, pending: Pending, asText = false): void {
    const id = this.expect(pending);
    const frame = { ...payload, id };
    this.socket.send(asText ? JSON.stringify(frame) : encodeControl(frame));
  }

  /** Sends a request that has no answer. */
  notify(payload: ClientRequest): void {
    if (this.state === 'up') this.socket.send(encodeControl(payload));
  }

  /** A new correlation id; `pending` hears what comes back under it. */
  expect(pending: Pending): number {
    // 0 means "no answer wanted" in SETTLE, and the ids wrap at 2^32: both are stepped over.
    do this.lastId = (this.lastId + 1) % 0x1_0000_0000;
    while (this.lastId === 0 || this.pending.has(this.lastId));
    this.pending.set(this.lastId, pending);
    return this.lastId;
  }

  /** @shape see `Socket.send` */
  sendFrame(frame: Uint8Array): void {
    this.socket.send(frame);
  }

  /** Ends the connection after what was sent has been delivered, or a second later. */
  close(error: SluiceError): void {
    if (this.state === 'ended') return;
    const { socket } = this;
    socket.close();
    this.runtime.startTimer(CLOSE_TIMEOUT_MS, () => socket.terminate());
    this.finish(error, false);
  }

  private error(code: 'TIMEOUT' | 'DISCONNECTED', text: string): SluiceError {
    return new SluiceError(code, `${this.url}: ${text}`, {
      hint: 'Is this the WebSocket port (by default 8880) of a running SluiceMQ broker?',
      facts: { server: this.url },
    });
  }

  private sayHello(): void {
    const { token, name } = this.options;
    this.request(
      {
        op: 'hello',
        ...(token === undefined ? {} : { token }),
        ...(name === undefined ? {} : { client: name }),
      },
      {
        receipt: () => {},
        answer: (answer) => this.welcomed(answer),
        refuse: (error) => this.end(error),
        lost: () => {},
      },
    );
  }

  private welcomed(answer: AnyAnswer): void {
    const welcome = readWelcome(answer);
    if (welcome === undefined) {
      this.end(
        new SluiceError('UNSUPPORTED_VERSION', `${this.url}: the answer to hello is no welcome`),
      );
      return;
    }
    const { broker } = this.options;
    if (broker !== undefined && welcome.broker.name !== broker) {
      this.end(this.error('DISCONNECTED', `this is ${welcome.broker.name}, and not ${broker}`));
      return;
    }
    this.limits = welcome.limits;
    this.messageIdPrefix = messageIdPrefix(welcome.broker.address, welcome.broker.port);
    this.brokerName = welcome.broker.name;
    this.state = 'up';
    this.cancelTimer();
    this.watch();
    this.events.up(this);
  }

  /** Waits for silence; then asks, and ends a connection that does not answer. */
  private watch(): void {
    this.heard = false;
    this.cancelTimer = this.runtime.startTimer(this.options.pingIntervalMs, () => {
      if (this.heard) {
        this.watch();
        return;
      }
      this.notify({ op: 'ping' });
      this.cancelTimer = startSlicedTimer(
        this.runtime.startTimer,
        this.options.pingTimeoutMs,
        () => {
          if (this.heard) this.watch();
          else this.end(this.error('TIMEOUT', 'the connection is dead: no answer to a ping'));
        },
      );
    });
  }

  private binary(bytes: Uint8Array): void {
    this.heard = true;
    const kind = bytes[FRAME_KIND];
    if (kind === FRAME_DELIVER) {
      if (this.state === 'up') this.events.deliver(bytes);
    } else if (kind === FRAME_RECEIPTS) this.receipts(bytes);
    else if (kind === FRAME_CONTROL) {
      const decoded = decodeControl(bytes);
      if (decoded.verdict === 'ok') this.answer(decoded.value);
      else this.complain(`a CONTROL frame is ${decoded.verdict}`);
    } else this.complain(`a frame of unknown kind ${kind ?? 'none'}`);
  }

  private text(text: string): void {
    this.heard = true;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.complain('a text frame is not JSON');
      return;
    }
    if (typeof value === 'object' && value !== null) this.answer(value as AnyAnswer);
  }

  private receipts(bytes: Uint8Array): void {
    const view = viewOf(bytes);
    const verdict = checkReceipts(view);
    if (verdict !== 'ok') {
      this.complain(`a RECEIPTS frame is ${verdict}`);
      return;
    }
    const entry = this.receiptEntry;
    const count = receiptCount(view);
    for (let index = 0; index < count; index += 1) {
      decodeReceipt(view, index, entry);
      const pending = this.pending.get(entry.correlationId);
      if (pending === undefined) continue;
      this.pending.delete(entry.correlationId);
      pending.receipt(entry);
    }
    this.events.progress();
  }

  private answer(answer: AnyAnswer): void {
    const error = answer['op'] === 'error' ? answerError(answer) : undefined;
    const { id, subscription } = answer;
    if (error !== undefined && id === undefined && typeof subscription === 'number') {
      if (this.state === 'up') this.events.subscriptionEnded(subscription, error);
      return;
    }
    const pending = typeof id === 'number' ? this.pending.get(id) : undefined;
    if (pending === undefined) {
      if (answer['op'] === 'check') this.events.check(answer);
      // Not even a correlation id could be read from what we sent, or a note of its own: somebody should see it.
      if (error !== undefined) this.events.protocolError(error);
      return;
    }
    this.pending.delete(id as number);
    if (error === undefined) pending.answer(answer);
    else pending.refuse(error, id as number);
    this.events.progress();
  }

  private complain(text: string): void {
    this.events.protocolError(new SluiceError('BAD_FRAME', `${this.url}: ${text}`));
  }

  private end(error: SluiceError): void {
    this.finish(error, true);
  }

  private finish(error: SluiceError, cut: boolean): void {
    if (this.state === 'ended') return;
    const wasUp = this.state === 'up';
    // First: terminating the socket calls `closed`, which comes here again.
    this.state = 'ended';
    this.cancelTimer();
    if (cut) this.socket.terminate();
    const pending = [...this.pending.values()];
    this.pending.clear();
    for (const one of pending) one.lost(error);
    this.events.ended(error, wasUp);
  }
}
