/**
 * Where a figure was measured: commit, Node, processor, cores. No host name and no path: results are kept in the
 * repository, one file per kind of machine.
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';

/** What stands beside every figure. */
export type Machine = {
  /** Short hash; `+` when the work tree had changes; `unknown` outside a repository. */
  readonly commit: string;
  readonly node: string;
  readonly cpu: string;
  /** Logical processors that this process may use. */
  readonly cores: number;
  readonly memoryGib: number;
  readonly platform: string;
  readonly kernel: string;
};

export function describeMachine(): Machine {
  return {
    commit: commitHere(),
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    platform: `${process.platform}-${process.arch}`,
    kernel: release().replace(/[^\d.].*$/, ''),
  };
}

function commitHere(): string {
  try {
    const hash = git('rev-parse', '--short', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === '' ? hash : `${hash}+`;
  } catch {
    return 'unknown';
  }
}

function git(...words: readonly string[]): string {
  return execFileSync('git', words, {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}

/** File name for results of machines like this one: `amd-epyc-2-cores`. */
export function machineSlug(machine: Machine): string {
  const words = `${machine.cpu} ${machine.cores} cores`.toLowerCase();
  return words
    .replace(/\((r|tm)\)|@.*?ghz|processor|cpu/g, ' ')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
}
