/**
 * Every setting of the broker: name, sentence, unit, default, range. Names are RocketMQ's where RocketMQ has the same
 * thing. docs/CONFIG.md is written from this table. Control path, at start only; the result is plain data.
 */
import {
  ATTEMPTS_MAX_DEFAULT,
  BODY_BYTES_MAX,
  DELAY_MS_MAX,
  IN_FLIGHT_REQUESTS_MAX,
  LEASE_MS_DEFAULT,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  NACK_DELAY_MS_MAX,
  TOPIC_QUEUES_MAX,
  TRANSACTION_CHECK_INTERVAL_MS_DEFAULT,
  TRANSACTION_CHECK_MAX_DEFAULT,
  TRANSACTION_TIMEOUT_MS_DEFAULT,
} from '../base/limits.ts';
import { KIB, MIB } from '../base/units.ts';
import { REGISTRATION_SETTINGS } from './registration-settings.ts';
import { REMOTING_SETTINGS } from './remoting-settings.ts';
import { REPLICATION_SETTINGS } from './replication-settings.ts';
import { optional, type Setting, secret, setting } from './setting.ts';
import {
  boolean,
  bytes,
  bytesPowerOfTwo,
  choice,
  durationHours,
  durationMs,
  integer,
  list,
  ratio,
} from './setting-kinds.ts';
import { address, host, name, origin, path, token } from './text-kinds.ts';

/** The checked configuration: frozen, every field present. Meaning, range and default of each: docs/CONFIG.md. */
export type BrokerConfig = {
  readonly storePathRootDir: string;
  readonly memory: boolean;
  readonly flushDiskType: 'SYNC_FLUSH' | 'ASYNC_FLUSH';
  readonly flushIntervalMs: number;
  readonly segmentBytes: number;
  readonly segmentsAhead: number;
  readonly fileReservedTimeHours: number;
  readonly retentionBytes: number | undefined;
  readonly diskSoftRatio: number;
  readonly diskHardRatio: number;
  readonly listenAddress: string;
  readonly frontDoorPort: number;
  readonly transport: 'auto' | 'uws' | 'ws';
  readonly shards: number | undefined;
  readonly tailBytes: number;
  readonly ringBytes: number;
  readonly defaultTopicQueueNums: number;
  readonly autoCreateTopicEnable: boolean | undefined;
  readonly autoCreateSubscriptionGroup: boolean;
  readonly maxAttempts: number;
  readonly retryBackoffMs: readonly number[];
  readonly messageDelayLevel: readonly number[];
  readonly delayMsMax: number;
  readonly transactionTimeOut: number;
  readonly transactionCheckInterval: number;
  readonly transactionCheckMax: number;
  readonly leaseMs: number;
  readonly maxMessageSize: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly inFlightRequestsMax: number;
  readonly rateLimitBytesPerSecond: number | undefined;
  readonly rateLimitMessagesPerSecond: number | undefined;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly authToken: string | undefined;
  readonly authTokenFile: string | undefined;
  readonly insecureIUnderstand: boolean;
  readonly logLevel: 'info' | 'warn' | 'error' | 'silent';
  readonly brokerName: string;
  readonly brokerClusterName: string;
  readonly brokerId: number;
  readonly brokerRole: 'ASYNC_MASTER' | 'SYNC_MASTER' | 'SLAVE' | undefined;
  readonly haListenPort: number | undefined;
  readonly haMasterAddress: string | undefined;
  readonly haToken: string | undefined;
  readonly haTokenFile: string | undefined;
  readonly inSyncReplicas: number;
  readonly syncFlushTimeoutMs: number;
  readonly haSlaveFallbehindMax: number;
  readonly slaveReadEnable: boolean;
  readonly namesrvAddr: string | undefined;
  readonly brokerIP1: string | undefined;
  readonly brokerIP2: string | undefined;
  readonly remotingPort: number | undefined;
  readonly remotingTlsMode: 'disabled' | 'permissive' | 'enforcing' | undefined;
  readonly remotingTlsCertFile: string | undefined;
  readonly remotingTlsKeyFile: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  readonly secretKeyFile: string | undefined;
  readonly aclEnable: boolean | undefined;
  readonly aclFile: string | undefined;
  readonly registerNameServerPeriod: number;
  readonly namesrvPort: number | undefined;
  readonly registrationToken: string | undefined;
  readonly registrationTokenFile: string | undefined;
};

/** Name of a setting. */
export type SettingName = keyof BrokerConfig;

/** The settings, each with the type that BrokerConfig gives it, in the order of the document. */
export type SettingTable = { readonly [Name in SettingName]: Setting<BrokerConfig[Name]> };

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const GIB = 1024 * MIB;

