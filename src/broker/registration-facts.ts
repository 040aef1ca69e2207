/** What this broker says of itself to NameServers, from its configuration, its topics and its shards. Main thread. */
import type { Clock } from '../base/clock.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import {
  PERM_READ,
  PERM_WRITE,
  type TopicConfig,
} from '../protocol/remoting/topic-config-codec.ts';
import type { TopicRecord } from '../protocol/shard-control.ts';
import { advertisedHosts, hostPort } from './advertised-addresses.ts';
import type { RegistrationFacts } from './registration-core.ts';
import type { Reign } from './reign.ts';

/** The topic whose route says which brokers make topics by themselves. @source RocketMQ TopicValidator */
const AUTO_CREATE_TOPIC = 'TBW102';
const PERM_INHERIT = 1;

/** What a broker is at the moment. */
export type CurrentReign = {
  /** ASYNC_MASTER, SYNC_MASTER or SLAVE. */
  readonly role: string;
  readonly epoch: number;
  /** `host:port` for slaves; empty when none can come. */
  readonly haServerAddr: string;
};

/** What the reign says; a broker without replication is a master that no slave can find. */
export function currentReign(reign: Reign | undefined): CurrentReign {
  if (reign === undefined) return { role: 'ASYNC_MASTER', epoch: 1, haServerAddr: '' };
  const { role, ack, epoch, haAddress } = reign;
  return { role: role === 'slave' ? 'SLAVE' : ack, epoch, haServerAddr: haAddress ?? '' };
}

export type FactsOptions = {
  readonly config: BrokerConfig;
  /** Of WebSocket and HTTP. */
  readonly port: number;
  readonly clock: Clock;
  readonly topics: () => readonly TopicRecord[];
  readonly position: () => number;
  readonly reign: () => CurrentReign;
};

export class RegistrationFactsSource {
  private readonly options: FactsOptions;
  private readonly webSocketAddrs: readonly string[];
  /** Other starts have another one: what a NameServer remembers of an earlier life never counts as known. */
  private readonly startedAtMs: number;
  private counter = 1;

  constructor(options: FactsOptions) {
    this.options = options;
    const { config, port, clock } = options;
    this.webSocketAddrs = advertisedHosts(config).map((host) => hostPort(host, port));
    this.startedAtMs = clock.epochMs();
  }

  /** Topics are others than before. */
  topicsChanged(): void {
    this.counter += 1;
  }

  facts(): RegistrationFacts {
    const { config, topics, position, reign } = this.options;
    const { role, epoch, haServerAddr } = reign();
    return {
      clusterName: config.brokerClusterName,
      brokerName: config.brokerName,
      brokerId: brokerIdOf(config.brokerId, role),
      brokerAddr: this.webSocketAddrs[0] as string,
      haServerAddr,
      webSocketAddrs: this.webSocketAddrs,
      ...{ role, epoch, position: position() },
      topicTable: {
        dataVersion: { counter: this.counter, stateVersion: 0, timestamp: this.startedAtMs },
        topics: [...topics().map(topicConfigOf), ...autoCreateTopic(config)],
      },
    };
  }
}

/** 0 is the master's, whatever the configuration said of a slave that was promoted or a master that is none any more. */
function brokerIdOf(configured: number, role: string): number {
  if (role !== 'SLAVE') return 0;
  return configured === 0 ? 1 : configured;
}

function topicConfigOf({ topic, queues, deadLetterOf }: TopicRecord): TopicConfig {
  // Nobody but the broker writes dead letters.
  const perm = deadLetterOf === null ? PERM_READ | PERM_WRITE : PERM_READ;
  return configOf(topic, queues, perm);
}

function autoCreateTopic(config: BrokerConfig): readonly TopicConfig[] {
  if (config.autoCreateTopicEnable !== true) return [];
  const perm = PERM_INHERIT | PERM_READ | PERM_WRITE;
  return [configOf(AUTO_CREATE_TOPIC, config.defaultTopicQueueNums, perm)];
}

function configOf(topicName: string, queues: number, perm: number): TopicConfig {
  return {
    ...{ topicName, readQueueNums: queues, writeQueueNums: queues, perm },
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: new Map(),
  };
}
