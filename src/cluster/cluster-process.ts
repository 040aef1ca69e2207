/** One process of a cluster: started as a user starts it, waited for until it is ready, ended. Its log goes to a file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { ENVIRONMENT_PREFIX, environmentNameOf } from '../config/setting-names.ts';
import { BoundedFile } from './bounded-file.ts';
import type { ProcessPlan } from './cluster-plan.ts';

/** Milliseconds until a process must be ready, and until one that was asked to end is killed. */
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 30_000;
/** Lines that are kept to explain a failure. */
const LINES_MAX = 8;

/** What a process says of itself when it is ready. */
export type ReadyEvent = Readonly<Record<string, unknown>>;

export class ClusterProcess {
  readonly plan: ProcessPlan;
  readonly ready: ReadyEvent;
  readonly pid: number;
  readonly exited: Promise<void>;
  /** It runs. */
  isAlive = true;
  private readonly child: ChildProcess;

  private constructor(plan: ProcessPlan, running: Running, ready: ReadyEvent) {
    this.plan = plan;
    this.ready = ready;
    this.child = running.child;
    this.pid = running.child.pid as number;
    this.exited = running.exited.then(() => {
      this.isAlive = false;
    });
  }

  /**
   * @param main - the file of the command `sluice`
   * @param onStarted - told the process id before it is ready
   * @throws CLOSED with the end of its log when it ends before it is ready; TIMEOUT
   */
  static async start(
    main: string,
    root: string,
    plan: ProcessPlan,
    onStarted: (pid: number) => void,
  ): Promise<ClusterProcess> {
    const running = run(main, root, plan);
    const { child } = running;
    if (child.pid !== undefined) onStarted(child.pid);
    return new ClusterProcess(plan, running, await untilReady(plan, running));
  }

  /** Sends a signal: SIGKILL for a crash, SIGSTOP and SIGCONT for a process that is there and does nothing. */
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Asks it to end, and waits. */
  async stop(): Promise<void> {
    if (!this.isAlive) return;
    const cancel = startTimer(STOP_MS_MAX, () => this.child.kill('SIGKILL'));
    this.child.kill('SIGCONT');
    this.child.kill('SIGTERM');
    await this.exited;
    cancel();
  }
}

type Running = {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  readonly lastLines: string[];
};

function run(main: string, root: string, plan: ProcessPlan): Running {
  const words = [main, plan.command, '-c', plan.propertiesFile, '--json'];
  const child = spawn(process.execPath, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environmentFor(plan),
    // Ctrl-C in the terminal reaches its whole group: these are stopped one after the other, by their supervisor.
    detached: true,
  });
  const file = new BoundedFile(join(root, `${plan.name}.log`));
  const lastLines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    file.write(`${line}\n`);
    lastLines.push(line);
    if (lastLines.length > LINES_MAX) lastLines.shift();
  });
  // Whoever started it may end by a mistake: it is not left behind.
  const killAtExit = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const exited = new Promise<void>((resolve) => {
    const end = (): void => {
      process.off('exit', killAtExit);
      file.close();
      resolve();
    };
    child.once('close', end);
    child.once('error', (error) => {
      lastLines.push(String(error));
      end();
    });
  });
  return { child, exited, lastLines };
}

/** What a file says holds: the same settings in the environment would be stronger. */
function environmentFor({ properties }: ProcessPlan): NodeJS.ProcessEnv {
  const stronger = new Set(Object.keys(properties).map(environmentNameOf));
  stronger.add(`${ENVIRONMENT_PREFIX}CONFIG`);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !stronger.has(name)));
}

function untilReady(plan: ProcessPlan, running: Running): Promise<ReadyEvent> {
  const { child, exited, lastLines } = running;
  return new Promise((resolve, reject) => {
    const cancel = startTimer(READY_MS_MAX, () => {
      child.kill('SIGKILL');
      reject(new SluiceError('TIMEOUT', `${plan.name} was not ready after ${READY_MS_MAX} ms`));
    });
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = parseEvent(line);
        if (event?.['event'] === 'error') lastLines.push(line);
        if (event?.['event'] !== 'ready') return;
        cancel();
        resolve(event);
      });
    void exited.then(() => {
      cancel();
      const why = lastLines.join(' | ');
      reject(
        new SluiceError('CLOSED', `${plan.name} ended before it was ready: ${why}`, {
          hint: `Its settings are in ${plan.propertiesFile}, its log is beside it.`,
        }),
      );
    });
  });
}

function parseEvent(line: string): ReadyEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as ReadyEvent) : undefined;
  } catch {
    return undefined;
  }
}
