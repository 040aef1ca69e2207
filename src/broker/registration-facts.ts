/** What this broker says of itself to NameServers, from its configuration, its topics and its shards. Main thread. */
import type { Clock } from '../base/clock.ts';
import type { BrokerConfig } from '../config/config-schema.ts';
import { plainTopicConfig, retryTopicsOf, topicConfigOf } from '../protocol/remoting/own-topics.ts';
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
const MASTER_ID = 0;
const FIRST_SLAVE_ID = 1;

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
  /** Of RocketMQ's clients; undefined: it has none, and is known by the other one. */
  readonly remotingPort: number | undefined;
  readonly clock: Clock;
  readonly topics: () => readonly TopicRecord[];
  /** Names of consumer groups. */
  readonly groups: () => readonly string[];
  readonly position: () => number;
  readonly reign: () => CurrentReign;
};

export class RegistrationFactsSource {
  private readonly options: FactsOptions;
  private readonly webSocketAddrs: readonly string[];
  private readonly brokerAddr: string;
  /** Other starts have another one: what a NameServer remembers of an earlier life never counts as known. */
  private readonly startedAtMs: number;
  private counter = 1;
  /** Of a slave whose configuration has the id of a master, because it was one. */
  private madeUpId = FIRST_SLAVE_ID;

  constructor(options: FactsOptions) {
    this.options = options;
    const { config, port, remotingPort, clock } = options;
    const hosts = advertisedHosts(config);
    this.webSocketAddrs = hosts.map((host) => hostPort(host, port));
    this.brokerAddr = hostPort(hosts[0] as string, remotingPort ?? port);
    this.startedAtMs = clock.epochMs();
  }

  /** Topics are others than before. */
  topicsChanged(): void {
    this.counter += 1;
  }

  /** Another broker has this id. @returns whether this one takes another; not where a person chose it */
  idTaken(brokerId: number): boolean {
    const isMadeUp = this.options.config.brokerId === MASTER_ID && brokerId !== MASTER_ID;
    if (isMadeUp && brokerId === this.madeUpId) this.madeUpId += 1;
    return isMadeUp;
  }

  facts(): RegistrationFacts {
    const { config, topics, position, reign } = this.options;
    const { role, epoch, haServerAddr } = reign();
    return {
      clusterName: config.brokerClusterName,
      brokerName: config.brokerName,
      brokerId: this.brokerIdFor(role),
      brokerAddr: this.brokerAddr,
      haServerAddr,
      webSocketAddrs: this.webSocketAddrs,
      ...{ role, epoch, position: position() },
      topicTable: {
        dataVersion: { counter: this.counter, stateVersion: 0, timestamp: this.startedAtMs },
        topics: notAlone(
          [...topics().map(topicConfigOf), ...this.retryTopics(), ...autoCreateTopic(config)],
          config,
        ),
      },
    };
  }

  /** Who has no port for RocketMQ's tools is asked nothing by them. */
  private retryTopics(): readonly TopicConfig[] {
    const { remotingPort, topics, groups } = this.options;
    return remotingPort === undefined ? [] : retryTopicsOf(groups(), topics());
  }

  /** 0 is the master's, whatever the configuration said of a slave that was promoted or a master that is none any more. */
  private brokerIdFor(role: string): number {
    const configured = this.options.config.brokerId;
    if (role !== 'SLAVE') return MASTER_ID;
    return configured === MASTER_ID ? this.madeUpId : configured;
  }
}

/**
 * Apache's NameServer 5 refuses a broker that it does not know and that names one topic: it takes that for a change that came
 * before the rest. RocketMQ's brokers always have topics of their own besides, among them one with the name of the broker;
 * here nobody may read or write it.
 *
 * @source RocketMQ RouteInfoManager.registerBroker, TopicConfigManager
 */
function notAlone(
  topics: readonly TopicConfig[],
  { brokerName }: Pick<BrokerConfig, 'brokerName'>,
): readonly TopicConfig[] {
  return topics.length === 1 ? [...topics, plainTopicConfig(brokerName, 1, PERM_INHERIT)] : topics;
}

function autoCreateTopic(config: BrokerConfig): readonly TopicConfig[] {
  if (config.autoCreateTopicEnable !== true) return [];
  const perm = PERM_INHERIT | PERM_READ | PERM_WRITE;
  return [plainTopicConfig(AUTO_CREATE_TOPIC, config.defaultTopicQueueNums, perm)];
}
