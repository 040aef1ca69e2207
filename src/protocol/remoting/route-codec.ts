/**
 * Routes: which brokers have a topic, how many queues each, and where they are. Written in one line without blanks,
 * because the Go client takes the text of `brokerAddrs` apart by hand; its keys stand in quotes for everybody but those
 * who read fastjson's own form and say so by their age. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 7; RocketMQ TopicRouteData, BrokerData, QueueData, ClusterInfo
 */
import {
  NAMESRV_BROKERS_MAX,
  REGISTERED_NAME_MAX,
  REGISTERED_QUEUES_MAX,
} from '../../base/limits.ts';
import { BodyReader } from './body-reader.ts';
import { type Decoded, decoded, type LenientValue, parseLenientJson } from './lenient-json.ts';

/** Number of the master among the brokers of a name; its slaves have others. */
export const MASTER_ID = 0;

export type BrokerData = {
  readonly cluster: string;
  readonly brokerName: string;
  /** Broker id → `host:port`. */
  readonly brokerAddrs: ReadonlyMap<number, string>;
  readonly enableActingMaster: boolean;
  readonly zoneName: string | undefined;
};

export type QueueData = {
  readonly brokerName: string;
  readonly readQueueNums: number;
  readonly writeQueueNums: number;
  readonly perm: number;
  readonly topicSysFlag: number;
};

export type TopicRouteData = {
  readonly brokerDatas: readonly BrokerData[];
  readonly queueDatas: readonly QueueData[];
  /** Broker address → its filter servers. */
  readonly filterServerTable: ReadonlyMap<string, readonly string[]>;
  /** `broker-a:4;broker-b:4`; producers then use exactly these queues. */
  readonly orderTopicConf: string | undefined;
};

export type ClusterInfo = {
  readonly brokers: readonly BrokerData[];
  /** Cluster → names of its brokers. */
  readonly clusters: ReadonlyMap<string, readonly string[]>;
};

/** `strict`: JSON. `fastjson`: integers as keys without quotes, as Java before 4.9.4 is sent them. */
export type KeyForm = 'strict' | 'fastjson';

const INT32_MAX = 0x7fff_ffff;
const BROKER_ADDRESSES_MAX = 256;
const ORDER_CONF_LENGTH_MAX = 1_000_000;
const encoder = new TextEncoder();

export function encodeTopicRoute(route: TopicRouteData, keys: KeyForm): Uint8Array {
  const { orderTopicConf } = route;
  const order = orderTopicConf === undefined ? '' : `"orderTopicConf":${quoted(orderTopicConf)},`;
  const brokers = route.brokerDatas.map((broker) => brokerDataText(broker, keys));
  const servers = [...route.filterServerTable].map(
    ([address, list]) => `${quoted(address)}:${JSON.stringify(list)}`,
  );
  return encoder.encode(
    `{"brokerDatas":[${brokers.join(',')}],"filterServerTable":{${servers.join(',')}},` +
      `${order}"queueDatas":[${route.queueDatas.map(queueDataText).join(',')}]}`,
  );
}

function brokerDataText(broker: BrokerData, keys: KeyForm): string {
  const { brokerName, cluster, enableActingMaster, zoneName } = broker;
  const zone = zoneName === undefined ? '' : `,"zoneName":${quoted(zoneName)}`;
  return (
    `{"brokerAddrs":{${addressesText(broker.brokerAddrs, keys)}},"brokerName":${quoted(brokerName)},` +
    `"cluster":${quoted(cluster)},"enableActingMaster":${enableActingMaster}${zone}}`
  );
}

function addressesText(addresses: ReadonlyMap<number, string>, keys: KeyForm): string {
  const mark = keys === 'strict' ? '"' : '';
  const sorted = [...addresses].sort(([a], [b]) => a - b);
  return sorted.map(([id, address]) => `${mark}${id}${mark}:${quoted(address)}`).join(',');
}

