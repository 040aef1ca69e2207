/** What is asked of the route table: routes, cluster information, lists of topics. Pure; changes nothing. */
import {
  type BrokerData,
  type ClusterInfo,
  MASTER_ID,
  type QueueData,
  type TopicRouteData,
} from '../protocol/remoting/route-codec.ts';
import type { TopicList } from '../protocol/remoting/simple-bodies-codec.ts';
import { PERM_WRITE } from '../protocol/remoting/topic-config-codec.ts';
import { brokerDataOf } from './broker-table.ts';
import type { RouteTable } from './route-table.ts';

/** Bits of `topicSysFlag`. @source RocketMQ TopicSysFlag */
export const FLAG_UNIT = 1;
export const FLAG_UNIT_SUB = 2;

/** How a route is shown. */
export type RouteView = {
  /** Show the smallest id of a group without master as its master, where the group asked for it. */
  readonly supportActingMaster: boolean;
  /** Leave out brokers of other zones whose master is there; undefined: show all. */
  readonly zoneName: string | undefined;
  readonly orderTopicConf: string | undefined;
};

/** The route of a topic; undefined when no broker has it. */
export function routeOf(
  table: RouteTable,
  topic: string,
  view: RouteView,
): TopicRouteData | undefined {
  const queues = table.queuesOf(topic);
  if (queues === undefined) return undefined;
  const brokerDatas: BrokerData[] = [];
  const queueDatas: QueueData[] = [];
  const filterServerTable = new Map<string, readonly string[]>();
  for (const queueData of queues.values()) {
    const group = table.brokers.group(queueData.brokerName);
    if (group === undefined) continue;
    const broker = brokerDataOf(group);
    if (isOfOtherZone(broker, view.zoneName)) continue;
    brokerDatas.push(view.supportActingMaster ? withActingMaster(broker, queueData) : broker);
    queueDatas.push(queueData);
    for (const { brokerAddr, filterServers } of group.members.values())
      if (filterServers.length > 0) filterServerTable.set(brokerAddr, filterServers);
  }
  const { orderTopicConf } = view;
  return { brokerDatas, queueDatas, filterServerTable, orderTopicConf };
}

/** A broker without a master is shown everywhere: its slave is wanted. @source RocketMQ ZoneRouteRPCHook */
function isOfOtherZone(broker: BrokerData, zoneName: string | undefined): boolean {
  if (zoneName === undefined || !broker.brokerAddrs.has(MASTER_ID)) return false;
  return broker.zoneName?.toLowerCase() !== zoneName.toLowerCase();
}

/** @source RocketMQ RouteInfoManager.pickupTopicRouteData */
function withActingMaster(broker: BrokerData, { perm }: QueueData): BrokerData {
  const { brokerAddrs, enableActingMaster } = broker;
  const isWanted = enableActingMaster && !brokerAddrs.has(MASTER_ID) && (perm & PERM_WRITE) === 0;
  if (!isWanted) return broker;
  const smallest = Math.min(...brokerAddrs.keys());
  const addresses = [...brokerAddrs].map(
    ([id, address]) => [id === smallest ? MASTER_ID : id, address] as const,
  );
  return { ...broker, brokerAddrs: new Map(addresses) };
}

export function clusterInfoOf(table: RouteTable): ClusterInfo {
  return {
    brokers: [...table.brokers.allGroups()].map(brokerDataOf),
    clusters: table.brokers.clusters(),
  };
}

export function allTopics(table: RouteTable): TopicList {
  return { topics: [...table.topicNames()], brokerAddr: undefined };
}

/** Topics that a broker of this cluster has. */
export function topicsOfCluster(table: RouteTable, clusterName: string): TopicList {
  const names = new Set(table.brokers.clusters().get(clusterName) ?? []);
  return topicsWhere(table, (queues) => names.has(queues.brokerName));
}

/** Topics with one of these bits, and none of those. */
export function topicsByFlag(table: RouteTable, bits: number, without = 0): TopicList {
  return topicsWhere(
    table,
    ({ topicSysFlag }) => (topicSysFlag & bits) !== 0 && (topicSysFlag & without) === 0,
  );
}

function topicsWhere(table: RouteTable, isMeant: (queues: QueueData) => boolean): TopicList {
  const topics = [...table.topicNames()].filter((topic) =>
    [...(table.queuesOf(topic)?.values() ?? [])].some(isMeant),
  );
  return { topics, brokerAddr: undefined };
}

/** The names under which brokers keep topics of their own: clusters and brokers; and the address of any broker. */
export function systemTopics(table: RouteTable): TopicList {
  const topics = [...table.brokers.clusters()].flatMap(([cluster, names]) => [cluster, ...names]);
  const [broker] = table.brokers.allBrokers();
  return { topics: [...new Set(topics)], brokerAddr: broker?.brokerAddr };
}
