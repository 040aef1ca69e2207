/**
 * A broker in a process of its own, started as users start it (`sluice up --json`): under a wrapper (strace, eatmydata)
 * where a test wants one, with hooks that slow its disk or tell its memory. Its events, its log and its end can be waited
 * for. Linux only where /proc is read.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { sleep, startTimer, systemClock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';
import { flagNameOf } from '../config/setting-names.ts';
import type { DiskHooks, MemoryReport } from './e2e-process-hooks.ts';
import { diesWithParent, endsWithTests, SMALL_SEGMENTS } from './tied-process.ts';

/**
 * Milliseconds until a broker must be ready or gone, and until something that was waited for must have happened: on a machine
 * that is ten times slower than this one, too. They end tests that have failed; none is a promise.
 */
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 120_000;
const WAIT_MS_MAX = 120_000;
const POLL_MS = 5;
/** Lines of the log that are kept. */
const LINES_MAX = 10_000;

const MAIN = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const HOOKS = new URL('./e2e-process-hooks.js', import.meta.url).href;

/** One line of a broker's log or of its stdout, as it came. */
export type LogLine = Readonly<Record<string, unknown>>;

/** How a process ended: one of the two. */
export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type BrokerProcessOptions = {
  /** Default `up`: a broker. */
  readonly role?: 'up' | 'namesrv';
  /** Of a broker. */
  readonly dataDir?: string;
  /** A file with settings, such as a broker.conf. */
  readonly config?: string;
  /** 0: a free one. A test that restarts on the same port takes one of `claimPort()`. */
  readonly port?: number;
  /** Settings of docs/CONFIG.md by their names. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Command and arguments in front of `node`. */
  readonly wrapper?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Loads `e2e-process-hooks`: `memory()` works, and `E2E_DISK` is looked at. */
  readonly hasHooks?: boolean;
};

