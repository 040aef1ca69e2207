/**
 * What this broker is, master or slave, and under which epoch: from the configuration, until a person promotes it or a newer
 * epoch ends its reign. A change is written down first; then the shards are closed and opened again under the new role, because
 * recovery is the one way to begin a reign. Main thread; one change at a time.
 */
import { randomUUID } from 'node:crypto';
import type { ReplicationControl } from '../acceptor/acceptor-options.ts';
import { sleep, startTimer } from '../base/clock.ts';
import { SluiceError, toSluiceError } from '../base/errors.ts';
import type { Logger } from '../base/log-sink.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import { splitHostAndPort } from '../config/text-kinds.ts';
import { GATE_UNDECIDED } from '../log/log-memory.ts';
import type {
  FromReplication,
  HostAndPort,
  ReplicationStatus,
} from '../replication/replication-messages.ts';
import { haHost, hostPort } from './advertised-addresses.ts';
import type { DataDirectory } from './data-directory.ts';
import { factsOf, gateReason, isKnown, workerDataOf } from './reign-parts.ts';
import type { ReignNews, ReignSource } from './reign-source.ts';
import { ReplicationHost } from './replication-host.ts';
import { type RoleRecord, readRole, writeRole } from './role-file.ts';
import type { ShardReign, ThreadedShard } from './threaded-shard.ts';

/** Milliseconds that slaves have at a clean stop to take what is left. */
const LAST_BYTES_MS = 5000;
/** Crashes of the replication thread within this time after which the shards stay closed. */
const CRASHES_MAX = 3;
const CRASH_WINDOW_MS = 60_000;
/** Milliseconds that a start waits for the replication thread to look at the shards. */
const DECISION_MS_MAX = 500;
const DECISION_POLL_MS = 2;
/** The same for a promotion, until the log of every shard is known. */
const KNOWN_MS_MAX = 3000;
const KNOWN_POLL_MS = 20;

type JsonFields = Readonly<Record<string, string | number | boolean>>;

export type PromoteWish = { readonly isForced: boolean; readonly ack: RoleRecord['ack'] };

export type ReignOptions = {
  readonly config: BrokerConfig;
  readonly directory: DataDirectory;
  readonly log: Logger;
  /** Tells of reigns that this broker cannot see by itself. */
  readonly source: ReignSource | undefined;
  /** The shards are about to close: nobody waits for them. */
  readonly onClosing: (shard: number) => void;
  /** The role is another one now, and the shards open under it. */
  readonly onRole: (role: RoleRecord['role']) => void;
  /** A shard of this slave follows its master. */
  readonly onFollowing: () => void;
};

export class Reign implements ReplicationControl {
  private readonly options: ReignOptions;
  private readonly log: Logger;
  private record: RoleRecord;
  /** The configuration makes a master of what was a slave by it: promoted as soon as its log is known. */
  private wasSlave = false;
  private shards: readonly ThreadedShard[] = [];
  private host: ReplicationHost | undefined;
  private address = '';
  private masterAddress = '';
  private peer: HostAndPort | undefined;
  private changing: Promise<unknown> = Promise.resolve();
  private isStopping = false;
  private crashes = 0;

  /** @throws RECORD_CORRUPT, STORAGE_IO */
  constructor(options: ReignOptions) {
    this.options = options;
    this.log = options.log.child('replication');
    const { config, directory } = options;
    const { haMasterAddress } = config;
    this.peer = haMasterAddress === undefined ? undefined : splitHostAndPort(haMasterAddress);
    const wanted = config.brokerRole === 'SLAVE' ? 'slave' : 'master';
    const before = readRole(directory.path);
    const ack = 'ASYNC_MASTER';
    if (before === undefined)
      this.record = { role: wanted, epoch: 1, ack, decidedBy: 'configuration' };
    else if (before.decidedBy !== 'configuration') this.record = before;
    else {
      this.wasSlave = before.role === 'slave' && wanted === 'master';
      this.record = { ...before, role: this.wasSlave ? 'slave' : wanted };
    }
    writeRole(directory.path, this.record);
    if (this.record.role !== wanted && !this.wasSlave)
      this.log.warn('role-was-decided', { ...this.record, configured: wanted });
  }

  get role(): RoleRecord['role'] {
    return this.record.role;
  }

  /** What the configuration says of a master; it says nothing of a slave that was promoted. */
  get ack(): RoleRecord['ack'] {
    const { brokerRole } = this.options.config;
    if (brokerRole === 'SLAVE') return this.record.ack;
    return brokerRole ?? 'ASYNC_MASTER';
  }

  get epoch(): number {
    return this.record.epoch;
  }

  /** Where slaves find this broker; null on a slave. */
  get haAddress(): string | null {
    const port = this.host?.port ?? 0;
    return port === 0 ? null : hostPort(haHost(this.options.config), port);
  }

  /** What a shard is told for its next life. */
  shardReign(): ShardReign {
    const { config } = this.options;
    return {
      epoch: this.epoch,
      logId: randomUUID(),
      replication: {
        role: this.role,
        ack: this.ack,
        inSyncReplicas: config.inSyncReplicas,
        syncFlushTimeoutMs: config.syncFlushTimeoutMs,
      },
    };
  }

