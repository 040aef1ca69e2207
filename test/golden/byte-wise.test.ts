/** Each decoder's samples cut at every point, and with every bit flipped: what has a length or a checksum notices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOG_DECODERS } from '../../src/testing/decoders-files.ts';
import { REMOTING_DECODERS } from '../../src/testing/decoders-remoting.ts';
import { FIELD_DECODERS, FRAME_DECODERS, HTTP_DECODERS } from '../../src/testing/decoders-wire.ts';
import { checkInput } from '../../src/testing/fuzz-decoder.ts';

const DECODERS = { ...FRAME_DECODERS, ...HTTP_DECODERS, ...FIELD_DECODERS, ...REMOTING_DECODERS, ...LOG_DECODERS };
/** Longer ones are left to the fuzzer. */
const BYTES_MAX = 1024;

for (const [name, decoder] of Object.entries(DECODERS)) {
  const samples = decoder.samples.filter((sample) => sample.length <= BYTES_MAX);
  if (samples.length === 0) continue;

  test(`${name}, cut at every point`, () => {
    for (const sample of samples) {
      for (let length = 0; length < sample.length; length += 1) {
        const input = sample.slice(0, length);
        assert.deepEqual(checkInput(decoder, input), undefined, `${length} of ${sample.length}`);
        if (decoder.refusesCuts === true)
          assert.notEqual(decoder.decode(input), undefined, `${length} of ${sample.length}`);
      }
    }
  });

  test(`${name}, every bit flipped`, () => {
    for (const sample of samples) {
      for (let bit = 0; bit < sample.length * 8; bit += 1) {
        const input = sample.slice();
        input[bit >> 3] = (input[bit >> 3] as number) ^ (1 << (bit & 7));
        assert.deepEqual(checkInput(decoder, input), undefined, `bit ${bit}`);
        if (decoder.refusesFlips === true)
          assert.notEqual(decoder.decode(input), undefined, `bit ${bit}`);
      }
    }
  });
}
