import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BatchBuilder, recordBytes } from '../../../src/protocol/batch/batch-builder.ts';
import {
  BATCH_MAGIC,
  STORED_BYTES,
  STORED_HEADER_BYTES,
  STORED_MAGIC,
} from '../../../src/protocol/batch/batch-layout.ts';
import {
  checkReceipts,
  type DeliverHeader,
  decodeDeliverHeader,
  decodeReceipt,
  decodeSendBatchHeader,
  encodeDeliverHeader,
  encodeReceipt,
  encodeReceiptsHeader,
  encodeSendBatchHeader,
  isSelected,
  newDeliverHeader,
  newReceiptEntry,
  newSendBatchHeader,
  type ReceiptEntry,
  receiptCount,
  receiptsBytes,
  selectionBytes,
  sendBatchAt,
  viewOf,
} from '../../../src/protocol/web/binary-codec.ts';
import * as layout from '../../../src/protocol/web/frames-layout.ts';

const u16 = (): fc.Arbitrary<number> => fc.integer({ min: 0, max: 0xffff });
const u32 = (): fc.Arbitrary<number> => fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = (): fc.Arbitrary<number> => fc.maxSafeNat();

function batchFrame(headroomBytes: number, records: number): Uint8Array {
  const builder = new BatchBuilder(1024, 'p', headroomBytes);
  for (let index = 0; index < records; index += 1) {
    const record = { body: `body ${index}`, bodyKind: 1 as const };
    builder.append(record, recordBytes(record), 16_384, 1000);
  }
  return builder.finish(1, 0).slice();
}

function deliverFrame(header: DeliverHeader, records: number): Uint8Array {
  const frame = batchFrame(layout.DELIVER_HEADER_BYTES + STORED_HEADER_BYTES, records);
  const view = viewOf(frame);
  encodeDeliverHeader(view, header);
  view.setUint32(layout.DELIVER_STORED_BATCH + STORED_MAGIC, BATCH_MAGIC, true);
  view.setUint32(
    layout.DELIVER_STORED_BATCH + STORED_BYTES,
    frame.length - layout.DELIVER_STORED_BATCH,
    true,
  );
  if (!header.hasSelection) return frame;
  const selected = new Uint8Array(frame.length + selectionBytes(header.count)).fill(0x5a);
  selected.set(frame);
  return selected;
}

/** Every cut of a frame, and the frame with a byte too many, must be refused. */
function assertOnlyWhole(frame: Uint8Array, verdictOf: (view: DataView) => string): void {
  assert.equal(verdictOf(viewOf(frame)), 'ok');
  for (let length = 0; length < frame.length; length += 1)
    assert.notEqual(verdictOf(viewOf(frame.subarray(0, length))), 'ok', `cut at ${length}`);
  const longer = new Uint8Array(frame.length + 1);
  longer.set(frame);
  assert.notEqual(verdictOf(viewOf(longer)), 'ok', 'one byte too many');
}

describe('SEND_BATCH', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(u16(), u32(), u32(), (queueId, correlationId, topicId) => {
        const view = viewOf(batchFrame(layout.SEND_HEADER_BYTES, 2));
        encodeSendBatchHeader(view, queueId, correlationId, topicId);
        const header = newSendBatchHeader();
        assert.equal(decodeSendBatchHeader(view, header), 'ok');
        assert.deepEqual(header, {
          ...{ queueId, correlationId, topicId, delayMs: -1, deliverAt: -1 },
          batchAt: layout.SEND_BATCH,
        });
      }),
    );
  });

  it('carries the time at which it is to be seen', () => {
    for (const deferral of [{ delayMs: 0 }, { delayMs: 1500 }, { deliverAt: 1_800_000_000_000 }]) {
      const frame = batchFrame(layout.SEND_DEFERRED_BATCH, 2);
      encodeSendBatchHeader(viewOf(frame), 5, 77, 9, deferral);
      const header = newSendBatchHeader();
      assert.equal(decodeSendBatchHeader(viewOf(frame), header), 'ok');
      assert.deepEqual(header, {
        ...{ queueId: 5, correlationId: 77, topicId: 9, delayMs: -1, deliverAt: -1, ...deferral },
        batchAt: sendBatchAt(deferral),
      });
      assertOnlyWhole(frame, (view) => decodeSendBatchHeader(view, newSendBatchHeader()));
      frame.fill(0xff, layout.SEND_DEFERRAL, layout.SEND_DEFERRAL + 8);
      assert.equal(decodeSendBatchHeader(viewOf(frame), header), 'wrong-number');
    }
  });

  it('is refused when cut anywhere', () => {
    const frame = batchFrame(layout.SEND_HEADER_BYTES, 3);
    encodeSendBatchHeader(viewOf(frame), 1, 2, 3);
    assertOnlyWhole(frame, (view) => decodeSendBatchHeader(view, newSendBatchHeader()));
  });

  it('is refused with a reserved byte set, and still names its correlation id', () => {
    for (const at of [layout.SEND_FLAGS, 12, 13, 14, 15]) {
      const frame = batchFrame(layout.SEND_HEADER_BYTES, 1);
      encodeSendBatchHeader(viewOf(frame), 1, 77, 3);
      frame[at] = 4;
      const header = newSendBatchHeader();
      assert.equal(decodeSendBatchHeader(viewOf(frame), header), 'reserved-not-zero');
      assert.equal(header.correlationId, 77);
    }
  });

  it('of another kind is refused', () => {
    const frame = batchFrame(layout.SEND_HEADER_BYTES, 1);
    frame[0] = layout.FRAME_SETTLE;
    assert.equal(decodeSendBatchHeader(viewOf(frame), newSendBatchHeader()), 'wrong-kind');
  });
});

