/**
 * Processes that tests and benchmarks start, and that must not outlive them: one that a failed test has left behind would keep
 * the test file from ending, and after a kill of the test process it would run for ever.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after } from 'node:test';

/** Sets what the kernel sends to a process whose parent has died. @source setpriv(1), PR_SET_PDEATHSIG of prctl(2) */
const SETPRIV = '/usr/bin/setpriv';
const hasSetpriv: boolean = process.platform === 'linux' && existsSync(SETPRIV);

/**
 * For brokers that a test starts without a word about their size: as many megabytes of zeros are written before one is ready. Flags
 * are stronger.
 */
export const SMALL_SEGMENTS: Readonly<Record<string, string>> = { SLUICE_SEGMENT_BYTES: '16MiB' };

const running = new Set<() => void>();

function endAll(): void {
  for (const kill of running) kill();
}

process.once('exit', endAll);
// What is left when all tests of the file are over. Registered while the file loads: within a test it would be that test's.
if (process.argv[1]?.endsWith('.test.js') === true) after(endAll);

/** SIGTERM for one that has processes of its own and stops them in order. */
export type LastSignal = 'SIGKILL' | 'SIGTERM';

/** A command that gets a signal when its parent dies, however that happens; where the system cannot do that, the command itself. */
export function diesWithParent(
  command: string,
  words: readonly string[],
  signal: LastSignal = 'SIGKILL',
): readonly [string, readonly string[]] {
  return hasSetpriv
    ? [SETPRIV, ['--pdeathsig', signal.slice('SIG'.length), '--', command, ...words]]
    : [command, words];
}

/** Ends the process with the tests of this file, or with this process. @param kill - how */
export function endsWithTests(child: ChildProcess, kill: () => void): void {
  running.add(kill);
  child.once('exit', () => running.delete(kill));
  child.once('error', () => running.delete(kill));
}

/** `spawn`, tied in both ways. */
export function spawnTied(
  command: string,
  words: readonly string[],
  options: SpawnOptions,
  signal: LastSignal = 'SIGKILL',
): ChildProcess {
  const [first, rest] = diesWithParent(command, words, signal);
  const child = spawn(first, rest, options);
  endsWithTests(child, () => void child.kill(signal));
  return child;
}
