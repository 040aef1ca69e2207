/**
 * The master's side of one shard: its connections, what enough slaves have, and whether the shard may take sends. Runs on the
 * replication thread; knows the shard by its shared memory and its ring pair.
 */
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import {
  GATE_FENCED,
  GATE_NO_SLAVE,
  GATE_OPEN,
  GATE_UNDECIDED,
  type LogMemory,
} from '../log/log-memory.ts';
import type { Storage } from '../log/storage.ts';
import type { ReplicaState } from '../protocol/shard-control.ts';
import type { ByteLink } from './byte-link.ts';
import type { LogSource } from './log-source.ts';
import { type LinkHost, ReplicaLink } from './replica-link.ts';
import { replicatedPosition } from './replicated-position.ts';
import type { ShardDoor } from './shard-door.ts';

/** Connections of one shard that may be open at a time, those that have not said who they are included. */
const LINKS_MAX = 64;
/** Milliseconds that deliveries wait for slaves, which may have settled something while this master was away. */
const HEAR_MS_MAX = 5000;

export type MasterShardOptions = {
  readonly shard: number;
  readonly shards: number;
  readonly epoch: number;
  /** This broker's own name, as it calls itself when it is a slave. */
  readonly name: string;
  /** Empty: only connections of this machine are taken. */
  readonly secret: string;
  readonly isSyncMaster: boolean;
  /** Brokers that must have a message, this one counted. */
  readonly inSyncReplicas: number;
  readonly isSyncFlush: boolean;
  /** Bytes that a slave may be behind and still counts as near. @source RocketMQ haSlaveFallbehindMax */
  readonly fallBehindBytesMax: number;
  readonly memory: LogMemory;
  readonly source: LogSource;
  readonly storage: Storage;
  readonly door: ShardDoor;
  readonly clock: Clock;
  /** 32 bytes that nobody can foresee. */
  readonly nonce: () => Uint8Array;
  /** Where clients find this broker, for slaves to name; empty while it is not known. */
  readonly address?: () => string;
  /** Something that a person should know. */
  readonly onRefused: (text: string) => void;
  /** Deliveries begin without having heard of these slaves: what was settled with them may come again. */
  readonly onUnheard?: (names: readonly string[]) => void;
};

export class MasterShard implements LinkHost {
  readonly shard: number;
  readonly shards: number;
  readonly epoch: number;
  readonly secret: string;
  readonly source: LogSource;
  readonly storage: Storage;
  readonly door: ShardDoor;
  readonly links: ReplicaLink[] = [];
  /** The newer epoch that ended this reign; 0: it goes on. */
  fencedBy = 0;
  refusedCount = 0;
  private readonly options: MasterShardOptions;
  private first: ReplicaState | undefined;
  private isAsked = false;
  /** Slaves whose log was compared with this one in this life. */
  private readonly names = new Set<string>();
  /** Slaves that have handed over what was settled with them. */
  private readonly heardNames = new Set<string>();
  private ledAtMs = 0;
  private isHeardTold = false;
  private isResumed = false;
  private hasLed = false;
  private replicated = 0;

  constructor(options: MasterShardOptions) {
    this.options = options;
    this.shard = options.shard;
    this.shards = options.shards;
    this.epoch = options.epoch;
    this.secret = options.secret;
    this.source = options.source;
    this.storage = options.storage;
    this.door = options.door;
  }

  /** A connection has come in. @returns undefined when there are too many: it is closed */
  accept(link: ByteLink, isLoopback: boolean): ReplicaLink | undefined {
    if (this.links.length >= LINKS_MAX) {
      link.close();
      return undefined;
    }
    const replica = new ReplicaLink(this, link, isLoopback, this.options.clock.monotonicMs());
    this.links.push(replica);
    return replica;
  }

  /** One duty cycle. @returns work done */
  doWork(): number {
    const nowMs = this.options.clock.monotonicMs();
    let work = this.door.poll();
    if (this.first === undefined && !this.isAsked)
      this.isAsked = this.door.askState((state) => {
        this.first = state;
      });
    for (const link of [...this.links]) {
      work += this.turn(link, nowMs);
      if (link.isClosed) this.links.splice(this.links.indexOf(link), 1);
    }
    this.publishReplicated();
    this.decideGate(nowMs);
    this.decideDeliveries(nowMs);
    return work;
  }

  /** A disk that cannot be read costs the connection; what is written there is the flusher's to judge. */
  private turn(link: ReplicaLink, nowMs: number): number {
    try {
      return link.doWork(nowMs);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.refused(`${link.name}: ${error.message}`);
      link.close();
      return 1;
    }
  }

  /** A person says that no slave has more than this master: it takes writes again. */
  resumeWrites(): void {
    this.isResumed = true;
  }