describe('RECEIPTS', () => {
  const entries = (): fc.Arbitrary<ReceiptEntry> =>
    fc.record({
      correlationId: u32(),
      queueId: u16(),
      durability: fc.integer({ min: 1, max: 3 }),
      duplicate: fc.boolean(),
      deferred: fc.boolean(),
      baseQueueOffset: fc.oneof(u53(), fc.constant(-1)),
      position: u53(),
      recordCount: u32(),
      shard: u16(),
    });
  const encode = (list: readonly ReceiptEntry[]): Uint8Array => {
    const frame = new Uint8Array(receiptsBytes(list.length));
    encodeReceiptsHeader(viewOf(frame), list.length);
    list.forEach((entry, index) => {
      encodeReceipt(viewOf(frame), index, entry);
    });
    return frame;
  };

  it('come back as they were written', () => {
    fc.assert(
      fc.property(fc.array(entries(), { minLength: 1, maxLength: 20 }), (list) => {
        const view = viewOf(encode(list));
        assert.equal(checkReceipts(view), 'ok');
        assert.equal(receiptCount(view), list.length);
        list.forEach((entry, index) => {
          const read = newReceiptEntry();
          decodeReceipt(view, index, read);
          assert.deepEqual(read, { ...entry });
        });
      }),
    );
  });

  it('are refused when cut anywhere', () => {
    const entry = { ...newReceiptEntry(), durability: 2, baseQueueOffset: -1 };
    assertOnlyWhole(encode([entry, entry, entry]), checkReceipts);
  });

  it('are refused with a wrong durability, flag or number', () => {
    const entry = { ...newReceiptEntry(), durability: 2 };
    const spoilt = (at: number, value: number): string => {
      const frame = encode([entry]);
      frame[layout.RECEIPTS_ENTRIES + at] = value;
      return checkReceipts(viewOf(frame));
    };
    assert.equal(spoilt(layout.RECEIPT_DURABILITY, 0), 'wrong-number');
    assert.equal(spoilt(layout.RECEIPT_DURABILITY, 4), 'wrong-number');
    assert.equal(spoilt(layout.RECEIPT_FLAGS, 4), 'reserved-not-zero');
    assert.equal(spoilt(layout.RECEIPT_RESERVED + 1, 1), 'reserved-not-zero');
    assert.equal(spoilt(layout.RECEIPT_POSITION + 7, 1), 'wrong-number');
    assert.equal(spoilt(layout.RECEIPT_BASE_OFFSET + 7, 255), 'wrong-number');
  });

  it('without entries are refused', () => {
    assert.equal(checkReceipts(viewOf(encode([]))), 'no-entries');
  });
});

describe('DELIVER', () => {
  const headers = (): fc.Arbitrary<DeliverHeader> =>
    fc.record({
      queueId: u16(),
      subscription: u32(),
      baseQueueOffset: u53(),
      firstIndex: fc.integer({ min: 0, max: 4 }),
      count: fc.integer({ min: 1, max: 5 }),
      attempt: u32(),
      shard: u16(),
      leaseId: u53(),
      leaseMs: u32(),
      topicId: u32(),
      hasSelection: fc.boolean(),
    });

  it('comes back as it was written, when the batch has the records', () => {
    fc.assert(
      fc.property(headers(), (header) => {
        const read = newDeliverHeader();
        const verdict = decodeDeliverHeader(viewOf(deliverFrame(header, 5)), read);
        assert.equal(verdict, header.firstIndex + header.count <= 5 ? 'ok' : 'wrong-range');
        assert.deepEqual(read, { ...header });
      }),
    );
  });

  it('is refused when cut anywhere', () => {
    for (const hasSelection of [false, true]) {
      const header = { ...newDeliverHeader(), count: 2, hasSelection };
      assertOnlyWhole(deliverFrame(header, 2), (view) =>
        decodeDeliverHeader(view, newDeliverHeader()),
      );
    }
  });

  it('has a bit for each record of its selection, lowest first', () => {
    assert.deepEqual([0, 1, 7, 8, 9, 16, 17].map(selectionBytes), [0, 1, 1, 1, 2, 2, 3]);
    const bytes = Uint8Array.of(0xff, 0b0100_0001, 0b10);
    const selected = Array.from({ length: 16 }, (_, index) => index).filter((index) =>
      isSelected(bytes, 1, index),
    );
    assert.deepEqual(selected, [0, 6, 9]);
  });

  it('is refused without records, with a reserved byte, or with a lying length', () => {
    const verdict = (change: (frame: Uint8Array) => void): string => {
      const frame = deliverFrame({ ...newDeliverHeader(), count: 1 }, 2);
      change(frame);
      return decodeDeliverHeader(viewOf(frame), newDeliverHeader());
    };
    assert.equal(
      verdict((frame) => frame.fill(0, 20, 24)),
      'no-entries',
    );
    assert.equal(
      verdict((frame) => frame.fill(2, 1, 2)),
      'reserved-not-zero',
    );
    // It says that a selection follows, and none does.
    assert.equal(
      verdict((frame) => frame.fill(1, 1, 2)),
      'wrong-length',
    );
    assert.equal(
      verdict((frame) => frame.fill(255, layout.DELIVER_STORED_BATCH, 49)),
      'wrong-kind',
    );
    assert.equal(
      verdict((frame) =>
        frame.fill(
          255,
          layout.DELIVER_STORED_BATCH + STORED_BYTES,
          layout.DELIVER_STORED_BATCH + STORED_BYTES + 1,
        ),
      ),
      'wrong-length',
    );
    assert.equal(
      verdict((frame) => frame.fill(255, 8, 16)),
      'wrong-number',
    );
  });
});
