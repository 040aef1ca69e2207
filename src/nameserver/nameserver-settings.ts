/**
 * What a NameServer can be told while it runs, by RocketMQ's names: UPDATE_NAMESRV_CONFIG and GET_NAMESRV_CONFIG. Pure.
 *
 * @source RocketMQ NamesrvConfig
 */

/** Switches of a running NameServer. Meaning and default of each: docs/CONFIG.md. */
export type NameServerSwitches = {
  orderMessageEnable: boolean;
  returnOrderTopicConfigToBroker: boolean;
  enableAllTopicList: boolean;
  enableTopicList: boolean;
  deleteTopicWithBrokerRegistration: boolean;
  supportActingMaster: boolean;
};

export const DEFAULT_SWITCHES: Readonly<NameServerSwitches> = {
  orderMessageEnable: true,
  returnOrderTopicConfigToBroker: true,
  enableAllTopicList: true,
  enableTopicList: true,
  deleteTopicWithBrokerRegistration: false,
  supportActingMaster: false,
};

const SWITCH_NAMES = Object.keys(DEFAULT_SWITCHES) as (keyof NameServerSwitches)[];

/** Keys that RocketMQ refuses to change over the wire, and those that would need a restart here. */
const FIXED_NAMES: readonly string[] = [
  ...['configBlackList', 'configStorePath', 'kvConfigPath', 'rocketmqHome', 'listenPort'],
  ...['bindAddress', 'brokerTimeoutMs', 'scanNotActiveBrokerInterval', 'connectionsMax'],
  ...['serverChannelMaxIdleTimeSeconds', 'connectionsPerAddressMax', 'needWaitForService'],
  ...['waitSecondsForService', 'insecureIUnderstand', 'registrationToken', 'accessKey'],
  ...[
    'registrationTokenFile',
    'allowedOrigins',
    'allowedHosts',
    'secretKey',
    'secretKeyFile',
    'remotingTlsMode',
    'remotingTlsCertFile',
    'remotingTlsKeyFile',
    'logLevel',
  ],
];

/** What became of an update. */
export type SettingsUpdate =
  | { readonly outcome: 'changed'; readonly names: readonly string[] }
  | { readonly outcome: 'fixed'; readonly reason: string }
  | { readonly outcome: 'wrong'; readonly reason: string };

/** Changes all that are given, or none. */
export function updateSwitches(
  switches: NameServerSwitches,
  given: ReadonlyMap<string, string>,
): SettingsUpdate {
  const fixed = [...given.keys()].find((name) => FIXED_NAMES.includes(name));
  if (fixed !== undefined)
    return {
      outcome: 'fixed',
      reason: `Can not update config in black list: ${fixed} is set at the start only`,
    };
  const changes: [keyof NameServerSwitches, boolean][] = [];
  for (const [name, value] of given) {
    const known = SWITCH_NAMES.find((one) => one === name);
    const word = value.trim().toLowerCase();
    if (known === undefined || (word !== 'true' && word !== 'false')) {
      const list = SWITCH_NAMES.join(', ');
      const what =
        known === undefined
          ? `no setting ${name.slice(0, 60)} can be changed`
          : `${name} is a switch`;
      return { outcome: 'wrong', reason: `${what}; allowed: true or false for ${list}` };
    }
    changes.push([known, word === 'true']);
  }
  for (const [name, value] of changes) switches[name] = value;
  return { outcome: 'changed', names: changes.map(([name]) => name) };
}
