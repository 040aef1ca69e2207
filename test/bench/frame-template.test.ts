import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from '../../src/base/crc32.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { addRecords, SequenceRuns } from '../../src/bench/batch-sequences.ts';
import { FrameTemplate, recordsPerBatch, sendFrameBytes } from '../../src/bench/frame-template.ts';
import { MessageLedger } from '../../src/bench/message-ledger.ts';
import { checkBatch } from '../../src/protocol/batch/batch-check.ts';
import { BatchReader } from '../../src/protocol/batch/batch-reader.ts';
import { decodeSendBatchHeader, newSendBatchHeader } from '../../src/protocol/web/binary-codec.ts';
import { SEND_BATCH } from '../../src/protocol/web/frames-layout.ts';

function newTemplate(recordCount: number, bodyBytes: number, producer = 3): FrameTemplate {
  return new FrameTemplate({
    producer,
    producerId: 'bench-0003',
    bodyBytes,
    recordCount,
    bornAtMs: 1_760_000_000_000,
    prng: seededPrng(1),
  });
}

/** The frame of a stamped copy, without its WebSocket header. */
function stamped(template: FrameTemplate, batch: number, sequence: number): Uint8Array {
  const copy = template.bytes.slice();
  template.stamp(new DataView(copy.buffer), 0, batch, sequence, 77, 5, 9);
  return copy.subarray(copy.length - template.payloadBytes);
}

describe('a frame template', () => {
  it('gives frames that the broker takes, whatever the numbers', () => {
    for (const [records, bodyBytes] of [
      [1, 16],
      [1, 128],
      [113, 128],
      [3, 70_000],
    ] as const) {
      const template = newTemplate(records, bodyBytes);
      for (const batch of [0, 1, 255, 256, 70_000, 4_294_967_295]) {
        const sequence = batch * records;
        const frame = stamped(template, batch, sequence);
        const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
        const header = newSendBatchHeader();
        assert.equal(decodeSendBatchHeader(view, header), 'ok');
        const { queueId, correlationId, topicId, batchAt } = header;
        assert.deepEqual([queueId, correlationId, topicId, batchAt], [5, 77, 9, SEND_BATCH]);
        const bytes = frame.length - SEND_BATCH;
        assert.equal(checkBatch(frame, view, SEND_BATCH, bytes, crc32), 'ok');
        const reader = new BatchReader().open(frame, view, SEND_BATCH);
        assert.equal(reader.sequence, sequence);
        assert.equal(reader.recordCount, records);
      }
    }
  });

  it('knows the bytes of its frames before it is made', () => {
    for (const records of [1, 2, 50]) {
      const template = newTemplate(records, 100);
      assert.equal(template.payloadBytes, sendFrameBytes(records, 100, 'bench-0003'.length));
    }
  });

  it('fits as many records as the batch holds, and one at least', () => {
    const records = recordsPerBatch(16_384, 128, 'bench-0003');
    const bytes = sendFrameBytes(records, 128, 10) - SEND_BATCH;
    assert.ok(bytes <= 16_384 && bytes + 128 + 16 > 16_384);
    assert.equal(recordsPerBatch(1024, 5000, 'bench-0003'), 1);
  });

  it('stamps messages so that they are told apart when they come back', () => {
    const template = newTemplate(10, 64, 1);
    const ledger = new MessageLedger(2, 10);
    const runs = new SequenceRuns(ledger);
    for (const batch of [0, 1, 2]) {
      ledger.ack(1, batch * 10, 10);
      const frame = stamped(template, batch, batch * 10);
      addRecords(runs, 0, new DataView(frame.buffer, frame.byteOffset), SEND_BATCH, 0, 10);
    }
    runs.flush();
    assert.deepEqual(ledger.report(), {
      acked: 30,
      lost: 0,
      duplicated: 0,
      reordered: 0,
      unexpected: 0,
    });
  });
});
