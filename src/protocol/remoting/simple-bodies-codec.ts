/**
 * The small bodies: lists of topics, tables of text, properties. Browser-safe.
 *
 * @source RocketMQ TopicList, KVTable, MixAll.string2Properties
 */
import { NAMESRV_TOPICS_MAX, REGISTERED_NAME_MAX } from '../../base/limits.ts';
import { readText } from '../batch/text-bytes.ts';
import { BodyReader } from './body-reader.ts';
import { type Decoded, decoded, parseLenientJson } from './lenient-json.ts';

export type TopicList = {
  readonly topics: readonly string[];
  /** Address of a broker, in the list of system topics only. */
  readonly brokerAddr: string | undefined;
};

const TABLE_ENTRIES_MAX = NAMESRV_TOPICS_MAX;
const PROPERTIES_MAX = 1000;
const encoder = new TextEncoder();

export function encodeTopicList({ topics, brokerAddr }: TopicList): Uint8Array {
  const address = brokerAddr === undefined ? '' : `"brokerAddr":${JSON.stringify(brokerAddr)},`;
  return encoder.encode(`{${address}"topicList":${JSON.stringify(topics)}}`);
}

export function decodeTopicList(body: Uint8Array): Decoded<TopicList> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'TopicList');
    return {
      topics: reader.texts('topicList', NAMESRV_TOPICS_MAX, REGISTERED_NAME_MAX),
      brokerAddr: reader.optionalText('brokerAddr', REGISTERED_NAME_MAX),
    };
  });
}

export function encodeKvTable(table: ReadonlyMap<string, string>): Uint8Array {
  const entries = [...table].map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
  );
  return encoder.encode(`{"table":{${entries.join(',')}}}`);
}

export function decodeKvTable(body: Uint8Array): Decoded<ReadonlyMap<string, string>> {
  return decoded(() => {
    const reader = new BodyReader(parseLenientJson(body), 'KVTable');
    const entries = reader.entries('table', TABLE_ENTRIES_MAX).map(([key, value]) => {
      if (typeof value === 'string') return [key, value] as const;
      throw reader.wrong(`table.${key.slice(0, 60)}`, value, 'a string');
    });
    return new Map(entries);
  });
}

/** `key=value`, one a line. */
export function encodeProperties(properties: ReadonlyMap<string, string>): Uint8Array {
  return encoder.encode([...properties].map(([key, value]) => `${key}=${value}\n`).join(''));
}

/**
 * Reads such a text; blank lines and comments do not count. A line without = is a key with an empty value.
 *
 * @returns undefined when there are too many of them
 */
export function decodeProperties(body: Uint8Array): ReadonlyMap<string, string> | undefined {
  const properties = new Map<string, string>();
  for (const line of readText(body, 0, body.length).split(/\r\n|\r|\n/)) {
    const text = line.trim();
    if (text === '' || text.startsWith('#') || text.startsWith('!')) continue;
    const [, key = '', value = ''] = /^([^=:\s]*)\s*[=:]?\s*(.*)$/s.exec(text) ?? [];
    properties.set(key, value);
    if (properties.size > PROPERTIES_MAX) return undefined;
  }
  return properties;
}
