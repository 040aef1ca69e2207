/** See src/testing/mutants.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { COLD_MUTANTS } from '../../src/testing/mutants-cold.ts';

testMutants('old bytes that the disk does not give', COLD_MUTANTS);
