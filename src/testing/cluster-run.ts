/**
 * One simulated cluster: a master and its slaves, replication over a simulated network, clients and chaos, all from one seed.
 * The same seed and steps give the same run.
 */
import { seededPrng } from '../base/prng.ts';
import { ClusterAudit } from './cluster-audit.ts';
import { ClusterChaos } from './cluster-chaos.ts';
import { ClusterClients } from './cluster-clients.ts';
import { ClusterConsumers } from './cluster-consumers.ts';
import { ClusterSite, TimedWatcher } from './cluster-site.ts';
import { type ClusterCounts, ClusterWorld } from './cluster-world.ts';
import type { NodePart, SimNode } from './sim-node.ts';
import { randomPlan, SimTimed } from './sim-timed.ts';

export type ClusterOptions = { readonly seed: number; readonly steps: number };

export type ClusterResult = {
  readonly options: ClusterOptions;
  /** Why the run failed; undefined when everything held. */
  readonly failure: string | undefined;
  readonly counts: ClusterCounts & {
    opens: number;
    cuts: number;
    replaced: number;
    refusals: number;
  };
};

export const CLUSTER_STEPS_DEFAULT = 400;
/** Milliseconds that pass at once when time leaps. */
const LEAP_MS = 2000;
const LEAP_CHANCE = 0.01;
/** The same without a master: what slaves do then begins after a while. */
const LEAP_CHANCE_ALONE = 0.05;
/** Share of seeds with delayed messages, with transactions, with locks, with messages that are sent back: each by itself. */
const TIMED_SHARE = 0.4;

class ClusterRun {
  readonly world: ClusterWorld;
  private readonly chaos: ClusterChaos;
  private readonly clients: ClusterClients;
  private readonly consumers: ClusterConsumers;
  private readonly timed: SimTimed;
  private readonly parts: readonly NodePart[];

  constructor(seed: number) {
    this.world = new ClusterWorld(seed);
    this.consumers = new ClusterConsumers(this.world);
    this.chaos = new ClusterChaos(this.world, this.consumers);
    this.clients = new ClusterClients(this.world);
    const site = new ClusterSite(this.world, this.clients);
    this.timed = new SimTimed(site, seededPrng(seed ^ 0x7f4a_7c15));
    const plan = randomPlan(seededPrng(seed ^ 0x165_667b1), TIMED_SHARE);
    this.timed.begin(plan, (name) => site.topic(name), site.topic(undefined));
    new TimedWatcher(this.world, this.timed);
    this.parts = turns(this.world);
  }

  run(steps: number): void {
    const { world, chaos, clients, consumers, timed } = this;
    for (const node of world.nodes) chaos.start(node);
    for (let step = 0; step < steps; step += 1) {
      this.step();
      const actions = world.prng.integer(3);
      for (let action = 0; action < actions; action += 1) clients.act();
      if (clients.topicExists && world.prng.chance(0.5)) consumers.act();
      this.timed.act();
      chaos.disturb();
    }
    const step = (): void => this.step();
    new ClusterAudit({ world, clients, consumers, timed, chaos, step }).run();
  }

  /** A few turns of every broker, in any order; time passes, bytes arrive. */
  private step(): void {
    const { world, chaos } = this;
    const { prng } = world;
    const leapChance = world.master.isAlive ? LEAP_CHANCE : LEAP_CHANCE_ALONE;
    world.clock.advance(prng.chance(leapChance) ? prng.next() * LEAP_MS : prng.next() * 4);
    world.network.step();
    for (let turn = 0; turn < 4 * world.nodes.length; turn += 1) {
      const node = world.pick(world.nodes) as SimNode;
      if (!node.isAlive) continue;
      node.step(world.pick(this.parts) as NodePart);
      if (node.isAlive) this.look(node);
    }
    for (const node of world.nodes) {
      const isFenced = node.rig?.agent.context.fenced !== undefined;
      if (isFenced && prng.chance(0.05)) chaos.end(node, 'kill');
      chaos.revive(node);
    }
  }

  private look(node: SimNode): void {
    if (node.reopened) {
      node.reopened = false;
      this.world.opened(node);
    }
    this.world.observe(node);
    if (node.rig !== undefined && this.world.prng.chance(0.5)) node.link.take(node.rig);
  }
}

/** Runs one seed. Never throws for what a broker does wrong: that is the result. */
export function simulateCluster(options: ClusterOptions): ClusterResult {
  const run = new ClusterRun(options.seed);
  let failure: string | undefined;
  try {
    run.run(options.steps);
  } catch (error) {
    const { flush, ack, nodeCount } = run.world.mode;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    failure = `${flush} ${ack} ${nodeCount} brokers: ${text}`;
  }
  const { counts, nodes } = run.world;
  const sum = (of: (node: SimNode) => number): number =>
    nodes.reduce((total, node) => total + of(node), 0);
  return {
    options,
    failure,
    counts: {
      ...counts,
      opens: sum((node) => node.counts.opens),
      cuts: sum((node) => node.counts.cuts),
      replaced: sum((node) => node.counts.replaced),
      refusals: sum((node) => node.refusals.length),
    },
  };
}

/** The line that runs a seed again. */
export function reproduceCluster({ seed, steps }: ClusterOptions): string {
  return `npm run simulate -- --cluster --seed ${seed} --steps ${steps} --verbose`;
}

/** How often each part has its turn: some seeds starve one of them. */
function turns({ prng }: ClusterWorld): readonly NodePart[] {
  const parts: NodePart[] = [];
  const add = (part: NodePart, count: number): void => {
    for (let index = 0; index < count; index += 1) parts.push(part);
  };
  add('agent', 2 + prng.integer(3));
  add('flusher', 1 + prng.integer(3));
  add('replication', 1 + prng.integer(3));
  add('job', 1);
  return parts;
}
