/**
 * RocketMQ's bundled benchmark, `Producer` and `Consumer` of rocketmq-example, run as it is, and what it prints read. It
 * prints every ten seconds until it is stopped.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { sleep, systemClock } from '../base/clock.ts';
import { type Fetched, fetchRocketmq } from './java-tools.ts';
import { spawnTied } from './tied-process.ts';

/** The only version of 5.x that Maven Central has; it brings the client of its version. */
export const EXAMPLE_VERSION = '5.5.0';

const PACKAGE = 'org.apache.rocketmq.example.benchmark';
/** Milliseconds between two lines, and until it has begun. */
const LINE_MS = 10_000;
const BEGIN_MS_MAX = 120_000;
const JVM: readonly string[] = ['-Xms256m', '-Xmx512m'];

/** One line of what it prints: names as it writes them, such as `Send TPS` or `AVG(B2C) RT(ms)`. */
export type BenchmarkLine = ReadonlyMap<string, number>;

export function fetchBenchmark(): Fetched {
  return fetchRocketmq('rocketmq-example', EXAMPLE_VERSION);
}

/** The numbers of a line of statistics; undefined for any other line. */
export function readBenchmarkLine(text: string): BenchmarkLine | undefined {
  if (!/\bTPS: \d/.test(text)) return undefined;
  const pairs = [...text.matchAll(/([A-Za-z][\w ()]*?): +(-?\d+(?:\.\d+)?)/g)];
  return new Map(pairs.map(([, name = '', value]) => [name.trim(), Number(value)]));
}

function hasMessages(line: BenchmarkLine): boolean {
  return (line.get('Send TPS') ?? line.get('Consume TPS') ?? 0) > 0;
}

/** A running `Producer` or `Consumer`. */
export class BenchmarkProgram {
  readonly lines: BenchmarkLine[] = [];
  /** Resolves when it has ended, by itself as a producer with `-q` does, and all that it printed is in `lines`. */
  readonly ended: Promise<unknown>;
  private readonly child: ChildProcess;

  constructor(
    program: 'Producer' | 'Consumer',
    classPath: string,
    home: string,
    words: readonly string[],
  ) {
    this.child = spawnTied(
      'java',
      [...JVM, `-Duser.home=${home}`, '-cp', classPath, `${PACKAGE}.${program}`, ...words],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    this.ended = once(this.child, 'close');
    const input = this.child.stdout as NodeJS.ReadableStream;
    createInterface({ input }).on('line', (text) => {
      const line = readBenchmarkLine(text);
      if (line !== undefined) this.lines.push(line);
    });
  }

  /** Resolves when it has printed that many lines. @throws Error when it ends before */
  async printed(count: number): Promise<void> {
    while (this.lines.length < count) {
      if (this.child.exitCode !== null) throw new Error('the benchmark of RocketMQ ended early');
      await sleep(100);
    }
  }

  /**
   * Resolves with that many lines behind the first one that tells of messages: on a busy machine the program prints some before
   * it has begun. @throws Error when it ends before, or nothing comes
   */
  async measured(count: number): Promise<readonly BenchmarkLine[]> {
    const endMs = systemClock.monotonicMs() + BEGIN_MS_MAX + count * LINE_MS;
    for (;;) {
      const first = this.lines.findIndex(hasMessages);
      const lines = first < 0 ? [] : this.lines.slice(first + 1);
      if (lines.length >= count) return lines;
      if (this.child.exitCode !== null) throw new Error('the benchmark of RocketMQ ended early');
      if (systemClock.monotonicMs() > endMs) throw new Error('no message passed the benchmark');
      await sleep(100);
    }
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}
