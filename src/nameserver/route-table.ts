/**
 * Which broker has which topic with how many queues, kept by what brokers register. Pure, with an injected clock.
 *
 * Topics are taken from the master; without one, from the slave with the smallest id and without the right to write: a
 * NameServer that is started while a master is down must still lead consumers to the slave. (RocketMQ does so only with
 * acting masters.)
 *
 * @source RocketMQ RouteInfoManager.registerBroker, unRegisterBroker
 */
import type { Clock } from '../base/clock.ts';
import { NAMESRV_BROKERS_MAX, NAMESRV_QUEUE_DATA_MAX, NAMESRV_TOPICS_MAX } from '../base/limits.ts';
import { MASTER_ID, type QueueData } from '../protocol/remoting/route-codec.ts';
import {
  PERM_READ,
  PERM_WRITE,
  sameDataVersion,
  type TopicConfig,
  type TopicConfigTable,
} from '../protocol/remoting/topic-config-codec.ts';
import {
  type BrokerGroup,
  BrokerTable,
  hasMaster,
  type LiveBroker,
  smallestId,
} from './broker-table.ts';
import { EpochFence } from './epoch-fence.ts';

/** What a broker says when it registers. */
export type Registration = Omit<LiveBroker, 'dataVersion' | 'heardAtMs'> & {
  /** Undefined from brokers that do not know the word. */
  readonly enableActingMaster: boolean | undefined;
  readonly zoneName: string | undefined;
  readonly topicTable: TopicConfigTable;
};

/**
 * What became of a registration. `superseded`: another address has this id and a newer state, so that this one is left out
 * and told nothing, as RocketMQ does. `taken`: another SluiceMQ broker lives under this name and id, or at this address.
 */
export type RegisterOutcome =
  | 'registered'
  | 'superseded'
  | 'fenced'
  | 'taken'
  | 'other-cluster'
  | 'full';

