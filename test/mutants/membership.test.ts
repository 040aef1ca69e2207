/** See src/testing/mutants-membership.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { MEMBERSHIP_MUTANTS } from '../../src/testing/mutants-membership.ts';

testMutants('membership', MEMBERSHIP_MUTANTS);
