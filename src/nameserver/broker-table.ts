/**
 * The brokers that are alive: by name with their ids and addresses, by cluster, by the connection they came on. Decides
 * who is forgotten and when; what that means for routes is route-table.ts's. Pure, with an injected clock.
 *
 * @source RocketMQ RouteInfoManager (brokerAddrTable, clusterAddrTable, brokerLiveTable)
 */

import { invariant } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { type BrokerData, MASTER_ID } from '../protocol/remoting/route-codec.ts';
import type { DataVersion } from '../protocol/remoting/topic-config-codec.ts';

/** What a broker may say beside RocketMQ's fields. */
export type FurtherFacts = {
  /** `host:port` of WebSocket and HTTP, the best first; empty for a broker of RocketMQ. */
  readonly webSocketAddrs: readonly string[];
  /** ASYNC_MASTER, SYNC_MASTER or SLAVE. */
  readonly role: string | undefined;
  /** Bytes of log that it has, of all shards together. */
  readonly position: number | undefined;
};

export const NOTHING_FURTHER: FurtherFacts = {
  webSocketAddrs: [],
  role: undefined,
  position: undefined,
};

/** One broker process as it registered. */
export type LiveBroker = {
  readonly clusterName: string;
  readonly brokerName: string;
  readonly brokerId: number;
  readonly brokerAddr: string;
  readonly haServerAddr: string;
  readonly epoch: number;
  readonly filterServers: readonly string[];
  /** What only SluiceMQ's brokers say of themselves. */
  readonly further: FurtherFacts;
  /** Of a SluiceMQ broker: when its process started, by its own clock; another start is another process. */
  readonly startedAtMs: number;
  /** Undefined while its whole topic table was not seen. */
  dataVersion: DataVersion | undefined;
  /** The connection that it registered on: closed, the broker is gone. */
  readonly connectionId: number;
  /** Milliseconds of silence after which it is forgotten. */
  readonly timeoutMs: number;
  /** Of the monotonic clock. */
  heardAtMs: number;
};

/** All brokers of one name. */
export type BrokerGroup = {
  readonly brokerName: string;
  readonly clusterName: string;
  /** Broker id → broker. */
  readonly members: Map<number, LiveBroker>;
  enableActingMaster: boolean;
  zoneName: string | undefined;
};

export class BrokerTable {
  private readonly clock: Clock;
  private readonly groups: Map<string, BrokerGroup> = new Map();
  private readonly byAddress: Map<string, LiveBroker> = new Map();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get brokerCount(): number {
    return this.byAddress.size;
  }

  group(brokerName: string): BrokerGroup | undefined {
    return this.groups.get(brokerName);
  }

  allGroups(): Iterable<BrokerGroup> {
    return this.groups.values();
  }

  broker(brokerAddr: string): LiveBroker | undefined {
    return this.byAddress.get(brokerAddr);
  }

  allBrokers(): Iterable<LiveBroker> {
    return this.byAddress.values();
  }

  /** Adds a broker, or replaces what it said before. An address that its id had before is dropped with its broker. */
  set(broker: LiveBroker, enableActingMaster: boolean, zoneName: string | undefined): BrokerGroup {
    const { brokerName, clusterName, brokerId, brokerAddr } = broker;
    const group = this.groups.get(brokerName) ?? {
      brokerName,
      clusterName,
      members: new Map(),
      enableActingMaster,
      zoneName,
    };
    invariant(group.clusterName === clusterName, 'a broker name belongs to one cluster');
    const before = group.members.get(brokerId);
    if (before !== undefined && before.brokerAddr !== brokerAddr)
      this.byAddress.delete(before.brokerAddr);
    group.members.set(brokerId, broker);
    group.enableActingMaster = enableActingMaster;
    group.zoneName = zoneName;
    this.groups.set(brokerName, group);
    this.byAddress.set(brokerAddr, broker);
    return group;
  }

  /** @returns the group, which is gone from the table when it has no members any more */
  remove(broker: LiveBroker): BrokerGroup {
    const group = this.groups.get(broker.brokerName);
    invariant(group !== undefined, 'a live broker has a group');
    group.members.delete(broker.brokerId);
    this.byAddress.delete(broker.brokerAddr);
    if (group.members.size === 0) this.groups.delete(broker.brokerName);
    return group;
  }

  heard(broker: LiveBroker): void {
    broker.heardAtMs = this.clock.monotonicMs();
  }

  /** Those that have been silent for too long. */
  expired(): readonly LiveBroker[] {
    const now = this.clock.monotonicMs();
    return [...this.byAddress.values()].filter((one) => one.heardAtMs + one.timeoutMs < now);
  }

  /** Those that registered on this connection, and on none since. */
  ofConnection(connectionId: number): readonly LiveBroker[] {
    return [...this.byAddress.values()].filter((one) => one.connectionId === connectionId);
  }

  /** Cluster → names of its brokers. */
  clusters(): ReadonlyMap<string, readonly string[]> {
    const clusters = new Map<string, string[]>();
    for (const { clusterName, brokerName } of this.groups.values()) {
      const names = clusters.get(clusterName);
      if (names === undefined) clusters.set(clusterName, [brokerName]);
      else names.push(brokerName);
    }
    return clusters;
  }
}

/** The smallest id of a group that is not empty: 0 while its master is there. */
export function smallestId(group: BrokerGroup): number {
  return Math.min(...group.members.keys());
}

export function hasMaster(group: BrokerGroup): boolean {
  return group.members.has(MASTER_ID);
}

/** A group as routes and cluster information show it. */
export function brokerDataOf(group: BrokerGroup): BrokerData {
  return {
    cluster: group.clusterName,
    brokerName: group.brokerName,
    brokerAddrs: new Map([...group.members].map(([id, { brokerAddr }]) => [id, brokerAddr])),
    enableActingMaster: group.enableActingMaster,
    zoneName: group.zoneName,
  };
}
