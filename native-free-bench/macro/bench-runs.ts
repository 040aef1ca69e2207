/** The figures that one run of `sluice bench` gives: ingest, consuming, latency, memory under load. */

import type { BenchResult } from '../../src/bench/bench-result.ts';
import {
  detailsOf,
  isWhole,
  type MacroBenchmark,
  type MacroMeasurement,
  type MacroPlan,
  sluiceBench,
} from './macro-benchmark.ts';

const MIB = 1024 * 1024;
/** What every line of a run shares. */
type Common = Pick<MacroMeasurement, 'parameters' | 'flawless' | 'ratioToLimit' | 'details'>;

function commonOf(result: BenchResult): Common {
  const { size, flush, transport, connections, batchBytes, queues } = result;
  return {
    parameters: { size, flush, transport, connections, batchBytes, queues },
    flawless: isWhole(result),
    ratioToLimit: result.ratioToLimit,
    details: detailsOf(result),
  };
}

/** A figure in messages a second. */
function messagesFigure(
  benchmark: string,
  name: string,
  result: BenchResult,
  aim: number,
): MacroMeasurement {
  return {
    benchmark,
    case: name,
    ...commonOf(result),
    value: result.messagesPerSecond,
    unit: 'messages/s',
    aim: { at: 'least', value: aim },
  };
}

export const ingestPrepared: MacroBenchmark = {
  name: 'ingest-prepared',
  about:
    'prepared 16 KiB batches, SYNC_FLUSH, against the lower of the two limits; memory meanwhile',
  run: async (plan) => {
    const result = await sluiceBench(plan, ['produce', '--prepared'], 'always');
    const common = commonOf(result);
    return [
      {
        benchmark: 'ingest-prepared',
        case: 'ingest of prepared 16 KiB batches ÷ limit',
        ...common,
        value: result.ratioToLimit ?? 0,
        unit: '',
        aim: { at: 'least', value: 0.8 },
      },
      {
        benchmark: 'ingest-prepared',
        case: 'resident memory under full ingest',
        ...common,
        value: Math.round((result.serverRssPeakBytes ?? 0) / MIB),
        unit: 'MiB',
        aim: { at: 'most', value: 400 },
      },
    ];
  },
};

export const ingestClient: MacroBenchmark = {
  name: 'ingest-client',
  about: 'our own client in another process, batching by itself, SYNC_FLUSH',
  run: async (plan) => {
    const result = await sluiceBench(plan, ['produce']);
    const name = 'ingest from our own client, batching by itself';
    return [messagesFigure('ingest-client', name, result, 1_500_000)];
  },
};

export const ingestFrames: MacroBenchmark = {
  name: 'ingest-frames',
  about: 'one message a frame, each acknowledged, SYNC_FLUSH',
  run: async (plan) => {
    const result = await sluiceBench(plan, ['produce', '--frame-per-message']);
    return [messagesFigure('ingest-frames', 'one message a frame, each acked', result, 200_000)];
  },
};

export const consumeTail: MacroBenchmark = {
  name: 'consume-tail',
  about: 'a group of our own clients at the tail, while prepared batches come in',
  run: async (plan) => {
    const rate = plan.size === 'small' ? '50000' : '1600000';
    const words = ['consume', '--while-producing', '--rate', rate];
    const result = await sluiceBench(plan, words, 'always');
    return [messagesFigure('consume-tail', 'consume from the tail', result, 1_500_000)];
  },
};

export const consumeBacklog: MacroBenchmark = {
  name: 'consume-backlog',
  about: 'a group of our own clients reads a backlog from its beginning, most of it from disk',
  run: async (plan) => {
    const messages = plan.size === 'small' ? '50000' : '10000000';
    const result = await sluiceBench(plan, ['consume', '--messages', messages]);
    return [messagesFigure('consume-backlog', 'consume a backlog', result, 1_500_000)];
  },
};

export const latency: MacroBenchmark = {
  name: 'latency',
  about: '100,000 messages a second offered, open loop, SYNC_FLUSH',
  run: async (plan: MacroPlan) => {
    const rate = plan.size === 'small' ? '5000' : '100000';
    const result = await sluiceBench(plan, ['latency', '--rate', rate]);
    const figure = (name: string, value: number | null, aim: number): MacroMeasurement => ({
      benchmark: 'latency',
      case: `latency at ${rate} messages/s, ${name}`,
      ...commonOf(result),
      value: value ?? 0,
      unit: 'ms',
      aim: { at: 'most', value: aim },
    });
    return [figure('p99', result.p99Ms, 5), figure('p99.9', result.p999Ms, 20)];
  },
};

/** Runs of each side: what else the machine does in a minute touches both alike. */
const RATIO_ROUNDS = 3;

export const manyQueues: MacroBenchmark = {
  name: 'many-queues',
  about: '10,000 queues against 8, prepared batches, in turns',
  run: async (plan) => {
    const many = plan.size === 'small' ? 200 : 10_000;
    const rounds = plan.size === 'small' ? 1 : RATIO_ROUNDS;
    const few: BenchResult[] = [];
    const crowd: BenchResult[] = [];
    for (let round = 0; round < rounds; round += 1) {
      few.push(await sluiceBench(plan, ['produce', '--prepared', '--queues', '8']));
      crowd.push(await sluiceBench(plan, ['produce', '--prepared', '--queues', String(many)]));
    }
    const [slow, fast] = [medianRate(crowd), medianRate(few)];
    return [
      {
        benchmark: 'many-queues',
        case: `${many} queues ÷ 8 queues`,
        parameters: { queues: many, rounds },
        value: Number((slow / fast).toFixed(3)),
        unit: '',
        aim: { at: 'least', value: 0.9 },
        ratioToLimit: null,
        flawless: [...few, ...crowd].every(isWhole),
        details: { few: few.map(detailsOf), many: crowd.map(detailsOf) },
      },
    ];
  },
};

function medianRate(results: readonly BenchResult[]): number {
  const rates = results.map(({ messagesPerSecond }) => messagesPerSecond).sort((a, b) => a - b);
  return rates[Math.floor(rates.length / 2)] ?? 0;
}