  /** Before the shards open: starts the thread; a master whose peer reigns under a newer epoch becomes its slave. */
  async begin(shards: readonly ThreadedShard[]): Promise<void> {
    this.shards = shards;
    await this.startThread();
    this.options.source?.start((news) => void this.onNews(news));
  }

  /** The shards are open. */
  attachAll(): void {
    for (const shard of this.shards) this.attach(shard);
  }

  /** Clients may come. @param address - where */
  async opened(address: string): Promise<void> {
    this.address = address;
    this.host?.send({ kind: 'address', address });
    await this.firstDecision();
    if (this.wasSlave) await this.promote({ isForced: true, ack: this.ack });
  }

  /** The shard has opened again. */
  shardUp(shard: number): void {
    this.attach(this.shards[shard] as ThreadedShard);
  }

  shardDown(shard: number): void {
    this.host?.send({ kind: 'detach', shard });
  }

  /**
   * Makes this slave the master, under an epoch above all that it knows.
   *
   * @param wish - `isForced`: also while its master is connected; `ack`: when it acknowledges, if its configuration does not say
   * @throws INVALID_ARGUMENT, SHARD_RESTARTING
   */
  promote({ isForced, ack }: PromoteWish): Promise<JsonFields> {
    return this.change(async () => {
      if (this.role === 'master') return { changed: false, ...this.record };
      const epoch = this.nextEpoch(await this.knownStatus(), isForced);
      await this.become({ role: 'master', epoch, ack, decidedBy: 'promotion' });
      return { changed: true, ...this.record };
    });
  }

  /** @throws INVALID_ARGUMENT on a slave */
  resumeWrites(): JsonFields {
    if (this.role === 'slave')
      throw new SluiceError('INVALID_ARGUMENT', 'this broker is a slave: it takes no writes', {
        hint: 'If its master is gone for good: sluice admin promote',
      });
    this.log.warn('writes-resumed', { epoch: this.epoch });
    this.host?.send({ kind: 'resumeWrites' });
    return { resumed: true };
  }

  /** For operators: role, epoch, addresses, and what the replication thread knows of each shard. */
  async facts(): Promise<object> {
    const { brokerName, brokerId } = this.options.config;
    return {
      ...{ ...this.record, brokerName, brokerId, ack: this.ack },
      ...{ haAddress: this.haAddress, master: this.masterText ?? null },
      ...factsOf(this.shards, await this.status()),
    };
  }

  status(): Promise<ReplicationStatus | undefined> {
    return this.host?.status() ?? Promise.resolve(undefined);
  }

  /** Why this broker is not ready for what its role is; empty when it is. */
  unreadyReasons(): readonly string[] {
    if (this.role === 'slave') return [];
    return this.shards.flatMap(({ config, port, logMemory }) => {
      const text = port.state === 'running' ? gateReason(logMemory.gate()) : undefined;
      return text === undefined ? [] : [`shard ${config.shard}: ${text}`];
    });
  }

  /** Where clients find the master of this slave, as far as it is known. */
  get masterText(): string | undefined {
    if (this.role === 'master') return undefined;
    if (this.masterAddress !== '') return this.masterAddress;
    return this.peer === undefined ? undefined : `${this.peer.host}:${this.peer.port} (HA port)`;
  }

  /** @param isClean - what is left goes to the slaves first */
  async stop(isClean: boolean): Promise<void> {
    this.isStopping = true;
    this.options.source?.stop();
    await this.changing.catch(() => {});
    await this.host?.stop(isClean ? LAST_BYTES_MS : 0);
  }

  /** What is decided without a slave is decided before anybody asks whether the broker is ready. */
  private async firstDecision(): Promise<void> {
    if (this.role === 'slave' || this.ack === 'SYNC_MASTER') return;
    for (let waitedMs = 0; waitedMs < DECISION_MS_MAX; waitedMs += DECISION_POLL_MS) {
      if (this.shards.every(({ logMemory }) => logMemory.gate() !== GATE_UNDECIDED)) return;
      await sleep(DECISION_POLL_MS);
    }
  }

  /** The status, once the log of every shard is known: right after a start that takes a moment. */
  private async knownStatus(): Promise<ReplicationStatus | undefined> {
    let status = await this.status();
    for (let waitedMs = 0; waitedMs < KNOWN_MS_MAX && !isKnown(status); waitedMs += KNOWN_POLL_MS) {
      await sleep(KNOWN_POLL_MS);
      status = await this.status();
    }
    return status;
  }

  private nextEpoch(status: ReplicationStatus | undefined, isForced: boolean): number {
    const shards = status?.shards ?? [];
    if (!isKnown(status))
      throw new SluiceError('SHARD_RESTARTING', 'not all shards of this slave are open', {
        hint: 'Try again when they are: sluice admin brokerStatus',
        retryAfterMs: 500,
      });
    if (!isForced && shards.some(({ state }) => state === 'streaming'))
      throw new SluiceError('INVALID_ARGUMENT', 'the master of this slave is alive and connected', {
        hint: 'Stop it first; or promote with force, and it is fenced when it hears of that.',
      });
    return Math.max(this.epoch, ...shards.map(({ logEpoch }) => logEpoch)) + 1;
  }

