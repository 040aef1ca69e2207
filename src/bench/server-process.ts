/** A server of ours in a process of its own: started, waited for, measured from outside, ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { startTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';

/** Milliseconds until a server must be ready, and until one that was asked to end is killed. */
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 120_000;
/** Lines of its output that are kept to explain a failure. */
const LINES_MAX = 20;
/** Kernel ticks of processor time a second, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** The first line of the server's stdout: an event `ready` with what it says of itself. */
export type ReadyEvent = Readonly<Record<string, unknown>>;

/** Resident bytes now, and the most there ever were; undefined where the system does not tell. */
export type ResidentBytes = { readonly now: number; readonly peak: number };

export class ServerProcess {
  readonly ready: ReadyEvent;
  readonly pid: number;
  private readonly child: ChildProcess;
  private readonly exited: Promise<void>;

  private constructor(child: ChildProcess, ready: ReadyEvent, exited: Promise<void>) {
    this.child = child;
    this.ready = ready;
    this.pid = child.pid as number;
    this.exited = exited;
  }

  /**
   * Starts `node` with these words and waits for the ready event.
   *
   * @throws CLOSED with the end of its output when it ends before; TIMEOUT
   */
  static async start(words: readonly string[]): Promise<ServerProcess> {
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    // Whoever started it may die first: it is not left behind.
    const killAtExit = (): void => void child.kill('SIGKILL');
    process.once('exit', killAtExit);
    const exited = new Promise<void>((resolve) => {
      child.once('close', () => {
        process.off('exit', killAtExit);
        resolve();
      });
    });
    const lines: string[] = [];
    const note = (line: string): void => {
      lines.push(line);
      if (lines.length > LINES_MAX) lines.shift();
    };
    createInterface({ input: child.stderr }).on('line', note);
    const ready = await new Promise<ReadyEvent>((resolve, reject) => {
      const cancel = startTimer(READY_MS_MAX, () => {
        child.kill('SIGKILL');
        reject(new SluiceError('TIMEOUT', `${words[0]} was not ready after ${READY_MS_MAX} ms`));
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = parseEvent(line);
        if (event?.['event'] !== 'ready') note(line);
        else {
          cancel();
          resolve(event);
        }
      });
      child.once('error', reject);
      void exited.then(() => {
        cancel();
        const text = `the server ended before it was ready: ${lines.join(' | ')}`;
        reject(new SluiceError('CLOSED', text));
      });
    });
    return new ServerProcess(child, ready, exited);
  }

  /** @source proc(5), VmRSS and VmHWM of /proc/PID/status */
  residentBytes(): ResidentBytes | undefined {
    const status = readProc(this.pid, 'status');
    const kib = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
    const [now, peak] = [kib('VmRSS') * KIB, kib('VmHWM') * KIB];
    return Number.isNaN(now) ? undefined : { now, peak };
  }

  /** Seconds of processor time so far, all threads. @source proc(5), utime and stime of /proc/PID/stat */
  cpuSeconds(): number | undefined {
    // The name of the program, in brackets, may hold anything.
    const fields = readProc(this.pid, 'stat').split(') ').at(-1)?.split(' ') ?? [];
    const ticks = Number(fields[11]) + Number(fields[12]);
    return Number.isNaN(ticks) ? undefined : ticks / TICKS_PER_SECOND;
  }

  /** As a power cut of the process would end it. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Asks it to end, and waits. */
  async stop(): Promise<void> {
    const cancel = startTimer(STOP_MS_MAX, () => this.child.kill('SIGKILL'));
    this.child.kill('SIGTERM');
    await this.exited;
    cancel();
  }
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function parseEvent(line: string): ReadyEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as ReadyEvent) : undefined;
  } catch {
    return undefined;
  }
}
