/** See src/testing/mutants-port.ts, and docs/decisions/0006-mutants-by-text-replacement.md for why it is done like this. */
import { testMutants } from '../../src/testing/mutant-suite.ts';
import { PORT_MUTANTS } from '../../src/testing/mutants-port.ts';

testMutants('the port of RocketMQ\u2019s clients', PORT_MUTANTS);
