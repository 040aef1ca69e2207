/**
 * What slaves cost, in one run and in turns: a SYNC_MASTER against an ASYNC_MASTER, each with a slave beside it, and an
 * ASYNC_MASTER with its slave against a master alone. Throughput, and CPU time of the master per message: on a small machine
 * the slave takes cores from the master, which is no fault of either.
 */
import { join } from 'node:path';
import { sleep } from '../../src/base/clock.ts';
import type { BenchResult } from '../../src/bench/bench-result.ts';
import type { ServerProcess } from '../../src/bench/server-process.ts';
import {
  detailsOf,
  isWhole,
  type MacroBenchmark,
  type MacroMeasurement,
  type MacroPlan,
  sluiceBench,
  startTimed,
  withDirectory,
} from './macro-benchmark.ts';

const ROUNDS = 3;
const READY_POLL_MS = 20;
const NS_PER_SECOND = 1_000_000_000;

type Shape = 'alone' | 'async' | 'sync';
type Run = { readonly result: BenchResult; readonly cpuNsPerMessage: number };

export const replication: MacroBenchmark = {
  name: 'replication',
  about:
    'SYNC_MASTER ÷ ASYNC_MASTER, and ASYNC_MASTER ÷ a master alone, prepared batches, in turns',
  run: async (plan) => {
    const rounds = plan.size === 'small' ? 1 : ROUNDS;
    const runs: Record<Shape, Run[]> = { alone: [], async: [], sync: [] };
    for (let round = 0; round < rounds; round += 1)
      for (const shape of ['alone', 'async', 'sync'] as const)
        runs[shape].push(await measure(plan, shape));
    return [
      ...ratios('SYNC_MASTER ÷ ASYNC_MASTER', runs.sync, runs.async, 0.95),
      ...ratios('ASYNC_MASTER ÷ a master alone', runs.async, runs.alone, 0.95),
    ];
  },
};

function measure(plan: MacroPlan, shape: Shape): Promise<Run> {
  return withDirectory(async (directory) => {
    const role = shape === 'sync' ? 'SYNC_MASTER' : 'ASYNC_MASTER';
    const words = shape === 'alone' ? [] : [`--broker-role=${role}`, '--ha-listen-port=0'];
    const { server: master } = await startTimed(join(directory, 'master'), words);
    let slave: ServerProcess | undefined;
    try {
      if (shape !== 'alone') {
        const ha = String(master.ready['ha']);
        const follow = ['--broker-role=SLAVE', '--broker-id=1', `--ha-master-address=${ha}`];
        slave = (await startTimed(join(directory, 'slave'), follow)).server;
        await untilReady(master);
      }
      const before = master.cpuSeconds() ?? 0;
      const url = String(master.ready['ws']);
      const result = await sluiceBench(plan, ['produce', '--prepared', '--url', url]);
      // Reading everything back is part of it, in all shapes alike.
      const cpuNs = ((master.cpuSeconds() ?? 0) - before) * NS_PER_SECOND;
      return { result, cpuNsPerMessage: cpuNs / Math.max(1, result.acked) };
    } finally {
      await slave?.stop();
      await master.stop();
    }
  });
}

async function untilReady(master: ServerProcess): Promise<void> {
  while (!(await fetch(`${String(master.ready['http'])}/readyz`)).ok) await sleep(READY_POLL_MS);
}

function ratios(
  name: string,
  above: readonly Run[],
  below: readonly Run[],
  aim: number,
): MacroMeasurement[] {
  const rate = median(above, ({ result }) => result.messagesPerSecond);
  const rateBelow = median(below, ({ result }) => result.messagesPerSecond);
  const cpu = median(above, ({ cpuNsPerMessage }) => cpuNsPerMessage);
  const cpuBelow = median(below, ({ cpuNsPerMessage }) => cpuNsPerMessage);
  const common = {
    benchmark: 'replication',
    parameters: { rounds: above.length },
    unit: '',
    ratioToLimit: null,
    flawless: [...above, ...below].every(({ result }) => isWhole(result)),
    details: { above: above.map(shown), below: below.map(shown) },
  };
  const digits = (value: number): number => Number(value.toFixed(3));
  return [
    {
      ...common,
      case: `${name}, messages/s`,
      value: digits(rate / rateBelow),
      aim: { at: 'least', value: aim },
    },
    {
      ...common,
      case: `${name}, CPU time of the master per message`,
      value: digits(cpu / Math.max(cpuBelow, 1)),
      aim: { at: 'most', value: 1.25 },
    },
  ];
}

function shown({ result, cpuNsPerMessage }: Run): object {
  return { ...detailsOf(result), cpuNsPerMessage: Math.round(cpuNsPerMessage) };
}

function median(runs: readonly Run[], pick: (run: Run) => number): number {
  const values = runs.map(pick).sort((one, other) => one - other);
  return values[Math.floor(values.length / 2)] ?? 0;
}
