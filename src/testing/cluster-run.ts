/**
 * One simulated cluster: a master and its slaves, replication over a simulated network, clients and chaos, all from one seed.
 * The same seed and steps give the same run.
 */
import { ClusterAudit } from './cluster-audit.ts';
import { ClusterChaos } from './cluster-chaos.ts';
import { ClusterClients } from './cluster-clients.ts';
import { type ClusterCounts, ClusterWorld } from './cluster-world.ts';
import type { NodePart, SimNode } from './sim-node.ts';

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

class ClusterRun {
  readonly world: ClusterWorld;
  private readonly chaos: ClusterChaos;
  private readonly clients: ClusterClients;
  private readonly parts: readonly NodePart[];

  constructor(seed: number) {
    this.world = new ClusterWorld(seed);
    this.chaos = new ClusterChaos(this.world);
    this.clients = new ClusterClients(this.world);
    this.parts = turns(this.world);
  }

  run(steps: number): void {
    const { world, chaos, clients } = this;
    for (const node of world.nodes) chaos.start(node);
    for (let step = 0; step < steps; step += 1) {
      this.step();
      const actions = world.prng.integer(3);
      for (let action = 0; action < actions; action += 1) clients.act();
      chaos.disturb();
    }
    new ClusterAudit(world, clients, chaos, () => this.step()).run();
  }

  /** A few turns of every broker, in any order; time passes, bytes arrive. */
  private step(): void {
    const { world, chaos } = this;
    const { prng } = world;
    world.clock.advance(prng.chance(0.01) ? prng.next() * LEAP_MS : prng.next() * 4);
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
