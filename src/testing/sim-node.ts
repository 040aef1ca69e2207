/**
 * One broker of a simulated cluster: a production shard with its side of replication, on a disk and clock of the simulation,
 * over all its lives. It does what a broker process would: opens, dials its master, carries out what a verdict demands.
 */
import { SluiceError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { cutTail } from '../log/cut-tail.ts';
import { AloneWatch } from '../replication/alone-watch.ts';
import { MasterShard } from '../replication/master-shard.ts';
import { SlaveLink } from '../replication/slave-link.ts';
import { chunkBytesOf, type ShardConfig, type ShardReplication } from '../shard/shard-config.ts';
import { ShardRig } from './shard-rig.ts';
import type { SimClock } from './sim-clock.ts';
import { SimCrash } from './sim-faults.ts';
import { SimLink } from './sim-link.ts';
import type { SimNetwork, SimSocket } from './sim-network.ts';
import type { SimStorage } from './sim-storage.ts';

/** What decides who reigns: a person, here the seed. */
export type SimReign = { epoch: number; master: string };

export type NodePart = 'agent' | 'flusher' | 'job' | 'replication';

const SECRET = 'a credential of the replication only';
/** Milliseconds between two attempts to reach the master. */
const DIAL_INTERVAL_MS = 50;
/** The same after a refusal. */
const REFUSED_INTERVAL_MS = 1000;

export class SimNode {
  readonly name: string;
  storage: SimStorage;
  readonly link: SimLink = new SimLink();
  rig: ShardRig | undefined;
  master: MasterShard | undefined;
  slave: SlaveLink | undefined;
  /** The reign that this process knows: it is told at its start. */
  reign: SimReign = { epoch: 0, master: '' };
  /** Everything that was ever refused here, for messages to people. */
  readonly refusals: string[] = [];
  counts = { cuts: 0, replaced: 0, opens: 0, failedOpens: 0 };
  /** The newest reign under which it has compared its log with the master's. */
  followedEpoch = 0;
  /** Highest safe position since its disk was new. */
  safeMax = 0;
  /** Flushed position when it was last looked at. */
  flushed = 0;
  private readonly clock: SimClock;
  private readonly network: SimNetwork;
  private readonly prng: Prng;
  private readonly config: ShardConfig;
  private readonly ack: Omit<ShardReplication, 'role'>;
  /** It has opened its shard again by itself, after a cut or a replacement. */
  reopened = false;
  private isReplacing = false;
  private alone: AloneWatch | undefined;
  private isRefused = false;
  private dialAtMs = 0;
  private socket: SimSocket | undefined;

  constructor(options: {
    readonly name: string;
    readonly storage: SimStorage;
    readonly clock: SimClock;
    readonly network: SimNetwork;
    readonly prng: Prng;
    readonly config: ShardConfig;
    readonly ack: Omit<ShardReplication, 'role'>;
  }) {
    this.name = options.name;
    this.storage = options.storage;
    this.clock = options.clock;
    this.network = options.network;
    this.prng = options.prng;
    this.config = options.config;
    this.ack = options.ack;
  }

  get isMaster(): boolean {
    return this.reign.master === this.name;
  }

  get isAlive(): boolean {
    return (this.rig !== undefined || this.isReplacing) && !this.storage.isDown;
  }

  /** Safe here by the flush mode; what a receipt of this node rests on. */
  safe(): number {
    const { rig } = this;
    if (rig === undefined) return 0;
    const { flushed, written } = rig.memory;
    return this.config.flushMode === 'SYNC_FLUSH' ? flushed.observe() : written.observe();
  }

  /** Starts the process under a reign. @returns false when it died or gave up on the way: `end` it and try again */
  open(reign: SimReign): boolean {
    this.reign = { ...reign };
    this.isReplacing = false;
    const role = this.isMaster ? 'master' : 'slave';
    const config = { ...this.config, replication: { ...this.ack, role } as const };
    try {
      const logId = `${this.name}-${this.prng.integer(1_000_000_000)}`;
      this.rig = new ShardRig(this.storage, this.clock, config, { epoch: reign.epoch, logId });
    } catch (error) {
      if (!isDiskTrouble(error)) throw error;
      this.counts.failedOpens += 1;
      return false;
    }
    this.counts.opens += 1;
    this.flushed = this.rig.memory.flushed.observe();
    this.isRefused = false;
    this.alone = this.isMaster
      ? undefined
      : new AloneWatch(this.rig.memory, this.clock.monotonicMs());
    if (this.isMaster) this.beginMaster(this.rig);
    return true;
  }

  /** The process is gone. */
  end(how: 'kill' | 'power-loss' | 'stop'): void {
    if (how === 'stop' && this.isAlive) this.stopCleanly();
    this.rig = undefined;
    this.master = undefined;
    this.slave = undefined;
    this.socket = undefined;
    this.isReplacing = false;
    this.network.drop(this.name);
    this.link.lose();
    if (how === 'power-loss') this.storage.crash(this.prng);
    else this.storage.kill();
  }

  /** One duty cycle of one part. A disk that kills the process is seen by `isAlive`. */
  step(part: NodePart): number {
    try {
      return this.turn(part);
    } catch (error) {
      if (!(error instanceof SimCrash)) throw error;
      return 0;
    } finally {
      if (this.rig !== undefined) this.flushed = this.rig.memory.flushed.observe();
      this.safeMax = Math.max(this.safeMax, this.safe());
    }
  }

  /** A second connection beside the one that is there, as after a half-open one: the master must drop the older. */
  dialAgain(): void {
    this.slave = undefined;
    this.socket = undefined;
  }

  /** Confirms on its own connection what it does not have. @returns false when there is no stream to lie on */
  lie(
    bytesMore: number,
    encode: (epoch: number, session: number, position: number) => Uint8Array,
  ): boolean {
    const { slave, socket } = this;
    if (slave?.phase !== 'streaming' || socket?.isOpen !== true) return false;
    const position = (slave['receiver']?.passed ?? 0) + bytesMore;
    return socket.send(encode(slave.epoch, slave['session'], position));
  }

  private turn(part: NodePart): number {
    const { rig } = this;
    if (part === 'replication') return this.replicate();
    if (rig === undefined) return 0;
    if (part === 'agent') return rig.agent.doWork();
    if (part === 'flusher') return rig.flusher.doWork();
    return rig.stepJob() ? 1 : 0;
  }

  private stopCleanly(): void {
    const { rig } = this;
    if (rig === undefined) return;
    try {
      for (let turn = 0; turn < 20; turn += 1) {
        rig.agent.doWork();
        rig.flusher.doWork();
        rig.stepJob();
      }
      rig.flusher.close();
    } catch (error) {
      if (!isDiskTrouble(error)) throw error;
    }
  }

  private beginMaster(rig: ShardRig): void {
    if (rig.door === undefined) return;
    this.master = new MasterShard({
      ...{ shard: 0, shards: 1, epoch: this.reign.epoch, name: this.name, secret: SECRET },
      isSyncMaster: this.ack.ack === 'SYNC_MASTER',
      inSyncReplicas: this.ack.inSyncReplicas,
      isSyncFlush: this.config.flushMode === 'SYNC_FLUSH',
      fallBehindBytesMax: 16 * this.config.segmentBytes,
      ...{ memory: rig.memory, source: rig.source, storage: this.storage, door: rig.door },
      clock: this.clock,
      nonce: () => this.nonce(),
      onRefused: (text) => this.refusals.push(text),
    });
    this.network.listen(this.name, (socket) => this.accept(socket));
  }

  private accept(socket: SimSocket): void {
    const replica = this.master?.accept(socket, false);
    if (replica === undefined) return;
    socket.onBytes = (bytes) => replica.receive(bytes);
    socket.onClose = () => replica.close();
    socket.canReceive = () => replica.canReceive;
  }

  private replicate(): number {
    if (this.master !== undefined) return this.master.doWork();
    const nowMs = this.clock.monotonicMs();
    const isMet = this.slave?.isMet === true || this.isRefused;
    if (this.rig !== undefined) this.alone?.note(isMet, nowMs);
    if (this.slave === undefined) return this.dial(nowMs) ? 1 : 0;
    let work = 0;
    try {
      work = this.slave.doWork(nowMs);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.slave.onClosed();
    }
    if (this.slave.phase === 'streaming') {
      this.followedEpoch = this.reign.epoch;
      this.isRefused = false;
    }
    if (this.slave.outcome !== undefined) this.react(this.slave.outcome, nowMs);
    return work;
  }

  private dial(nowMs: number): boolean {
    if (nowMs < this.dialAtMs) return false;
    this.dialAtMs = nowMs + DIAL_INTERVAL_MS;
    const socket = this.network.connect(this.name, this.reign.master);
    if (socket === undefined) return false;
    const { rig } = this;
    const local =
      rig?.door === undefined
        ? undefined
        : {
            ...{ memory: rig.memory, source: rig.source, door: rig.door },
            isSyncFlush: this.config.flushMode === 'SYNC_FLUSH',
          };
    const slave = new SlaveLink({
      ...{ link: socket, name: this.name, secret: SECRET, shard: 0, shards: 1, local, nowMs },
      shape: { segmentBytes: this.config.segmentBytes, chunkBytes: chunkBytesOf(this.config) },
      ...{ storage: this.storage, nonce: this.nonce() },
    });
    socket.onBytes = (bytes) => slave.receive(bytes);
    socket.onClose = () => slave.onClosed();
    socket.canReceive = () => slave.canReceive;
    this.slave = slave;
    this.socket = socket;
    return true;
  }

  private react(outcome: NonNullable<SlaveLink['outcome']>, nowMs: number): void {
    this.slave = undefined;
    this.socket = undefined;
    switch (outcome.kind) {
      case 'cut':
        this.cut(outcome.position);
        return;
      case 'replace':
        this.closeShard();
        this.isReplacing = true;
        this.counts.replaced += 1;
        return;
      case 'replaced':
        this.reopen();
        return;
      case 'refused':
        this.refusals.push(outcome.text);
        this.isRefused = true;
        this.dialAtMs = nowMs + REFUSED_INTERVAL_MS;
        return;
      case 'lost':
        return;
    }
  }

  private cut(position: number): void {
    const end = this.rig?.memory.appended.observe() ?? position;
    this.closeShard();
    this.counts.cuts += 1;
    try {
      cutTail(this.storage, { position, end, segmentBytes: this.config.segmentBytes });
    } catch (error) {
      if (error instanceof SimCrash) throw error;
      if (!isDiskTrouble(error)) throw error;
    }
    this.reopen();
  }

  /** The shard's threads end; the process lives. */
  private closeShard(): void {
    const { rig } = this;
    this.rig = undefined;
    this.link.lose();
    try {
      rig?.flusher.close();
      rig?.source.close();
    } catch (error) {
      if (!isDiskTrouble(error) || error instanceof SimCrash) throw error;
    }
  }

  private reopen(): void {
    // One that cannot open ends, and whoever started it starts it again.
    this.safeMax = 0;
    if (!this.open(this.reign)) this.isReplacing = false;
    this.reopened = true;
  }

  private nonce(): Uint8Array {
    return Uint8Array.from({ length: 32 }, () => this.prng.integer(256));
  }
}

function isDiskTrouble(error: unknown): boolean {
  if (error instanceof SimCrash) return true;
  return (
    error instanceof SluiceError && (error.code === 'STORAGE_IO' || error.code === 'STORAGE_FULL')
  );
}
