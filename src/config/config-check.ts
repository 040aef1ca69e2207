/**
 * From what was written, wherever it was written, to a checked BrokerConfig: unknown keys, values out of range and
 * settings that contradict each other are all named in one error. Reads the token file. Control path, at start only.
 */
import { readFileSync } from 'node:fs';
import { SluiceError } from '../base/errors.ts';
import {
  type BrokerConfig,
  SETTING_NAMES,
  SETTINGS,
  type Setting,
  type SettingName,
} from './config-schema.ts';
import { didYouMean } from './did-you-mean.ts';
import { writtenLike } from './setting-names.ts';
import { UNUSED_KEYS } from './unused-keys.ts';

/** One value as somebody wrote it. */
export type GivenValue = {
  /** Name of the setting that is meant. */
  readonly name: string;
  /** The key as it stands there: `SLUICE_SHARDS`, `--shards`, `mapedFileSizeCommitLog`. */
  readonly key: string;
  readonly value: unknown;
  /** Where it stands: `environment`, `flag`, the path of a file. */
  readonly origin: string;
};

/** A checked configuration and where it came from. */
export type CheckedConfig = {
  readonly config: BrokerConfig;
  /** Where each value comes from; `default` for most. */
  readonly origins: ReadonlyMap<SettingName, string>;
  /** Keys that are known and have no effect here, as they were written. */
  readonly unused: readonly GivenValue[];
};

/** Names under which RocketMQ's users look for a setting that is called otherwise here. */
export const RENAMED_KEYS: Readonly<Record<string, SettingName>> = {
  fileReservedTime: 'fileReservedTimeHours',
  mapedFileSizeCommitLog: 'segmentBytes',
  mappedFileSizeCommitLog: 'segmentBytes',
  flushIntervalCommitLog: 'flushIntervalMs',
  diskMaxUsedSpaceRatio: 'diskSoftRatio',
  messageDelayLevel: 'retryBackoffMs',
};

/**
 * Checks the settings of a program that starts a broker in its own process.
 *
 * @param values - settings by name; a missing or undefined one has its default
 * @throws INVALID_ARGUMENT naming every key, its value and what is allowed
 */
export function checkConfig(values: Readonly<Record<string, unknown>>): BrokerConfig {
  const given = Object.entries(values).map(([name, value]) => ({
    name,
    key: name,
    value,
    origin: 'program',
  }));
  return checkGivenValues([given]).config;
}

/**
 * @param layers - the strongest last; all are checked, also what a stronger one replaces
 * @param problemsBefore - what was wrong with the sources themselves
 * @throws INVALID_ARGUMENT naming every key, its value, where it stands and what is allowed
 */
export function checkGivenValues(
  layers: readonly (readonly GivenValue[])[],
  problemsBefore: readonly string[] = [],
): CheckedConfig {
  const problems = [...problemsBefore];
  const values = new Map<SettingName, unknown>();
  const origins = new Map<SettingName, string>();
  const unused: GivenValue[] = [];
  for (const name of SETTING_NAMES) {
    values.set(name, SETTINGS[name].defaultValue);
    origins.set(name, 'default');
  }
  for (const given of layers.flat()) {
    if (given.value === undefined) continue;
    if (isSettingName(given.name)) {
      const checked = SETTINGS[given.name].schema.safeParse(given.value);
      if (checked.success) {
        values.set(given.name, checked.data);
        origins.set(given.name, describeOrigin(given));
      } else problems.push(wrongValue(given, SETTINGS[given.name]));
    } else if (Object.hasOwn(UNUSED_KEYS, given.name)) {
      const known = UNUSED_KEYS[given.name];
      if (known?.schema.safeParse(given.value).success === true) unused.push(given);
      else problems.push(wrongValue(given, { allowed: known?.allowed ?? '', secret: false }));
    } else problems.push(unknownKey(given));
  }
  if (problems.length > 0) throw configError(problems);
  // Every name is in the map and every value passed the schema of its name.
  const config = withToken(Object.fromEntries(values) as BrokerConfig);
  const conflicts = contradictions(config);
  if (conflicts.length > 0) throw configError(conflicts);
  return { config: freeze(config), origins, unused };
}

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** All names that a key may have, for suggestions. */
export function knownNames(): readonly string[] {
  return [...SETTING_NAMES, ...Object.keys(UNUSED_KEYS), ...Object.keys(RENAMED_KEYS)];
}

