/** See src/testing/mutants-commit.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { EARLY_ACKS } from '../../src/testing/mutants-commit.ts';

testMutants('acknowledging and showing', EARLY_ACKS);
