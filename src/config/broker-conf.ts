/**
 * A RocketMQ broker.conf as settings of this broker. Keys with the same meaning keep it, also where the name or the
 * unit is another one here; keys of RocketMQ that mean nothing here are collected for one warning. Pure.
 *
 * @source RocketMQ BrokerConfig, MessageStoreConfig
 */
import {
  BROKER_RULES,
  type GivenValue,
  isNameIn,
  knownNames,
  type SettingRules,
  unknownKey,
} from './config-check.ts';
import { didYouMean } from './did-you-mean.ts';
import { parseProperties } from './properties-text.ts';

/** What a properties file says. */
export type BrokerConf = {
  readonly given: readonly GivenValue[];
  /** Keys without a meaning here, each once. */
  readonly ignored: readonly string[];
  /** What is wrong with it, in sentences. */
  readonly problems: readonly string[];
};

/** A value in RocketMQ's unit as one in ours; undefined when it is not allowed. */
type Conversion = {
  readonly allowed: string;
  readonly convert: (value: string) => unknown;
};

/** RocketMQ's own bounds. @source MessageStoreConfig.getDiskMaxUsedSpaceRatio */
const DISK_PERCENT_MIN = 10;
const DISK_PERCENT_MAX = 95;
/** A message that failed waits for the third delay level, then the fourth, … @source ConsumerSendMsgBackProcessor */
const RETRY_LEVELS_BEFORE = 2;

const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  diskMaxUsedSpaceRatio: {
    allowed: `a percentage from ${DISK_PERCENT_MIN} to ${DISK_PERCENT_MAX}`,
    convert: (value) => {
      const percent = /^\d+$/.test(value) ? Number(value) : -1;
      return percent >= DISK_PERCENT_MIN && percent <= DISK_PERCENT_MAX ? percent / 100 : undefined;
    },
  },
  timerMaxDelaySec: {
    allowed: 'whole seconds',
    convert: (value) => (/^\d{1,9}$/.test(value) ? Number(value) * 1000 : undefined),
  },
  messageDelayLevel: {
    allowed: 'at least three delays with blanks between, such as 1s 5s 10s 30s 1m',
    convert: (value) => {
      const delays = value.split(/\s+/).filter((delay) => delay !== '');
      const wellFormed = delays.every((delay) => /^\d+[smhd]$/.test(delay));
      return wellFormed && delays.length > RETRY_LEVELS_BEFORE
        ? delays.slice(RETRY_LEVELS_BEFORE)
        : undefined;
    },
  },
};

/** Keys of RocketMQ that are settings of ours and say something about another one too. */
const ALSO_SAY: Readonly<Record<string, string>> = { messageDelayLevel: 'retryBackoffMs' };

/**
 * Reads a broker.conf.
 *
 * @param origin - the file, for messages
 */
export function readBrokerConf(content: string, origin: string): BrokerConf {
  return readConf(content, origin, BROKER_RULES);
}

/** The same for the properties file of any role: of a NameServer, its namesrv.properties. */
export function readConf<Config>(
  content: string,
  origin: string,
  rules: SettingRules<Config>,
): BrokerConf {
  const given: GivenValue[] = [];
  const problems: string[] = [];
  const ignored = new Set<string>();
  for (const { key, value } of parseProperties(content)) {
    const renamed = Object.hasOwn(rules.renamed, key) ? rules.renamed[key] : undefined;
    if (renamed !== undefined) {
      const converted = convert(key, value, renamed, origin);
      if (typeof converted === 'string') problems.push(converted);
      else given.push(converted);
    } else if (Object.hasOwn(ALSO_SAY, key) && isNameIn(rules, key)) {
      const other = convert(key, value, ALSO_SAY[key] as string, origin);
      if (typeof other === 'string') problems.push(other);
      else given.push({ name: key, key, value, origin }, other);
    } else if (isNameIn(rules, key) || Object.hasOwn(rules.unused, key)) {
      given.push({ name: key, key, value, origin });
    } else if (didYouMean(key, knownNames(rules)) !== undefined) {
      // RocketMQ would start without a word and without the setting.
      problems.push(unknownKey({ name: key, key, origin }, rules));
    } else {
      ignored.add(key);
    }
  }
  return { given, ignored: [...ignored], problems };
}

/** The value under our name, or what is wrong with it. */
function convert(key: string, value: string, name: string, origin: string): GivenValue | string {
  const conversion = Object.hasOwn(CONVERSIONS, key) ? CONVERSIONS[key] : undefined;
  if (conversion === undefined) return { name, key, value, origin };
  const converted = conversion.convert(value);
  if (converted !== undefined) return { name, key, value: converted, origin };
  return `${key} is ${JSON.stringify(value)} (${origin}); allowed: ${conversion.allowed}`;
}
