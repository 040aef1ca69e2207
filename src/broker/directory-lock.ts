/** One broker at a time in a directory: a file with the process id, taken over when that process is gone. */
import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../base/errors.ts';

const LOCK_NAME = 'lock';

/**
 * @returns what gives the directory free again
 * @throws INVALID_ARGUMENT when a living process holds it
 */
export function takeLock(directory: string): () => void {
  const path = join(directory, LOCK_NAME);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (createLock(path)) return () => releaseLock(path);
    const holder = readHolder(path);
    if (holder !== undefined && isAlive(holder)) {
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `the data directory ${directory} is in use by the broker with process id ${holder.pid}`,
        {
          hint: `Stop that broker, choose another directory, or, if there is none, remove ${path}.`,
        },
      );
    }
    removeLock(path);
  }
  throw new SluiceError('STORAGE_IO', `the lock ${path} cannot be taken`);
}

type Holder = { readonly pid: number; readonly startedAt: string };

function createLock(path: string): boolean {
  try {
    const descriptor = openSync(path, 'wx', 0o600);
    writeSync(descriptor, JSON.stringify({ pid: process.pid, startedAt: startOf(process.pid) }));
    closeSync(descriptor);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new SluiceError('STORAGE_IO', `the lock ${path} cannot be written: ${String(error)}`, {
      cause: error,
    });
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder> | null;
    const { pid, startedAt } = holder ?? {};
    // No process has a number below 1; to the system, 0 and less mean groups of them.
    const isHolder = Number.isSafeInteger(pid) && Number(pid) > 0 && typeof startedAt === 'string';
    return isHolder ? (holder as Holder) : undefined;
  } catch {
    // Empty or torn: its writer died between creating and writing it.
    return undefined;
  }
}

/** A process id that was given out again belongs to a process with another start time, where the system tells it. */
function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return holder.startedAt === startOf(holder.pid) && !isZombie(holder.pid);
}

/** Field 22 of /proc/PID/stat, in clock ticks since boot, with the boot's id; empty where there is no such file. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${fields[19] ?? ''}@${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
  } catch {
    return '';
  }
}

/** Ended, and not yet collected by its parent, as in a container without an init: it holds nothing any more. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}

function releaseLock(path: string): void {
  if (readHolder(path)?.pid === process.pid) removeLock(path);
}

function removeLock(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