/** The sentence for a key that nothing is called. */
export function unknownKey({ key, name, origin }: Omit<GivenValue, 'value'>): string {
  const renamed = Object.hasOwn(RENAMED_KEYS, name) ? RENAMED_KEYS[name] : undefined;
  const near = renamed ?? didYouMean(name, knownNames());
  const advice = near === undefined ? '' : `; did you mean ${writtenLike(key, near)}?`;
  return `no setting is called ${shown(key)} (${origin})${advice}`;
}

function wrongValue(
  given: GivenValue,
  rule: { readonly allowed: string; readonly secret: boolean },
): string {
  const value = rule.secret ? 'not allowed (its value is not shown)' : shown(given.value);
  return `${given.name} is ${value} (${describeOrigin(given)}); allowed: ${rule.allowed}`;
}

function describeOrigin({ name, key, origin }: GivenValue): string {
  return key === name ? origin : `${origin}, ${key}`;
}

/** A value in an error: short, on one line, control characters escaped. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

function configError(problems: readonly string[]): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', problems.join('\n'), {
    hint: 'Correct the configuration; docs/CONFIG.md lists every setting with its default and range.',
    facts: { problemCount: problems.length },
  });
}

/** Bytes of a token file; a longer one is the wrong file. */
const TOKEN_FILE_BYTES_MAX = 4096;

function withToken(config: BrokerConfig): BrokerConfig {
  if (config.authTokenFile === undefined) return config;
  if (config.authToken !== undefined) {
    throw configError(['authToken and authTokenFile are both set; allowed: one of them']);
  }
  let content: Buffer;
  try {
    content = readFileSync(config.authTokenFile);
  } catch (error) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `authTokenFile is ${shown(config.authTokenFile)}, which cannot be read: ${(error as Error).message}`,
      { cause: error, hint: 'Create the file with the token as its only content.' },
    );
  }
  const setting: Setting<string | undefined> = SETTINGS.authToken;
  const written = content.length <= TOKEN_FILE_BYTES_MAX ? content.toString('utf8') : '';
  const token = setting.schema.safeParse(written);
  if (!token.success || token.data === undefined) {
    const where = shown(config.authTokenFile);
    const text = `the content of authTokenFile ${where} is no token; allowed: ${setting.allowed}`;
    throw configError([text]);
  }
  return { ...config, authToken: token.data };
}

/** Settings that are fine one by one and not together. */
function contradictions(config: BrokerConfig): string[] {
  const problems: string[] = [];
  if (config.diskSoftRatio > config.diskHardRatio) {
    problems.push(
      `diskSoftRatio is ${config.diskSoftRatio} and diskHardRatio is ${config.diskHardRatio}; allowed: a soft ratio up to the hard one`,
    );
  }
  const open = !isLoopback(config.listenAddress);
  if (open && config.authToken === undefined && !config.insecureIUnderstand) {
    problems.push(
      `listenAddress is ${shown(config.listenAddress)}, which others can reach, and there is no token; ` +
        'allowed: 127.0.0.1, ::1, localhost, or any address with authToken, authTokenFile or insecureIUnderstand',
    );
  }
  return problems;
}

/** Does only this machine reach the address? */
export function isLoopback(address: string): boolean {
  return address === '::1' || address === 'localhost' || /^127(\.\d{1,3}){3}$/.test(address);
}

function freeze(config: BrokerConfig): BrokerConfig {
  for (const value of Object.values(config)) {
    if (Array.isArray(value)) Object.freeze(value);
  }
  return Object.freeze(config);
}
