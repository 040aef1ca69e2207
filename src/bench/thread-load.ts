/** A load in a thread of its own, driven from here: calls go over as messages, answers come back. Event loop. */
import { Worker } from 'node:worker_threads';
import { type ErrorBody, SluiceError } from '../base/errors.ts';
import type { Load, LoadOutcome, LoadPlan, LoadSnapshot } from './load.ts';

const LOAD_WORKER: URL = new URL('./load-worker.js', import.meta.url);

/** A call and its arguments. */
export type LoadCall =
  | { readonly call: 'open' | 'begin' | 'stop' | 'close' }
  | { readonly call: 'measure'; readonly isOn: boolean };

/** What a call came to. */
export type LoadReply = { readonly value: unknown } | { readonly error: ErrorBody };

export class ThreadLoad implements Load {
  private readonly worker: Worker;
  private readonly exited: Promise<void>;
  private pending: ((reply: LoadReply) => void)[] = [];

  constructor(plan: LoadPlan) {
    this.worker = new Worker(LOAD_WORKER, { workerData: plan });
    this.worker.on('message', (reply: LoadReply) => this.pending.shift()?.(reply));
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => resolve());
    });
    this.worker.on('error', (error) => {
      const body = new SluiceError('INVARIANT', `a generator thread failed: ${error}`).toBody();
      for (const settle of this.pending.splice(0)) settle({ error: body });
    });
  }

  async open(): Promise<void> {
    await this.ask({ call: 'open' });
  }

  async begin(): Promise<void> {
    await this.ask({ call: 'begin' });
  }

  async measure(isOn: boolean): Promise<LoadSnapshot> {
    return (await this.ask({ call: 'measure', isOn })) as LoadSnapshot;
  }

  async stop(): Promise<LoadOutcome> {
    return (await this.ask({ call: 'stop' })) as LoadOutcome;
  }

  async close(): Promise<void> {
    await this.ask({ call: 'close' });
    await this.exited;
  }

  private async ask(call: LoadCall): Promise<unknown> {
    const reply = await new Promise<LoadReply>((resolve) => {
      this.pending.push(resolve);
      this.worker.postMessage(call);
    });
    if ('error' in reply) throw SluiceError.fromBody(reply.error);
    return reply.value;
  }
}
