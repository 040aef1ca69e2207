/**
 * Which processes belong to a cluster directory, written down as they start: whoever starts a cluster there next, after its
 * supervisor was killed, finds what was left behind. A number that the system gave out again is told by the command line.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../base/errors.ts';

/** A process that runs, or ran. */
export type BookedProcess = { readonly name: string; readonly pid: number };

const FILE = 'processes.json';

export class ProcessBook {
  private readonly root: string;
  private readonly path: string;
  private readonly entries = new Map<string, number>();

  constructor(root: string) {
    this.root = root;
    this.path = join(root, FILE);
  }

  /** @throws INVALID_ARGUMENT when processes of this directory still run */
  open(): void {
    const left = this.left();
    if (left.length > 0) {
      const names = left.map(({ name, pid }) => `${name} (${pid})`).join(', ');
      throw new SluiceError('INVALID_ARGUMENT', `processes of ${this.root} still run: ${names}`, {
        hint: `Another "sluice cluster" has them, or one was killed and left them. End them: kill ${left.map(({ pid }) => pid).join(' ')}`,
      });
    }
    this.set('supervisor', process.pid);
  }

  set(name: string, pid: number): void {
    this.entries.set(name, pid);
    const text = JSON.stringify(Object.fromEntries(this.entries), null, 1);
    writeFileSync(`${this.path}.new`, `${text}\n`, { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
  }

  /** Nothing runs any more. */
  close(): void {
    rmSync(this.path, { force: true });
  }

  /** Processes that the book of an earlier run names and that still run. */
  left(): readonly BookedProcess[] {
    return readBook(this.path).filter(({ name, pid }) => {
      const line = pid === process.pid ? '' : commandLineOf(pid);
      // A supervisor has the directory in no fixed form on its command line.
      return name === 'supervisor' ? / cluster /.test(line) : line.includes(this.root);
    });
  }
}

function readBook(path: string): readonly BookedProcess[] {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown> | null;
    return Object.entries(value ?? {}).flatMap(([name, pid]) =>
      typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0 ? [{ name, pid }] : [],
    );
  } catch {
    // None yet, or written by something else.
    return [];
  }
}

/** Words of a running process with blanks between; empty when there is none. @source proc(5), ps(1) */
function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    if (process.platform === 'linux') return '';
  }
  try {
    const words = ['-o', 'command=', '-p', String(pid)];
    return execFileSync('ps', words, { encoding: 'utf8', stdio: 'pipe' });
  } catch {
    return '';
  }
}
