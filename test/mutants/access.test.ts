/** See src/testing/mutants-access.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { ACCESS_MUTANTS } from '../../src/testing/mutants-access.ts';

testMutants('access rights', ACCESS_MUTANTS);