  /** Slaves that are connected, alive and near: they count for an acknowledgement. */
  nearCount(): number {
    const safe = this.safe();
    return this.links.filter(
      (link) =>
        link.phase === 'streaming' &&
        link.acked >= 0 &&
        safe - link.acked <= this.options.fallBehindBytesMax,
    ).length;
  }

  nonce(): Uint8Array {
    return this.options.nonce();
  }

  safe(): number {
    const { memory, isSyncFlush } = this.options;
    return isSyncFlush ? memory.flushed.observe() : memory.written.observe();
  }

  address(): string {
    return this.options.address?.() ?? '';
  }

  safeOnDisk(position: number): boolean {
    return this.options.memory.flushed.observe() >= position;
  }

  commit(): number {
    return this.options.memory.commit.observe();
  }

  compared(link: ReplicaLink): void {
    // One connection a slave: an older one is a connection that does not know yet that it is dead.
    for (const other of this.links) if (other !== link && other.name === link.name) other.close();
    this.names.add(link.name);
  }

  heard(link: ReplicaLink): void {
    this.heardNames.add(link.name);
  }

  fence(epoch: number): void {
    this.fencedBy = Math.max(this.fencedBy, epoch);
  }

  mayFetch(link: ReplicaLink): boolean {
    return this.links.every((other) => other === link || other.phase !== 'fetching');
  }

  refused(text: string): void {
    this.refusedCount += 1;
    this.options.onRefused(text);
  }

  private publishReplicated(): void {
    const { isSyncMaster, inSyncReplicas, memory } = this.options;
    if (!isSyncMaster) return;
    const safe = this.safe();
    const acked: number[] = [];
    for (const link of this.links) {
      if (link.phase === 'streaming' && link.acked >= 0) acked.push(link.acked);
      // What it sends us it has.
      if (link.phase === 'fetching') acked.push(safe);
    }
    const position = Math.min(replicatedPosition(acked, inSyncReplicas - 1), safe);
    if (position <= this.replicated) return;
    this.replicated = position;
    memory.replicated.publish(position);
  }

  private decideGate(nowMs: number): void {
    const { memory, isSyncMaster, inSyncReplicas } = this.options;
    if (this.fencedBy > 0) {
      memory.setGate(GATE_FENCED);
      return;
    }
    if (this.first === undefined) return;
    if (!this.hasLed && !this.mayLead(this.first)) {
      memory.setGate(GATE_UNDECIDED);
      return;
    }
    if (!this.hasLed) this.ledAtMs = nowMs;
    this.hasLed = true;
    const isShort = isSyncMaster && this.nearCount() < inSyncReplicas - 1;
    memory.setGate(isShort ? GATE_NO_SLAVE : GATE_OPEN);
  }

  /** What slaves have settled while this master was away is not to go out again. */
  private decideDeliveries(nowMs: number): void {
    const { first } = this;
    if (this.isHeardTold || first === undefined || !this.hasLed) return;
    const missing = first.replicas.filter(
      (name) => name !== this.options.name && !this.heardNames.has(name),
    );
    const isOver = this.isResumed || nowMs - this.ledAtMs >= HEAR_MS_MAX;
    if (missing.length > 0 && !isOver) return;
    this.isHeardTold = this.door.slavesHeard();
    if (this.isHeardTold && missing.length > 0) this.options.onUnheard?.(missing);
  }

  /** Can no slave have more of what was acknowledged than this log? */
  private mayLead(state: ReplicaState): boolean {
    if (!state.isFollowing || this.isResumed) return true;
    if (this.links.some((link) => link.phase === 'fetching')) return false;
    if (this.options.isSyncMaster && this.names.size === 0) return false;
    // Who never was a slave of this log tells nothing of what others may have more.
    const known = [...this.names].filter((name) => state.replicas.includes(name));
    return known.length >= this.comparisonsNeeded(state);
  }

  private comparisonsNeeded(state: ReplicaState): number {
    const { isSyncMaster, inSyncReplicas, isSyncFlush, name } = this.options;
    const isSame = (state.epochs.at(-1)?.epoch ?? this.epoch) === this.epoch;
    // This broker was the master itself, and lost nothing of what its disk had confirmed.
    if (isSyncFlush && isSame) return 0;
    // Nobody but those whose names are in the log was ever sent a byte of it by this reign.
    if (!isSyncMaster) return state.replicas.some((one) => one !== name) ? 1 : 0;
    // Each acknowledged message is with `inSyncReplicas - 1` of those that were ever slaves: among so many there is one of them.
    const isOneOfThem = state.replicas.includes(name);
    return state.replicas.length - (inSyncReplicas - 1) + 1 - (isOneOfThem ? 1 : 0);
  }
}
