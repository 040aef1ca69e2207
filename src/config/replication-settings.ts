/** The settings of replication, part of those of a broker (config-schema.ts). Control path, at start only. */
import { MIB } from '../base/units.ts';
import type { BrokerConfig } from './config-schema.ts';
import { optional, type Setting, secret, setting } from './setting.ts';
import { boolean, bytes, choice, durationMs, integer, text } from './setting-kinds.ts';
import { address, hostAndPort, path, token } from './text-kinds.ts';

/** @source RocketMQ MessageStoreConfig.haListenPort */
export const HA_LISTEN_PORT = 10_912;

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const GIB = 1024 * MIB;

type ReplicationSetting =
  | 'brokerRole'
  | 'haListenPort'
  | 'haMasterAddress'
  | 'haToken'
  | 'haTokenFile'
  | 'inSyncReplicas'
  | 'syncFlushTimeoutMs'
  | 'haSlaveFallbehindMax'
  | 'slaveReadEnable'
  | 'namesrvAddr'
  | 'brokerIP1'
  | 'brokerIP2';

export const REPLICATION_SETTINGS: {
  readonly [Name in ReplicationSetting]: Setting<BrokerConfig[Name]>;
} = {
  brokerRole: optional(
    'Replication',
    choice(['ASYNC_MASTER', 'SYNC_MASTER', 'SLAVE']),
    'ASYNC_MASTER; named, it also switches replication on',
    'ASYNC_MASTER acknowledges alone, SYNC_MASTER when slaves have the message too, SLAVE follows a master. Without this setting, haListenPort and haMasterAddress the broker has no replication.',
  ),
  haListenPort: optional(
    'Replication',
    integer('', 0, 65_535),
    `${HA_LISTEN_PORT} where there is replication`,
    'Port at which slaves find this broker while it is master. 0 picks a free one. Without haToken only this machine reaches it.',
  ),
  haMasterAddress: optional(
    'Replication',
    hostAndPort,
    'none',
    'Where a slave finds the HA port of its master. On a master: the broker that may have been promoted meanwhile; it is asked who reigns before writes are taken.',
  ),
  haToken: secret(
    optional(
      'Replication',
      token,
      'only connections of this machine are taken',
      'Credential that master and slaves prove to each other; it never travels. Better in a file: haTokenFile.',
    ),
  ),
  haTokenFile: optional(
    'Replication',
    path,
    'none',
    'File whose content is the credential; blanks and line ends around it do not count.',
  ),
  inSyncReplicas: setting(
    'Replication',
    integer('brokers', 1, 16),
    2,
    'Brokers that must have a message before a SYNC_MASTER acknowledges it, itself counted.',
  ),
  syncFlushTimeoutMs: setting(
    'Replication',
    durationMs(100, 10 * MINUTE_MS),
    5 * SECOND_MS,
    'A message that no slave has confirmed for this long is answered FLUSH_SLAVE_TIMEOUT.',
  ),
  haSlaveFallbehindMax: setting(
    'Replication',
    bytes(MIB, 1024 * GIB),
    256 * MIB,
    'A slave that lacks more than this does not count for a SYNC_MASTER, which answers SLAVE_NOT_AVAILABLE when too few are left.',
  ),
  slaveReadEnable: setting(
    'Replication',
    boolean(),
    false,
    'Clients of RocketMQ whose pull was read from the disk, because memory does not hold it any more, are told to go on at a slave, and at a slave to come back once they are near the end. Members that are pushed to stay: their leases are at the master.',
  ),
  namesrvAddr: optional(
    'Replication',
    text('host:port, several with ; between', (value) =>
      /^[^\s:;]+:\d{1,5}(;[^\s:;]+:\d{1,5})*;?$/.test(value),
    ),
    'none',
    'NameServers of the cluster: the broker registers with each of them, and clients find it there.',
  ),
  brokerIP1: optional(
    'Replication',
    address,
    'listenAddress; where that is 0.0.0.0 or ::, the first address of this machine that others reach',
    'Address by which clients are told to find this broker.',
  ),
  brokerIP2: optional(
    'Replication',
    address,
    '127.0.0.1; with haToken the address that clients are told',
    'Address by which slaves are told to find the HA port, which listens on all addresses with haToken and else on 127.0.0.1; clients are told of it as a second address.',
  ),
};
