/**
 * Answers on their way to sockets. Within a duty cycle they are kept and each session's leave together: receipts of
 * batches in one RECEIPTS frame, the others in one corked write. Outside of it they leave at once.
 */

import type { ReceiptEntry } from '../protocol/web/binary-codec.ts';
import {
  encodeReceipt,
  encodeReceiptsHeader,
  newReceiptEntry,
  receiptsBytes,
  viewOf,
} from '../protocol/web/binary-codec.ts';
import type { Session } from './session.ts';

/** Entries of one RECEIPTS frame: half the in-flight window, so that two frames answer all of it. */
const ENTRIES_MAX = 512;

type ReceiptBuffer = { readonly bytes: Uint8Array; readonly view: DataView; count: number };

export class ReplyOutbox {
  /** Filled by the caller of `addReceipt`, then encoded: a million receipts make no garbage. */
  readonly entry: ReceiptEntry = newReceiptEntry();
  private readonly afterSend: (session: Session) => void;
  private readonly receipts = new Map<Session, ReceiptBuffer>();
  private readonly dirty = new Set<Session>();
  private readonly freeBuffers: ReceiptBuffer[] = [];
  private isCollecting = false;

  /** @param afterSend - told each session that was written to */
  constructor(afterSend: (session: Session) => void) {
    this.afterSend = afterSend;
  }

  /** From here to `flush` answers are kept. */
  collect(): void {
    this.isCollecting = true;
  }

  /** @shape a binary answer must be the caller's own copy */
  send(session: Session, answer: string | Uint8Array): void {
    if (session.isClosed) return;
    session.keep(answer);
    if (this.isCollecting) this.dirty.add(session);
    else this.flushSession(session);
  }

  /** Adds `entry` to the session's receipts; only within a duty cycle. */
  addReceipt(session: Session): void {
    if (session.isClosed) return;
    let buffer = this.receipts.get(session);
    if (buffer === undefined) {
      buffer = this.freeBuffers.pop() ?? newBuffer();
      this.receipts.set(session, buffer);
    }
    encodeReceipt(buffer.view, buffer.count, this.entry);
    buffer.count += 1;
    if (buffer.count === ENTRIES_MAX) this.sendReceipts(session, buffer);
  }

  /** Sends everything kept since `collect`. @returns sessions written to */
  flush(): number {
    this.isCollecting = false;
    const written = this.receipts.size + this.dirty.size;
    for (const [session, buffer] of this.receipts) {
      if (buffer.count > 0) this.sendReceipts(session, buffer);
      this.freeBuffers.push(buffer);
    }
    this.receipts.clear();
    for (const session of this.dirty) this.flushSession(session);
    this.dirty.clear();
    return written;
  }

  private sendReceipts(session: Session, buffer: ReceiptBuffer): void {
    encodeReceiptsHeader(buffer.view, buffer.count);
    const frame = buffer.bytes.subarray(0, receiptsBytes(buffer.count));
    buffer.count = 0;
    if (session.isClosed) return;
    if (!session.connection.sendBinary(frame)) this.afterSend(session);
  }

  private flushSession(session: Session): void {
    session.flush();
    this.afterSend(session);
  }
}

function newBuffer(): ReceiptBuffer {
  const bytes = new Uint8Array(receiptsBytes(ENTRIES_MAX));
  return { bytes, view: viewOf(bytes), count: 0 };
}
