/**
 * Every decoder of the table, each with a fuzzer of its own: whatever comes, it accepts or refuses with words; it throws
 * nothing else, ends, and allocates no more than its input is worth. FUZZ_ROUNDS makes it longer, SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import type { DecoderTable } from '../../src/testing/decoders.ts';
import { FILE_DECODERS, LOG_DECODERS } from '../../src/testing/decoders-files.ts';
import { GROUP_DECODERS } from '../../src/testing/decoders-groups.ts';
import { REMOTING_DECODERS } from '../../src/testing/decoders-remoting.ts';
import { FIELD_DECODERS, FRAME_DECODERS, HTTP_DECODERS } from '../../src/testing/decoders-wire.ts';
import { findingText, fuzzDecoder } from '../../src/testing/fuzz-decoder.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';

const TABLES: Readonly<Record<string, DecoderTable>> = {
  frames: FRAME_DECODERS,
  HTTP: HTTP_DECODERS,
  fields: FIELD_DECODERS,
  'RocketMQ messages': REMOTING_DECODERS,
  'groups of RocketMQ': GROUP_DECODERS,
  'the log': LOG_DECODERS,
  files: FILE_DECODERS,
};
const { numRuns, seed } = fuzzPlan(1500);

for (const [kind, table] of Object.entries(TABLES)) {
  describe(`decoders of ${kind}`, () => {
    for (const [name, decoder] of Object.entries(table)) {
      test(`${name}: its samples are accepted`, () => {
        for (const sample of decoder.samples)
          assert.equal(decoder.decode(sample.slice()), undefined);
      });

      test(`${name}: whatever comes is accepted or refused (SEED=${seed})`, () => {
        const rounds = Math.ceil(numRuns * (decoder.share ?? 1));
        const finding = fuzzDecoder(decoder, seededPrng(seed), rounds);
        if (finding !== undefined) assert.fail(findingText(name, finding));
      });
    }
  });
}
