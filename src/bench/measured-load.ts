/** Runs something for the measured time and says what it did meanwhile, and what that cost here and in the broker. */
import { type Clock, sleep } from '../base/clock.ts';
import type { LoadSnapshot } from './load.ts';
import type { BrokerUsage, TargetBroker } from './target-broker.ts';

const MS_PER_SECOND = 1000;
const US_PER_SECOND = 1_000_000;
/** Part of the measured time that runs before it, for compilers and caches, within bounds. */
const WARM_UP_PART = 0.2;
const WARM_UP_SECONDS_MAX = 2;
/** Milliseconds between two questions whether it is over. */
const LOOK_INTERVAL_MS = 100;

export type Measured = {
  readonly messages: number;
  readonly bytes: number;
  /** On the monotonic clock. */
  readonly startMs: number;
  readonly seconds: number;
  /** Cores that this process kept busy. */
  readonly generatorCores: number;
  readonly serverCores: number | undefined;
  readonly usage: BrokerUsage;
};

/** Something that counts. */
export type Counting = { measure(isOn: boolean): Promise<LoadSnapshot> };

export function warmUpSeconds(seconds: number): number {
  return Math.min(WARM_UP_SECONDS_MAX, seconds * WARM_UP_PART);
}

/**
 * Measures from now on.
 *
 * @param isOver - asked now and then; the time is also over after `secondsMax`
 */
export async function measureWhile(
  counting: Counting,
  broker: TargetBroker,
  clock: Clock,
  secondsMax: number,
  isOver: (elapsedSeconds: number) => boolean,
): Promise<Measured> {
  const usageBefore = await broker.usage();
  const cpuBefore = process.cpuUsage();
  const before = await counting.measure(true);
  const startMs = clock.monotonicMs();
  const elapsed = (): number => (clock.monotonicMs() - startMs) / MS_PER_SECOND;
  for (let left = secondsMax; left > 0 && !isOver(elapsed()); left = secondsMax - elapsed())
    await sleep(Math.min(LOOK_INTERVAL_MS, left * MS_PER_SECOND));
  const after = await counting.measure(false);
  const seconds = elapsed();
  const cpu = process.cpuUsage(cpuBefore);
  const usage = await broker.usage();
  const serverSeconds =
    usage.cpuSeconds === undefined || usageBefore.cpuSeconds === undefined
      ? undefined
      : usage.cpuSeconds - usageBefore.cpuSeconds;
  return {
    messages: after.messages - before.messages,
    bytes: after.bytes - before.bytes,
    startMs,
    seconds,
    generatorCores: (cpu.user + cpu.system) / US_PER_SECOND / seconds,
    serverCores: serverSeconds === undefined ? undefined : serverSeconds / seconds,
    usage,
  };
}
