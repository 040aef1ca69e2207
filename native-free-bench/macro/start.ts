/** How long a new broker takes until it is ready, and what it holds while it has nothing to do. */
import { sleep } from '../../src/base/clock.ts';
import { type MacroBenchmark, startTimed, withDirectory } from './macro-benchmark.ts';

const MIB = 1024 * 1024;
const ROUNDS = 5;
/** Milliseconds after which a broker that nobody talks to has settled. */
const SETTLE_MS = 1000;

export const start: MacroBenchmark = {
  name: 'start',
  about: 'time from `sluice up` to ready on an empty directory, and memory when idle',
  run: async (plan) => {
    const rounds = plan.size === 'small' ? 1 : ROUNDS;
    const times: number[] = [];
    let idleBytes = 0;
    for (let round = 0; round < rounds; round += 1) {
      plan.say(`sluice up on an empty directory, ${round + 1} of ${rounds}`);
      await withDirectory(async (directory) => {
        const { server, readyMs } = await startTimed(directory);
        times.push(readyMs);
        await sleep(plan.size === 'small' ? 0 : SETTLE_MS);
        idleBytes = Math.max(idleBytes, server.residentBytes()?.now ?? 0);
        await server.stop();
      });
    }
    times.sort((one, other) => one - other);
    const common = {
      benchmark: 'start',
      parameters: { rounds },
      ratioToLimit: null,
      flawless: null,
    };
    return [
      {
        ...common,
        case: 'time to ready on an empty directory',
        value: times[Math.floor(times.length / 2)] ?? 0,
        unit: 'ms',
        aim: { at: 'most', value: 1000 },
        details: { times },
      },
      {
        ...common,
        case: 'resident memory when idle',
        value: Math.round(idleBytes / MIB),
        unit: 'MiB',
        aim: { at: 'most', value: 120 },
        details: {},
      },
    ];
  },
};
