import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { viewOf } from '../../../src/protocol/web/binary-codec.ts';
import * as layout from '../../../src/protocol/web/frames-layout.ts';
import {
  decodeSettleHeader,
  decodeSettleRange,
  decodeSettleReason,
  encodeSettleHeader,
  encodeSettleRange,
  newSettleHeader,
  newSettleRange,
  type SettleHeader,
  type SettleRange,
  settleBytes,
} from '../../../src/protocol/web/settle-codec.ts';

const u32 = (): fc.Arbitrary<number> => fc.integer({ min: 0, max: 0xffff_ffff });
const offsets = (): fc.Arbitrary<number> =>
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 0xffff_ffff });

function encode(header: SettleHeader, ranges: readonly SettleRange[]): Uint8Array {
  const frame = new Uint8Array(settleBytes(ranges.length));
  encodeSettleHeader(viewOf(frame), { ...header, rangeCount: ranges.length });
  ranges.forEach((range, index) => {
    encodeSettleRange(
      viewOf(frame),
      index,
      range.queueId,
      range.queueOffset,
      range.count,
      range.leaseId,
    );
  });
  return frame;
}

const ack: SettleHeader = { ...newSettleHeader(), action: layout.SETTLE_ACK, subscription: 9 };
const range: SettleRange = { queueId: 1, queueOffset: 7, count: 2, leaseId: 5 };

describe('SETTLE', () => {
  it('comes back as it was written', () => {
    const headers = fc.record({
      action: fc.constantFrom(layout.SETTLE_NACK, layout.SETTLE_EXTEND),
      rangeCount: fc.constant(0),
      correlationId: u32(),
      subscription: u32(),
      argument: u32(),
      reasonBytes: fc.constant(0),
    });
    const ranges = fc.record({
      queueId: fc.integer({ min: 0, max: 0xffff }),
      queueOffset: offsets(),
      count: fc.integer({ min: 1, max: 0xffff_ffff }),
      leaseId: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(headers, fc.array(ranges, { minLength: 1, maxLength: 12 }), (header, list) => {
        const view = viewOf(encode(header, list));
        const read = newSettleHeader();
        assert.equal(decodeSettleHeader(view, read), 'ok');
        assert.deepEqual(read, { ...header, rangeCount: list.length });
        list.forEach((expected, index) => {
          const one = newSettleRange();
          decodeSettleRange(view, index, one);
          assert.deepEqual(one, { ...expected });
        });
      }),
    );
  });

  it('is refused when cut anywhere', () => {
    const frame = encode(ack, [range, range]);
    assert.equal(decodeSettleHeader(viewOf(frame), newSettleHeader()), 'ok');
    for (let length = 0; length < frame.length; length += 1)
      assert.notEqual(
        decodeSettleHeader(viewOf(frame.subarray(0, length)), newSettleHeader()),
        'ok',
        `cut at ${length}`,
      );
  });

  it('is refused with a wrong action, argument, range or reserved field', () => {
    const verdict = (header: SettleHeader, one: SettleRange): string =>
      decodeSettleHeader(viewOf(encode(header, [one])), newSettleHeader());
    assert.equal(verdict({ ...ack, action: 0 }, range), 'wrong-action');
    assert.equal(verdict({ ...ack, action: 4 }, range), 'wrong-action');
    assert.equal(verdict({ ...ack, argument: 1 }, range), 'wrong-argument');
    assert.equal(verdict(ack, { ...range, count: 0 }), 'wrong-range');
    assert.equal(verdict(ack, { ...range, queueOffset: Number.MAX_SAFE_INTEGER }), 'wrong-range');
    assert.equal(decodeSettleHeader(viewOf(encode(ack, [])), newSettleHeader()), 'no-entries');
    const frame = encode(ack, [range]);
    frame[layout.SETTLE_RANGES + layout.RANGE_RESERVED] = 1;
    assert.equal(decodeSettleHeader(viewOf(frame), newSettleHeader()), 'reserved-not-zero');
    const large = encode(ack, [range]);
    large.fill(255, layout.SETTLE_RANGES + layout.RANGE_LEASE_ID);
    assert.equal(decodeSettleHeader(viewOf(large), newSettleHeader()), 'wrong-number');
  });

  it('carries the reason of a nack after its ranges, and of nothing else', () => {
    const nack = { ...ack, action: layout.SETTLE_NACK };
    const withReason = (header: SettleHeader, reason: Uint8Array): Uint8Array =>
      Uint8Array.from([...encode(header, [range]), ...reason]);
    const frame = withReason(nack, new TextEncoder().encode('kaputt: ü'));
    const header = newSettleHeader();
    assert.equal(decodeSettleHeader(viewOf(frame), header), 'ok');
    assert.equal(decodeSettleReason(frame, header), 'kaputt: ü');
    assert.equal(
      decodeSettleHeader(viewOf(withReason(ack, Uint8Array.of(65))), newSettleHeader()),
      'wrong-length',
    );
    const long = new Uint8Array(layout.SETTLE_REASON_BYTES_MAX + 1);
    assert.equal(
      decodeSettleHeader(viewOf(withReason(nack, long)), newSettleHeader()),
      'wrong-length',
    );
    assert.equal(
      decodeSettleHeader(viewOf(withReason(nack, long.subarray(1))), newSettleHeader()),
      'ok',
    );
  });
});
