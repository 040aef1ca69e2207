/**
 * One connection of the prepared load: stamped copies of a template, a window of unanswered frames, several frames a
 * write. What is refused for the moment is sent again in order, as a producer with sequences must: nothing newer goes out
 * before everything that was sent is answered. Event loop.
 *
 *   batch n goes to lane n mod lanes, with sequence (n div lanes) × records; its frame stands in slot n mod window
 */
import { type Clock, startTimer } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import {
  checkReceipts,
  decodeReceipt,
  newReceiptEntry,
  receiptCount,
} from '../protocol/web/binary-codec.ts';
import { FRAME_CONTROL, FRAME_RECEIPTS } from '../protocol/web/frames-layout.ts';
import { ControlCalls, refusalOf } from './control-calls.ts';
import type { FrameTemplate } from './frame-template.ts';
import type { LoadCounters } from './load-counters.ts';
import { OPCODE_BINARY } from './ws-frames.ts';
import { WsSocket } from './ws-socket.ts';

/** One queue that a producer sends to. */
export type Lane = { readonly topicId: number; readonly queueId: number };

export type PreparedOptions = {
  readonly url: string;
  readonly token: string | undefined;
  readonly template: FrameTemplate;
  /** Number of the producer. */
  readonly producer: number;
  readonly lanes: readonly Lane[];
  /** Unanswered frames at most. */
  readonly window: number;
  readonly counters: LoadCounters;
  /** Told of every batch that was acknowledged, once. */
  readonly onAck: (producer: number, batch: number) => void;
  /** When message n should have been sent, for an open loop; undefined: a batch's latency counts from when it was. */
  readonly plannedAtMs: ((message: number) => number) | undefined;
  readonly clock: Clock;
};

const FREE = 0;
const SENT = 1;
const ACKED = 2;
const REFUSED = 3;

const RETRY_MS_DEFAULT = 20;

export class PreparedConnection {
  private readonly options: PreparedOptions;
  private readonly slots: Uint8Array;
  private readonly slotView: DataView;
  private readonly slotBytes: number;
  private readonly states: Uint8Array;
  private readonly sentAtMs: Float64Array;
  private readonly entry = newReceiptEntry();
  private readonly calls: ControlCalls;
  private socket: WsSocket | undefined;
  /** Batches below are answered; those from here to `next` may be. */
  private oldest = 0;
  private next = 0;
  private unanswered = 0;
  /** Batches at and above wait for the open loop, or for ever once it has stopped. */
  private allowed = 0;
  private refusedCount = 0;
  private isResting = false;
  private failure: SluiceError | undefined;
  private onIdle: (() => void) | undefined;

  constructor(options: PreparedOptions) {
    this.options = options;
    const { template, window } = options;
    this.slotBytes = template.bytes.length;
    this.slots = new Uint8Array(this.slotBytes * window);
    for (let slot = 0; slot < window; slot += 1)
      this.slots.set(template.bytes, slot * this.slotBytes);
    this.slotView = new DataView(this.slots.buffer);
    this.states = new Uint8Array(window);
    this.sentAtMs = new Float64Array(window);
    this.calls = new ControlCalls((frame) => this.socket?.send(frame));
  }

  /** Connects, says hello where there is a token, and stores one batch in each lane. @throws DISCONNECTED, UNAUTHENTICATED */
  async open(): Promise<void> {
    const { url, token } = this.options;
    this.socket = await WsSocket.open(url, {
      frame: (opcode, at, length) => this.take(opcode, at, length),
      turn: () => this.pump(),
      closed: (error) => this.fail(error ?? new SluiceError('CLOSED')),
    });
    if (token !== undefined) await this.calls.call({ op: 'hello', token, client: 'sluice bench' });
    // A broker takes the first batch that arrives for the beginning of a producer: so it must not be the second.
    await this.sendUpTo(this.options.lanes.length);
  }

  /** Lets batches below `batch` go, and resolves when all of them are acknowledged. @throws what stopped it */
  async sendUpTo(batch: number): Promise<void> {
    this.allow(batch);
    await new Promise<void>((resolve) => {
      this.onIdle = resolve;
      this.checkIdle();
    });
    if (this.failure !== undefined) throw this.failure;
  }

  /** Lets batches below `batch` go. */
  allow(batch: number): void {
    this.allowed = batch;
    this.pump();
  }

  /** Sends nothing new, and resolves when what was sent is acknowledged. @throws what stopped it */
  async stop(): Promise<void> {
    await this.sendUpTo(this.next);
  }

  close(): void {
    this.socket?.close();
  }

  /** Batches sent so far, the unanswered ones included. */
  get batchesSent(): number {
    return this.next;
  }

  private pump(): void {
    if (this.failure !== undefined || this.isResting) return;
    if (this.refusedCount > 0) {
      if (this.unanswered === 0) this.resend();
    } else {
      const end = Math.min(this.allowed, this.oldest + this.options.window);
      if (this.next < end) this.sendRange(this.next, end);
      this.next = Math.max(this.next, end);
    }
    this.checkIdle();
  }

  /** Stamps and writes batches `from` to `end`: one write, two where the slots wrap around. */
  private sendRange(from: number, end: number): void {
    const nowMs = this.options.clock.monotonicMs();
    for (let batch = from; batch < end; batch += 1) this.stamp(batch, nowMs);
    const { window } = this.options;
    const first = from % window;
    const count = end - from;
    const untilWrap = Math.min(count, window - first);
    this.writeSlots(first, untilWrap);
    if (count > untilWrap) this.writeSlots(0, count - untilWrap);
  }