  /** One change after another. */
  private change<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.changing.then(action);
    this.changing = result.catch(() => {});
    return result;
  }

  private async become(record: RoleRecord): Promise<void> {
    if (this.isStopping) return;
    const before = this.record;
    this.log.warn('role-changes', { ...record, before: before.role, epochBefore: before.epoch });
    await this.host?.stop(0);
    this.host = undefined;
    await this.closeShards();
    writeRole(this.options.directory.path, record);
    this.record = record;
    this.wasSlave = false;
    this.options.onRole(record.role);
    await this.startThread();
    await this.openShards();
    this.log.info('role-changed', { role: this.role, epoch: this.epoch });
  }

  private async closeShards(): Promise<void> {
    for (const { config } of this.shards) this.options.onClosing(config.shard);
    await Promise.all(this.shards.map((shard) => shard.close()));
  }

  private async openShards(): Promise<void> {
    await Promise.all(this.shards.map((shard) => shard.open()));
    this.host?.send({ kind: 'address', address: this.address });
  }

  private async startThread(): Promise<void> {
    const { directory } = this.options;
    const host = await ReplicationHost.start(
      workerDataOf(this.options.config, directory, this, this.peer),
      {
        onMessage: (message) => this.onMessage(message),
        onCrash: (error) => this.onCrash(error),
      },
    );
    this.host = host;
    const { newerEpoch } = host;
    if (newerEpoch === 0 || this.peer === undefined) return;
    // Nothing was opened under the old reign yet.
    this.log.error('reign-is-over', { epoch: this.epoch, newerEpoch });
    await host.stop(0);
    this.record = { ...this.record, role: 'slave', epoch: newerEpoch, decidedBy: 'newer-epoch' };
    writeRole(this.options.directory.path, this.record);
    this.options.onRole('slave');
    await this.startThread();
  }

  private attach(shard: ThreadedShard): void {
    const ends = shard.takeEnds();
    if (ends !== undefined) this.host?.attach(shard.config.shard, ends);
  }

  private onMessage(message: FromReplication): void {
    switch (message.kind) {
      case 'notice':
        this.log[message.level](message.event, message.facts);
        return;
      case 'close':
        void this.change(() => this.closeOne(message.shard));
        return;
      case 'open':
        void this.change(async () => (this.shards[message.shard] as ThreadedShard).open());
        return;
      case 'fenced':
        void this.change(() => this.onFenced(message.epoch));
        return;
      case 'following':
        this.masterAddress = message.address;
        this.noteEpoch(message.epoch);
        this.options.onFollowing();
        return;
      case 'started':
      case 'refused-start':
      case 'status':
      case 'stopped':
        return;
    }
  }

  private async closeOne(shard: number): Promise<void> {
    if (this.isStopping) return;
    this.options.onClosing(shard);
    await (this.shards[shard] as ThreadedShard).close();
    this.shardDown(shard);
  }

  /** Without somebody to follow it stays what it is and takes nothing any more. */
  private async onFenced(epoch: number): Promise<void> {
    if (this.role === 'slave' || epoch <= this.epoch) return;
    this.log.error('reign-is-over', { epoch: this.epoch, newerEpoch: epoch });
    if (this.peer === undefined) return;
    await this.become({ role: 'slave', epoch, ack: this.ack, decidedBy: 'newer-epoch' });
  }

  /** A slave must never be promoted to a reign that was there before. */
  private noteEpoch(epoch: number): void {
    if (epoch <= this.epoch || this.role !== 'slave') return;
    this.record = { ...this.record, epoch };
    try {
      writeRole(this.options.directory.path, this.record);
    } catch (error) {
      this.log.error('role-not-written', { error: toSluiceError(error) });
    }
  }

  private async onNews({ epoch, master }: ReignNews): Promise<void> {
    if (master !== undefined) {
      this.peer = master;
      this.host?.send({ kind: 'follow', peer: master });
    }
    if (epoch > this.epoch) await this.change(() => this.onFenced(epoch));
  }

  /** As after the crash of a flusher: everything that the thread had a hand in begins anew, by recovery. */
  private onCrash(error: SluiceError): void {
    this.log.error('replication-crashed', { error });
    if (this.isStopping) return;
    this.crashes += 1;
    startTimer(CRASH_WINDOW_MS, () => {
      this.crashes -= 1;
    });
    if (this.crashes >= CRASHES_MAX) {
      this.log.error('replication-fenced', { crashes: this.crashes });
      void this.change(() => this.closeShards());
      return;
    }
    void this.change(async () => {
      if (this.isStopping) return;
      await this.closeShards();
      await this.startThread();
      await this.openShards();
    }).catch((cause: unknown) => {
      this.log.error('replication-not-restarted', { error: toSluiceError(cause) });
    });
  }
}
