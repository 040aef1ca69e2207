/**
 * Bodies that RocketMQ's tools ask brokers for: statistics of topics and groups, tables, configurations. Queues as keys are
 * written as fastjson writes them. Browser-safe.
 *
 * @source RocketMQ TopicStatsTable, ConsumeStats, BrokerStatsData, KVTable, SubscriptionGroupWrapper, GroupList
 */
import { ATTEMPTS_MAX, REGISTERED_NAME_MAX } from '../../base/limits.ts';
import { BodyReader } from './body-reader.ts';
import { type MessageQueueName, queueText } from './group-bodies-codec.ts';
import { type Decoded, decoded, parseLenientJson } from './lenient-json.ts';
import { type DataVersion, dataVersionText } from './topic-config-codec.ts';

export type QueueEnds = {
  readonly queue: MessageQueueName;
  readonly minOffset: number;
  readonly maxOffset: number;
  /** When the last message was stored; 0 when there is none. */
  readonly lastStoredAtMs: number;
};

export type QueueProgress = {
  readonly queue: MessageQueueName;
  readonly brokerOffset: number;
  readonly consumerOffset: number;
  /** When the last message that was consumed was stored; 0 when that is not known. */
  readonly lastConsumedAtMs: number;
};

/** Messages within a span of time. */
export type Amount = { readonly count: number; readonly perSecond: number };

/** What a group is allowed, and how often it is given a message. */
export type GroupConfig = {
  readonly groupName: string;
  readonly isConsuming: boolean;
  readonly retryMaxTimes: number;
};

const encoder = new TextEncoder();

export function encodeTopicStats(queues: readonly QueueEnds[], perSecond: number): Uint8Array {
  const entries = queues.map(({ queue, minOffset, maxOffset, lastStoredAtMs }) => {
    const offsets = { lastUpdateTimestamp: lastStoredAtMs, maxOffset, minOffset };
    return `${queueText(queue)}:${JSON.stringify(offsets)}`;
  });
  return encoder.encode(
    `{"offsetTable":{${entries.join(',')}},"topicPutTps":${javaDouble(perSecond)}}`,
  );
}

export function encodeConsumeStats(
  queues: readonly QueueProgress[],
  perSecond: number,
): Uint8Array {
  return encoder.encode(consumeStatsText({ queues, perSecond }));
}

/** How far a group is in what it reads. */
export type ConsumeStats = {
  readonly queues: readonly QueueProgress[];
  readonly perSecond: number;
};

/** Of all groups of a broker. */
export function encodeConsumeStatsList(
  brokerAddr: string,
  groups: readonly (readonly [name: string, stats: ConsumeStats])[],
): Uint8Array {
  const list = groups.map(
    ([name, stats]) => `{${JSON.stringify(name)}:[${consumeStatsText(stats)}]}`,
  );
  const diff = groups
    .flatMap(([, { queues }]) => [...queues])
    .reduce((sum, { brokerOffset, consumerOffset }) => sum + brokerOffset - consumerOffset, 0);
  return encoder.encode(
    `{"brokerAddr":${JSON.stringify(brokerAddr)},"consumeStatsList":[${list.join(',')}],"totalDiff":${diff},"totalInflightDiff":0}`,
  );
}

function consumeStatsText({ queues, perSecond }: ConsumeStats): string {
  const entries = queues.map(({ queue, brokerOffset, consumerOffset, lastConsumedAtMs }) => {
    const offsets = {
      ...{ brokerOffset, consumerOffset, lastTimestamp: lastConsumedAtMs },
      pullOffset: consumerOffset,
    };
    return `${queueText(queue)}:${JSON.stringify(offsets)}`;
  });
  return `{"consumeTps":${javaDouble(perSecond)},"offsetTable":{${entries.join(',')}}}`;
}

/** All three spans: tools look at each without asking whether it is there. */
export function encodeStatsData(day: Amount, hour: Amount, minute: Amount): Uint8Array {
  const text = ({ count, perSecond }: Amount): string =>
    `{"avgpt":0.0,"sum":${count},"tps":${javaDouble(perSecond)}}`;
  return encoder.encode(
    `{"statsDay":${text(day)},"statsHour":${text(hour)},"statsMinute":${text(minute)}}`,
  );
}

export function encodeGroupList(groups: readonly string[]): Uint8Array {
  return encoder.encode(JSON.stringify({ groupList: groups }));
}

/** Offsets of all groups: by `topic@group`, then by queue. */
export function encodeAllOffsets(
  tables: readonly (readonly [name: string, offsets: readonly (readonly [number, number])[]])[],
): Uint8Array {
  const entries = tables.map(([name, offsets]) => {
    const pairs = offsets.map(([queueId, offset]) => `${queueId}:${offset}`);
    return `${JSON.stringify(name)}:{${pairs.join(',')}}`;
  });
  return encoder.encode(`{"offsetTable":{${entries.join(',')}}}`);
}

export function encodeGroupConfig(group: GroupConfig): Uint8Array {
  return encoder.encode(groupConfigText(group));
}

export function encodeGroupTable(version: DataVersion, groups: readonly GroupConfig[]): Uint8Array {
  const entries = groups.map(
    (group) => `${JSON.stringify(group.groupName)}:${groupConfigText(group)}`,
  );
  return encoder.encode(
    `{"dataVersion":${dataVersionText(version)},"forbiddenTable":{},"subscriptionGroupTable":{${entries.join(',')}}}`,
  );
}

/** What is asked of a group; the members that mean nothing here are passed over. */
export function decodeGroupConfig(body: Uint8Array): Decoded<GroupConfig> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'SubscriptionGroupConfig');
    return {
      groupName: reader.text('groupName', REGISTERED_NAME_MAX),
      isConsuming: reader.boolean('consumeEnable', true),
      retryMaxTimes: reader.integer('retryMaxTimes', -1, ATTEMPTS_MAX, RETRY_MAX_TIMES),
    };
  });
}

const RETRY_MAX_TIMES = 16;

/** With RocketMQ's defaults for what it has and we do not. */
function groupConfigText({ groupName, isConsuming, retryMaxTimes }: GroupConfig): string {
  return JSON.stringify({
    attributes: {},
    brokerId: 0,
    consumeBroadcastEnable: true,
    consumeEnable: isConsuming,
    consumeFromMinEnable: true,
    consumeMessageOrderly: false,
    consumeTimeoutMinute: 15,
    groupName,
    groupRetryPolicy: { type: 'CUSTOMIZED' },
    groupSysFlag: 0,
    notifyConsumerIdsChangedEnable: true,
    retryMaxTimes,
    retryQueueNums: 1,
    whichBrokerWhenConsumeSlowly: 1,
  });
}

/** Old readers want a point in a double. */
function javaDouble(value: number): string {
  const rounded = Math.round(value * 100) / 100;
  return Number.isInteger(rounded) ? `${rounded}.0` : String(rounded);
}
