/**
 * Runs the compiled tests: `node --test` of Node 20 takes no globs and would run every helper it finds. Lives beside
 * the tests it runs, so the same file serves `dist` and any other output directory of the compiler.
 *
 *   npm test                      everything
 *   npm test -- ring log/segment  files whose path contains one of the words
 *   npm test -- --test-name-pattern=drain acceptor
 *   npm run fuzz -- broker-conf --seed 7
 *   npm test -- --again-alone     the gate's form: what failed beside others and may be run again (failed-files.ts), is, and both are told
 *
 * Folders of LONG_FOLDERS need more than the project and are left out, unless their variable is set.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type FailedTest, filesToRunAgain, readFailed } from './failed-files.ts';

/**
 * One more than there are cores: some compute, and others wait for brokers, machines of Java, or time that must pass. Not many
 * more, as each may start brokers with threads of their own.
 */
const FILES_AT_ONCE: number = Math.min(availableParallelism(), 3) + 1;
/** Of a test and of a file: what takes a minute by itself takes several on a machine that is slower, or where others compute. */
const TEST_TIMEOUT_MS = 900_000;
const EXIT_USAGE = 2;

/** Rounds of each fuzzer when `--fuzz` asks for a long run. */
const FUZZ_ROUNDS_LONG = 100_000;

/** Folder → the variable that asks for it: a real disk that loses power, Apache RocketMQ itself, a browser, network namespaces. */
const LONG_FOLDERS: Readonly<Record<string, string>> = {
  'power/': 'POWER',
  'interop/': 'INTEROP',
  'browser/': 'BROWSER_TESTS',
  'netns/': 'NETNS',
};

/**
 * What takes long begins first, so that no core is idle while the last file ends: paths below `test/`, those that wait between those
 * that compute. Anything else takes seconds, and follows in the order of its path.
 */
const LONG_FIRST: readonly string[] = [
  ...['interop/java-client', 'simulation/seeds-', 'interop/access', 'simulation/cluster'],
  ...['interop/', 'mutants/replication', 'netns/', 'mutants/recovery', 'bench-smoke'],
  ...['mutants/', 'simulation/', 'e2e/', 'cli/cluster', 'broker/', 'cli/', 'browser/', 'fuzz/'],
];

type Plan = {
  readonly files: readonly string[];
  readonly nodeOptions: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly againAlone: boolean;
};

type Outcome = { readonly code: number; readonly failed: readonly FailedTest[] };

const testRoot = dirname(fileURLToPath(import.meta.url));

/** A test whose source was deleted or renamed stays in the output directory; the source map tells. */
function hasSource(file: string): boolean {
  const mapFile = `${file}.map`;
  if (!existsSync(mapFile)) return true;
  const map = JSON.parse(readFileSync(mapFile, 'utf8')) as { sources: string[] };
  return map.sources.every((source) => existsSync(resolve(dirname(file), source)));
}

function isAskedFor(file: string): boolean {
  const folder = Object.keys(LONG_FOLDERS).find((one) => file.startsWith(one));
  return folder === undefined || Boolean(process.env[LONG_FOLDERS[folder] ?? '']);
}

/** Compiled test files below `folder` whose path contains one of the words; all of them when there is none. */
function collect(folder: string, words: readonly string[]): readonly string[] {
  return readdirSync(testRoot, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js') && file.startsWith(folder))
    .filter(isAskedFor)
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
    .map((file) => join(testRoot, file))
    .filter(hasSource);
}

function rankOf(file: string): number {
  const rank = LONG_FIRST.findIndex((beginning) => file.startsWith(beginning));
  return rank < 0 ? LONG_FIRST.length : rank;
}

/** The command line: words that select files, `--fuzz`, `--seed N`, `--again-alone`, and options of Node's own runner. */
function plan(given: readonly string[]): Plan {
  const words: string[] = [];
  const nodeOptions: string[] = [];
  const environment: Record<string, string> = {};
  let folder = '';
  let againAlone = false;
  const waiting = [...given];
  for (let argument = waiting.shift(); argument !== undefined; argument = waiting.shift()) {
    if (argument === '--fuzz') {
      folder = 'fuzz/';
      environment['FUZZ_ROUNDS'] = process.env['FUZZ_ROUNDS'] ?? String(FUZZ_ROUNDS_LONG);
    } else if (argument === '--seed') {
      environment['SEED'] = waiting.shift() ?? '';
    } else if (argument === '--again-alone') {
      againAlone = true;
    } else if (argument.startsWith('--')) {
      nodeOptions.push(argument);
    } else {
      // `test/log/segment.test.ts` is as good as `log/segment`.
      words.push(argument.replace(/^(\.\/)?test\//, '').replace(/\.ts$/, ''));
    }
  }
  return { files: collect(folder, words), nodeOptions, environment, againAlone };
}

/** One run of Node's test runner over `files`, with what failed in it. */
function runFiles(
  files: readonly string[],
  { nodeOptions, environment }: Plan,
  atOnce: number,
): Promise<Outcome> {
  const reports = mkdtempSync(join(tmpdir(), 'sluice-tests-'));
  const failedPath = join(reports, 'failed');
  const child = spawn(
    process.execPath,
    [
      '--test',
      `--test-timeout=${TEST_TIMEOUT_MS}`,
      `--test-concurrency=${atOnce}`,
      ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
      ...[
        `--test-reporter=${pathToFileURL(join(testRoot, 'failed-files.js'))}`,
        `--test-reporter-destination=${failedPath}`,
      ],
      ...nodeOptions,
      ...files,
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...environment } },
  );
  const forward = (signal: NodeJS.Signals): boolean => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, forward);
  return new Promise((resolveRun) => {
    const end = (code: number): void => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, forward);
      const failed = existsSync(failedPath) ? readFailed(failedPath) : [];
      rmSync(reports, { recursive: true, force: true });
      resolveRun({ code, failed });
    };
    child.on('error', (error) => {
      console.error(`The test process did not start: ${error.message}`);
      end(1);
    });
    child.on('exit', (code) => end(code ?? 1));
  });
}

/** Both runs are told, so that a test that is not steady is seen, and corrected, although the gate opens. */
async function runAgain(failed: readonly FailedTest[], given: Plan): Promise<number> {
  const files = filesToRunAgain(failed, testRoot);
  if (files.length === 0) return 1;
  const names = files.map((file) => relative(testRoot, file)).join(', ');
  console.log(`\nonce more, alone: ${names}`);
  const { code } = await runFiles(files, given, 1);
  console.log(
    code === 0
      ? '\nNOT STEADY: failed beside others, passed alone'
      : '\nfailed beside others and alone',
  );
  for (const { file, name, message } of failed) {
    console.log(`  ${relative(testRoot, file)}: ${name}\n    ${message.split('\n', 1)[0] ?? ''}`);
  }
  return code;
}

async function run(): Promise<void> {
  const given = plan(process.argv.slice(2));
  if (given.files.length === 0) {
    const where = relative(process.cwd(), testRoot) || '.';
    console.error(`No test file in ${where} matches: ${process.argv.slice(2).join(' ')}`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const { code, failed } = await runFiles(given.files, given, FILES_AT_ONCE);
  process.exitCode = code !== 0 && given.againAlone ? await runAgain(failed, given) : code;
}

await run();
