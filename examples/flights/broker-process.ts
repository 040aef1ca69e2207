/** A broker of our own in a process of its own, so that it can be killed: `sluice up` on a directory that outlives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { claimPort } from '../../src/cluster/claimed-port.ts';

const COMMAND = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

export class BrokerProcess implements AsyncDisposable {
  /** `ws://127.0.0.1:port`, the same over restarts. */
  url = '';
  readonly #directory: string;
  #child: ChildProcess | undefined;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async start(): Promise<BrokerProcess> {
    const broker = new BrokerProcess(await mkdtemp(join(tmpdir(), 'sluice-flights-')));
    process.once('exit', () => broker.#leaveNothing());
    // Chosen before the first start: a port that the system gave a listener itself cannot be taken again at once.
    await broker.#run(await claimPort());
    return broker;
  }

  /** kill -9, then the same command on the same data and port. @returns milliseconds until it takes requests again */
  async killAndRestart(): Promise<number> {
    const child = this.#child as ChildProcess;
    child.kill('SIGKILL');
    await once(child, 'exit');
    const killedAt = performance.now();
    await this.#run(Number(new URL(this.url).port));
    return performance.now() - killedAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    this.#leaveNothing();
  }

  #leaveNothing(): void {
    this.#child?.kill('SIGKILL');
    // A process that was just killed may still be on its way out of its files.
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async #run(port: number): Promise<void> {
    const child = spawn(
      process.execPath,
      [COMMAND, 'up', '--data', this.#directory, '--port', String(port), '--json'],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-4000);
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line) as { event: string; ws: string };
      if (event.event !== 'ready') {
        log += `${line}\n`;
        continue;
      }
      this.url = event.ws;
      child.stdout.resume();
      return;
    }
    throw new Error(`the broker did not start:\n${log}`);
  }
}
