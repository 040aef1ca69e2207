/** What happens to a simulated cluster: processes die, disks fail or are destroyed, ways are cut, a person promotes a slave. */
import { encodeAck } from '../replication/transfer-codec.ts';
import type { ClusterConsumers } from './cluster-consumers.ts';
import type { ClusterWorld } from './cluster-world.ts';
import { SimViolation } from './sim-invariants.ts';
import type { SimNode } from './sim-node.ts';

/** How often each trouble comes in a run, per step. */
export type ClusterTemper = {
  readonly death: number;
  readonly network: number;
  readonly disk: number;
  readonly promote: number;
  readonly lie: number;
  /** The same per hand-over. */
  readonly aim: number;
  /** Chance per step that a master that is down is started: where it is small, slaves are alone for long. */
  readonly revive: number;
};

const NO_CHANCE = 0;
const REVIVE_CHANCE = 0.08;
const CAN_BE_UNDER_WAY_BYTES = 1_000_000;
/** Attempts to start a broker after which it must have come up. */
const OPEN_ATTEMPTS_MAX = 50;

export class ClusterChaos {
  private readonly world: ClusterWorld;
  private readonly consumers: ClusterConsumers;
  private readonly temper: ClusterTemper;
  /** Faults have stopped. */
  isCalm = false;
  private salt = 100;
  private hasDestroyed = false;

  constructor(world: ClusterWorld, consumers: ClusterConsumers) {
    this.world = world;
    this.consumers = consumers;
    this.temper = randomTemper(world);
  }

  disturb(): void {
    const { world, temper } = this;
    const { prng } = world;
    if (prng.chance(temper.death)) this.kill(world.pick(world.nodes) as SimNode);
    if (prng.chance(temper.network)) this.disturbNetwork();
    if (prng.chance(temper.disk)) this.disturbDisk(world.pick(world.nodes) as SimNode);
    if (prng.chance(temper.promote)) this.promote();
    if (prng.chance(temper.lie)) this.lie();
    this.aim();
  }

  /** Starts what is down, by chance at once or later. */
  revive(node: SimNode): void {
    if (node.isAlive) return;
    const chance = node === this.world.master ? this.temper.revive : REVIVE_CHANCE;
    if (!this.isCalm && !this.world.prng.chance(chance)) return;
    this.start(node);
  }

  /** Starts a node under the reign of now. An old master may not have heard that it is over. */
  start(node: SimNode, isTold = false): void {
    const { world } = this;
    if (node.isAlive || node.rig !== undefined || node.storage.isDown) this.end(node, 'kill');
    const knows = isTold || this.isCalm || node.reign.epoch === 0 || world.prng.chance(0.8);
    const reign = knows ? world.reign : node.reign;
    for (let attempt = 0; attempt < OPEN_ATTEMPTS_MAX; attempt += 1) {
      if (node.open(reign)) {
        world.opened(node);
        return;
      }
      this.end(node, world.prng.chance(0.5) ? 'kill' : 'power-loss');
      // A sync that fails in recovery may take what stood in the page cache as well.
      world.lost(node, node.flushed);
      if (attempt > 5) this.calmDisk(node);
    }
    throw new SimViolation(`${node.name} does not open`);
  }

  end(node: SimNode, how: 'kill' | 'power-loss' | 'stop'): void {
    const { world } = this;
    // A sync that failed may have taken with it what stood in the page cache.
    const isFailed = node.rig?.flusher.failure !== undefined;
    node.end(how);
    if (how === 'power-loss' || isFailed) world.lost(node, node.flushed);
  }

  /** No more trouble: ways are open, disks work. */
  calm(): void {
    this.isCalm = true;
    this.world.network.heal();
    for (const node of this.world.nodes) this.calmDisk(node);
  }

  private kill(node: SimNode): void {
    const { prng, counts } = this.world;
    const choice = prng.next();
    if (choice < 0.45) {
      counts.kills += 1;
      this.end(node, 'kill');
    } else if (choice < 0.9) {
      counts.powerLosses += 1;
      this.end(node, 'power-loss');
    } else {
      counts.stops += 1;
      this.end(node, 'stop');
    }
  }

  /** A slave's power fails right after it has answered an ack; its master's disk or power while it hands over. */
  private aim(): void {
    const { world, consumers, temper } = this;
    const { prng, counts } = world;
    const { moment, momentOf } = consumers;
    consumers.moment = undefined;
    if (moment === undefined || !prng.chance(temper.aim)) return;
    const node = moment === 'settled' ? momentOf : world.master;
    if (node?.isAlive !== true) return;
    if (moment === 'sent') {
      counts.diskErrors += 1;
      node.storage.faults.errorChance.sync = 1;
    } else {
      counts.powerLosses += 1;
      this.end(node, 'power-loss');
    }
  }

