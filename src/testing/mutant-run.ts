/**
 * Runs what should notice a planted bug, in a process of its own: the simulator, seed after seed until one fails, or one
 * test file. Says what was noticed; whether that is enough is the test's.
 */
import { join } from 'node:path';
import type { Watcher } from './mutants.ts';
import { spawnTied } from './tied-process.ts';

/** How a watcher ended. */
export type WatchResult = {
  /** The seed that failed, or that a test failed; undefined when everything passed. */
  readonly caughtBy: string | undefined;
  /** First words of the failure. */
  readonly symptom: string;
  readonly output: string;
};

/** Seeds that are tried at most: many more than a bug of this list needs. */
export const SEEDS_MAX = 300;
/** Milliseconds after which a run that goes on for ever is ended. */
const TIMEOUT_MS = 600_000;
/** Errors of JavaScript itself: then the replacement is no bug, but broken code that anything notices. */
const BROKEN_CODE = /\b(SyntaxError|ReferenceError|ERR_MODULE_NOT_FOUND)\b/;

/**
 * Runs a watcher on a compiled tree.
 *
 * @param seeds - of a simulation: how many are tried, from its first one on
 * @throws Error when it could not do its work: broken code, or no end
 */
export async function watch(
  tree: string,
  watcher: Watcher,
  seeds: number = SEEDS_MAX,
): Promise<WatchResult> {
  const isSimulation = watcher.kind !== 'test';
  const { exitCode, output } = await run(
    // Without a runner around it, which would be one more process.
    isSimulation
      ? simulation(tree, watcher, seeds)
      : ['--test-reporter=tap', join(tree, 'test', watcher.file)],
  );
  if (exitCode === null) throw new Error(`no end after ${TIMEOUT_MS} ms\n${output}`);
  if (BROKEN_CODE.test(output)) throw new Error(`the code does not run\n${output}`);
  if (exitCode === 0) return { caughtBy: undefined, symptom: '', output };
  if (isSimulation) return { ...simulationResult(output), output };
  return { caughtBy: watcher.file, symptom: testSymptom(output), output };
}

function simulation(
  tree: string,
  watcher: Exclude<Watcher, { kind: 'test' }>,
  seeds: number,
): readonly string[] {
  return [
    join(tree, 'src', 'testing', 'simulate.js'),
    ...['--seed', String(watcher.from), '--seeds', String(seeds), '--failures', '1'],
    ...(watcher.kind === 'cluster'
      ? ['--cluster']
      : ['--sizes', watcher.sizes, '--flush', watcher.flush]),
  ];
}

function simulationResult(output: string): { caughtBy: string; symptom: string } {
  const found = /FAILED: .*--seed (\d+) .*\n(.*)/.exec(output);
  if (found === null) throw new Error(`the simulator failed without a seed\n${output}`);
  return { caughtBy: `seed ${found[1]}`, symptom: found[2] as string };
}

/** The name of the first test that failed. */
function testSymptom(output: string): string {
  return /^\s*not ok \d+ - (.*)$/m.exec(output)?.[1] ?? '';
}

function run(
  nodeArguments: readonly string[],
): Promise<{ exitCode: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawnTied(process.execPath, nodeArguments, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      // A test run inside a test run would report to the outer one.
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    });
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    child.stderr?.on('data', (piece: Buffer) => pieces.push(piece));
    child.on('error', reject);
    child.on('close', (exitCode) =>
      resolve({ exitCode, output: Buffer.concat(pieces).toString() }),
    );
  });
}
