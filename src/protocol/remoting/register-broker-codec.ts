/**
 * The body of REGISTER_BROKER: topics and filter servers, as JSON or as the compressed sequence of lengths and texts.
 * Inflating is given from outside, because a browser has none that returns at once; it must be bounded. Browser-safe.
 *
 * @source docs/PROTOCOL.md, section 7; RocketMQ RegisterBrokerBody
 */
import { crc32 } from '../../base/crc32.ts';
import { SluiceError } from '../../base/errors.ts';
import { FILTER_SERVERS_MAX, NAMESRV_TOPICS_MAX, REGISTERED_NAME_MAX } from '../../base/limits.ts';
import { readText } from '../batch/text-bytes.ts';
import { BodyReader } from './body-reader.ts';
import { type Decoded, decoded, parseLenientJson } from './lenient-json.ts';
import {
  dataVersionText,
  readDataVersion,
  readTopicConfigLine,
  readTopicConfigTable,
  type TopicConfigTable,
  topicConfigLine,
  topicConfigTableText,
} from './topic-config-codec.ts';

/** Versions of RocketMQ that change what the body is: 3.0.11 and 5.0.0. */
const VERSION_WITH_BODY = 37;
export const VERSION_WITH_MAPPINGS = 413;
const MAPPINGS_MAX = NAMESRV_TOPICS_MAX;
const LENGTH_BYTES = 4;
/** RocketMQ 5.3 compresses the body and says in the header that it did not; no JSON begins with this byte. */
const ZLIB_FIRST_BYTE = 0x78;

export type RegisterBrokerBody = {
  readonly topicTable: TopicConfigTable;
  readonly filterServers: readonly string[];
};

/** Inflates a zlib stream. @returns undefined when it is none, or becomes larger than allowed */
export type Inflate = (bytes: Uint8Array) => Uint8Array | undefined;

/** How the body was sent: what the header says. */
export type BodyForm = {
  readonly compressed: boolean;
  /** Version of the broker that sends it. */
  readonly version: number;
};

/** The checksum of a body as its header carries it: never negative. */
export function bodyCrc32(body: Uint8Array): number {
  return crc32(body) & 0x7fff_ffff;
}

export function decodeRegisterBrokerBody(
  body: Uint8Array,
  { compressed, version }: BodyForm,
  inflate: Inflate,
): Decoded<RegisterBrokerBody> {
  return decoded(() => {
    if (!compressed && body[0] !== ZLIB_FIRST_BYTE) return readJsonBody(body, version);
    const bytes = inflate(body);
    if (bytes === undefined)
      throw new SluiceError('BAD_FRAME', 'the compressed body is no zlib stream, or too large');
    return new PackedReader(bytes).read(version);
  });
}

function readJsonBody(body: Uint8Array, version: number): RegisterBrokerBody {
  const value = parseLenientJson(body);
  if (version < VERSION_WITH_BODY)
    return { topicTable: readTopicConfigTable(value), filterServers: [] };
  const reader = new BodyReader(value, 'RegisterBrokerBody');
  return {
    topicTable: readTopicConfigTable(reader.value('topicConfigSerializeWrapper')),
    filterServers: reader.texts('filterServerList', FILTER_SERVERS_MAX, REGISTERED_NAME_MAX),
  };
}

/** The sequence inside a compressed body. */
class PackedReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(version: number): RegisterBrokerBody {
    const dataVersion = readDataVersion(parseLenientJson(this.part('dataVersion')));
    const topicCount = this.count('topics', NAMESRV_TOPICS_MAX);
    const topics = Array.from({ length: topicCount }, () => {
      const part = this.part('a topic');
      return readTopicConfigLine(readText(part, 0, part.length));
    });
    const servers = parseLenientJson(this.part('filterServerList'));
    const wrapped = new BodyReader(new Map([['filterServerList', servers]]), 'RegisterBrokerBody');
    const filterServers = wrapped.texts(
      'filterServerList',
      FILTER_SERVERS_MAX,
      REGISTERED_NAME_MAX,
    );
    if (version >= VERSION_WITH_MAPPINGS) this.passMappings();
    if (this.at !== this.bytes.length) throw this.cut('its end');
    return { topicTable: { dataVersion, topics }, filterServers };
  }

  /** Queue mappings belong to static topics, which are not served here. */
  private passMappings(): void {
    // Released brokers of 5.x leave out the count when there is nothing to count.
    if (this.at === this.bytes.length) return;
    const mappingCount = this.count('mappings', MAPPINGS_MAX);
    for (let index = 0; index < mappingCount; index += 1) this.part('a mapping');
  }

  private integer(what: string): number {
    if (this.bytes.length - this.at < LENGTH_BYTES) throw this.cut(what);
    const value = this.view.getInt32(this.at);
    this.at += LENGTH_BYTES;
    return value;
  }

  /** A count, before anything is made for it: each of its parts needs at least a length. */
  private count(what: string, max: number): number {
    const count = this.integer(what);
    const fits = count >= 0 && count <= max;
    if (!fits || count > (this.bytes.length - this.at) / LENGTH_BYTES) throw this.cut(what);
    return count;
  }

  private part(what: string): Uint8Array {
    const length = this.integer(what);
    if (length < 0 || length > this.bytes.length - this.at) throw this.cut(what);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private cut(what: string): SluiceError {
    return new SluiceError('BAD_FRAME', `the compressed body is wrong at ${what}, byte ${this.at}`);
  }
}

/** The body as JSON, as brokers since 3.0.11 send it. */
export function encodeRegisterBrokerBody(body: RegisterBrokerBody): Uint8Array {
  return new TextEncoder().encode(
    `{"filterServerList":${JSON.stringify(body.filterServers)},` +
      `"topicConfigSerializeWrapper":${topicConfigTableText(body.topicTable)}}`,
  );
}

/** The bytes that are compressed, as a broker of 5.x sends them. */
export function packRegisterBrokerBody({
  topicTable,
  filterServers,
}: RegisterBrokerBody): Uint8Array {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  const addInteger = (value: number): void => {
    const bytes = new Uint8Array(LENGTH_BYTES);
    new DataView(bytes.buffer).setInt32(0, value);
    parts.push(bytes);
  };
  const addText = (text: string): void => {
    const bytes = encoder.encode(text);
    addInteger(bytes.length);
    parts.push(bytes);
  };
  addText(dataVersionText(topicTable.dataVersion));
  addInteger(topicTable.topics.length);
  for (const topic of topicTable.topics) addText(topicConfigLine(topic));
  addText(JSON.stringify(filterServers));
  addInteger(0);
  const packed = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    packed.set(part, at);
    at += part.length;
  }
  return packed;
}
