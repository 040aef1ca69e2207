/**
 * What RocketMQ's clients are pointed at in tests: a NameServer of ours, and a broker that can be killed and started again
 * on its port. The broker is ours, or with `INTEROP_AGAINST=apache` that of Apache RocketMQ: a suite that holds there too
 * expects nothing that only we do.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { KIB } from '../base/units.ts';
import { claimPort } from '../cluster/claimed-port.ts';
import {
  createNameServer,
  type NameServer,
  type NameServerOptions,
} from '../nameserver/nameserver.ts';
import { temporaryDirectory } from './cli-run.ts';
import { BrokerProcess, until } from './e2e-broker.ts';
import { type Fetched, fetchRocketmq, startJavaBroker } from './java-tools.ts';

export type TargetKind = 'sluice' | 'apache';

/** Version of Apache RocketMQ that ours is held against. */
export const APACHE_VERSION = '5.3.3';

const START_MS_MAX = 150_000;
/** Every retry after a second; level 4 is the one that differs, so that a level taken for another is seen. */
const DELAY_LEVELS = `1s 1s 1s 2s ${Array.from({ length: 14 }, () => '1s').join(' ')}`;

/** What is set the same at both brokers. */
const SETTINGS: Readonly<Record<string, string>> = {
  messageDelayLevel: DELAY_LEVELS,
  transactionTimeOut: '3000',
  transactionCheckInterval: '1000',
};

/** What the other needs to be reached, and to serve what ours always does. */
const APACHE_SETTINGS: Readonly<Record<string, string>> = {
  brokerClusterName: 'DefaultCluster',
  brokerId: '0',
  brokerIP1: '127.0.0.1',
  brokerIP2: '127.0.0.1',
  enablePropertyFilter: 'true',
  traceTopicEnable: 'true',
  transactionOpBatchInterval: '100',
};

/** What makes it small and quick to start; not where it is measured. */
const APACHE_SMALL: Readonly<Record<string, string>> = {
  mappedFileSizeCommitLog: '67108864',
  mappedFileSizeConsumeQueue: '60000',
  mappedFileSizeTimerLog: '1048576',
  maxIndexNum: '20000',
  maxHashSlotNum: '5000',
};
/** Memory as it is given where it is measured; its compilers are the default ones. */
const APACHE_JVM_MEASURED: readonly string[] = ['-Xms1g', '-Xmx1g'];

/** Which of the two tests run against. */
export function targetKind(): TargetKind {
  return process.env['INTEROP_AGAINST'] === 'apache' ? 'apache' : 'sluice';
}

/** Why there is no target, or nothing. */
export function targetObstacle(): string | undefined {
  if (targetKind() === 'sluice') return undefined;
  const fetched = fetchRocketmq('rocketmq-broker', APACHE_VERSION);
  return 'obstacle' in fetched ? fetched.obstacle : undefined;
}

type RunningBroker = {
  readonly pid: number;
  /** As a power cut ends it. */
  readonly kill: () => Promise<void>;
};

export type TargetOptions = {
  /** Of the broker, in RocketMQ's words. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Apache's broker gets the memory and the files that it has in earnest. */
  readonly isMeasured?: boolean;
  readonly nameServer?: NameServerOptions;
};

export class RocketmqTarget {
  readonly kind: TargetKind;
  readonly namesrv: string;
  /** `host:port` of the broker's remoting port. */
  readonly brokerAddress: string;
  /** A directory of this target, for homes of clients too. */
  readonly directory: string;
  /** Milliseconds from the start of the broker's process until it was registered. */
  startMs = 0;
  private readonly options: TargetOptions;
  private readonly brokerPort: string;
  private readonly nameServer: NameServer;
  private readonly remove: () => void;
  private broker: RunningBroker | undefined;

  private constructor(
    kind: TargetKind,
    nameServer: NameServer,
    brokerPort: number,
    options: TargetOptions,
  ) {
    const directory = temporaryDirectory();
    this.options = options;
    this.kind = kind;
    this.nameServer = nameServer;
    this.namesrv = nameServer.ready.namesrv;
    this.brokerPort = String(brokerPort);
    this.brokerAddress = `127.0.0.1:${brokerPort}`;
    this.directory = directory.path;
    this.remove = () => directory.remove();
  }

  static async start(
    kind: TargetKind = targetKind(),
    options: TargetOptions = {},
  ): Promise<RocketmqTarget> {
    const nameServer = await createNameServer(options.nameServer);
    const target = new RocketmqTarget(kind, nameServer, await claimPort(), options);
    await target.startBroker();
    return target;
  }

  /** Resolves when the broker is registered, so that clients find it. */
  async startBroker(): Promise<void> {
    const startMs = systemClock.monotonicMs();
    this.broker = this.kind === 'apache' ? this.startApache() : await this.startSluice();
    await until(
      'the broker is registered',
      () => this.nameServer.statistics().brokers > 0,
      START_MS_MAX,
    );
    this.startMs = systemClock.monotonicMs() - startMs;
  }

  /** Of the broker's process. @source proc(5), VmRSS of /proc/PID/status */
  residentMib(): number {
    const status = readFileSync(`/proc/${this.broker?.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / KIB;
  }

  /** Ends the broker as a power cut would, and resolves when the NameServer has noticed. */
  async killBroker(): Promise<void> {
    await this.broker?.kill();
    this.broker = undefined;
    await until('the broker is forgotten', () => this.nameServer.statistics().brokers === 0);
  }

  async close(): Promise<void> {
    await this.broker?.kill();
    await this.nameServer.close();
    this.remove();
  }

  /** A directory of its own below the target's. */
  home(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** With a broker.conf in RocketMQ's own words, as somebody has it who comes from there. */
  private startSluice(): Promise<RunningBroker> {
    const config = join(this.directory, 'broker.conf');
    const settings = {
      ...{ ...SETTINGS, ...this.options.settings },
      ...{ namesrvAddr: this.namesrv, listenPort: this.brokerPort },
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    writeFileSync(config, lines.join(''));
    return BrokerProcess.start({ dataDir: join(this.directory, 'data'), config });
  }

  private startApache(): RunningBroker {
    const fetched: Fetched = fetchRocketmq('rocketmq-broker', APACHE_VERSION);
    if ('obstacle' in fetched) throw new Error(fetched.obstacle);
    const home = this.home('apache');
    const { settings = {}, isMeasured = false } = this.options;
    const child: ChildProcess = startJavaBroker(
      fetched.classPath,
      {
        ...SETTINGS,
        ...APACHE_SETTINGS,
        ...(isMeasured ? {} : APACHE_SMALL),
        ...settings,
        brokerName: 'broker-a',
        namesrvAddr: this.namesrv,
        listenPort: this.brokerPort,
        storePathRootDir: `${home}/store`,
        storePathCommitLog: `${home}/store/commitlog`,
        authConfigPath: `${home}/auth`,
      },
      home,
      'JSON',
      isMeasured ? APACHE_JVM_MEASURED : undefined,
    );
    const ended = once(child, 'exit');
    return {
      pid: child.pid ?? 0,
      kill: async () => {
        child.kill('SIGKILL');
        await ended;
      },
    };
  }
}
