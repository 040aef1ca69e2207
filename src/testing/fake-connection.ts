/**
 * The client's end of a WebSocket without a socket: what the acceptor sends is kept and decoded, what a slow reader would
 * leave waiting is set by the test.
 */

import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { BatchReader } from '../protocol/batch/batch-reader.ts';
import {
  checkReceipts,
  type DeliverHeader,
  decodeDeliverHeader,
  decodeReceipt,
  isSelected,
  newDeliverHeader,
  newReceiptEntry,
  type ReceiptEntry,
  receiptCount,
  selectionBytes,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import { decodeControl } from '../protocol/web/control-codec.ts';
import {
  DELIVER_STORED_BATCH,
  FRAME_CONTROL,
  FRAME_KIND,
  FRAME_RECEIPTS,
} from '../protocol/web/frames-layout.ts';
import type { WebSocketConnection } from '../transport/transport.ts';

/** A frame with named fields, JSON or CONTROL. */
export type Answer = Readonly<Record<string, unknown>> & { readonly op: string };

/** A DELIVER frame, and the bodies and queue offsets of the records it delivers; with tags, of those it is about. */
export type Delivered = DeliverHeader & {
  readonly bodies: readonly string[];
  readonly offsets: readonly number[];
};

export class FakeConnection implements WebSocketConnection {
  readonly id: number;
  readonly remoteAddress: string;
  /** Frames with fields in the order they came; messages are among them. */
  readonly answers: Answer[] = [];
  readonly receipts: ReceiptEntry[] = [];
  readonly delivered: Delivered[] = [];
  /** Frames sent, of any kind, and corked runs. */
  frames = 0;
  corks = 0;
  isPaused = false;
  incomingBytesMax: number | undefined;
  closeCode: number | undefined;
  closeReason = '';
  /** Bytes that wait for a reader; `swallows` makes every frame wait. */
  waitingBytes = 0;
  swallows = false;
  private readonly onClose: (connection: FakeConnection) => void;

  constructor(id: number, remoteAddress: string, onClose: (connection: FakeConnection) => void) {
    this.id = id;
    this.remoteAddress = remoteAddress;
    this.onClose = onClose;
  }

  sendText(text: string): boolean {
    this.answers.push(JSON.parse(text) as Answer);
    return this.sent(text.length);
  }

  sendBinary(bytes: Uint8Array): boolean {
    // The bytes are borrowed: whoever keeps them copies.
    const frame = bytes.slice();
    if (frame[FRAME_KIND] === FRAME_CONTROL) this.answers.push(controlOf(frame));
    else if (frame[FRAME_KIND] === FRAME_RECEIPTS) this.receipts.push(...receiptsOf(frame));
    else this.delivered.push(deliveredOf(frame));
    return this.sent(frame.length);
  }

  bufferedBytes(): number {
    return this.waitingBytes;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  limitIncoming(bytesMax: number | undefined): void {
    this.incomingBytesMax = bytesMax;
  }

  cork(action: () => void): void {
    this.corks += 1;
    action();
  }

  close(code: number, reason: string): void {
    if (this.closeCode !== undefined) return;
    this.closeCode = code;
    this.closeReason = reason;
    queueMicrotask(() => this.onClose(this));
  }

  /** The answers with this op, taken out. */
  take(op: string): Answer[] {
    const taken = this.answers.filter((answer) => answer.op === op);
    const kept = this.answers.filter((answer) => answer.op !== op);
    this.answers.splice(0, this.answers.length, ...kept);
    return taken;
  }

  private sent(bytes: number): boolean {
    this.frames += 1;
    if (!this.swallows) return true;
    this.waitingBytes += bytes;
    return false;
  }
}

function controlOf(frame: Uint8Array): Answer {
  const decoded = decodeControl(frame);
  if (decoded.verdict !== 'ok') throw new Error(`a CONTROL frame is ${decoded.verdict}`);
  return decoded.value as Answer;
}

function receiptsOf(frame: Uint8Array): ReceiptEntry[] {
  const view = viewOf(frame);
  const verdict = checkReceipts(view);
  if (verdict !== 'ok') throw new Error(`a RECEIPTS frame is ${verdict}`);
  return Array.from({ length: receiptCount(view) }, (_, index) => {
    const entry = newReceiptEntry();
    decodeReceipt(view, index, entry);
    return entry;
  });
}

function deliveredOf(frame: Uint8Array): Delivered {
  const view = viewOf(frame);
  const header = newDeliverHeader();
  const verdict = decodeDeliverHeader(view, header);
  if (verdict !== 'ok') throw new Error(`a DELIVER frame is ${verdict}`);
  const reader = new BatchReader().open(frame, view, DELIVER_STORED_BATCH + STORED_HEADER_BYTES);
  const bodies: string[] = [];
  const offsets: number[] = [];
  const selectionAt = frame.length - selectionBytes(header.count);
  while (reader.next()) {
    const index = reader.index - header.firstIndex;
    if (index < 0 || index >= header.count) continue;
    if (header.hasSelection && !isSelected(frame, selectionAt, index)) continue;
    bodies.push(reader.bodyText);
    offsets.push(header.baseQueueOffset + reader.index);
  }
  return { ...header, bodies, offsets };
}
