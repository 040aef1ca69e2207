/**
 * The command line of the simulation: `npm run simulate -- --seed 7 --seeds 1000`. Prints one line that reproduces each
 * failure, and what the seeds went through.
 */
import { parseArgs } from 'node:util';
import { reproduce, type SimOptions, STEPS_DEFAULT, simulate } from './sim-run.ts';
import type { SimCounts } from './sim-world.ts';

const EXIT_USAGE = 2;
/** Failures after which it is clear enough, when not told otherwise. */
const FAILURES_MAX = 5;

function main(): number {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      steps: { type: 'string', default: String(STEPS_DEFAULT) },
      sizes: { type: 'string', default: 'mixed' },
      flush: { type: 'string', default: 'mixed' },
      failures: { type: 'string', default: String(FAILURES_MAX) },
      verbose: { type: 'boolean', default: false },
    },
  });
  const { sizes, flush } = values;
  const isKnown =
    ['fixed', 'random', 'mixed'].includes(sizes) && ['sync', 'async', 'mixed'].includes(flush);
  if (!isKnown) {
    print(
      'usage: --seed N --seeds M --steps N --sizes fixed|random|mixed --flush sync|async|mixed --failures N',
    );
    return EXIT_USAGE;
  }
  const first = Number(values.seed);
  const range = {
    first,
    last: first + Number(values.seeds) - 1,
    failuresMax: Number(values.failures),
  };
  const rest = { sizes, flush, steps: Number(values.steps) } as Omit<SimOptions, 'seed'>;
  return runSeeds(range, rest, values.verbose);
}

function runSeeds(
  { first, last, failuresMax }: { first: number; last: number; failuresMax: number },
  rest: Omit<SimOptions, 'seed'>,
  isVerbose: boolean,
): number {
  const sums = new Map<string, number>();
  let failures = 0;
  for (let seed = first; seed <= last && failures < failuresMax; seed += 1) {
    const { options, failure, counts, lives, report } = simulate({ ...rest, seed });
    add(sums, { ...counts, lives, acked: report?.totals.acked ?? 0 });
    if (failure === undefined) continue;
    failures += 1;
    print(`FAILED: ${reproduce(options)}`);
    print(isVerbose ? failure : (failure.split('\n').slice(0, 4).join('\n') ?? ''));
  }
  if (isVerbose || failures === 0) {
    const totals = [...sums].map(([name, sum]) => `${name} ${sum}`).join(', ');
    print(`seeds ${first} to ${last}: ${failures} failed; ${totals}`);
  }
  return failures === 0 ? 0 : 1;
}

function add(sums: Map<string, number>, counts: SimCounts & Record<string, number>): void {
  for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main();
