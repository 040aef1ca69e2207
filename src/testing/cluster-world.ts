/**
 * What the parts of a simulated cluster share: the brokers, who reigns, and what is known of every message that a client was
 * told about. It judges what a fault may take: a message is lost by right only when no broker holds it any more.
 */
import { type Prng, seededPrng } from '../base/prng.ts';
import { KIB, MIB } from '../base/units.ts';
import type { ShardConfig, ShardReplication } from '../shard/shard-config.ts';
import { RIG_CONFIG, whoSyncs } from './shard-rig.ts';
import { SimClock } from './sim-clock.ts';
import { CHECKS } from './sim-halves.ts';
import { SimViolation } from './sim-invariants.ts';
import { MessageLedger } from './sim-messages.ts';
import { SimNetwork } from './sim-network.ts';
import { SimNode, type SimReign } from './sim-node.ts';
import { type LogPlace, NO_SITE_COUNTS, type SiteCounts } from './sim-site.ts';
import { SimStorage } from './sim-storage.ts';

export const QUEUES = 3;
export const TOPIC_ID = 1;
export const GROUP_ID = 1;
const CAPACITY_BYTES: number = 16 * MIB;

/** Something that a client was told: a message at its place, or the position of a group. */
export type Told = {
  /** Message id, or `group q`. */
  readonly what: string;
  readonly q: number;
  readonly offset: number;
  /** Its record ends here in the log, or below. */
  readonly end: number;
  /** The reign under which it was told. */
  readonly epoch: number;
  readonly isAcked: boolean;
};

/** Somebody who follows what becomes of the brokers. */
export interface ClusterWatcher {
  /** After each step of a node. */
  observe(node: SimNode): void;
  /** Its shard has opened. */
  opened(node: SimNode): void;
  /** It has lost what it had behind its flushed position, or everything. */
  lost(node: SimNode, flushed: number, isHeld: (place: LogPlace) => boolean): void;
  /** Another broker reigns. @param has - is that in its log? */
  promoted(has: (place: LogPlace) => boolean): void;
}

export type ClusterMode = Omit<ShardReplication, 'role'> & {
  readonly flush: ShardConfig['flushMode'];
  readonly nodeCount: number;
};

export type ClusterCounts = SiteCounts & {
  acked: number;
  read: number;
  kills: number;
  powerLosses: number;
  stops: number;
  diskErrors: number;
  destroyed: number;
  promotions: number;
  partitions: number;
  lies: number;
  excused: number;
  noSlave: number;
  slaveTimeouts: number;
  notMaster: number;
  /** Messages whose ack a slave has answered, and of those how many it has handed over. */
  settledAtSlaves: number;
  handedOver: number;
  gapsByRight: number;
};