function queueDataText(queue: QueueData): string {
  return (
    `{"brokerName":${quoted(queue.brokerName)},"perm":${queue.perm},"readQueueNums":${queue.readQueueNums},` +
    `"topicSysFlag":${queue.topicSysFlag},"writeQueueNums":${queue.writeQueueNums}}`
  );
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Reads a route in either form. */
export function decodeTopicRoute(body: Uint8Array): Decoded<TopicRouteData> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'TopicRouteData');
    const servers = reader
      .entries('filterServerTable', NAMESRV_BROKERS_MAX)
      .map(
        ([address, list]) =>
          [
            address,
            new BodyReader(new Map([['list', list]]), `filterServerTable.${address}`).texts(
              'list',
              NAMESRV_BROKERS_MAX,
              REGISTERED_NAME_MAX,
            ),
          ] as const,
      );
    return {
      brokerDatas: reader.items('brokerDatas', NAMESRV_BROKERS_MAX).map(readBrokerData),
      queueDatas: reader.items('queueDatas', NAMESRV_BROKERS_MAX).map(readQueueData),
      filterServerTable: new Map(servers),
      orderTopicConf: reader.optionalText('orderTopicConf', ORDER_CONF_LENGTH_MAX),
    };
  });
}

function readBrokerData(value: LenientValue): BrokerData {
  const reader = new BodyReader(value, 'brokerData');
  const addresses = reader.entries('brokerAddrs', BROKER_ADDRESSES_MAX).map(([id, address]) => {
    const isId = /^\d{1,15}$/.test(id);
    if (isId && typeof address === 'string') return [Number(id), address] as const;
    throw reader.wrong('brokerAddrs', id, 'addresses by broker id');
  });
  return {
    cluster: reader.text('cluster', REGISTERED_NAME_MAX, ''),
    brokerName: reader.text('brokerName', REGISTERED_NAME_MAX),
    brokerAddrs: new Map(addresses),
    enableActingMaster: reader.boolean('enableActingMaster', false),
    zoneName: reader.optionalText('zoneName', REGISTERED_NAME_MAX),
  };
}

/** One QueueData; REGISTER_TOPIC_IN_NAMESRV carries them alone. @throws INVALID_ARGUMENT */
export function readQueueData(value: LenientValue): QueueData {
  const reader = new BodyReader(value, 'queueData');
  return {
    brokerName: reader.text('brokerName', REGISTERED_NAME_MAX),
    readQueueNums: reader.integer('readQueueNums', 0, REGISTERED_QUEUES_MAX),
    writeQueueNums: reader.integer('writeQueueNums', 0, REGISTERED_QUEUES_MAX),
    perm: reader.integer('perm', 0, INT32_MAX),
    // Go calls it topicSynFlag.
    topicSysFlag: reader.integer('topicSysFlag', 0, INT32_MAX, 0),
  };
}

/** The cluster information as Java's server writes it: with ids that have no quotes. */
export function encodeClusterInfo(info: ClusterInfo, keys: KeyForm): Uint8Array {
  const brokers = info.brokers.map(
    (broker) => `${quoted(broker.brokerName)}:${brokerDataText(broker, keys)}`,
  );
  const clusters = [...info.clusters].map(
    ([cluster, names]) => `${quoted(cluster)}:${JSON.stringify(names)}`,
  );
  return encoder.encode(
    `{"brokerAddrTable":{${brokers.join(',')}},"clusterAddrTable":{${clusters.join(',')}}}`,
  );
}

export function decodeClusterInfo(body: Uint8Array): Decoded<ClusterInfo> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'ClusterInfo');
    const brokers = reader.entries('brokerAddrTable', NAMESRV_BROKERS_MAX);
    const clusters = reader.entries('clusterAddrTable', NAMESRV_BROKERS_MAX);
    return {
      brokers: brokers.map(([, broker]) => readBrokerData(broker)),
      clusters: new Map(
        clusters.map(([cluster, names]) => [
          cluster,
          new BodyReader(new Map([['names', names]]), `clusterAddrTable.${cluster}`).texts(
            'names',
            NAMESRV_BROKERS_MAX,
            REGISTERED_NAME_MAX,
          ),
        ]),
      ),
    };
  });
}

/** The brokers of one name, as GET_BROKER_MEMBER_GROUP answers: ids without quotes. */
export function encodeBrokerMemberGroup(broker: BrokerData, keys: KeyForm): Uint8Array {
  return encoder.encode(
    `{"brokerMemberGroup":{"brokerAddrs":{${addressesText(broker.brokerAddrs, keys)}},` +
      `"brokerName":${quoted(broker.brokerName)},"cluster":${quoted(broker.cluster)}}}`,
  );
}
