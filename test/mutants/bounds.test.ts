/** See src/testing/mutants.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { BOUNDS } from '../../src/testing/mutants.ts';

testMutants('bounds and lengths', BOUNDS);
