/**
 * What a broker says about its topics: DataVersion, TopicConfig, and the table of them, as JSON and as the text of a
 * compressed registration. Browser-safe.
 *
 * @source RocketMQ DataVersion, TopicConfig, TopicConfigSerializeWrapper
 */
import { SluiceError } from '../../base/errors.ts';
import {
  NAMESRV_TOPICS_MAX,
  REGISTERED_NAME_MAX,
  REGISTERED_QUEUES_MAX,
} from '../../base/limits.ts';
import { BodyReader } from './body-reader.ts';
import { type Decoded, decoded, type LenientValue, parseLenientJson } from './lenient-json.ts';

/** Which state of its topics a broker talks about. Two are equal or different; neither is newer. */
export type DataVersion = {
  readonly counter: number;
  readonly stateVersion: number;
  readonly timestamp: number;
};

export const PERM_WRITE = 2;
export const PERM_READ = 4;
/** Bits that `perm` may have: inherit, write, read, priority. */
const PERM_MAX = 15;
const INT32_MAX = 0x7fff_ffff;
const ATTRIBUTES_MAX = 256;
const ATTRIBUTE_LENGTH_MAX = 4096;

export type TopicConfig = {
  readonly topicName: string;
  readonly readQueueNums: number;
  readonly writeQueueNums: number;
  /** PERM_WRITE, PERM_READ, 1 to inherit. */
  readonly perm: number;
  readonly topicFilterType: string;
  /** Bit 0 unit, bit 1 unit-sub. */
  readonly topicSysFlag: number;
  readonly order: boolean;
  readonly attributes: ReadonlyMap<string, string>;
};

export type TopicConfigTable = {
  readonly dataVersion: DataVersion;
  readonly topics: readonly TopicConfig[];
};

const encoder = new TextEncoder();

export function sameDataVersion(one: DataVersion, other: DataVersion): boolean {
  return (
    one.counter === other.counter &&
    one.stateVersion === other.stateVersion &&
    one.timestamp === other.timestamp
  );
}

export function encodeDataVersion(version: DataVersion): Uint8Array {
  return encoder.encode(dataVersionText(version));
}

export function dataVersionText({ counter, stateVersion, timestamp }: DataVersion): string {
  return `{"counter":${counter},"stateVersion":${stateVersion},"timestamp":${timestamp}}`;
}

export function decodeDataVersion(body: Uint8Array): Decoded<DataVersion> {
  return decoded(() => readDataVersion(parseLenientJson(body)));
}

/** @throws INVALID_ARGUMENT */
export function readDataVersion(value: LenientValue | undefined): DataVersion {
  const reader = new BodyReader(value, 'dataVersion');
  const integer = (name: string): number => reader.integer(name, 0, Number.MAX_SAFE_INTEGER, 0);
  return {
    counter: integer('counter'),
    stateVersion: integer('stateVersion'),
    timestamp: integer('timestamp'),
  };
}

/** One topic as an object. @throws INVALID_ARGUMENT */
export function readTopicConfig(value: LenientValue, what: string): TopicConfig {
  const reader = new BodyReader(value, what);
  const queues = (name: string): number => reader.integer(name, 0, REGISTERED_QUEUES_MAX, 16);
  return {
    topicName: readName(reader.text('topicName', REGISTERED_NAME_MAX), what),
    readQueueNums: queues('readQueueNums'),
    writeQueueNums: queues('writeQueueNums'),
    perm: reader.integer('perm', 0, PERM_MAX, PERM_READ | PERM_WRITE),
    topicFilterType: reader.text('topicFilterType', REGISTERED_NAME_MAX, 'SINGLE_TAG'),
    topicSysFlag: reader.integer('topicSysFlag', 0, INT32_MAX, 0),
    order: reader.boolean('order', false),
    attributes: readAttributes(reader),
  };
}

