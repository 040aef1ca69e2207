/** See src/testing/mutants.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { FILTERS } from '../../src/testing/mutants-filter.ts';

testMutants('filters', FILTERS);