export const SETTINGS: SettingTable = {
  storePathRootDir: setting(
    'Storage',
    path,
    './sluice-data',
    'Directory of all files of the broker. One broker at a time uses it.',
  ),
  memory: setting(
    'Storage',
    boolean(),
    false,
    'Keep everything in memory and write no files; for tests. Receipts then say durability memory.',
  ),
  flushDiskType: setting(
    'Storage',
    choice(['SYNC_FLUSH', 'ASYNC_FLUSH'], { sync: 'SYNC_FLUSH', async: 'ASYNC_FLUSH' }),
    'SYNC_FLUSH',
    'SYNC_FLUSH acknowledges a message when the disk has it, ASYNC_FLUSH when memory has it.',
  ),
  flushIntervalMs: setting(
    'Storage',
    durationMs(1, MINUTE_MS),
    500,
    'Longest time between two flushes under ASYNC_FLUSH: what a power failure may cost.',
  ),
  segmentBytes: setting(
    'Storage',
    bytesPowerOfTwo(MIB, GIB),
    64 * MIB,
    'Size of one segment file. Fixed when the store is created.',
  ),
  segmentsAhead: setting(
    'Storage',
    integer('segments', 1, 1024),
    1,
    'Segments per shard filled with zeros ahead of need, and kept for it when retention frees them. A burst of that many is written to the disk once; what goes beyond, twice.',
  ),
  fileReservedTimeHours: setting(
    'Storage',
    durationHours(1, 87_600),
    72,
    'Messages are kept this long, consumed or not; whole segments are removed.',
  ),
  retentionBytes: optional(
    'Storage',
    bytes(MIB, 65_536 * GIB),
    'no limit by size',
    'Bytes kept per shard; beyond them the oldest segments go before their time.',
  ),
  diskSoftRatio: setting(
    'Storage',
    ratio(0.1, 0.99),
    0.85,
    'Used part of the volume above which segments are removed before their time.',
  ),
  diskHardRatio: setting(
    'Storage',
    ratio(0.1, 0.99),
    0.95,
    'Used part of the volume above which sends are refused with STORAGE_FULL; reads and acks go on.',
  ),
  listenAddress: setting(
    'Front door',
    address,
    '127.0.0.1',
    'Address to listen on. Any other than loopback needs a token, or insecureIUnderstand.',
  ),
  frontDoorPort: setting(
    'Front door',
    integer('', 0, 65_535),
    8880,
    'Port of WebSocket and HTTP. 0 picks a free one.',
  ),
  transport: setting(
    'Front door',
    choice(['auto', 'uws', 'ws']),
    'auto',
    'Library of the front door: uWebSockets.js, ws, or auto: the first where it loads and there is no token, else the second.',
  ),
  shards: optional(
    'Shards and memory',
    integer('threads', 1, 64),
    'half of the cores, at least 1',
    'Worker threads that own queues, each with a log of its own. Fixed when the store is created.',
  ),
  tailBytes: setting(
    'Shards and memory',
    bytesPowerOfTwo(MIB, GIB),
    32 * MIB,
    'Newest part of each log that is kept in memory; consumers within it never wait for the disk.',
  ),
  ringBytes: setting(
    'Shards and memory',
    bytesPowerOfTwo(MIB, GIB),
    16 * MIB,
    'Size of the request ring between the front door and a shard; its reply ring is an eighth.',
  ),
  defaultTopicQueueNums: setting(
    'Topics and groups',
    integer('queues', 1, TOPIC_QUEUES_MAX),
    8,
    'Queues of a topic that is created without saying how many.',
  ),
  autoCreateTopicEnable: optional(
    'Topics and groups',
    boolean(),
    'depends on the command: on for sluice up, off for sluice broker',
    'Create a topic with the first message sent to it.',
  ),
  autoCreateSubscriptionGroup: setting(
    'Topics and groups',
    boolean(),
    true,
    'Create a consumer group with its first subscription.',
  ),
  maxAttempts: setting(
    'Topics and groups',
    integer('deliveries', 1, 1000),
    ATTEMPTS_MAX_DEFAULT,
    'Deliveries of a message before it goes to the dead-letter topic of the group.',
  ),
  retryBackoffMs: setting(
    'Topics and groups',
    list(durationMs(0, NACK_DELAY_MS_MAX), 1, 64),
    [
      ...[SECOND_MS, 5 * SECOND_MS, 10 * SECOND_MS, 30 * SECOND_MS],
      ...[MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS],
    ],
    'Pause before the second, third, … delivery of a message; the last one repeats.',
  ),
  messageDelayLevel: setting(
    'Topics and groups',
    list(durationMs(0, DELAY_MS_MAX), 1, 64),
    [
      ...[SECOND_MS, 5 * SECOND_MS, 10 * SECOND_MS, 30 * SECOND_MS],
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30].map((minutes) => minutes * MINUTE_MS),
      ...[HOUR_MS, 2 * HOUR_MS],
    ],
    "The delays that RocketMQ's clients ask for by number: level 1, 2, and so on.",
  ),
  delayMsMax: setting(
    'Topics and groups',
    durationMs(SECOND_MS, DELAY_MS_MAX),
    366 * 24 * HOUR_MS,
    'Longest time that a message may be delayed. It may be longer than messages are kept.',
  ),
  transactionTimeOut: setting(
    'Topics and groups',
    durationMs(100, 24 * HOUR_MS),
    TRANSACTION_TIMEOUT_MS_DEFAULT,
    'Time after which a producer is asked what became of a half message.',
  ),
  transactionCheckInterval: setting(
    'Topics and groups',
    durationMs(100, 24 * HOUR_MS),
    TRANSACTION_CHECK_INTERVAL_MS_DEFAULT,
    'Pause before it is asked again.',
  ),
  transactionCheckMax: setting(
    'Topics and groups',
    integer('times', 1, 1000),
    TRANSACTION_CHECK_MAX_DEFAULT,
    'How often it is asked. Then the message waits for an operator: `sluice admin transactions`.',
  ),
  leaseMs: setting(
    'Topics and groups',
    durationMs(LEASE_MS_MIN, LEASE_MS_MAX),
    LEASE_MS_DEFAULT,
    'Time a consumer has for a message before it is delivered again, unless its subscription says otherwise.',
  ),
  maxMessageSize: setting(
    'Limits',
    bytes(KIB, BODY_BYTES_MAX),
    BODY_BYTES_MAX,
    'Bytes of one message body.',
  ),
  connectionsMax: setting(
    'Limits',
    integer('connections', 1, 1_000_000),
    10_000,
    'Connections in all; more are refused.',
  ),
  connectionsPerAddressMax: setting(
    'Limits',
    integer('connections', 1, 1_000_000),
    1000,
    'Connections from one address; more are refused.',
  ),
  inFlightRequestsMax: setting(
    'Limits',
    integer('requests', 1, IN_FLIGHT_REQUESTS_MAX),
    IN_FLIGHT_REQUESTS_MAX,
    'Unanswered sends of one connection; more are refused with WINDOW_FULL.',
  ),
  rateLimitBytesPerSecond: optional(
    'Limits',
    bytes(KIB, 64 * GIB),
    'no limit',
    'Bytes a second that one connection may send, of WebSocket or of a RocketMQ client; of HTTP, one address. Above them RATE_LIMITED with a time to wait.',
  ),
  rateLimitMessagesPerSecond: optional(
    'Limits',
    integer('messages', 1, 1_000_000_000),
    'no limit',
    'Messages a second that one connection may send, counted as rateLimitBytesPerSecond counts bytes.',
  ),
  allowedOrigins: {
    ...setting(
      'Access',
      list(origin, 0, 1000),
      [],
      'Web pages that may connect, by exact origin; these are in addition to the default.',
    ),
    defaultText: 'pages of the host itself and of localhost',
  },
  allowedHosts: {
    ...setting(
      'Access',
      list(host, 0, 1000),
      [],
      'Values of the Host header that are answered, in addition to the default.',
    ),
    defaultText: 'listenAddress, localhost and loopback addresses, with frontDoorPort',
  },
  authToken: secret(
    optional(
      'Access',
      token,
      'no token is asked for',
      'Token that every client must send. Better in a file: authTokenFile.',
    ),
  ),
  authTokenFile: optional(
    'Access',
    path,
    'none',
    'File whose content is the token; blanks and line ends around it do not count.',
  ),
  insecureIUnderstand: setting(
    'Access',
    boolean(),
    false,
    'Listen on other than loopback addresses without a token: whoever reaches the port may do everything.',
  ),
  logLevel: setting(
    'Identity and logs',
    choice(['info', 'warn', 'error', 'silent']),
    'info',
    'Least important log lines that are written.',
  ),
  brokerName: setting('Identity and logs', name, 'broker-a', 'Name of this broker.'),
  brokerClusterName: setting('Identity and logs', name, 'DefaultCluster', 'Name of its cluster.'),
  brokerId: setting(
    'Identity and logs',
    integer('', 0, 65_535),
    0,
    'Number of this broker among those of its name: 0 is the master, every slave has another.',
  ),
  ...REPLICATION_SETTINGS,
  ...REMOTING_SETTINGS,
  ...REGISTRATION_SETTINGS,
};

/** All names, in the order of the document. */
export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];
