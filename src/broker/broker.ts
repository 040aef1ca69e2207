/** A broker at work: its shards, its acceptor, its door, and the order in which they start and stop. Main thread. */
import { Acceptor } from '../acceptor/acceptor.ts';
import { briefWaitOf } from '../agent/brief-wait.ts';
import { Pump } from '../agent/pump.ts';
import { type CancelTimer, type Clock, startInterval, startTimer } from '../base/clock.ts';
import type { SluiceError } from '../base/errors.ts';
import { FRAME_BYTES_MAX, HTTP_BODY_BYTES_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log-sink.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import type { ShardMetadata } from '../protocol/shard-control.ts';
import type { RemotingPort } from '../remoting/remoting-port.ts';
import { openFrontDoor } from '../transport/front-door.ts';
import type { FrontDoor } from '../transport/transport.ts';
import { BrokerAdminFacts } from './admin-facts.ts';
import { hostPort } from './advertised-addresses.ts';
import { BrokerMetrics } from './broker-metrics.ts';
import { acceptorConfigOf, shardConfigOf } from './broker-settings.ts';
import type { Broker, BrokerReady } from './create-broker.ts';
import type { DataDirectory } from './data-directory.ts';
import { InlineShard } from './inline-shard.ts';
import type { RegistrationNews, RegistrationStatus } from './registration-core.ts';
import { currentReign } from './registration-facts.ts';
import type { Reign, ReignOptions } from './reign.ts';
import { openRemoting } from './remoting-host.ts';
import {
  nameServersIn,
  type RouteRegistration,
  registerRoutes,
  registrationFacts,
  takenReasons,
} from './route-registration.ts';
import type { ShardHost } from './shard-host.ts';
import { ShardNews } from './shard-news.ts';
import { SidePool } from './side-pool.ts';
import { SIDE_JOB_WORKER } from './thread-plan.ts';
import { ThreadedShard } from './threaded-shard.ts';
import { VERSION } from './version.ts';

/** Replies handled in one turn of the event loop. */
const REPLIES_PER_TURN = 4096;
/** Milliseconds that a drain may take before it is cut short. */
const DRAIN_MS_MAX = 20_000;
const HOUR_MS = 3_600_000;
const CONTROL_FRAMES_PER_SECOND = 10;
const REQUEST_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_SECONDS = 120;

/** What a change of the role does to the rest of the broker. */
export type ReignHooks = Pick<ReignOptions, 'onClosing' | 'onRole' | 'onFollowing'>;

export class RunningBroker implements Broker {
  readonly closed: Promise<void>;
  private readonly config: BrokerConfig;
  private readonly directory: DataDirectory | undefined;
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly pool: SidePool | undefined;
  private readonly shards: ShardHost[];
  private readonly reign: Reign | undefined;
  private readonly pump: Pump;
  private readonly metrics = new BrokerMetrics();
  private readonly news: ShardNews;
  private acceptor: Acceptor | undefined;
  private frontDoor: FrontDoor | undefined;
  private remoting: RemotingPort | undefined;
  private readyInfo: BrokerReady | undefined;
  private closing: Promise<void> | undefined;
  private resolveClosed: () => void = () => {};
  private cancelReminder: CancelTimer = () => {};
  private readonly registrations: RouteRegistration[] = [];
  private readonly onReignNews: (news: RegistrationNews) => void;
  private readonly remotingPortDefault: number | undefined;

  constructor(options: {
    config: BrokerConfig;
    directory: DataDirectory | undefined;
    log: Logger;
    clock: Clock;
    memoryCapacityBytes: number;
    /** Makes what decides about role and epoch; undefined: a broker of one. */
    reign?: (hooks: ReignHooks) => Reign;
    /** Told what NameServers say of who reigns. */
    onReignNews?: (news: RegistrationNews) => void;
    /** Port of RocketMQ's clients where the configuration names none. */
    remotingPortDefault?: number | undefined;
  }) {
    this.onReignNews = options.onReignNews ?? (() => {});
    this.remotingPortDefault = options.remotingPortDefault;
    this.config = options.config;
    this.directory = options.directory;
    this.log = options.log;
    this.news = new ShardNews(options.log.child('shard'));
    this.clock = options.clock;
    this.closed = new Promise((resolve) => {
      this.resolveClosed = resolve;
    });
    this.pump = new Pump({
      doWork: () => this.doWork(),
      hasWork: () => this.acceptor?.hasWork() ?? false,
      msUntilDue: () =>
        Math.min(
          this.acceptor?.msUntilDue() ?? Number.POSITIVE_INFINITY,
          ...this.shards.map((shard) => shard.msUntilDue()),
        ),
      words: () =>
        this.shards.map((shard) => shard.acceptorWord).filter((word) => word !== undefined),
      briefWait: briefWaitOf(this.clock),
    });
    this.pool = this.directory === undefined ? undefined : new SidePool(SIDE_JOB_WORKER);
    this.reign = options.reign?.({
      onClosing: (shard) => this.acceptor?.shardDown(shard),
      onRole: (role) => {
        this.acceptor?.setRole(role === 'slave');
        this.tellNameServers();
      },
      onFollowing: () => this.acceptor?.masterIsBack(this.reign?.masterText),
    });
    this.shards = this.makeShards(options.memoryCapacityBytes);
  }

  get ready(): BrokerReady {
    if (this.readyInfo === undefined) throw new Error('the broker was not started');
    return this.readyInfo;
  }

  /** @throws what recovery or the port refuses; then everything that was started is stopped again */
  async start(): Promise<void> {
    try {
      await this.reign?.begin(this.shards.filter((shard) => shard instanceof ThreadedShard));
      const metadata = await Promise.all(this.shards.map((shard) => shard.start()));
      this.reign?.attachAll();
      this.acceptor = this.makeAcceptor();
      this.acceptor.setRole(this.reign?.role === 'slave');
      this.pump.schedule();
      await this.acceptor.start(metadata);
      this.frontDoor = await this.openDoor(this.acceptor);
      const { port } = this.frontDoor;
      this.acceptor.setIdentity({
        name: this.config.brokerName,
        address: this.config.listenAddress,
        port,
      });
      const { config, clock } = this;
      const facts = new BrokerAdminFacts(config, this.directory?.path, clock, this.registrations);
      this.remoting = await openRemoting({
        ...{ facts, config, acceptor: this.acceptor, clock },
        portDefault: this.remotingPortDefault,
        isSlave: () => this.reign?.role === 'slave',
        log: this.log.child('remoting'),
      });
      this.readyInfo = this.describe(this.frontDoor);
      await this.reign?.opened(this.readyInfo.ws);
      this.readyInfo = this.describe(this.frontDoor);
      this.log.info('ready', {
        ws: this.readyInfo.ws,
        transport: this.readyInfo.transport,
        reason: this.frontDoor.reason,
        shards: this.shards.length,
      });
      const tell = facts.counting(() => this.tellNameServers());
      this.acceptor.onNamesChanged(tell, () => facts.announced());
      this.registerWith(nameServersIn(this.config.namesrvAddr));
      this.remindOfExposure();
      this.warnOfStrangers(this.frontDoor);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async drain(): Promise<void> {
    if (this.closing !== undefined) return this.closing;
    this.log.info('draining');
    this.frontDoor?.stopListening();
    const left = this.registrations.map((registration) => registration.leave());
    const finished = Promise.all([this.acceptor?.drain(), this.remoting?.drain(), ...left]);
    let cancel: CancelTimer = () => {};
    const deadline = new Promise<void>((resolve) => {
      cancel = startTimer(DRAIN_MS_MAX, () => {
        this.log.warn('drain-cut-short', { waitedMs: DRAIN_MS_MAX });
        resolve();
      });
    });
    await Promise.race([finished, deadline]);
    cancel();
    this.closing ??= this.shutDown(true);
    return this.closing;
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown(false);
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  /** @param isClean - slaves get what they lack first */
  private async shutDown(isClean: boolean): Promise<void> {
    this.cancelReminder();
    for (const registration of this.registrations) registration.close();
    await Promise.all([this.frontDoor?.close(), this.remoting?.close()]);
    this.acceptor?.close();
    this.pump.close();
    await this.reign?.stop(isClean);
    await Promise.all(this.shards.map((shard) => shard.stop()));
    await this.pool?.close();
    this.metrics.close();
    this.directory?.release();
    this.log.info('closed');
    this.resolveClosed();
  }

  private doWork(): number {
    let work = this.acceptor?.doWork(REPLIES_PER_TURN) ?? 0;
    for (const shard of this.shards) work += shard.doWork();
    return work;
  }

  private makeShards(capacityBytes: number): ShardHost[] {
    const { config, clock, directory, pool, reign } = this;
    const schedule = (): void => this.pump.schedule();
    if (directory === undefined || pool === undefined) {
      const shardConfig = shardConfigOf(config, 0, 1);
      return [
        new InlineShard({
          config: shardConfig,
          ringBytes: config.ringBytes,
          capacityBytes,
          clock,
          schedule,
        }),
      ];
    }
    const events = {
      onReplies: schedule,
      onRequests: this.pump.expect,
      onDown: (shard: number, error: SluiceError, isFenced: boolean) =>
        this.onShardDown(shard, error, isFenced),
      onDiskFailure: (shard: number, error: SluiceError) =>
        this.log.error('disk-failed', { shard, error }),
      onUp: (shard: number, metadata: ShardMetadata) => this.onShardUp(shard, metadata),
    };
    return Array.from({ length: directory.shape.shards }, (_, shard) => {
      const shardConfig = shardConfigOf(config, shard, directory.shape.shards);
      return new ThreadedShard({
        config: shardConfig,
        directory: directory.shardPath(shard),
        ringBytes: config.ringBytes,
        pool,
        clock,
        events,
        ...(reign === undefined ? {} : { reign: () => reign.shardReign() }),
      });
    });
  }

  private makeAcceptor(): Acceptor {
    const { config } = this;
    return new Acceptor({
      clock: this.clock,
      log: this.log.child('acceptor'),
      config: acceptorConfigOf(config),
      shards: this.shards.map((shard) => shard.port),
      readCold: (shard, position, bytes) =>
        (this.shards[shard] as ShardHost).readCold(position, bytes),
      onShardEvent: (shard, event) => this.news.onEvent(shard, event),
      metricsText: () => this.metricsText(),
      unreadyReasons: () => [
        ...this.news.fencedReasons(),
        ...(this.reign?.unreadyReasons() ?? []),
        ...takenReasons(this.registrationStatus()),
      ],
      masterText: () => this.reign?.masterText,
      replication: this.reign,
      readyFacts: () => registrationFacts(this.registrationStatus()),
      brokerFacts: () => ({
        version: VERSION,
        uptimeSeconds: Math.round(process.uptime()),
        transport: this.frontDoor?.transport ?? 'none',
        transportReason: this.frontDoor?.reason ?? '',
        flush: config.flushDiskType,
        dataDir: this.directory?.path ?? null,
        ...registrationFacts(this.registrationStatus()),
      }),
    });
  }

  private registrationStatus(): readonly RegistrationStatus[] {
    return this.registrations.flatMap((registration) => registration.status());
  }

  private tellNameServers(): void {
    for (const registration of this.registrations) registration.changed();
  }

  registerWith(addresses: readonly string[]): void {
    const { config, clock, shards, frontDoor } = this;
    if (addresses.length === 0 || frontDoor === undefined || this.closing !== undefined) return;
    const registration = registerRoutes({
      ...{ config, clock, addresses, port: frontDoor.port, log: this.log.child('registration') },
      remotingPort: this.remoting?.port,
      topics: () => this.acceptor?.topics() ?? [],
      groups: () => this.acceptor?.groupNames() ?? [],
      position: () => shards.reduce((sum, { logMemory }) => sum + logMemory.appended.observe(), 0),
      reign: () => currentReign(this.reign),
      onNews: this.onReignNews,
    });
    this.registrations.push(registration);
  }

  private openDoor(acceptor: Acceptor): Promise<FrontDoor> {
    const { config } = this;
    return openFrontDoor(config.transport, {
      ...{ host: config.listenAddress, port: config.frontDoorPort },
      webSocketPath: '/v1/ws',
      limits: {
        frameBytesMax: FRAME_BYTES_MAX,
        httpBodyBytesMax: HTTP_BODY_BYTES_MAX,
        connectionsMax: config.connectionsMax,
        connectionsPerAddressMax: config.connectionsPerAddressMax,
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS,
        controlFramesPerSecondMax: CONTROL_FRAMES_PER_SECOND,
      },
      webSocket: acceptor,
      http: (request) => acceptor.http(request),
      admit: (request) => acceptor.admit(request),
      admitBody: (request) => acceptor.admitBody(request),
      needsLimitIncoming: config.authToken !== undefined,
    });
  }

  private onShardDown(shard: number, error: SluiceError, isFenced: boolean): void {
    this.log.error(isFenced ? 'shard-fenced' : 'shard-crashed', { shard, error });
    this.reign?.shardDown(shard);
    this.acceptor?.shardDown(shard);
  }

  private onShardUp(shard: number, metadata: ShardMetadata): void {
    this.news.forget(shard);
    this.log.info('shard-restarted', { shard });
    this.reign?.shardUp(shard);
    this.acceptor?.shardUp(shard, (this.shards[shard] as ShardHost).port, metadata);
    this.pump.schedule();
  }

  private async metricsText(): Promise<string> {
    if (this.acceptor === undefined) return '';
    return this.metrics.text({
      ...{ acceptor: this.acceptor, shards: this.shards, frontDoor: this.frontDoor },
      news: this.news,
      remoting: this.remoting?.metrics() ?? [],
      version: VERSION,
      replication: await this.reign?.status(),
      registrations: this.registrationStatus(),
    });
  }

  private describe(frontDoor: FrontDoor): BrokerReady {
    const { listenAddress } = this.config;
    const isOnAll = listenAddress === '0.0.0.0' || listenAddress === '::';
    const at = (port: number): string => hostPort(isOnAll ? '127.0.0.1' : listenAddress, port);
    return {
      role: this.reign?.role ?? 'all',
      ...{ epoch: this.reign?.epoch ?? 1, ha: this.reign?.haAddress ?? null },
      pid: process.pid,
      ...{ ws: `ws://${at(frontDoor.port)}`, http: `http://${at(frontDoor.port)}` },
      remoting: this.remoting === undefined ? null : at(this.remoting.port),
      dataDir: this.directory?.path ?? null,
      transport: frontDoor.transport,
      transportReason: frontDoor.reason,
      shards: this.shards.length,
      flush: this.config.flushDiskType === 'SYNC_FLUSH' ? 'sync' : 'async',
    };
  }

  private warnOfStrangers({ canLimitIncoming, transport }: FrontDoor): void {
    if (canLimitIncoming || this.config.authToken === undefined) return;
    this.log.warn('unlimited-before-token', { transport, bytesMax: FRAME_BYTES_MAX });
  }

  private remindOfExposure(): void {
    if (!this.config.insecureIUnderstand) return;
    const remind = (): void =>
      this.log.error('exposed-without-tls', { listenAddress: this.config.listenAddress });
    remind();
    this.cancelReminder = startInterval(HOUR_MS, remind);
  }
}
