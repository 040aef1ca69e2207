/**
 * One simulated run: a production shard, clients and chaos, all from one seed. The same seed and options give the same run,
 * step by step, so that a failure is a line to type.
 */
import { toSluiceError } from '../base/errors.ts';
import { QUEUE_LOCK_MS } from '../base/limits.ts';
import { type Prng, seededPrng } from '../base/prng.ts';
import { KIB, MIB } from '../base/units.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import type { CheckReport } from './history-report.ts';
import { RIG_CONFIG, whoSyncs } from './shard-rig.ts';
import { SimAudit } from './sim-audit.ts';
import { randomTemper, SimChaos } from './sim-chaos.ts';
import { SimClock } from './sim-clock.ts';
import { CHECKS } from './sim-halves.ts';
import type { SizePlan } from './sim-messages.ts';
import { RetentionWatch } from './sim-retention.ts';
import { type ShardPart, SimShard } from './sim-shard.ts';
import { SimStorage } from './sim-storage.ts';
import { randomPlan, type TimedPlan } from './sim-timed.ts';
import { type SimCounts, World } from './sim-world.ts';
import { Workload } from './workload.ts';

export type SimOptions = {
  readonly seed: number;
  /** `mixed`: the seed decides. */
  readonly sizes: SizePlan | 'mixed';
  readonly flush: 'sync' | 'async' | 'mixed';
  readonly steps: number;
};

export type SimResult = {
  readonly options: SimOptions;
  /** Why the run failed; undefined when everything held. */
  readonly failure: string | undefined;
  readonly report: CheckReport | undefined;
  readonly counts: SimCounts;
  readonly lives: number;
};

/** Steps of a run in the small size: some four lives. */
export const STEPS_DEFAULT = 400;
/** Share of seeds with delayed messages, with transactions, with locks, with messages that are sent back: each by itself. */
const TIMED_SHARE = 0.3;
/** Chance per step of a pause in which every lock ends, where there are any. */
const SLEEP_CHANCE = 0.004;
const SLEEP_MS: number = QUEUE_LOCK_MS + 1000;
const CAPACITY_BYTES: number = 8 * MIB;
/** Milliseconds that pass at once when time leaps: leases end, snapshots and retention are due. */
const LEAP_MS = 3000;

class SimRun {
  readonly world: World;
  private readonly prng: Prng;
  private readonly chaos: SimChaos;
  private readonly workload: Workload;
  private readonly parts: readonly ShardPart[];
  private readonly leap: number;
  private readonly timed: TimedPlan;
  private readonly retention: RetentionWatch;

  constructor(options: SimOptions) {
    const prng = seededPrng(options.seed);
    const clock = new SimClock();
    // The disk has chance of its own, so that one more call to it does not change what clients do.
    const storage = new SimStorage({
      ...{ prng: seededPrng(options.seed ^ 0x5bd1_e995), clock, capacityBytes: CAPACITY_BYTES },
    });
    const shard = new SimShard(storage, clock, randomConfig(prng, options));
    shard.isOverlapping = seededPrng(options.seed ^ 0x2c1b_3c6d).chance(0.5);
    this.prng = prng;
    const sizes =
      options.sizes === 'mixed' ? (prng.chance(0.5) ? 'fixed' : 'random') : options.sizes;
    this.world = new World(prng, shard, sizes);
    this.chaos = new SimChaos(this.world, randomTemper(prng), CAPACITY_BYTES);
    this.workload = new Workload(this.world, seededPrng(options.seed ^ 0x7f4a_7c15));
    this.timed = randomPlan(seededPrng(options.seed ^ 0x165_667b1), TIMED_SHARE);
    this.retention = new RetentionWatch(this.world);
    this.parts = turns(prng);
    this.leap = prng.chance(0.5) ? 0.02 : 0.005;
  }

  run(steps: number): CheckReport {
    const { world, chaos, workload } = this;
    world.recorder.phase('run');
    chaos.restartIfDead();
    workload.begin();
    workload.beginTimed(this.timed);
    for (let step = 0; step < steps; step += 1) this.step();
    const audit = new SimAudit(world, workload, chaos, () => this.retention.look());
    if (!world.shard.isAlive) this.revive();
    const report = audit.run();
    if (report.verdict === 'valid') return report;
    throw new Error(`the history is ${report.verdict}: ${describe(report)}`);
  }

