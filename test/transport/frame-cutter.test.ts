/** Frames out of chunks: whole ones, ones in pieces, one byte at a time, and streams that are none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import {
  FRAME_OVERSIZED,
  FRAME_REFUSED,
  FrameCutter,
  type FrameRule,
  PartialBudget,
} from '../../src/transport/frame-cutter.ts';

const FRAME_MAX = 100_000;
/** Two bytes of marks, four of length: of the whole frame. */
const RULE: FrameRule = {
  headBytes: 6,
  frameBytes: (bytes, start) => {
    if (bytes[start] !== 0xab || bytes[start + 1] !== 0xcd) return FRAME_REFUSED;
    const length = new DataView(bytes.buffer, bytes.byteOffset + start).getUint32(2);
    if (length > FRAME_MAX) return FRAME_OVERSIZED;
    return length >= 6 ? length : FRAME_REFUSED;
  },
};

function frameOf(length: number, fill: number): Uint8Array {
  const frame = new Uint8Array(length).fill(fill);
  frame.set([0xab, 0xcd]);
  new DataView(frame.buffer).setUint32(2, length);
  return frame;
}

function cutAll(
  chunks: readonly Uint8Array[],
  budget = new PartialBudget(1 << 20),
): { frames: Uint8Array[]; verdict: string; cutter: FrameCutter } {
  const cutter = new FrameCutter(RULE, budget);
  const frames: Uint8Array[] = [];
  let verdict = 'ok';
  for (const chunk of chunks) {
    verdict = cutter.push(chunk, (frame) => {
      frames.push(frame.slice());
      return true;
    });
    if (verdict !== 'ok') break;
  }
  return { frames, verdict, cutter };
}

const FRAMES = [6, 7, 300, 5000, 20_000, 6].map((length, index) => frameOf(length, index));
/** Plain bytes, so that its parts are no Buffers, which are equal to nothing else. */
const STREAM = new Uint8Array(Buffer.concat(FRAMES));

describe('a stream of frames', () => {
  it('in one chunk is cut without a copy', () => {
    const budget = new PartialBudget(0);
    const { frames, verdict } = cutAll([STREAM], budget);
    assert.equal(verdict, 'ok');
    assert.deepEqual(frames, FRAMES);
    const cutter = new FrameCutter(RULE, budget);
    cutter.push(STREAM, (frame) => {
      assert.equal(frame.buffer, STREAM.buffer);
      return true;
    });
  });

  it('one byte at a time gives the same', () => {
    const bytes = Array.from(STREAM, (_, index) => STREAM.subarray(index, index + 1));
    assert.deepEqual(cutAll(bytes).frames, FRAMES);
  });

  it('cut at every point gives the same, and gives back what it held', () => {
    const short = STREAM.slice(0, 6 + 7 + 300);
    for (let at = 0; at <= short.length; at += 1) {
      const budget = new PartialBudget(1 << 20);
      const { frames, cutter } = cutAll([short.subarray(0, at), short.subarray(at)], budget);
      assert.deepEqual(frames, FRAMES.slice(0, 3), `${at}`);
      assert.equal(budget.bytes, 0, `${at}`);
      assert.ok(!cutter.isPartial);
    }
  });

  it('in random pieces gives the same', () => {
    const prng = seededPrng(7);
    for (let round = 0; round < 200; round += 1) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < STREAM.length; ) {
        const size = 1 + prng.integer(prng.chance(0.5) ? 10 : 9000);
        chunks.push(STREAM.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(cutAll(chunks).frames, FRAMES);
    }
  });

  it('ends where it is no frame, or too large a one, also when the head comes in pieces', () => {
    const bad = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const giant = frameOf(6, 0);
    new DataView(giant.buffer).setUint32(2, FRAME_MAX + 1);
    const split = (bytes: Uint8Array): Uint8Array[] => [bytes.subarray(0, 3), bytes.subarray(3)];
    assert.equal(cutAll([bad]).verdict, 'bad-frame');
    assert.equal(cutAll(split(bad)).verdict, 'bad-frame');
    assert.equal(cutAll([giant]).verdict, 'frame-too-large');
    assert.equal(cutAll(split(giant)).verdict, 'frame-too-large');
    const after = cutAll([Buffer.concat([frameOf(10, 1), bad])]);
    assert.equal(after.frames.length, 1);
    assert.equal(after.verdict, 'bad-frame');
  });

  it('stops when the receiver says so', () => {
    const cutter = new FrameCutter(RULE, new PartialBudget(1 << 20));
    let count = 0;
    const stop = (): boolean => {
      count += 1;
      return false;
    };
    assert.equal(cutter.push(STREAM, stop), 'ok');
    cutter.push(STREAM.subarray(0, 3), stop);
    cutter.push(STREAM.subarray(3), stop);
    assert.equal(count, 2);
  });
});

describe('a frame that is announced and does not come', () => {
  it('holds what came, not what was announced', () => {
    const budget = new PartialBudget(1 << 20);
    const { cutter } = cutAll([frameOf(FRAME_MAX, 1).subarray(0, 10)], budget);
    assert.ok(cutter.isPartial);
    assert.ok(budget.bytes <= 4096, String(budget.bytes));
    cutter.release();
    assert.equal(budget.bytes, 0);
  });

  it('ends when all of them together hold too much', () => {
    const budget = new PartialBudget(10_000);
    const begun = [1, 2].map(() => cutAll([frameOf(9000, 1).subarray(0, 4000)], budget));
    assert.deepEqual(
      begun.map(({ verdict }) => verdict),
      ['ok', 'ok'],
    );
    const third = cutAll([frameOf(9000, 1).subarray(0, 4000)], budget);
    assert.equal(third.verdict, 'partial-bytes');
    for (const { cutter } of begun) cutter.release();
    assert.equal(budget.bytes, 0);
  });
});
