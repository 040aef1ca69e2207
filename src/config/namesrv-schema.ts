/**
 * Every setting of a NameServer, as config-schema.ts has those of a broker. Names are RocketMQ's where RocketMQ has the same
 * thing. docs/CONFIG.md is written from this table too. Control path, at start only.
 *
 * @source RocketMQ NamesrvConfig, NettyServerConfig
 */
import { isLoopback, type SettingRules, secretOf } from './config-check.ts';
import { SETTINGS } from './config-schema.ts';
import { tlsContradictions } from './remoting-settings.ts';
import { optional, type Setting, secret, setting } from './setting.ts';
import { boolean, durationMs, integer } from './setting-kinds.ts';
import { address, credential, path, token } from './text-kinds.ts';
import type { UnusedKey } from './unused-keys.ts';

/** The checked configuration of a NameServer. Meaning, range and default of each: docs/CONFIG.md. */
export type NamesrvConfig = {
  readonly listenPort: number;
  readonly bindAddress: string;
  readonly insecureIUnderstand: boolean;
  readonly registrationToken: string | undefined;
  readonly registrationTokenFile: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  readonly secretKeyFile: string | undefined;
  readonly remotingTlsMode: 'disabled' | 'permissive' | 'enforcing' | undefined;
  readonly remotingTlsCertFile: string | undefined;
  readonly remotingTlsKeyFile: string | undefined;
  readonly brokerTimeoutMs: number;
  readonly scanNotActiveBrokerInterval: number;
  readonly serverChannelMaxIdleTimeSeconds: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly allowedOrigins: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly orderMessageEnable: boolean;
  readonly returnOrderTopicConfigToBroker: boolean;
  readonly enableAllTopicList: boolean;
  readonly enableTopicList: boolean;
  readonly deleteTopicWithBrokerRegistration: boolean;
  readonly supportActingMaster: boolean;
  readonly needWaitForService: boolean;
  readonly waitSecondsForService: number;
  readonly logLevel: 'info' | 'warn' | 'error' | 'silent';
};

/** Name of a setting of a NameServer. */
export type NamesrvSettingName = keyof NamesrvConfig;

const MINUTE_MS = 60_000;

