/**
 * Random and damaged frames into every decoder of the web dialect: none may throw, and what one accepts must be
 * what its encoder would have written. FUZZ_RUNS makes it longer, FUZZ_SEED repeats one run.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Prng, seededPrng } from '../../src/base/prng.ts';
import { BatchBuilder, recordBytes } from '../../src/protocol/batch/batch-builder.ts';
import { BATCH_MAGIC, STORED_BYTES, STORED_MAGIC } from '../../src/protocol/batch/batch-layout.ts';
import * as binary from '../../src/protocol/web/binary-codec.ts';
import { decodeControl, encodeControl } from '../../src/protocol/web/control-codec.ts';
import * as layout from '../../src/protocol/web/frames-layout.ts';
import * as settle from '../../src/protocol/web/settle-codec.ts';

const runs = Number(process.env['FUZZ_RUNS'] ?? 20_000);
const seed = Number(process.env['FUZZ_SEED'] ?? 1);

function randomBytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.integer(256));
}

/** Flips, cuts and stretches a good frame. */
function damage(prng: Prng, frame: Uint8Array): Uint8Array {
  let damaged = frame.slice();
  for (let flips = prng.integer(4); flips > 0; flips -= 1)
    if (damaged.length > 0) damaged[prng.integer(damaged.length)] = prng.integer(256);
  if (prng.chance(0.2)) damaged = damaged.slice(0, prng.integer(damaged.length + 1));
  if (prng.chance(0.1))
    damaged = Uint8Array.from([...damaged, ...randomBytes(prng, prng.integer(40))]);
  return damaged;
}

function goodFrames(prng: Prng): Uint8Array[] {
  const builder = new BatchBuilder(1024, 'fuzz', layout.DELIVER_HEADER_BYTES + 64);
  for (let index = 0; index < 3; index += 1) {
    const record = { body: 'b', bodyKind: 0 as const, tag: 't' };
    builder.append(record, recordBytes(record), 4096, 5);
  }
  const deliver = builder.finish(9, 1).slice();
  const view = binary.viewOf(deliver);
  binary.encodeDeliverHeader(view, { ...binary.newDeliverHeader(), count: 2, firstIndex: 1 });
  view.setUint32(layout.DELIVER_STORED_BATCH + STORED_MAGIC, BATCH_MAGIC, true);
  view.setUint32(layout.DELIVER_STORED_BATCH + STORED_BYTES, deliver.length - 48, true);
  const send = deliver.slice(layout.DELIVER_HEADER_BYTES + 64 - layout.SEND_HEADER_BYTES);
  binary.encodeSendBatchHeader(binary.viewOf(send), 1, prng.integer(1000), 3);
  const receipts = new Uint8Array(binary.receiptsBytes(2));
  binary.encodeReceiptsHeader(binary.viewOf(receipts), 2);
  for (let index = 0; index < 2; index += 1)
    binary.encodeReceipt(binary.viewOf(receipts), index, {
      ...binary.newReceiptEntry(),
      durability: 1,
    });
  const ack = new Uint8Array(settle.settleBytes(2));
  settle.encodeSettleHeader(binary.viewOf(ack), {
    ...settle.newSettleHeader(),
    action: layout.SETTLE_ACK,
    rangeCount: 2,
  });
  for (let index = 0; index < 2; index += 1)
    settle.encodeSettleRange(binary.viewOf(ack), index, 1, 2, 3, 4);
  const control = encodeControl({ op: 'x', id: 1, list: [1, 'two', { three: [null, 4.5] }] });
  return [deliver, send, receipts, ack, control];
}

/** Decodes by every decoder; what is accepted is written again and must be the same bytes. */
function decodeAll(frame: Uint8Array): void {
  const view = binary.viewOf(frame);
  const send = binary.newSendBatchHeader();
  if (binary.decodeSendBatchHeader(view, send) === 'ok') {
    const again = frame.slice();
    binary.encodeSendBatchHeader(
      binary.viewOf(again),
      send.queueId,
      send.correlationId,
      send.topicId,
    );
    assert.deepEqual(again, frame);
  }
  const deliver = binary.newDeliverHeader();
  if (binary.decodeDeliverHeader(view, deliver) === 'ok') {
    const again = frame.slice();
    binary.encodeDeliverHeader(binary.viewOf(again), deliver);
    assert.deepEqual(again, frame);
  }
  decodeEntries(frame, view);
  const control = decodeControl(frame);
  if (control.verdict === 'ok') JSON.stringify(control.value);
  assert.notEqual(control.verdict, 'undecodable');
}

function decodeEntries(frame: Uint8Array, view: DataView): void {
  if (binary.checkReceipts(view) === 'ok') {
    const again = new Uint8Array(frame.length);
    const entry = binary.newReceiptEntry();
    binary.encodeReceiptsHeader(binary.viewOf(again), binary.receiptCount(view));
    for (let index = 0; index < binary.receiptCount(view); index += 1) {
      binary.decodeReceipt(view, index, entry);
      binary.encodeReceipt(binary.viewOf(again), index, entry);
    }
    assert.deepEqual(again, frame);
  }
  const header = settle.newSettleHeader();
  if (settle.decodeSettleHeader(view, header) === 'ok') {
    const again = new Uint8Array(frame.length);
    const range = settle.newSettleRange();
    settle.encodeSettleHeader(binary.viewOf(again), header);
    for (let index = 0; index < header.rangeCount; index += 1) {
      settle.decodeSettleRange(view, index, range);
      settle.encodeSettleRange(
        binary.viewOf(again),
        index,
        range.queueId,
        range.queueOffset,
        range.count,
        range.leaseId,
      );
    }
    again.set(frame.subarray(frame.length - header.reasonBytes), frame.length - header.reasonBytes);
    assert.deepEqual(again, frame);
  }
}

it(`no frame makes a decoder throw (FUZZ_SEED=${seed} FUZZ_RUNS=${runs})`, () => {
  const prng = seededPrng(seed);
  const frames = goodFrames(prng);
  for (const frame of frames) decodeAll(frame);
  for (let run = 0; run < runs; run += 1) {
    const base = frames[prng.integer(frames.length)] as Uint8Array;
    const frame = prng.chance(0.1) ? randomBytes(prng, prng.integer(120)) : damage(prng, base);
    // Half of the random ones get a kind that exists, so that they come further than the first check.
    if (frame.length > 0 && prng.chance(0.5)) frame[0] = base[0] as number;
    try {
      decodeAll(frame);
    } catch (error) {
      throw new Error(`run ${run}: ${Buffer.from(frame).toString('hex')}`, { cause: error });
    }
  }
});
