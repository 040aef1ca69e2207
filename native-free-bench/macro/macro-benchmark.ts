/** What the macro benchmarks share: a figure with the aim it is held against, and the ways to get one. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from '../../src/bench/bench-result.ts';
import type { ServerProcess } from '../../src/bench/server-process.ts';
import { startBrokerProcess } from '../../src/bench/target-broker.ts';
import type { Parameters, Size } from '../harness.ts';

/** The command under measurement, beside the compiled benchmarks. */
export const COMMAND: string = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Lines of a child's answer. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export type Aim = { readonly at: 'least' | 'most'; readonly value: number };

/** One line of a result, without the machine. */
export type MacroMeasurement = {
  readonly benchmark: string;
  readonly case: string;
  readonly parameters: Parameters;
  readonly value: number;
  readonly unit: string;
  readonly aim: Aim;
  /** How near to the limit of the machine, where the figure has one. */
  readonly ratioToLimit: number | null;
  /** Everything that was acknowledged came back, once and in order; null where nothing was checked. */
  readonly flawless: boolean | null;
  /** Whatever explains the figure. */
  readonly details: Readonly<Record<string, unknown>>;
};

export type MacroPlan = {
  readonly size: Size;
  /** Told what is going on. */
  readonly say: (text: string) => void;
};

export type MacroBenchmark = {
  readonly name: string;
  readonly about: string;
  readonly run: (plan: MacroPlan) => Promise<readonly MacroMeasurement[]>;
};

export function isReached({ value, aim }: MacroMeasurement): boolean {
  return aim.at === 'least' ? value >= aim.value : value <= aim.value;
}

/** Sizes of a run: seconds measured, and messages of a backlog. */
export function secondsOf(plan: MacroPlan): number {
  return plan.size === 'small' ? 0.3 : 10;
}

export function backlogOf(plan: MacroPlan): number {
  return plan.size === 'small' ? 50_000 : 10_000_000;
}

/**
 * Runs `sluice bench` with these words, as anybody would.
 *
 * @param limits - whether the limits of the machine are measured as well; in small size only where they are the point
 * @throws Error with its answer when it fails
 */
export function sluiceBench(
  plan: MacroPlan,
  words: readonly string[],
  limits: 'always' | 'full size' = 'full size',
): Promise<BenchResult> {
  const seconds = ['--seconds', String(secondsOf(plan))];
  const smallLimit = limits === 'always' ? '0.05' : '0';
  const limitSeconds = ['--limit-seconds', plan.size === 'small' ? smallLimit : '2'];
  const all = ['bench', ...words, ...seconds, ...limitSeconds, '--json'];
  plan.say(`sluice ${all.join(' ')}`);
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: OUTPUT_BYTES_MAX };
    execFile(process.execPath, [COMMAND, ...all], options, (error, stdout, stderr) => {
      const line = stdout.trim().split('\n').at(-1) ?? '';
      // A run that found something lost has a result and exit code 1.
      if (line.includes('"messagesPerSecond"')) resolve(JSON.parse(line) as BenchResult);
      else reject(new Error(`sluice ${all.join(' ')} failed: ${line} ${stderr}`, { cause: error }));
    });
  });
}

/** What of a result goes into the line of a figure. */
export function detailsOf(result: BenchResult): Readonly<Record<string, unknown>> {
  const { mode: _mode, load: _load, size: _size, ...details } = result;
  return details;
}

export function isWhole(result: BenchResult): boolean {
  return result.lost + result.duplicated + result.reordered + result.damaged === 0;
}

/** A broker of our own in a directory of its own, both gone afterwards. */
export async function withDirectory<Value>(
  work: (directory: string) => Promise<Value>,
): Promise<Value> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Starts a broker and says how long it took to be ready, from the start of its process on. */
export async function startTimed(
  directory: string,
  more: readonly string[] = [],
): Promise<{ readonly server: ServerProcess; readonly readyMs: number }> {
  const startMs = performance.now();
  const server = await startBrokerProcess(COMMAND, directory, more);
  return { server, readyMs: Math.round(performance.now() - startMs) };
}
