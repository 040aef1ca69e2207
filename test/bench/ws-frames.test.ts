import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  clientFrame,
  clientHeaderBytes,
  cutServerFrames,
  OPCODE_BINARY,
  OPCODE_PING,
} from '../../src/bench/ws-frames.ts';

const LENGTHS: readonly number[] = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000];

/** A frame as a server sends it: the client's without its mask. */
function serverFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const frame = clientFrame(opcode, payload);
  const header = clientHeaderBytes(payload.length) - 4;
  frame[1] = (frame[1] as number) & 0x7f;
  return Uint8Array.from([...frame.subarray(0, header), ...frame.subarray(header + 4)]);
}

function cut(bytes: Uint8Array): { frames: [number, number][]; rest: number } {
  const frames: [number, number][] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const rest = cutServerFrames(bytes, view, 0, bytes.length, (opcode, _at, length) =>
    frames.push([opcode, length]),
  );
  return { frames, rest };
}

describe('WebSocket frames of the load generator', () => {
  it('are cut as they were put together, whatever their length', () => {
    for (const length of LENGTHS) {
      const frame = serverFrame(OPCODE_BINARY, new Uint8Array(length).fill(9));
      assert.deepEqual(cut(frame), { frames: [[OPCODE_BINARY, length]], rest: frame.length });
    }
  });

  it('wait for their last byte, wherever they are cut off', () => {
    const frame = serverFrame(OPCODE_BINARY, new Uint8Array(300));
    for (let end = 0; end < frame.length; end += 1)
      assert.deepEqual(cut(frame.slice(0, end)), { frames: [], rest: 0 });
  });

  it('may stand side by side in one read', () => {
    const one = serverFrame(OPCODE_PING, new Uint8Array(4));
    const two = serverFrame(OPCODE_BINARY, new Uint8Array(1000));
    const bytes = Uint8Array.from([...one, ...two, ...two.subarray(0, 5)]);
    const { frames, rest } = cut(bytes);
    assert.deepEqual(frames, [
      [OPCODE_PING, 4],
      [OPCODE_BINARY, 1000],
    ]);
    assert.equal(rest, one.length + two.length);
  });

  it('that no server of ours sends are refused: masked, fragmented, with reserved bits', () => {
    for (const first of [0x02, 0x00, 0xc2]) {
      assert.throws(() => cut(Uint8Array.of(first, 0)), { code: 'BAD_FRAME' });
    }
    assert.throws(() => cut(Uint8Array.of(0x82, 0x80, 0, 0, 0, 0)), { code: 'BAD_FRAME' });
  });
});