  private disturbNetwork(): void {
    const { world } = this;
    const { prng, network } = world;
    const choice = prng.next();
    if (!network.isWhole && prng.chance(0.6)) network.heal();
    else if (choice < 0.4) network.breakOne();
    else if (choice < 0.5) (world.pick(world.nodes) as SimNode).dialAgain();
    else {
      const from = world.pick(world.nodes) as SimNode;
      const to = world.pick(world.nodes.filter((node) => node !== from)) as SimNode;
      world.counts.partitions += 1;
      network.cut(from.name, to.name);
      if (prng.chance(0.5)) network.cut(to.name, from.name);
    }
    network.delayMs = prng.chance(0.2) ? 30 : 1;
  }

  private disturbDisk(node: SimNode): void {
    const { prng, counts } = this.world;
    if (prng.chance(0.25)) {
      this.destroy(node);
      return;
    }
    counts.diskErrors += 1;
    const { faults } = node.storage;
    faults.errorChance.sync = prng.chance(0.5) ? 0.3 : NO_CHANCE;
    faults.errorChance.write = prng.chance(0.3) ? 0.1 : NO_CHANCE;
    faults.errorChance.read = prng.chance(0.2) ? 0.05 : NO_CHANCE;
    if (prng.chance(0.5))
      faults.crashAt(faults.boundary + prng.integer(30), prng.chance(0.5) ? 'before' : 'middle');
  }

  private calmDisk(node: SimNode): void {
    node.storage.faults.clear();
  }

  /** The disk of a broker is gone. A person gives the reign to another, and the broker comes back empty, as a slave. */
  private destroy(node: SimNode): void {
    const { world } = this;
    if (this.hasDestroyed) return;
    const isMaster = node === world.master;
    if (isMaster && !this.mayPromote(node)) return;
    this.hasDestroyed = true;
    world.counts.destroyed += 1;
    this.end(node, 'kill');
    this.salt += 1;
    node.storage = world.newStorage(this.salt);
    node.flushed = 0;
    node.reign = { epoch: 0, master: '' };
    world.lost(node, 0);
    if (isMaster) this.promote();
  }

  /** Would a person promote now? In the synchronous modes only when slaves are known to have everything. */
  private mayPromote(except: SimNode): boolean {
    const { world } = this;
    const others = world.nodes.filter(
      (node) => node !== world.master && node !== except && node.flushed > 0,
    );
    const slaves = world.nodes.filter((node) => node !== world.master);
    if (others.length === 0) return false;
    return !world.isSync || slaves.every((node) => world.caughtUp.has(node.name));
  }

  private promote(): void {
    const { world } = this;
    const { prng } = world;
    const old = world.master;
    if (!this.mayPromote(old)) return;
    // Nobody promotes a broker that has nothing, and in the synchronous modes nobody one while another slave has more.
    const slaves = world.nodes.filter((one) => one !== old && one.flushed > 0);
    const picked = world.pick(slaves);
    if (picked === undefined) return;
    const longest = slaves.reduce((left, right) =>
      world.heldEnd(right) > world.heldEnd(left) ? right : left,
    );
    const node = world.isSync ? longest : picked;
    world.counts.promotions += 1;
    world.reign.epoch += 1;
    world.reign.master = node.name;
    // Whoever promotes tells the other slaves at once; the old master is perhaps not to be reached.
    for (const other of world.nodes)
      if (other !== old) this.end(other, prng.chance(0.5) ? 'kill' : 'stop');
    this.start(node, true);
    world.promoted(node, node.rig?.memory.appended.observe() ?? 0);
    for (const other of world.nodes) if (other !== node && other !== old) this.start(other, true);
    if (prng.chance(0.5)) this.end(old, 'kill');
  }

  /** A slave confirms what it was never sent. Nothing may move by it. */
  private lie(): void {
    const { world } = this;
    for (const node of world.nodes) {
      // More than can be on its way: what was sent and has not arrived, no master can tell.
      const more = CAN_BE_UNDER_WAY_BYTES + 8 * world.prng.integer(10_000);
      if (node.isAlive && node.lie(more, encodeAck)) world.counts.lies += 1;
    }
  }
}

function randomTemper({ prng }: ClusterWorld): ClusterTemper {
  const some = (chance: number): number => (prng.chance(0.3) ? NO_CHANCE : chance * prng.next());
  return {
    death: some(0.03),
    network: some(0.03),
    disk: some(0.012),
    promote: some(0.008),
    lie: some(0.01),
    aim: prng.chance(0.5) ? 0.5 : NO_CHANCE,
    revive: prng.chance(0.5) ? 0.006 : REVIVE_CHANCE,
  };
}
