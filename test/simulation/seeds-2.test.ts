/**
 * One production shard under seeded clients, crashes, power cuts and disk faults, and what clients saw against the promises:
 * part 2 of 4, see `sim-seeds.ts`. A failure prints the line that repeats it.
 */
import { testSeeds } from '../../src/testing/sim-seeds.ts';

testSeeds(1);