  private step(): void {
    const { world, chaos, prng } = this;
    this.passTime();
    const part = this.parts[prng.integer(this.parts.length)] as ShardPart;
    world.shard.step(part);
    chaos.observe();
    if (this.revive()) return;
    if (prng.chance(0.7)) {
      world.link.take(world.rig);
      if (prng.chance(0.2)) world.sampleWatermarks();
    }
    this.retention.look();
    if (this.revive()) return;
    const actions = prng.integer(4);
    for (let action = 0; action < actions; action += 1) this.workload.act();
    this.workload.timed.act();
    chaos.disturb();
    const isFenced = world.shard.rig?.agent.context.fenced !== undefined;
    if (isFenced && prng.chance(0.1)) chaos.endLife();
    this.revive();
  }

  /** @returns true when the shard had to be opened again */
  private revive(): boolean {
    if (this.world.shard.isAlive) return false;
    this.world.shard.storage.faults.readsAfterFailedSync = 'mixed';
    const restarted = this.chaos.restartIfDead();
    this.workload.groups.lose();
    this.workload.timed.restarted();
    this.workload.resume(this.isExact);
    return restarted;
  }

  /** May nothing that was confirmed be missing? */
  private get isExact(): boolean {
    const { counts, flushMode } = this.world;
    if (flushMode === 'SYNC_FLUSH') return true;
    return counts.powerLosses === 0 && counts.diskErrors === 0;
  }

  /** Time passes, but the flusher is not kept from its turn for longer than its interval. */
  private passTime(): void {
    const { prng, world } = this;
    const isAsleep = this.timed.locks && prng.chance(SLEEP_CHANCE);
    const leapMs = isAsleep ? SLEEP_MS : prng.next() * LEAP_MS;
    const ms = isAsleep || prng.chance(this.leap) ? leapMs : prng.next() * 4;
    const { flushIntervalMs, flushMode } = world.shard.config;
    if (flushMode === 'SYNC_FLUSH') {
      world.clock.advance(ms);
      return;
    }
    for (let left = ms; left > 0 && world.shard.isAlive; left -= flushIntervalMs) {
      world.clock.advance(Math.min(left, flushIntervalMs));
      if (left <= flushIntervalMs) break;
      world.shard.step('flusher');
      this.chaos.observe();
    }
  }
}

/** Runs one seed. Never throws for what the shard does wrong: that is the result. */
export function simulate(options: SimOptions): SimResult {
  const run = new SimRun(options);
  let failure: string | undefined;
  let report: CheckReport | undefined;
  try {
    report = run.run(options.steps);
  } catch (error) {
    const { name, message, stack } = toSluiceError(error);
    failure =
      error instanceof Error ? (error.stack ?? error.message) : `${name} ${message} ${stack}`;
  }
  const { counts, shard } = run.world;
  return { options, failure, report, counts, lives: shard.lives };
}

/** The line that runs a seed again. */
export function reproduce({ seed, sizes, flush, steps }: SimOptions): string {
  return `npm run simulate -- --seed ${seed} --sizes ${sizes} --flush ${flush} --steps ${steps} --verbose`;
}

function randomConfig(prng: Prng, options: SimOptions): ShardConfig {
  const isAsync = options.flush === 'mixed' ? prng.chance(0.3) : options.flush === 'async';
  const sizes = [16 * KIB, 32 * KIB, 64 * KIB];
  const flushIntervalMs = 20 + prng.integer(100);
  return {
    ...RIG_CONFIG,
    ...CHECKS,
    flushMode: isAsync ? 'ASYNC_FLUSH' : 'SYNC_FLUSH',
    ...{ flushIntervalMs, ...whoSyncs(flushIntervalMs) },
    segmentBytes: sizes[prng.integer(3)] as number,
    tailBytes: sizes[prng.integer(3)] as number,
  };
}

/** How often each part has its turn: some seeds starve one of them. */
function turns(prng: Prng): readonly ShardPart[] {
  const parts: ShardPart[] = [];
  const add = (part: ShardPart, count: number): void => {
    for (let index = 0; index < count; index += 1) parts.push(part);
  };
  add('agent', 2 + prng.integer(4));
  add('flusher', 1 + prng.integer(4));
  add('job', 1 + prng.integer(2));
  return parts;
}

function describe({ anomalies, unknownReasons }: CheckReport): string {
  const lines = anomalies.slice(0, 6).map(({ kind, t, text }) => `${kind} at t ${t}: ${text}`);
  return [...lines, ...unknownReasons].join('\n  ');
}
