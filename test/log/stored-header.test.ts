/** The header of a stored batch: no bit of it may be another one than was written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isStoredHeader, isStoredPayload } from '../../src/log/stored-header.ts';
import { STORED_HEADER_BYTES } from '../../src/protocol/batch/batch-layout.ts';
import { filledBatch } from '../../src/testing/stored-batches.ts';

test('no flipped bit of header or payload passes', () => {
  const position = 4096;
  const bytes = filledBatch({ position, baseOffset: 7, id: 3, flushed: 2048 });
  const isValid = (): boolean => {
    const view = new DataView(bytes.buffer);
    return (
      isStoredHeader(bytes, view, 0, position, bytes.length) && isStoredPayload(bytes, view, 0)
    );
  };
  assert.ok(isValid(), 'the batch as it was written');
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const at = bit >> 3;
    const honest = bytes[at] as number;
    bytes[at] = honest ^ (1 << (bit & 7));
    const part = at < STORED_HEADER_BYTES ? 'header' : 'payload';
    assert.equal(isValid(), false, `bit ${bit & 7} of ${part} byte ${at}`);
    bytes[at] = honest;
  }
});

test('a header says where it belongs: somewhere else it is none', () => {
  const bytes = filledBatch({ position: 4096, baseOffset: 7, id: 3, flushed: 2048 });
  const view = new DataView(bytes.buffer);
  assert.ok(isStoredHeader(bytes, view, 0, 4096, bytes.length));
  assert.equal(isStoredHeader(bytes, view, 0, 4096 + 8, bytes.length), false);
  assert.equal(isStoredHeader(bytes, view, 0, 4096, bytes.length - 8), false);
});