  private writeSlots(first: number, count: number): void {
    const start = first * this.slotBytes;
    this.socket?.write(this.slots.subarray(start, start + count * this.slotBytes));
  }

  private stamp(batch: number, nowMs: number): void {
    const { template, lanes, window } = this.options;
    const slot = batch % window;
    const lane = lanes[batch % lanes.length] as Lane;
    const sequence = Math.floor(batch / lanes.length) * template.recordCount;
    template.stamp(
      this.slotView,
      slot * this.slotBytes,
      batch,
      sequence,
      batch,
      lane.queueId,
      lane.topicId,
    );
    this.states[slot] = SENT;
    this.sentAtMs[slot] = nowMs;
    this.unanswered += 1;
  }

  /** Everything is answered: what was refused goes out again, in order, one write a run. */
  private resend(): void {
    const { window } = this.options;
    const isRefused = (batch: number): boolean => this.states[batch % window] === REFUSED;
    for (let batch = this.oldest; batch < this.next; ) {
      if (!isRefused(batch)) {
        batch += 1;
        continue;
      }
      let end = batch;
      while (end < this.next && isRefused(end)) end += 1;
      this.sendRange(batch, end);
      batch = end;
    }
    this.refusedCount = 0;
  }

  private take(opcode: number, at: number, length: number): void {
    const socket = this.socket;
    if (socket === undefined || opcode !== OPCODE_BINARY) return;
    const kind = socket.bytes[at];
    if (kind === FRAME_RECEIPTS) this.takeReceipts(socket, at, length);
    else if (kind === FRAME_CONTROL) this.takeControl(socket.bytes.slice(at, at + length));
    else throw new SluiceError('BAD_FRAME', `a frame of the broker has the kind ${kind}`);
  }

  private takeReceipts(socket: WsSocket, at: number, length: number): void {
    const view = new DataView(socket.bytes.buffer, at, length);
    const verdict = checkReceipts(view);
    if (verdict !== 'ok')
      throw new SluiceError('BAD_FRAME', `a RECEIPTS frame is wrong: ${verdict}`);
    const nowMs = this.options.clock.monotonicMs();
    const count = receiptCount(view);
    for (let index = 0; index < count; index += 1) {
      decodeReceipt(view, index, this.entry);
      this.acked(this.entry.correlationId, this.entry.duplicate, nowMs);
    }
    this.advance();
  }

  private acked(batch: number, isDuplicate: boolean, nowMs: number): void {
    const { counters, template, window, producer, onAck } = this.options;
    const slot = this.answeredSlot(batch);
    this.states[slot] = ACKED;
    this.unanswered -= 1;
    counters.messages += template.recordCount;
    counters.bytes += template.payloadBytes;
    if (isDuplicate) counters.duplicateAnswers += 1;
    if (counters.isMeasuring) this.measure(batch, batch % window, nowMs);
    onAck(producer, batch);
  }

  private measure(batch: number, slot: number, nowMs: number): void {
    const { counters, plannedAtMs, template } = this.options;
    if (plannedAtMs === undefined) {
      counters.took(nowMs - (this.sentAtMs[slot] as number));
      return;
    }
    const first = batch * template.recordCount;
    for (let index = 0; index < template.recordCount; index += 1)
      counters.took(nowMs - plannedAtMs(first + index));
  }

  private answeredSlot(batch: number): number {
    const slot = batch % this.options.window;
    const isOpen = batch >= this.oldest && batch < this.next && this.states[slot] === SENT;
    if (!isOpen)
      throw new SluiceError('BAD_FRAME', `batch ${batch} was answered, and is not unanswered`);
    return slot;
  }

  private advance(): void {
    const { window } = this.options;
    while (this.oldest < this.next && this.states[this.oldest % window] === ACKED) {
      this.states[this.oldest % window] = FREE;
      this.oldest += 1;
    }
  }

  private takeControl(frame: Uint8Array): void {
    const unasked = this.calls.take(frame);
    if (unasked === undefined) return;
    const refusal = refusalOf(unasked.answer);
    // What follows a refused batch of its lane is refused for the gap: it goes again behind it.
    const isForNow = refusal.retryable || refusal.code === 'SEQUENCE_GAP';
    if (unasked.op !== 'error' || typeof unasked.id !== 'number' || !isForNow) throw refusal;
    this.states[this.answeredSlot(unasked.id)] = REFUSED;
    this.unanswered -= 1;
    this.refusedCount += 1;
    this.options.counters.refusals += 1;
    this.rest(refusal.retryAfterMs ?? RETRY_MS_DEFAULT);
  }

  private rest(ms: number): void {
    if (this.isResting) return;
    this.isResting = true;
    startTimer(ms, () => {
      this.isResting = false;
      this.pump();
    });
  }

  private checkIdle(): void {
    const isIdle = this.oldest >= this.allowed && this.oldest === this.next;
    if (!isIdle && this.failure === undefined) return;
    const onIdle = this.onIdle;
    this.onIdle = undefined;
    onIdle?.();
  }

  private fail(error: unknown): void {
    this.failure ??= toSluiceError(error);
    this.calls.fail(this.failure);
    this.checkIdle();
  }
}