export class ClusterWorld {
  readonly prng: Prng;
  readonly clock: SimClock = new SimClock();
  readonly network: SimNetwork;
  readonly nodes: SimNode[] = [];
  readonly mode: ClusterMode;
  readonly config: ShardConfig;
  readonly ledger: MessageLedger = new MessageLedger();
  readonly reign: SimReign = { epoch: 1, master: 'a' };
  /** By `q offset`, and groups by `group q`. */
  readonly told: Map<string, Told> = new Map();
  readonly counts: ClusterCounts = zeroCounts();
  /** Who has written under an epoch. */
  private readonly writers = new Map<number, string>();
  /** Highest position that a node holds through a kill, and the newest epoch in it. */
  private readonly held = new Map<string, { end: number; epoch: number }>();
  /** Slaves that were seen to have everything since their disk was new. */
  readonly caughtUp: Set<string> = new Set();
  private readonly openCommit = new Map<string, number>();
  /** Highest commit position that any master has published. */
  private commitMax = 0;
  readonly watchers: ClusterWatcher[] = [];
  private readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
    this.prng = seededPrng(seed);
    this.mode = randomMode(this.prng);
    this.network = new SimNetwork(seededPrng(seed ^ 0x2545_f491), this.clock);
    this.config = randomConfig(this.prng, this.mode);
    for (let index = 0; index < this.mode.nodeCount; index += 1)
      this.nodes.push(this.newNode('abc'[index] as string, index));
  }

  get isSync(): boolean {
    return this.mode.ack === 'SYNC_MASTER';
  }

  node(name: string): SimNode {
    return this.nodes.find((node) => node.name === name) as SimNode;
  }

  /** Where clients send: the broker that reigns, whether it lives or not. */
  get master(): SimNode {
    return this.node(this.reign.master);
  }

  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[this.prng.integer(items.length)];
  }

  newStorage(salt: number): SimStorage {
    return new SimStorage({
      prng: seededPrng(this.seed ^ (0x5bd1_e995 + salt * 7919)),
      clock: this.clock,
      capacityBytes: CAPACITY_BYTES,
    });
  }

  /** A client was told something by `node`. @throws SimViolation when it contradicts what was told before */
  tell(key: string, told: Told, node: SimNode): void {
    if (told.isAcked) this.checkHeld(told, node);
    const before = this.told.get(key);
    if (before !== undefined && before.what !== told.what)
      throw new SimViolation(
        `${key} was ${JSON.stringify(before)} and is ${JSON.stringify(told)} at ${node.name}, reign ${this.reign.epoch} of ${this.reign.master}`,
      );
    const isAcked = told.isAcked || before?.isAcked === true;
    const end = before === undefined ? told.end : Math.min(before.end, told.end);
    this.told.set(key, { ...told, end, isAcked, epoch: before?.epoch ?? told.epoch });
  }

  /** In the modes that promise it, what is acknowledged was safe on enough other brokers at that moment. */
  private checkHeld(told: Told, node: SimNode): void {
    if (!this.isSync) return;
    const others = this.nodes.filter((other) => other !== node && other.safeMax >= told.end);
    if (others.length >= this.mode.inSyncReplicas - 1) return;
    throw new SimViolation(
      `${told.what} was acknowledged by ${node.name} and no slave has ${told.end}`,
    );
  }

  /** Looks at a node after each of its steps. */
  observe(node: SimNode): void {
    const { rig } = node;
    if (rig === undefined) return;
    for (const watcher of this.watchers) watcher.observe(node);
    const { memory } = rig;
    const { context } = rig.agent;
    const end = memory.written.observe();
    this.held.set(node.name, { end, epoch: epochAt(context.state.epochs, end) });
    const commit = memory.commit.observe();
    if (commit > node.safe())
      throw new SimViolation(`${node.name} commits ${commit} above ${node.safe()}`);
    if (node.isMaster) this.observeMaster(node, commit);
    else if (commit > Math.max(this.commitMax, this.openCommit.get(node.name) ?? 0))
      throw new SimViolation(`slave ${node.name} commits ${commit}, its master ${this.commitMax}`);
  }

  private observeMaster(node: SimNode, commit: number): void {
    const { rig } = node;
    if (rig === undefined) return;
    const { context } = rig.agent;
    const { epoch } = node.reign;
    if (!context.isFollowing) {
      const writer = this.writers.get(epoch) ?? node.name;
      this.writers.set(epoch, writer);
      if (writer !== node.name)
        throw new SimViolation(`${writer} and ${node.name} write under epoch ${epoch}`);
    }
    if (this.isSync && commit > (this.openCommit.get(node.name) ?? 0)) {
      const others = this.nodes.filter((other) => other !== node && other.safeMax >= commit);
      if (others.length < this.mode.inSyncReplicas - 1)
        throw new SimViolation(`${node.name} commits ${commit}, which too few slaves have`);
    }
    if (node !== this.master) return;
    this.commitMax = Math.max(this.commitMax, commit);
    for (const link of node.master?.links ?? [])
      if (link.phase === 'streaming' && link.acked >= node.safe()) this.caughtUp.add(link.name);
  }

  /** A process has started. */
  opened(node: SimNode): void {
    this.openCommit.set(node.name, node.rig?.memory.commit.observe() ?? 0);
    for (const watcher of this.watchers) watcher.opened(node);
  }

  /** A node has lost what it had behind its flushed position, or everything. */
  lost(node: SimNode, flushed: number): void {
    const held = this.held.get(node.name) ?? { end: 0, epoch: 0 };
    this.held.set(node.name, { ...held, end: Math.min(held.end, flushed) });
    if (flushed < held.end || flushed === 0) this.caughtUp.delete(node.name);
    for (const [key, told] of this.told) if (!this.isHeld(told)) this.excuse(key);
    for (const watcher of this.watchers) watcher.lost(node, flushed, (place) => this.isHeld(place));
  }

  /** Another broker reigns now: what it does not have is gone, where the mode allows that. */
  promoted(node: SimNode, end: number): void {
    const epochs = node.rig?.agent.context.state.epochs ?? [];
    const newest = epochs.findLast(({ epoch }) => epoch < this.reign.epoch)?.epoch ?? 0;
    this.caughtUp.clear();
    this.commitMax = Math.max(this.commitMax, end);
    const has = (place: LogPlace): boolean =>
      this.isSync || (place.end <= end && place.epoch <= newest);
    for (const watcher of this.watchers) watcher.promoted(has);
    if (this.isSync) return;
    // Nor has it what the reign before wrote, when it has not followed that.
    for (const [key, told] of this.told)
      if (told.end > end || told.epoch > newest) this.excuse(key);
    this.held.set(node.name, { end, epoch: this.reign.epoch });
  }

  /** What a node holds through a kill. */
  heldEnd(node: SimNode): number {
    return this.held.get(node.name)?.end ?? 0;
  }

  excuse(key: string): void {
    if (this.told.delete(key)) this.counts.excused += 1;
  }

  private isHeld(told: LogPlace): boolean {
    return this.nodes.some((node) => {
      const held = this.held.get(node.name) ?? { end: 0, epoch: 0 };
      return held.end >= told.end && held.epoch >= told.epoch;
    });
  }

  private newNode(name: string, index: number): SimNode {
    const { clock, network, config, mode } = this;
    const { ack, inSyncReplicas, syncFlushTimeoutMs } = mode;
    return new SimNode({
      ...{ name, clock, network, config, storage: this.newStorage(index) },
      ack: { ack, inSyncReplicas, syncFlushTimeoutMs },
      prng: seededPrng(this.seed ^ (0x1656_67b1 + index)),
    });
  }
}