function readAttributes(reader: BodyReader): ReadonlyMap<string, string> {
  const entries = reader.entries('attributes', ATTRIBUTES_MAX).map(([name, value]) => {
    if (typeof value === 'string' && value.length <= ATTRIBUTE_LENGTH_MAX)
      return [name, value] as const;
    throw reader.wrong(`attributes.${name.slice(0, 60)}`, value, 'a short string');
  });
  return new Map(entries);
}

/** A name that a broker gives something: any but an empty one, or one with control characters. */
export function readName(name: string, what: string): string {
  for (let index = 0; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    if (code > 0x20 && code !== 0x7f) continue;
    throw new SluiceError('INVALID_NAME', `${what} has a blank or control character in its name`);
  }
  if (name === '') throw new SluiceError('INVALID_NAME', `${what} has an empty name`);
  return name;
}

/** The table as an object: of 5.x, and of 4.9, which has fewer members. @throws INVALID_ARGUMENT */
export function readTopicConfigTable(value: LenientValue | undefined): TopicConfigTable {
  const reader = new BodyReader(value, 'topicConfigSerializeWrapper');
  const topics = reader.entries('topicConfigTable', NAMESRV_TOPICS_MAX);
  return {
    dataVersion: readDataVersion(reader.value('dataVersion')),
    topics: topics.map(([name, topic]) => readTopicConfig(topic, `topic ${name.slice(0, 60)}`)),
  };
}

/** One topic as fastjson writes it. */
export function topicConfigText(topic: TopicConfig): string {
  return (
    `{"attributes":${JSON.stringify(Object.fromEntries(topic.attributes))},"order":${topic.order},` +
    `"perm":${topic.perm},"readQueueNums":${topic.readQueueNums},` +
    `"topicFilterType":${JSON.stringify(topic.topicFilterType)},` +
    `"topicName":${JSON.stringify(topic.topicName)},"topicSysFlag":${topic.topicSysFlag},` +
    `"writeQueueNums":${topic.writeQueueNums}}`
  );
}

/** The table as 5.x writes it. */
export function topicConfigTableText({ dataVersion, topics }: TopicConfigTable): string {
  const entries = topics.map(
    (topic) => `${JSON.stringify(topic.topicName)}:${topicConfigText(topic)}`,
  );
  return (
    `{"dataVersion":${dataVersionText(dataVersion)},"mappingDataVersion":${dataVersionText(NO_VERSION)},` +
    `"topicConfigTable":{${entries.join(',')}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}`
  );
}

const NO_VERSION: DataVersion = { counter: 0, stateVersion: 0, timestamp: 0 };

/** The text of a topic in a compressed registration. @source RocketMQ TopicConfig.encode */
export function topicConfigLine(topic: TopicConfig): string {
  const { topicName, readQueueNums, writeQueueNums, perm, topicFilterType, attributes } = topic;
  const json = JSON.stringify(Object.fromEntries(attributes));
  return `${topicName} ${readQueueNums} ${writeQueueNums} ${perm} ${topicFilterType} ${json}`;
}

/** Reads such a text: five parts from 4.9, six from 5.x. It carries neither order nor topicSysFlag. @throws INVALID_ARGUMENT */
export function readTopicConfigLine(line: string): TopicConfig {
  const [topicName = '', readQueueNums = '', writeQueueNums = '', perm = '', topicFilterType = ''] =
    line.split(' ', 5);
  const attributesAt = nthBlank(line, 5);
  const attributes =
    attributesAt < 0
      ? new Map<string, LenientValue>()
      : parseLenientJson(encoder.encode(line.slice(attributesAt + 1)));
  const fields = { topicName, readQueueNums, writeQueueNums, perm, topicFilterType, attributes };
  return readTopicConfig(
    new Map<string, LenientValue>(Object.entries(fields)),
    `topic ${topicName.slice(0, 60)}`,
  );
}

function nthBlank(text: string, count: number): number {
  let at = -1;
  for (let found = 0; found < count; found += 1) {
    at = text.indexOf(' ', at + 1);
    if (at < 0) return -1;
  }
  return at;
}
