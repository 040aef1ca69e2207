/** The `sluice` command as users run it: child processes of the compiled bin, with their output gathered. */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SMALL_SEGMENTS, spawnTied } from './tied-process.ts';

/** The bin of this build. */
export const CLI_MAIN: string = fileURLToPath(new URL('../cli/main.js', import.meta.url));

export type CliResult = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of stdout as JSON; empty when they are none. */
  readonly values: readonly Readonly<Record<string, unknown>>[];
};

export type CliOptions = {
  /** What stands on stdin; default: nothing, at its end. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

/** Without the settings of the machine that the test runs on. */
function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_'));
  return { ...Object.fromEntries(kept), NO_COLOR: '1', ...extra };
}

/** Starts the command and leaves it running; it ends with the tests of this file at the latest. */
export function startCli(args: readonly string[], options: CliOptions = {}): ChildProcess {
  const spawned: SpawnOptions = {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment({ ...(args[0] === 'up' ? SMALL_SEGMENTS : {}), ...options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  };
  // It may be a cluster, which stops its brokers.
  return spawnTied(process.execPath, [CLI_MAIN, ...args], spawned, 'SIGTERM');
}

/** Runs the command to its end. */
export async function runCli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const child = startCli(args, options);
  const result = gather(child);
  // It may end before it has read everything.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input ?? '');
  return result;
}

/** Everything that a process says until its end. */
export async function gather(child: ChildProcess): Promise<CliResult> {
  const parts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      parts[name] += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...parts, values: jsonLines(parts.stdout) };
}

export function jsonLines(text: string): Readonly<Record<string, unknown>>[] {
  const lines = text.split('\n').filter((line) => line !== '');
  try {
    return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  } catch {
    return [];
  }
}

/** A broker in a process of its own. */
export class CliBroker {
  readonly child: ChildProcess;
  /** The ready event. */
  readonly ready: Readonly<Record<string, unknown>>;
  private readonly result: Promise<CliResult>;

  private constructor(
    child: ChildProcess,
    ready: Readonly<Record<string, unknown>>,
    result: Promise<CliResult>,
  ) {
    this.child = child;
    this.ready = ready;
    this.result = result;
  }

  /** Starts `sluice up --json` with further words and resolves when it is ready; it dies with the test at the latest. */
  static async start(args: readonly string[], options: CliOptions = {}): Promise<CliBroker> {
    const child = startCli(['up', '--json', '--port', '0', ...args], options);
    const result = gather(child);
    const first = await Promise.race([firstLine(child), result]);
    if (typeof first !== 'string')
      throw new Error(`the broker did not start: ${first.stdout}${first.stderr}`);
    const ready = JSON.parse(first) as Record<string, unknown>;
    if (ready['event'] !== 'ready') throw new Error(`the broker did not start: ${first}`);
    return new CliBroker(child, ready, result);
  }

  get ws(): string {
    return String(this.ready['ws']);
  }

  get http(): string {
    return String(this.ready['http']);
  }

  /** Sends a signal and resolves with everything it said, once it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<CliResult> {
    this.child.kill(signal);
    return this.result;
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const listen = (part: string): void => {
      text += part;
      const end = text.indexOf('\n');
      if (end < 0) return;
      child.stdout?.off('data', listen);
      resolve(text.slice(0, end));
    };
    child.stdout?.on('data', listen);
  });
}

/** Removes a directory, also one whose broker was just killed and may still be on its way out of its files. */
export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** A directory for one test, and what removes it. */
export function temporaryDirectory(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  return { path, remove: () => removeDirectory(path) };
}
