import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { decodeControl, encodeControl } from '../../../src/protocol/web/control-codec.ts';
import { CONTROL_DEPTH_MAX } from '../../../src/protocol/web/frames-layout.ts';

const frameOf = (...bytes: number[]): Uint8Array => Uint8Array.from([0x01, ...bytes]);
const verdictOf = (frame: Uint8Array): string => decodeControl(frame).verdict;
const decodedOf = (frame: Uint8Array): unknown => {
  const decoded = decodeControl(frame);
  assert.equal(decoded.verdict, 'ok');
  return decoded.verdict === 'ok' ? decoded.value : undefined;
};

function nested(depth: number): object {
  let value: object = {};
  for (let level = 1; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return Array.isArray(value) ? { a: value } : value;
}

describe('CONTROL', () => {
  it('brings back every JSON object but the name __proto__, which the library spells otherwise', () => {
    const values = fc
      .dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 }))
      .filter((value) => !JSON.stringify(value).includes('__proto__'));
    fc.assert(
      fc.property(values, (value) => {
        // -0 is a JSON number, and JSON itself loses it: so may msgpack.
        const expected = JSON.parse(JSON.stringify(value)) as unknown;
        assert.deepEqual(JSON.parse(JSON.stringify(decodedOf(encodeControl(value)))), expected);
      }),
    );
  });

  it('carries numbers up to 2^53 and bytes', () => {
    const value = {
      large: Number.MAX_SAFE_INTEGER,
      low: -Number.MAX_SAFE_INTEGER,
      half: 0.5,
      offsets: [2 ** 31, 2 ** 32, 2 ** 40],
      bytes: Uint8Array.of(1, 2, 3),
    };
    const decoded = decodedOf(encodeControl(value)) as typeof value;
    assert.deepEqual({ ...decoded, bytes: [...decoded.bytes] }, { ...value, bytes: [1, 2, 3] });
  });

  it('is refused when cut anywhere, and with bytes after its end', () => {
    const frame = encodeControl({
      op: 'subscribe',
      id: 300,
      topic: 't'.repeat(40),
      list: [1.5, true, null, 'x'.repeat(300), 2 ** 40, -70_000],
      map: Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, index])),
    });
    assert.equal(verdictOf(frame), 'ok');
    for (let length = 0; length < frame.length; length += 1)
      assert.notEqual(verdictOf(frame.subarray(0, length)), 'ok', `cut at ${length}`);
    assert.equal(verdictOf(Uint8Array.from([...frame, 0xc0])), 'trailing-bytes');
  });

  it('goes 16 deep and no deeper', () => {
    assert.equal(verdictOf(encodeControl(nested(CONTROL_DEPTH_MAX))), 'ok');
    assert.equal(verdictOf(encodeControl(nested(CONTROL_DEPTH_MAX + 2))), 'too-deep');
    assert.equal(verdictOf(frameOf(0x81, 0xa1, 0x61, ...Array(60_000).fill(0x91))), 'too-deep');
  });

  it('must be a map with string keys', () => {
    assert.equal(verdictOf(frameOf(0x91, 0xc0)), 'not-a-map');
    assert.equal(verdictOf(frameOf(0xc0)), 'not-a-map');
    assert.equal(verdictOf(frameOf(0x81, 0x01, 0xc0)), 'key-not-a-string');
    assert.equal(verdictOf(frameOf(0x81, 0xa1, 0x61, 0x81, 0xc0, 0xc0)), 'key-not-a-string');
    assert.equal(verdictOf(frameOf()), 'too-short');
    assert.equal(verdictOf(new Uint8Array(0)), 'too-short');
    assert.equal(verdictOf(Uint8Array.of(0x10, 0x80)), 'wrong-kind');
  });

  it('refuses lengths that the bytes cannot hold, before anything is allocated', () => {
    const four = [0xff, 0xff, 0xff, 0xff];
    for (const opcode of [0xdd, 0xdf])
      assert.equal(verdictOf(frameOf(0x81, 0xa1, 0x61, opcode, ...four)), 'too-many-items');
    for (const opcode of [0xdb, 0xc6])
      assert.equal(verdictOf(frameOf(0x81, 0xa1, 0x61, opcode, ...four)), 'too-short');
    assert.equal(verdictOf(frameOf(0xdf, ...four)), 'too-many-items');
  });

  it('refuses extensions: dates, errors, sets, typed arrays, records', () => {
    const values = [new Date(), new Set([1]), new Error('x'), new Float64Array(2), undefined];
    for (const value of values) {
      const packed = new Packr({ structuredClone: true, moreTypes: true }).pack({ value });
      assert.notEqual(verdictOf(frameOf(...packed)), 'ok', String(value));
    }
    for (let opcode = 0; opcode < 256; opcode += 1) {
      const extension = (opcode >= 0xc7 && opcode <= 0xc9) || (opcode >= 0xd4 && opcode <= 0xd8);
      const verdict = verdictOf(frameOf(0x81, 0xa1, 0x61, opcode, ...Array(20).fill(0)));
      if (extension) assert.equal(verdict, 'extension-refused', opcode.toString(16));
      if (opcode === 0xc1) assert.equal(verdict, 'unknown-opcode');
    }
  });

  it('refuses 64-bit numbers that JavaScript cannot hold', () => {
    const wide = (opcode: number, ...bytes: number[]): string =>
      verdictOf(frameOf(0x81, 0xa1, 0x61, opcode, ...bytes));
    assert.equal(wide(0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0), 'number-too-large');
    assert.equal(wide(0xcf, 0, 0x1f, 255, 255, 255, 255, 255, 255), 'ok');
    assert.equal(wide(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0), 'number-too-large');
    assert.equal(wide(0xd3, 255, 0xe0, 0, 0, 0, 0, 0, 0), 'ok');
    assert.equal(wide(0xcf, 0, 0), 'too-short');
  });

  it('does not let a key reach the prototype', () => {
    const frame = frameOf(0x81, 0xa9, ...Buffer.from('__proto__'), 0x81, 0xa1, 0x61, 0x01);
    const value = decodedOf(frame) as Record<string, unknown>;
    assert.equal(value['a'], undefined);
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
  });

  it('writes plain msgpack that any library reads, undefined as null', () => {
    assert.deepEqual(
      [...encodeControl({ op: 'ping', id: 1, more: undefined })],
      [0x01, 0x83, 0xa2, 0x6f, 0x70, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0xa2, 0x69, 0x64, 0x01].concat([
        0xa4, 0x6d, 0x6f, 0x72, 0x65, 0xc0,
      ]),
    );
  });

  it('keeps frames apart: an encoded frame is not changed by the next', () => {
    const first = encodeControl({ op: 'ping', id: 1 });
    const before = [...first];
    encodeControl({ op: 'subscribe', id: 2, topic: 'x'.repeat(500) });
    assert.deepEqual([...first], before);
  });
});