/** Waits on state: looks again and again until `isTrue`. @throws TIMEOUT that says what was waited for */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs: number = WAIT_MS_MAX,
): Promise<void> {
  const end = systemClock.monotonicMs() + timeoutMs;
  while (!(await isTrue())) {
    if (systemClock.monotonicMs() > end)
      throw new SluiceError('TIMEOUT', `not within ${timeoutMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
}

/** What the disk of a broker with hooks does from now on. Put in place as a whole: its threads read the file at any moment. */
export function setDiskHooks(file: string, hooks: DiskHooks): void {
  writeFileSync(`${file}.new`, JSON.stringify(hooks));
  renameSync(`${file}.new`, file);
}

export class BrokerProcess {
  /** What it said on stdout. */
  readonly events: LogLine[] = [];
  /** What it said on stderr. */
  readonly lines: LogLine[] = [];
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;
  private end: Ended | undefined;

  private constructor(options: BrokerProcessOptions) {
    const { wrapper = [], hasHooks = false } = options;
    const node = hasHooks ? ['--expose-gc', '--import', HOOKS] : [];
    const args = [
      ...[...node, MAIN, options.role ?? 'up', '--json'],
      ...(options.dataDir === undefined ? [] : ['--data', options.dataDir]),
      ...(options.config === undefined ? [] : ['--config', options.config]),
      ...['--port', String(options.port ?? 0)],
      ...Object.entries(options.settings ?? {}).flatMap(([name, value]) => [
        flagNameOf(name),
        String(value),
      ]),
    ];
    const broker = diesWithParent(process.execPath, args);
    const [around, ...aroundWords] = wrapper;
    const [command, words] =
      around === undefined ? broker : diesWithParent(around, [...aroundWords, ...broker.flat()]);
    // A group of its own: a wrapper that is killed would leave the broker behind.
    this.child = spawn(command, words, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
      env: {
        ...process.env,
        ...(options.role === 'namesrv' || options.config !== undefined ? {} : SMALL_SEGMENTS),
        ...options.environment,
      },
    });
    endsWithTests(this.child, () => this.killGroup());
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        this.end = { code, signal };
        resolve(this.end);
      });
    });
    this.collect(this.child.stdout as NodeJS.ReadableStream, this.events);
    this.collect(this.child.stderr as NodeJS.ReadableStream, this.lines);
  }

  /** Starts a broker and waits until it takes requests. @throws CLOSED with what it said when it ends before; TIMEOUT */
  static async start(options: BrokerProcessOptions): Promise<BrokerProcess> {
    const broker = new BrokerProcess(options);
    const isOver = (): boolean => broker.readyEvent !== undefined || broker.end !== undefined;
    try {
      await until('the broker is ready', isOver, START_MS_MAX);
    } catch (error) {
      broker.killGroup();
      throw error;
    }
    if (broker.readyEvent === undefined) {
      const said = JSON.stringify([...broker.events, ...broker.lines.slice(-5)]);
      throw new SluiceError('CLOSED', `the broker ended before it was ready: ${said}`);
    }
    return broker;
  }

  /** Starts a broker that must refuse to. @returns what it said, and how it ended */
  static async startRefused(
    options: BrokerProcessOptions,
  ): Promise<{ readonly ended: Ended; readonly error: LogLine }> {
    const broker = new BrokerProcess(options);
    const cancel = startTimer(START_MS_MAX, () => broker.killGroup());
    const ended = await broker.ended;
    cancel();
    const event = broker.events.find((one) => one['event'] === 'error');
    return { ended, error: (event?.['error'] ?? {}) as LogLine };
  }

  /** The ready event. */
  get ready(): LogLine {
    return this.readyEvent ?? {};
  }

  get ws(): string {
    return String(this.ready['ws']);
  }

  get http(): string {
    return String(this.ready['http']);
  }

  /** `host:port` of a NameServer. */
  get namesrv(): string {
    return String(this.ready['namesrv']);
  }

  /** Of the broker itself, not of a wrapper. */
  get pid(): number {
    return Number(this.ready['pid']);
  }

  get isRunning(): boolean {
    return this.end === undefined;
  }

  /** Waits for a line of the log with this event. */
  async logged(event: string, timeoutMs?: number): Promise<LogLine> {
    const find = (): LogLine | undefined => this.lines.find((line) => line['event'] === event);
    await until(`the log says ${event}`, () => find() !== undefined, timeoutMs);
    return find() as LogLine;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** SIGSTOP, and waits until no thread of it runs any more: the signal is only on its way when it was sent. @source proc(5), stat */
  async freeze(): Promise<void> {
    this.signal('SIGSTOP');
    const tasks = `/proc/${this.pid}/task`;
    await until('every thread has stopped', () =>
      readdirSync(tasks).every((task) =>
        /\) T /.test(readFileSync(`${tasks}/${task}/stat`, 'utf8')),
      ),
    );
  }

  /** As a crash of the machine's power supply would end the process, wrapper included. */
  async kill(): Promise<void> {
    this.killGroup();
    await this.ended;
  }

  /** Asks it to end, and waits. */
  async stop(): Promise<Ended> {
    if (this.end !== undefined) return this.end;
    const cancel = startTimer(STOP_MS_MAX, () => this.killGroup());
    this.signal('SIGTERM');
    const ended = await this.ended;
    cancel();
    return ended;
  }

  /** @source proc(5), VmRSS and VmHWM of /proc/PID/status */
  residentBytes(): { readonly now: number; readonly peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const kib = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]);
    return { now: kib('VmRSS') * KIB, peak: kib('VmHWM') * KIB };
  }

  /** Bytes that clients have sent and the broker has not read yet. @source proc(5), rx_queue of /proc/net/tcp */
  unreadBytes(): number {
    const port = Number(new URL(this.http).port).toString(16).toUpperCase().padStart(4, '0');
    const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
    return rows
      .map((row) => row.trim().split(/\s+/))
      .filter(([, local]) => local?.endsWith(`:${port}`))
      .reduce((sum, fields) => sum + Number.parseInt(fields[4]?.split(':')[1] ?? '0', 16), 0);
  }

  /** From here on `residentBytes().peak` counts anew. @source proc(5), /proc/PID/clear_refs */
  forgetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  /** Collects garbage in its main thread and asks for what is left, and for the delays of its event loop since the last time. */
  memory(): Promise<MemoryReport> {
    return new Promise((resolve, reject) => {
      const cancel = startTimer(WAIT_MS_MAX, () => reject(new SluiceError('TIMEOUT')));
      this.child.once('message', (report) => {
        cancel();
        resolve(report as MemoryReport);
      });
      this.child.send('memory');
    });
  }

  /** The values of one metric, by its labels as they stand in the text. */
  async metric(name: string): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${this.http}/metrics`)).text();
    const pattern = new RegExp(`^${name}(\\{[^}]*\\})? (\\S+)$`, 'gm');
    return new Map(
      [...text.matchAll(pattern)].map(([, labels = '', value]) => [labels, Number(value)]),
    );
  }

  private get readyEvent(): LogLine | undefined {
    return this.events.find((event) => event['event'] === 'ready');
  }

  private collect(stream: NodeJS.ReadableStream, lines: LogLine[]): void {
    createInterface({ input: stream }).on('line', (text) => {
      lines.push(parseLine(text));
      if (lines.length > LINES_MAX) lines.shift();
    });
  }

  private killGroup(): void {
    if (this.end !== undefined || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch {
      // Gone already; `ended` says how.
    }
  }
}

function parseLine(text: string): LogLine {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as LogLine;
  } catch {
    // Not every line is ours: Node and wrappers speak too.
  }
  return { text };
}