export class RouteTable {
  readonly brokers: BrokerTable;
  readonly fence: EpochFence = new EpochFence();
  /** Topic → broker name → queues. */
  private readonly topics: Map<string, Map<string, QueueData>> = new Map();
  private queueDataCount = 0;
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
    this.brokers = new BrokerTable(clock);
  }

  get topicCount(): number {
    return this.topics.size;
  }

  topicNames(): Iterable<string> {
    return this.topics.keys();
  }

  /** Broker name → queues; undefined for a topic that nobody has. */
  queuesOf(topic: string): ReadonlyMap<string, QueueData> | undefined {
    return this.topics.get(topic);
  }

  /** @param dropMissing - forget topics of this master that it no longer names */
  register(registration: Registration, dropMissing: boolean): RegisterOutcome {
    const { brokerName, brokerId, brokerAddr, topicTable } = registration;
    const refusal = this.refusalOf(registration);
    if (refusal !== undefined) return refusal;
    const before = this.brokers.broker(brokerAddr);
    const isMoved =
      before !== undefined && (before.brokerName !== brokerName || before.brokerId !== brokerId);
    if (isMoved) this.forget(before);
    const known = isMoved ? undefined : before;
    const { enableActingMaster, zoneName, topicTable: _, ...said } = registration;
    const broker: LiveBroker = {
      ...said,
      dataVersion: this.versionToKeep(topicTable, known),
      heardAtMs: this.clock.monotonicMs(),
    };
    const group = this.brokers.set(broker, enableActingMaster ?? false, zoneName);
    const isNew =
      known?.dataVersion === undefined ||
      !sameDataVersion(known.dataVersion, topicTable.dataVersion);
    if (brokerId !== smallestId(group)) return 'registered';
    if (isNew) this.apply(group, brokerId, topicTable, dropMissing);
    else this.addMissing(group, brokerId, topicTable);
    return 'registered';
  }

  private refusalOf(registration: Registration): RegisterOutcome | undefined {
    const { brokerName, clusterName, brokerId, brokerAddr, epoch, topicTable } = registration;
    const group = this.brokers.group(brokerName);
    if (group !== undefined && group.clusterName !== clusterName) return 'other-cluster';
    const isKnown = this.brokers.broker(brokerAddr) !== undefined;
    const isFull =
      (!isKnown && this.brokers.brokerCount >= NAMESRV_BROKERS_MAX) ||
      !this.hasRoomFor(topicTable, brokerName);
    if (isFull) return 'full';
    const holder = group?.members.get(brokerId);
    if (holder !== undefined && holder.brokerAddr !== brokerAddr) {
      const held = holder.dataVersion?.stateVersion ?? 0;
      if (held > topicTable.dataVersion.stateVersion) return 'superseded';
    }
    if (brokerId === MASTER_ID && !this.fence.admit(brokerName, epoch)) return 'fenced';
    return this.holderOf(registration) === undefined ? undefined : 'taken';
  }

  /**
   * The broker that lives where this one wants to be. RocketMQ lets whoever comes last take the place, so that two with the
   * same name and id take it from each other for ever; a SluiceMQ broker waits until the other one is gone: its connection
   * closed, or silent. A master of a newer reign was promoted, and waits for nobody.
   *
   * @returns undefined when the place is free, or its own
   */
  holderOf(registration: Registration): LiveBroker | undefined {
    const { brokerName, brokerId, brokerAddr, epoch, further } = registration;
    if (further.webSocketAddrs.length === 0) return undefined;
    const holder = this.brokers.group(brokerName)?.members.get(brokerId);
    if (holder !== undefined && holder.brokerAddr !== brokerAddr) {
      const isPromoted = brokerId === MASTER_ID && epoch > holder.epoch;
      return isPromoted ? undefined : holder;
    }
    // Nobody goes back to an older connection: another process has told this address since.
    const sameAddress = this.brokers.broker(brokerAddr);
    const isOther =
      sameAddress !== undefined &&
      sameAddress.connectionId > registration.connectionId &&
      sameAddress.startedAtMs !== registration.startedAtMs;
    return isOther ? sameAddress : undefined;
  }

  private hasRoomFor({ topics }: TopicConfigTable, brokerName: string): boolean {
    let newTopics = 0;
    let newQueueDatas = 0;
    for (const { topicName } of topics) {
      const byBroker = this.topics.get(topicName);
      if (byBroker === undefined) newTopics += 1;
      if (byBroker?.has(brokerName) !== true) newQueueDatas += 1;
    }
    return (
      this.topics.size + newTopics <= NAMESRV_TOPICS_MAX &&
      this.queueDataCount + newQueueDatas <= NAMESRV_QUEUE_DATA_MAX
    );
  }

  /**
   * A broker that is new here and names one topic only may have told what changed instead of all: nothing says which.
   * Its version is not kept then, so that its next registration counts as a change. (RocketMQ 5 refuses it.)
   */
  private versionToKeep(
    { topics, dataVersion }: TopicConfigTable,
    known: LiveBroker | undefined,
  ): LiveBroker['dataVersion'] {
    const mayBePart = topics.length === 1 && known?.dataVersion === undefined;
    return mayBePart ? undefined : dataVersion;
  }

  private apply(
    group: BrokerGroup,
    brokerId: number,
    { topics }: TopicConfigTable,
    dropMissing: boolean,
  ): void {
    const named = new Set<string>();
    for (const topic of topics) {
      named.add(topic.topicName);
      this.setQueues(topic.topicName, queueDataOf(topic, group.brokerName, brokerId));
    }
    if (!dropMissing || brokerId !== MASTER_ID) return;
    for (const topic of this.topics.keys()) {
      if (!named.has(topic)) this.removeQueues(topic, group.brokerName);
    }
  }

  /**
   * Two topics that a broker makes at once are told in two registrations of one version, each with its topic alone: the
   * version that is known says nothing about topics that are not.
   */
  private addMissing(group: BrokerGroup, brokerId: number, { topics }: TopicConfigTable): void {
    for (const topic of topics) {
      if (this.topics.get(topic.topicName)?.has(group.brokerName) === true) continue;
      this.setQueues(topic.topicName, queueDataOf(topic, group.brokerName, brokerId));
    }
  }

  private setQueues(topic: string, queues: QueueData): void {
    let byBroker = this.topics.get(topic);
    if (byBroker === undefined) {
      byBroker = new Map();
      this.topics.set(topic, byBroker);
    }
    if (!byBroker.has(queues.brokerName)) this.queueDataCount += 1;
    byBroker.set(queues.brokerName, queues);
  }

  private removeQueues(topic: string, brokerName: string): void {
    const byBroker = this.topics.get(topic);
    if (byBroker?.delete(brokerName) !== true) return;
    this.queueDataCount -= 1;
    if (byBroker.size === 0) this.topics.delete(topic);
  }

  /**
   * Takes a broker out. Its topics stay while another one of its name is there, so that consumers go on with a slave;
   * else they go with it.
   */
  forget(broker: LiveBroker): void {
    const group = this.brokers.remove(broker);
    const { brokerName } = broker;
    if (group.members.size === 0) {
      for (const topic of this.topics.keys()) this.removeQueues(topic, brokerName);
    } else if (group.enableActingMaster && !hasMaster(group)) {
      this.changePerm(brokerName, (perm) => perm & ~PERM_WRITE);
    }
  }

  /** Takes the right to write from all topics of a broker name, until its broker says otherwise. @returns how many */
  wipeWritePerm(brokerName: string): number {
    return this.changePerm(brokerName, (perm) => perm & ~PERM_WRITE);
  }

  /** Makes all topics of a broker name readable and writable. @returns how many */
  addWritePerm(brokerName: string): number {
    return this.changePerm(brokerName, () => PERM_READ | PERM_WRITE);
  }

  private changePerm(brokerName: string, change: (perm: number) => number): number {
    let changed = 0;
    for (const byBroker of this.topics.values()) {
      const queues = byBroker.get(brokerName);
      if (queues === undefined) continue;
      byBroker.set(brokerName, { ...queues, perm: change(queues.perm) });
      changed += 1;
    }
    return changed;
  }

  /** @param clusterName - only from the brokers of this cluster; undefined: from all */
  deleteTopic(topic: string, clusterName: string | undefined): void {
    for (const brokerName of [...(this.topics.get(topic)?.keys() ?? [])]) {
      const isMeant =
        clusterName === undefined || this.brokers.group(brokerName)?.clusterName === clusterName;
      if (isMeant) this.removeQueues(topic, brokerName);
    }
  }

  /** Adds a topic to brokers that are known. @returns false when there is no room for it */
  addTopic(topic: string, queueDatas: readonly QueueData[]): boolean {
    const topicsAfter = this.topics.size + (this.topics.has(topic) ? 0 : 1);
    const queueDatasAfter = this.queueDataCount + queueDatas.length;
    if (topicsAfter > NAMESRV_TOPICS_MAX || queueDatasAfter > NAMESRV_QUEUE_DATA_MAX) return false;
    for (const queues of queueDatas) {
      if (this.brokers.group(queues.brokerName) !== undefined) this.setQueues(topic, queues);
    }
    return true;
  }
}

function queueDataOf(topic: TopicConfig, brokerName: string, brokerId: number): QueueData {
  const { readQueueNums, writeQueueNums, perm, topicSysFlag } = topic;
  return {
    brokerName,
    readQueueNums,
    writeQueueNums,
    perm: brokerId === MASTER_ID ? perm : perm & ~PERM_WRITE,
    topicSysFlag,
  };
}
