/**
 * The command line of the simulation: `npm run simulate -- --seed 7 --seeds 1000`. Prints one line that reproduces each
 * failure, and what the seeds went through.
 */
import { parseArgs } from 'node:util';
import { reproduceCluster, simulateCluster } from './cluster-run.ts';
import { reproduce, type SimOptions, STEPS_DEFAULT, simulate } from './sim-run.ts';

const EXIT_USAGE = 2;
/** Failures after which it is clear enough, when not told otherwise. */
const FAILURES_MAX = 5;

/** What one seed came to. */
type Run = {
  /** The line that runs it again. */
  readonly line: string;
  readonly failure: string | undefined;
  readonly counts: Readonly<Record<string, number>>;
};

function main(): number {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      steps: { type: 'string', default: String(STEPS_DEFAULT) },
      sizes: { type: 'string', default: 'mixed' },
      flush: { type: 'string', default: 'mixed' },
      failures: { type: 'string', default: String(FAILURES_MAX) },
      cluster: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
    },
  });
  const first = Number(values.seed);
  const range = {
    first,
    last: first + Number(values.seeds) - 1,
    failuresMax: Number(values.failures),
  };
  const steps = Number(values.steps);
  if (values.cluster) return runSeeds(range, values.verbose, (seed) => runCluster(seed, steps));
  const { sizes, flush } = values;
  const isKnown =
    ['fixed', 'random', 'mixed'].includes(sizes) && ['sync', 'async', 'mixed'].includes(flush);
  if (!isKnown) {
    print(
      'usage: --seed N --seeds M --steps N --sizes fixed|random|mixed --flush sync|async|mixed, or --cluster',
    );
    return EXIT_USAGE;
  }
  const rest = { sizes, flush, steps } as Omit<SimOptions, 'seed'>;
  return runSeeds(range, values.verbose, (seed) => runShard({ ...rest, seed }));
}

function runSeeds(
  { first, last, failuresMax }: { first: number; last: number; failuresMax: number },
  isVerbose: boolean,
  run: (seed: number) => Run,
): number {
  const sums = new Map<string, number>();
  let failures = 0;
  for (let seed = first; seed <= last && failures < failuresMax; seed += 1) {
    const { line, failure, counts } = run(seed);
    add(sums, counts);
    if (failure === undefined) continue;
    failures += 1;
    print(`FAILED: ${line}`);
    print(isVerbose ? failure : (failure.split('\n').slice(0, 4).join('\n') ?? ''));
  }
  if (isVerbose || failures === 0) {
    const totals = [...sums].map(([name, sum]) => `${name} ${sum}`).join(', ');
    print(`seeds ${first} to ${last}: ${failures} failed; ${totals}`);
  }
  return failures === 0 ? 0 : 1;
}

function runShard(options: SimOptions): Run {
  const { failure, counts, lives, report } = simulate(options);
  const acked = report?.totals.acked ?? 0;
  return { line: reproduce(options), failure, counts: { ...counts, lives, acked } };
}

function runCluster(seed: number, steps: number): Run {
  const { options, failure, counts } = simulateCluster({ seed, steps });
  return { line: reproduceCluster(options), failure, counts };
}

function add(sums: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = main();
