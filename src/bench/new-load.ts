/** The load that a plan asks for, in this thread; and several in threads of their own as one. */
import type { Clock } from '../base/clock.ts';
import { ClientLoad } from './client-load.ts';
import type { Load, LoadOutcome, LoadPlan, LoadSnapshot } from './load.ts';
import { newLatencyHistogram } from './load-counters.ts';
import { OpenLoopLoad } from './open-loop-load.ts';
import { PreparedLoad } from './prepared-load.ts';
import { ThreadLoad } from './thread-load.ts';

/** A load that runs here. */
export function newLoad(plan: LoadPlan, clock: Clock): Load {
  if (plan.kind === 'prepared') return new PreparedLoad(plan, clock);
  return plan.ratePerSecond === undefined
    ? new ClientLoad(plan, clock)
    : new OpenLoopLoad(plan, clock);
}

/** The same load on several threads, its producers shared out; on one thread it runs here. */
export function newThreadedLoad(plan: LoadPlan, threads: number, clock: Clock): Load {
  if (threads <= 1) return newLoad(plan, clock);
  const parts = Array.from({ length: threads }, (_, thread) => {
    const producers = plan.producers.filter((_number, index) => index % threads === thread);
    const share = producers.length / plan.producers.length;
    const rate = plan.ratePerSecond === undefined ? undefined : plan.ratePerSecond * share;
    return new ThreadLoad({ ...plan, producers, ratePerSecond: rate });
  });
  return new LoadGroup(parts);
}

/** Several loads as one. */
export class LoadGroup implements Load {
  private readonly parts: readonly Load[];

  constructor(parts: readonly Load[]) {
    this.parts = parts;
  }

  async open(): Promise<void> {
    await Promise.all(this.parts.map((part) => part.open()));
  }

  async begin(): Promise<void> {
    await Promise.all(this.parts.map((part) => part.begin()));
  }

  async measure(isOn: boolean): Promise<LoadSnapshot> {
    return sumOf(await Promise.all(this.parts.map((part) => part.measure(isOn))));
  }

  async stop(): Promise<LoadOutcome> {
    const outcomes = await Promise.all(this.parts.map((part) => part.stop()));
    const latency = newLatencyHistogram();
    for (const outcome of outcomes) latency.add(outcome.latency as typeof latency);
    return {
      ...sumOf(outcomes),
      latency,
      refusals: outcomes.reduce((total, { refusals }) => total + refusals, 0),
      duplicateAnswers: outcomes.reduce((total, one) => total + one.duplicateAnswers, 0),
      acked: outcomes.flatMap(({ acked }) => acked),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.parts.map((part) => part.close()));
  }
}

function sumOf(snapshots: readonly LoadSnapshot[]): LoadSnapshot {
  return {
    messages: snapshots.reduce((total, { messages }) => total + messages, 0),
    bytes: snapshots.reduce((total, { bytes }) => total + bytes, 0),
  };
}
