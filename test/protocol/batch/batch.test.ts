import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32 as portableCrc32 } from '../../../src/base/crc32.ts';
import { crc32 } from '../../../src/base/crc32-native.ts';
import { fnv1a } from '../../../src/base/fnv1a.ts';
import { seededPrng } from '../../../src/base/prng.ts';
import {
  BatchBuilder,
  type RecordInput,
  recordBytes,
} from '../../../src/protocol/batch/batch-builder.ts';
import { checkBatch } from '../../../src/protocol/batch/batch-check.ts';
import * as layout from '../../../src/protocol/batch/batch-layout.ts';
import { BatchReader } from '../../../src/protocol/batch/batch-reader.ts';
import { textBytes } from '../../../src/protocol/batch/text-bytes.ts';

const BYTES_MAX = 1 << 20;

function build(
  records: readonly RecordInput[],
  producerId = '',
  sequence = 0,
  epoch = 0,
): Uint8Array {
  const builder = new BatchBuilder(64, producerId, 0, crc32);
  for (const record of records)
    assert.ok(builder.append(record, recordBytes(record), BYTES_MAX, 1_700_000_000_000));
  return builder.finish(sequence, epoch).slice();
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function verdict(bytes: Uint8Array): string {
  return checkBatch(bytes, viewOf(bytes), 0, bytes.length, crc32);
}

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const record: fc.Arbitrary<RecordInput> = fc.record({
  body: fc.oneof(text, fc.uint8Array({ maxLength: 200 })),
  bodyKind: fc.constantFrom(layout.BODY_BYTES, layout.BODY_TEXT, layout.BODY_JSON),
  key: fc.option(text, { nil: undefined }),
  tag: fc.option(text, { nil: undefined }),
  properties: fc.option(fc.dictionary(text, text, { maxKeys: 4 }), { nil: undefined }),
});

test('what goes into a batch comes out of it, and the batch is accepted', () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 20 }),
      text,
      fc.nat(),
      (records, id, sequence) => {
        const producerId = textBytes(id) <= 64 ? id : '';
        const bytes = build(records, producerId, producerId === '' ? 0 : sequence, 3);
        assert.equal(verdict(bytes), 'ok');
        assert.equal(bytes.length % 8, 0);
        const reader = new BatchReader().open(bytes, viewOf(bytes), 0);
        assert.equal(reader.producerId, producerId);
        for (const expected of records) {
          assert.ok(reader.next());
          const body =
            typeof expected.body === 'string'
              ? new TextEncoder().encode(expected.body)
              : expected.body;
          assert.deepEqual([...reader.body], [...body]);
          assert.equal(reader.bodyKind, expected.bodyKind);
          assert.equal(reader.key, expected.key ?? '');
          assert.equal(reader.tag, expected.tag ?? '');
          assert.deepEqual({ ...reader.properties }, { ...(expected.properties ?? {}) });
        }
        assert.equal(reader.next(), false);
      },
    ),
  );
});

test('no flipped bit passes, and no cut batch', () => {
  const bytes = build(
    [
      { body: 'one', bodyKind: layout.BODY_TEXT, key: 'k', tag: 't', properties: { a: 'b' } },
      { body: '{"x":1}', bodyKind: layout.BODY_JSON },
    ],
    'tab-1',
    40,
  );
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const damaged = bytes.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.notEqual(verdict(damaged), 'ok', `bit ${bit}`);
  }
  for (let length = 0; length < bytes.length; length += 1)
    assert.notEqual(verdict(bytes.slice(0, length)), 'ok', `cut at ${length}`);
});

test('a batch whose checksum is right and whose inside is hostile is refused, whatever it is', () => {
  const rounds = Number(process.env['FUZZ'] ?? 20_000);
  const prng = seededPrng(Number(process.env['SEED'] ?? 7));
  const honest = build(
    [
      { body: 'abc', bodyKind: 1, key: 'key', tag: 'tag', properties: { p: 'q' } },
      { body: 'defgh', bodyKind: 0, tag: 'other' },
    ],
    'p',
    1,
  );
  for (let round = 0; round < rounds; round += 1) {
    const bytes = honest.slice();
    const view = viewOf(bytes);
    for (let change = prng.integer(4); change >= 0; change -= 1) {
      const at = prng.integer(bytes.length - 4);
      if (prng.chance(0.5)) view.setUint8(at, prng.integer(256));
      else
        view.setUint32(
          at,
          [0, 1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, bytes.length][prng.integer(6)] as number,
          true,
        );
    }
    view.setUint32(layout.BATCH_CRC, crc32(bytes, layout.BATCH_BYTES, bytes.length), true);
    if (verdict(bytes) !== 'ok') continue;
    // Accepted: then everything in it can be read within its bounds.
    const reader = new BatchReader().open(bytes, view, 0);
    let end = 0;
    while (reader.next()) {
      void [reader.key, reader.tag, reader.properties, reader.bodyText, reader.producerId];
      end = reader.body.byteOffset - bytes.byteOffset + reader.body.length;
    }
    assert.ok(end <= bytes.length);
  }
});

test('the portable checksum and the native one are the same', () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, index) => (index * 31) & 0xff);
  for (let start = 0; start < 20; start += 1) {
    for (const end of [start, start + 1, start + 7, start + 8, start + 191, start + 300, 999]) {
      assert.equal(portableCrc32(bytes, start, end), crc32(bytes, start, end));
    }
  }
  assert.equal(portableCrc32(new TextEncoder().encode('123456789')), 0xcbf43926);
  assert.equal(fnv1a('foobar'), 0xbf9cf968);
});