/** The newest epoch with a header below `end`. */
function epochAt(epochs: readonly { epoch: number; first: number }[], end: number): number {
  return epochs.findLast(({ first }) => first < end)?.epoch ?? 0;
}

function randomMode(prng: Prng): ClusterMode {
  const ack = prng.chance(0.6) ? 'SYNC_MASTER' : 'ASYNC_MASTER';
  const flush = prng.chance(0.55) ? 'SYNC_FLUSH' : 'ASYNC_FLUSH';
  // Alone and asynchronous in both, a third broker may have what neither of the others has: a person's case.
  const mayBeThree = ack === 'SYNC_MASTER' || flush === 'SYNC_FLUSH';
  const nodeCount = mayBeThree && prng.chance(0.25) ? 3 : 2;
  return { ack, flush, nodeCount, inSyncReplicas: 2, syncFlushTimeoutMs: 200 + prng.integer(800) };
}

function randomConfig(prng: Prng, mode: ClusterMode): ShardConfig {
  const sizes = [16 * KIB, 32 * KIB, 64 * KIB];
  const segmentBytes = sizes[prng.integer(3)] as number;
  const flushIntervalMs = 20 + prng.integer(100);
  return {
    ...RIG_CONFIG,
    ...CHECKS,
    flushMode: mode.flush,
    ...{ flushIntervalMs, ...whoSyncs(flushIntervalMs) },
    segmentBytes,
    tailBytes: sizes[prng.integer(3)] as number,
    retentionBytes: prng.chance(0.35) ? 3 * segmentBytes : null,
  };
}

function zeroCounts(): ClusterCounts {
  return {
    ...{ acked: 0, read: 0, kills: 0, powerLosses: 0, stops: 0, diskErrors: 0, destroyed: 0 },
    ...{ promotions: 0, partitions: 0, lies: 0, excused: 0, noSlave: 0, slaveTimeouts: 0 },
    ...{ notMaster: 0, settledAtSlaves: 0, handedOver: 0, gapsByRight: 0 },
    ...NO_SITE_COUNTS,
  };
}
