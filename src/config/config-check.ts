/**
 * From what was written, wherever it was written, to a checked BrokerConfig: unknown keys, values out of range and
 * settings that contradict each other are all named in one error. Reads the token file. Control path, at start only.
 */
import { readFileSync } from 'node:fs';
import { SluiceError } from '../base/errors.ts';
import { type BrokerConfig, SETTINGS, type SettingName } from './config-schema.ts';
import { didYouMean } from './did-you-mean.ts';
import { remotingContradictions } from './remoting-settings.ts';
import { roleContradictions } from './role-check.ts';
import type { Setting } from './setting.ts';
import { writtenLike } from './setting-names.ts';
import { isLoopback } from './text-kinds.ts';
import { UNUSED_KEYS, type UnusedKey } from './unused-keys.ts';

export { isLoopback } from './text-kinds.ts';

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

/** A table of settings and what goes with it: one for each role that has a configuration. */
export type SettingRules<Config> = {
  readonly settings: { readonly [Name in keyof Config & string]: Setting<Config[Name]> };
  /** Keys that are checked and have no effect. */
  readonly unused: Readonly<Record<string, UnusedKey>>;
  /** RocketMQ's name → ours, where they differ. */
  readonly renamed: Readonly<Record<string, keyof Config & string>>;
  /** Reads the files that settings name. @throws INVALID_ARGUMENT */
  readonly finish: (config: Config) => Config;
  /** Settings that are fine one by one and not together. */
  readonly contradictions: (config: Config) => readonly string[];
};

/** A checked configuration and where it came from. */
export type CheckedConfig<Config = BrokerConfig> = {
  readonly config: Config;
  /** Where each value comes from; `default` for most. */
  readonly origins: ReadonlyMap<keyof Config & string, string>;
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
  timerMaxDelaySec: 'delayMsMax',
  syncFlushTimeout: 'syncFlushTimeoutMs',
  haMaxGapNotInSync: 'haSlaveFallbehindMax',
  listenPort: 'remotingPort',
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
  return checkByRules(BROKER_RULES, layers, problemsBefore);
}

/** The same for the settings of any role. @throws as `checkGivenValues` */
export function checkByRules<Config extends object>(
  rules: SettingRules<Config>,
  layers: readonly (readonly GivenValue[])[],
  problemsBefore: readonly string[] = [],
): CheckedConfig<Config> {
  type Name = keyof Config & string;
  const problems = [...problemsBefore];
  const values = new Map<Name, unknown>();
  const origins = new Map<Name, string>();
  const unused: GivenValue[] = [];
  for (const name of Object.keys(rules.settings) as Name[]) {
    values.set(name, rules.settings[name].defaultValue);
    origins.set(name, 'default');
  }
  for (const given of layers.flat()) {
    if (given.value === undefined) continue;
    if (isNameIn(rules, given.name)) {
      const setting = rules.settings[given.name];
      const checked = setting.schema.safeParse(given.value);
      if (checked.success) {
        values.set(given.name, checked.data);
        origins.set(given.name, describeOrigin(given));
      } else problems.push(wrongValue(given, setting));
    } else if (Object.hasOwn(rules.unused, given.name)) {
      const known = rules.unused[given.name];
      if (known?.schema.safeParse(given.value).success === true) unused.push(given);
      else problems.push(wrongValue(given, { allowed: known?.allowed ?? '', secret: false }));
    } else problems.push(unknownKey(given, rules));
  }
  if (problems.length > 0) throw configError(problems);
  // Every name is in the map and every value passed the schema of its name.
  const config = rules.finish(Object.fromEntries(values) as Config);
  const conflicts = rules.contradictions(config);
  if (conflicts.length > 0) throw configError(conflicts);
  return { config: freeze(config), origins, unused };
}

export function isNameIn<Config>(
  rules: SettingRules<Config>,
  name: string,
): name is keyof Config & string {
  return Object.hasOwn(rules.settings, name);
}

/** All names that a key may have, for suggestions. */
export function knownNames<Config>(rules: SettingRules<Config>): readonly string[] {
  return [rules.settings, rules.unused, rules.renamed].flatMap((table) => Object.keys(table));
}

/** The sentence for a key that nothing is called. */
export function unknownKey<Config>(
  { key, name, origin }: Omit<GivenValue, 'value'>,
  rules: SettingRules<Config>,
): string {
  const renamed = Object.hasOwn(rules.renamed, name) ? rules.renamed[name] : undefined;
  const near = renamed ?? didYouMean(name, knownNames(rules));
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

function withTokens(config: BrokerConfig): BrokerConfig {
  const { authToken, authTokenFile, haToken, haTokenFile } = config;
  const { registrationToken, registrationTokenFile, secretKey, secretKeyFile } = config;
  return {
    ...config,
    secretKey: secretOf('secretKey', secretKey, secretKeyFile, SETTINGS),
    authToken: secretOf('authToken', authToken, authTokenFile, SETTINGS),
    haToken: secretOf('haToken', haToken, haTokenFile, SETTINGS),
    registrationToken: secretOf(
      'registrationToken',
      registrationToken,
      registrationTokenFile,
      SETTINGS,
    ),
  };
}

/**
 * A secret that is given itself, or by the file whose only content it is (the setting of the same name and `File`).
 *
 * @throws INVALID_ARGUMENT when both are given, or the file has no such secret
 */
export function secretOf<Name extends string>(
  name: Name,
  given: string | undefined,
  file: string | undefined,
  settings: Readonly<Record<Name, Setting<string | undefined>>>,
): string | undefined {
  if (file === undefined) return given;
  if (given !== undefined)
    throw configError([`${name} and ${name}File are both set; allowed: one of them`]);
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${name}File is ${shown(file)}, which cannot be read: ${(error as Error).message}`,
      { cause: error, hint: 'Create the file with the token as its only content.' },
    );
  }
  const setting = settings[name];
  const written = content.length <= TOKEN_FILE_BYTES_MAX ? content.toString('utf8') : '';
  const secret = setting.schema.safeParse(written);
  if (!secret.success || secret.data === undefined) {
    const text = `the content of ${name}File ${shown(file)} is no token; allowed: ${setting.allowed}`;
    throw configError([text]);
  }
  return secret.data;
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
  return [...problems, ...roleContradictions(config), ...remotingContradictions(config)];
}

/** The settings of a broker. */
export const BROKER_RULES: SettingRules<BrokerConfig> = {
  settings: SETTINGS,
  unused: UNUSED_KEYS,
  renamed: RENAMED_KEYS,
  finish: withTokens,
  contradictions,
};

function freeze<Config extends object>(config: Config): Config {
  for (const value of Object.values(config)) {
    if (Array.isArray(value)) Object.freeze(value);
  }
  return Object.freeze(config);
}