export const NAMESRV_SETTINGS: {
  readonly [Name in NamesrvSettingName]: Setting<NamesrvConfig[Name]>;
} = {
  listenPort: setting('NameServer', integer('', 0, 65_535), 9876, 'Port. 0 picks a free one.'),
  bindAddress: setting(
    'NameServer',
    address,
    '127.0.0.1',
    'Address to listen on. Any other than loopback needs insecureIUnderstand: whoever reaches the port may ask for routes.',
  ),
  insecureIUnderstand: setting(
    'NameServer',
    boolean(),
    false,
    'Listen on other than loopback addresses. Whoever reaches the port may ask for routes, and without a credential change them.',
  ),
  registrationToken: secret(
    optional(
      'NameServer',
      token,
      'no token is asked for',
      'Token that brokers and tools must send with what changes routes. Better in a file: registrationTokenFile.',
    ),
  ),
  registrationTokenFile: optional(
    'NameServer',
    path,
    'none',
    'File whose content is the token; blanks and line ends around it do not count.',
  ),
  accessKey: optional(
    'NameServer',
    credential,
    'no signature is asked for',
    'Access key with which RocketMQ brokers and mqadmin may sign what changes routes, instead of sending the token.',
  ),
  secretKey: secret(
    optional(
      'NameServer',
      credential,
      'none',
      'Secret of accessKey. Better in a file: secretKeyFile.',
    ),
  ),
  secretKeyFile: optional(
    'NameServer',
    path,
    'none',
    'File whose content is the secret; blanks and line ends around it do not count.',
  ),
  remotingTlsMode: {
    ...SETTINGS.remotingTlsMode,
    section: 'NameServer',
    sentence:
      'TLS on the port: permissive takes connections with and without it, enforcing only with it. Brokers of ours register without.',
  },
  remotingTlsCertFile: {
    ...SETTINGS.remotingTlsCertFile,
    section: 'NameServer',
    sentence: SETTINGS.remotingTlsCertFile.sentence.replace('this broker', 'this NameServer'),
  },
  remotingTlsKeyFile: { ...SETTINGS.remotingTlsKeyFile, section: 'NameServer' },
  brokerTimeoutMs: setting(
    'NameServer',
    durationMs(1000, 60 * MINUTE_MS),
    2 * MINUTE_MS,
    'Silence after which a broker is forgotten, unless it asks for another time. One whose connection closes is forgotten at once.',
  ),
  scanNotActiveBrokerInterval: setting(
    'NameServer',
    durationMs(10, 10 * MINUTE_MS),
    5000,
    'Time between two looks for silent brokers.',
  ),
  serverChannelMaxIdleTimeSeconds: setting(
    'NameServer',
    integer('seconds', 1, 86_400),
    120,
    'Silence after which a connection is closed.',
  ),
  connectionsMax: setting(
    'NameServer',
    integer('connections', 1, 1_000_000),
    10_000,
    'Connections in all; more are closed at once.',
  ),
  connectionsPerAddressMax: setting(
    'NameServer',
    integer('connections', 1, 1_000_000),
    10_000,
    'Connections from one address; more are closed at once.',
  ),
  allowedOrigins: { ...SETTINGS.allowedOrigins, section: 'NameServer' },
  allowedHosts: {
    ...SETTINGS.allowedHosts,
    section: 'NameServer',
    defaultText: 'bindAddress, localhost and loopback addresses, with listenPort',
  },
  orderMessageEnable: setting(
    'NameServer',
    boolean(),
    true,
    'Give the queues of ordered topics (KV namespace ORDER_TOPIC_CONFIG) with their routes. RocketMQ has this off.',
  ),
  returnOrderTopicConfigToBroker: setting(
    'NameServer',
    boolean(),
    true,
    'Give the queues of ordered topics to brokers that register.',
  ),
  enableAllTopicList: setting('NameServer', boolean(), true, 'Answer the question for all topics.'),
  enableTopicList: setting(
    'NameServer',
    boolean(),
    true,
    'Answer the questions for topics of a cluster, of the system, and of units.',
  ),
  deleteTopicWithBrokerRegistration: setting(
    'NameServer',
    boolean(),
    false,
    'Forget topics of a master that it no longer names. Only for brokers that always name all.',
  ),
  supportActingMaster: setting(
    'NameServer',
    boolean(),
    false,
    'Show the smallest slave as master, where brokers ask for that and their master is gone.',
  ),
  needWaitForService: setting(
    'NameServer',
    boolean(),
    false,
    'Refuse to give routes for waitSecondsForService after the start, so that all brokers are known first.',
  ),
  waitSecondsForService: setting(
    'NameServer',
    integer('seconds', 0, 3600),
    45,
    'Seconds for needWaitForService.',
  ),
  logLevel: { ...SETTINGS.logLevel, section: 'NameServer' },
};

/** All names, in the order of the document. */
export const NAMESRV_SETTING_NAMES: readonly NamesrvSettingName[] = Object.keys(
  NAMESRV_SETTINGS,
) as NamesrvSettingName[];

/** The settings of a NameServer and what goes with them. */
export const NAMESRV_RULES: SettingRules<NamesrvConfig> = {
  settings: NAMESRV_SETTINGS,
  unused: {} satisfies Record<string, UnusedKey>,
  renamed: {},
  finish: withSecrets,
  contradictions,
};

function withSecrets(config: NamesrvConfig): NamesrvConfig {
  const { registrationToken, registrationTokenFile, secretKey, secretKeyFile } = config;
  const table = NAMESRV_SETTINGS;
  return {
    ...config,
    registrationToken: secretOf(
      'registrationToken',
      registrationToken,
      registrationTokenFile,
      table,
    ),
    secretKey: secretOf('secretKey', secretKey, secretKeyFile, table),
  };
}

function contradictions(config: NamesrvConfig): readonly string[] {
  const problems: string[] = [];
  if (!isLoopback(config.bindAddress) && !config.insecureIUnderstand) {
    problems.push(
      `bindAddress is ${JSON.stringify(config.bindAddress)}, which others can reach, and whoever does may ask for routes; ` +
        'allowed: 127.0.0.1, ::1, localhost, or any address with insecureIUnderstand (and then better a registrationToken or an accessKey)',
    );
  }
  if ((config.accessKey === undefined) !== (config.secretKey === undefined)) {
    problems.push(
      'accessKey and secretKey (or secretKeyFile) go together; allowed: both or neither',
    );
  }
  return [...problems, ...tlsContradictions(config)];
}
