/** Fuzzers that must fail: decoders with planted faults. Were one of them not found, the others would prove nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { MIB } from '../../src/base/units.ts';
import { decodeSettled, SETTLED_HEADER_BYTES } from '../../src/log/settled-file.ts';
import { checkBatch } from '../../src/protocol/batch/batch-check.ts';
import { bytesDecoder, type Decoder, textDecoder } from '../../src/testing/decoders.ts';
import { LOG_DECODERS } from '../../src/testing/decoders-files.ts';
import { FRAME_DECODERS } from '../../src/testing/decoders-wire.ts';
import { fuzzDecoder } from '../../src/testing/fuzz-decoder.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';

/** u32 length, then that many bytes. */
const SAMPLE = Uint8Array.of(3, 0, 0, 0, 1, 2, 3);

function lengthOf(bytes: Uint8Array): number {
  if (bytes.length < 4) throw new SluiceError('BAD_FRAME', 'too short');
  return new DataView(bytes.buffer).getUint32(0, true);
}

/** A right one, to be bent. */
function readRight(bytes: Uint8Array): Uint8Array {
  const length = lengthOf(bytes);
  if (length !== bytes.length - 4) throw new SluiceError('BAD_FRAME', 'wrong length');
  return bytes.slice(4);
}

const PLANTED: Readonly<Record<string, { readonly decoder: Decoder; readonly fault: RegExp }>> = {
  'reads behind the end': {
    decoder: bytesDecoder([SAMPLE], (bytes) =>
      new DataView(bytes.buffer).getUint8(lengthOf(bytes)),
    ),
    fault: /throws RangeError/,
  },
  'allocates by a length that it was told': {
    decoder: bytesDecoder([SAMPLE], (bytes) => new Uint8Array(Math.min(lengthOf(bytes), 64 * MIB))),
    fault: /allocates \d{6,} bytes/,
  },
  'leaves an error of JSON as it is': {
    decoder: textDecoder(['{"a":1}'], JSON.parse),
    fault: /throws SyntaxError/,
  },
  'calls its own failure a refusal': {
    decoder: bytesDecoder([SAMPLE], (bytes) => {
      if (bytes[0] !== 3) throw new SluiceError('INVARIANT', 'undefined is not a function');
    }),
    fault: /failure of ours/,
  },
  'refuses without a word': {
    decoder: { samples: [SAMPLE], decode: (bytes) => (bytes.length > 7 ? '' : undefined) },
    fault: /says nothing/,
  },
  'does not look into a batch whose checksum is right': {
    decoder: {
      ...(FRAME_DECODERS['batch'] as Decoder),
      decode: (bytes) => {
        const view = new DataView(bytes.buffer);
        const verdict = checkBatch(bytes, view, 0, bytes.length, () => view.getUint32(0, true));
        if (verdict === 'wrong-record') throw new RangeError('a record ends behind the batch');
        return verdict === 'ok' ? undefined : verdict;
      },
    },
    fault: /a record ends behind the batch/,
  },
  'takes offsets of a journal that no queue can have': {
    decoder: {
      ...(LOG_DECODERS['settled.journal'] as Decoder),
      decode: (bytes) => {
        const file = decodeSettled(bytes);
        if (file === undefined) return 'damaged';
        const at = SETTLED_HEADER_BYTES + 32;
        if (at + 8 > bytes.length) return 'short';
        // Without the look that the real one takes at each record.
        const count = new DataView(bytes.buffer).getBigUint64(at, true);
        if (count > 2n ** 53n) throw new RangeError('more messages than there are numbers');
        return undefined;
      },
    },
    fault: /more messages than there are numbers/,
  },
};

const { numRuns, seed } = fuzzPlan(3000);

for (const [name, { decoder, fault }] of Object.entries(PLANTED)) {
  test(`a decoder that ${name} is found`, () => {
    const finding = fuzzDecoder(decoder, seededPrng(seed), numRuns);
    assert.match(finding?.fault ?? 'nothing was found', fault);
  });
}

test('the same without a fault passes', () => {
  const decoder = bytesDecoder([SAMPLE], readRight);
  assert.equal(fuzzDecoder(decoder, seededPrng(seed), numRuns), undefined);
});
