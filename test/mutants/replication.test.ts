/** See src/testing/mutants-replication.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { REPLICATION_MUTANTS } from '../../src/testing/mutants-replication.ts';

testMutants('replication', REPLICATION_MUTANTS);
