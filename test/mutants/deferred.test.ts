/** See src/testing/mutants-deferred.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { DEFERRED_MUTANTS } from '../../src/testing/mutants-deferred.ts';

testMutants('delayed messages and transactions', DEFERRED_MUTANTS);
