/** See src/testing/mutants-timed.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { TIMED_MUTANTS } from '../../src/testing/mutants-timed.ts';

testMutants('what has a time, an owner or a count', TIMED_MUTANTS);
