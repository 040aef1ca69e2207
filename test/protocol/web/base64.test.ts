import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeBase64, encodeBase64 } from '../../../src/protocol/web/base64.ts';
import { fuzzPlan } from '../../../src/testing/fuzz-plan.ts';

test('base64 is that of the platform, there and back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = encodeBase64(bytes);
      assert.equal(text, Buffer.from(bytes).toString('base64'));
      assert.deepEqual(decodeBase64(text), bytes);
    }),
    fuzzPlan(300),
  );
});

test('every other spelling is refused', () => {
  const texts = [
    'A',
    'AA',
    'AAA',
    '=',
    '====',
    'A===',
    'AB==',
    'AAB=',
    'AA=A',
    'A-_=',
    'AA==AAAA',
    ' AAA',
    'AAA\n',
    'ÄÄÄÄ',
    '😀😀',
  ];
  for (const text of texts) assert.equal(decodeBase64(text), undefined, JSON.stringify(text));
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (text) => {
      const bytes = decodeBase64(text);
      if (bytes !== undefined) assert.equal(encodeBase64(bytes), text);
    }),
    fuzzPlan(500),
  );
});
