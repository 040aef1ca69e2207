/** The stamps of a batch's messages, as runs of sequences: what the ledger wants to know of what was read back. */
import { alignUp } from '../base/units.ts';
import * as layout from '../protocol/batch/batch-layout.ts';
import type { MessageLedger } from './message-ledger.ts';
import { STAMP_BATCH, STAMP_BYTES, STAMP_INDEX, STAMP_PRODUCER } from './message-stamp.ts';

/** Runs of messages side by side in a queue, gathered until one does not go on where the last one ended. */
export class SequenceRuns {
  private readonly ledger: MessageLedger;
  private producer = -1;
  private queue = -1;
  private first = 0;
  private count = 0;

  constructor(ledger: MessageLedger) {
    this.ledger = ledger;
  }

  /** A message of a queue, in the order of the queue. @param at - where its body begins in `view` */
  add(queue: number, view: DataView, at: number, bodyBytes: number): void {
    if (bodyBytes < STAMP_BYTES) {
      this.ledger.seeForeign(1);
      return;
    }
    this.addStamp(
      queue,
      view.getUint32(at + STAMP_PRODUCER, true),
      view.getUint32(at + STAMP_INDEX, true),
      view.getUint32(at + STAMP_BATCH, true),
    );
  }

  /** The same for a body of its own, whose memory may be anything. */
  addBody(queue: number, body: Uint8Array): void {
    if (body.length < STAMP_BYTES) {
      this.ledger.seeForeign(1);
      return;
    }
    const word = (at: number): number =>
      ((body[at] as number) |
        ((body[at + 1] as number) << 8) |
        ((body[at + 2] as number) << 16) |
        ((body[at + 3] as number) << 24)) >>>
      0;
    this.addStamp(queue, word(STAMP_PRODUCER), word(STAMP_INDEX), word(STAMP_BATCH));
  }

  private addStamp(queue: number, producer: number, index: number, batch: number): void {
    const { recordsPerBatch } = this.ledger;
    if (index >= recordsPerBatch) {
      this.ledger.seeForeign(1);
      return;
    }
    const sequence = batch * recordsPerBatch + index;
    const goesOn =
      producer === this.producer && queue === this.queue && sequence === this.first + this.count;
    if (!goesOn) {
      this.flush();
      this.producer = producer;
      this.queue = queue;
      this.first = sequence;
    }
    this.count += 1;
  }

  /** Tells the ledger what was gathered. */
  flush(): void {
    if (this.count > 0) this.ledger.see(this.producer, this.queue, this.first, this.count);
    this.count = 0;
    this.producer = -1;
  }
}

/**
 * Adds the records `firstIndex` to `firstIndex + count - 1` of the checked batch at `at`.
 *
 * @param view - over the memory in which the batch stands
 */
export function addRecords(
  runs: SequenceRuns,
  queue: number,
  view: DataView,
  at: number,
  firstIndex: number,
  count: number,
): void {
  const idBytes = view.getUint16(at + layout.BATCH_PRODUCER_ID_BYTES, true);
  let record = at + layout.BATCH_HEADER_BYTES + alignUp(idBytes, 8);
  for (let index = 0; index < firstIndex + count; index += 1) {
    const bytes = view.getUint32(record + layout.RECORD_BYTES, true);
    if (index >= firstIndex) {
      const before =
        layout.RECORD_HEADER_BYTES +
        view.getUint16(record + layout.RECORD_KEY_BYTES, true) +
        view.getUint16(record + layout.RECORD_TAG_BYTES, true) +
        view.getUint16(record + layout.RECORD_PROPERTIES_BYTES, true);
      runs.add(queue, view, record + before, bytes - before);
    }
    record += bytes;
  }
}
