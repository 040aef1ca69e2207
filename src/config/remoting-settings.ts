/** The settings of the port of RocketMQ's clients, part of those of a broker (config-schema.ts). Control path, at start only. */
import type { BrokerConfig } from './config-schema.ts';
import { optional, type Setting, secret } from './setting.ts';
import { boolean, choice, integer } from './setting-kinds.ts';
import { credential, path } from './text-kinds.ts';

/** Where RocketMQ has its file, from its directory on: from the working directory here. */
const ACL_FILE_DEFAULT = 'conf/plain_acl.yml';

type RemotingSetting =
  | 'remotingPort'
  | 'remotingTlsMode'
  | 'remotingTlsCertFile'
  | 'remotingTlsKeyFile'
  | 'accessKey'
  | 'secretKey'
  | 'secretKeyFile'
  | 'aclEnable'
  | 'aclFile';

export const REMOTING_SETTINGS: {
  readonly [Name in RemotingSetting]: Setting<BrokerConfig[Name]>;
} = {
  remotingPort: optional(
    'RocketMQ clients',
    integer('', 0, 65_535),
    '10911 and a free one where frontDoorPort is 0, with sluice up and sluice broker; none where authToken is set without an accessKey or an aclFile',
    "Port of RocketMQ's clients and tools, at listenAddress. 0 picks a free one. It asks for no authToken, but for signatures where there is an accessKey or an aclFile.",
  ),
  remotingTlsMode: optional(
    'RocketMQ clients',
    choice(['disabled', 'permissive', 'enforcing']),
    'permissive where there is a certificate, else disabled',
    "TLS on the port of RocketMQ's clients: permissive takes connections with and without it, enforcing only with it.",
  ),
  remotingTlsCertFile: optional(
    'RocketMQ clients',
    path,
    'none',
    'File with the certificate of this broker, and those that lead to its authority, in PEM.',
  ),
  remotingTlsKeyFile: optional(
    'RocketMQ clients',
    path,
    'none',
    'File with its private key, in PEM.',
  ),
  accessKey: optional(
    'RocketMQ clients',
    credential,
    'no signature is asked for',
    "Access key with which RocketMQ's clients and tools must sign their requests. It counts over TLS or from this machine only.",
  ),
  secretKey: secret(
    optional(
      'RocketMQ clients',
      credential,
      'none',
      'Secret of accessKey. Better in a file: secretKeyFile.',
    ),
  ),
  secretKeyFile: optional(
    'RocketMQ clients',
    path,
    'none',
    'File whose content is that secret; blanks and line ends around it do not count.',
  ),
  aclEnable: optional(
    'RocketMQ clients',
    boolean(),
    'true where there is an aclFile',
    'Ask for signatures of the accounts in aclFile, and for the rights that they need.',
  ),
  aclFile: optional(
    'RocketMQ clients',
    path,
    `none; ${ACL_FILE_DEFAULT} where aclEnable is true`,
    "File with accounts and their rights on topics and groups, as RocketMQ's plain_acl.yml. What is changed in it counts within two seconds.",
  ),
};

/** The file with the accounts; undefined: there are to be none. */
export function aclFileOf({ aclEnable, aclFile }: BrokerConfig): string | undefined {
  return aclFile ?? (aclEnable === true ? ACL_FILE_DEFAULT : undefined);
}

/** Does the port of RocketMQ's clients ask who they are? */
export function asksWho(config: BrokerConfig): boolean {
  return config.accessKey !== undefined || aclFileOf(config) !== undefined;
}

/** Settings that are fine one by one and not together. */
export function remotingContradictions(config: BrokerConfig): readonly string[] {
  const problems: string[] = [];
  const { remotingPort, authToken, accessKey, secretKey, aclEnable, aclFile } = config;
  if (remotingPort !== undefined && authToken !== undefined && !asksWho(config))
    problems.push(
      `remotingPort is ${remotingPort} and authToken is set, which the clients of RocketMQ cannot send; allowed: one of them, or an accessKey or aclFile beside them`,
    );
  if (accessKey !== undefined && aclFileOf(config) !== undefined)
    problems.push(
      'accessKey and aclFile (or aclEnable) are both set; allowed: one of them; an account with admin: true in the file may do what the key may',
    );
  if (aclEnable === false && aclFile !== undefined)
    problems.push(
      `aclEnable is false and aclFile is ${JSON.stringify(aclFile)}; allowed: aclEnable true or left out with it`,
    );
  if ((accessKey === undefined) !== (secretKey === undefined))
    problems.push(
      'accessKey and secretKey (or secretKeyFile) go together; allowed: both or neither',
    );
  return [...problems, ...tlsContradictions(config)];
}

/** The same for the settings of TLS, which a NameServer has too. */
export function tlsContradictions({
  remotingTlsMode,
  remotingTlsCertFile,
  remotingTlsKeyFile,
}: Pick<
  BrokerConfig,
  'remotingTlsMode' | 'remotingTlsCertFile' | 'remotingTlsKeyFile'
>): readonly string[] {
  const files = [remotingTlsCertFile, remotingTlsKeyFile].filter((file) => file !== undefined);
  const isWanted = remotingTlsMode !== undefined && remotingTlsMode !== 'disabled';
  if (files.length !== 1 && (!isWanted || files.length > 0)) return [];
  return [
    `remotingTlsMode is ${remotingTlsMode ?? 'not set'}; allowed: remotingTlsCertFile and remotingTlsKeyFile together with it, or neither and disabled`,
  ];
}
