/**
 * Where the configuration of a process comes from: flags over environment over file over defaults. The one place that
 * reads files and variables for it; what it returns is plain and frozen. Control path, at start only.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { SluiceError } from '../base/errors.ts';
import { KIB } from '../base/units.ts';
import { readConf } from './broker-conf.ts';
import { BROKER_RULES, checkByRules, type GivenValue, type SettingRules } from './config-check.ts';
import { type BrokerConfig, SETTING_NAMES } from './config-schema.ts';
import { NAMESRV_RULES, NAMESRV_SETTING_NAMES, type NamesrvConfig } from './namesrv-schema.ts';
import { ENVIRONMENT_PREFIX, environmentNameOf, flagNameOf } from './setting-names.ts';
import { UNUSED_KEYS } from './unused-keys.ts';

const require = createRequire(import.meta.url);

/** What there is to read. */
export type ConfigSources<Config = BrokerConfig> = {
  /** Settings of the command line, by name (`frontDoorPort`, not `--front-door-port`). */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Variables of the process; those that begin with SLUICE_ count. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Path of a YAML, JSON or RocketMQ properties file; default: the variable SLUICE_CONFIG. */
  readonly file?: string | undefined;
  /** Defaults of the command, weaker than all of these. */
  readonly defaults?: Partial<Config>;
};

export type LoadedConfig<Config = BrokerConfig> = {
  readonly config: Config;
  /** Where each value comes from: `default`, `environment, SLUICE_SHARDS`, … */
  readonly origins: ReadonlyMap<keyof Config & string, string>;
  /** Sentences for the log; at most one about keys without effect. */
  readonly warnings: readonly string[];
};

/** Looking for a key that is there twice takes the square of their number: 64 KiB take seconds at worst, 1 MiB minutes. */
const CONFIG_FILE_BYTES_MAX: number = 64 * KIB;
/** Variables with the prefix that belong to the command line, not to the broker's configuration. */
const OTHER_VARIABLES: readonly string[] = ['SLUICE_CONFIG', 'SLUICE_SERVERS', 'SLUICE_TOKEN'];
/** What Kubernetes sets in every pod for a service by the name of sluice, or one that begins with it. */
const SERVICE_LINK_NAME = /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/;
const SERVICE_LINK_VALUE = /^(tcp|udp|sctp):\/\//;

/**
 * Reads, merges and checks the configuration.
 *
 * @throws INVALID_ARGUMENT naming every wrong key and value, where it stands, and what is allowed
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  return loadByRules(BROKER_RULES, sources, NAMESRV_SETTING_NAMES);
}

/** The same for a NameServer. @throws as `loadConfig` */
export function loadNamesrvConfig(
  sources: ConfigSources<NamesrvConfig>,
): LoadedConfig<NamesrvConfig> {
  return loadByRules(NAMESRV_RULES, sources, [...SETTING_NAMES, ...Object.keys(UNUSED_KEYS)]);
}

/** @param otherNames - settings of other roles, whose variables may stand in the same environment */
function loadByRules<Config extends object>(
  rules: SettingRules<Config>,
  sources: ConfigSources<Config>,
  otherNames: readonly string[] = [],
): LoadedConfig<Config> {
  const environment = sources.environment ?? {};
  const file = sources.file ?? environment['SLUICE_CONFIG'];
  const content = file === undefined ? undefined : readConfigFile(file, rules);
  const layers = [
    givenIn(sources.defaults ?? {}, 'default of the command', (name) => name),
    content?.given ?? [],
    givenInEnvironment(environment, rules, otherNames),
    givenIn(sources.flags ?? {}, 'flag', flagNameOf),
  ];
  const { config, origins, unused } = checkByRules(rules, layers, content?.problems);
  const warning = warnOfNoEffect(unused, content?.ignored ?? []);
  return { config, origins, warnings: warning === undefined ? [] : [warning] };
}

function givenIn(
  values: Readonly<Record<string, unknown>>,
  origin: string,
  keyOf: (name: string) => string,
): GivenValue[] {
  return Object.entries(values).map(([name, value]) => ({ name, key: keyOf(name), value, origin }));
}

function givenInEnvironment<Config>(
  environment: Readonly<Record<string, string | undefined>>,
  rules: SettingRules<Config>,
  otherNames: readonly string[],
): GivenValue[] {
  const ours = [...Object.keys(rules.settings), ...Object.keys(rules.unused)];
  const nameOf = new Map(ours.map((name) => [environmentNameOf(name), name]));
  const others = new Set(otherNames.map(environmentNameOf));
  const given: GivenValue[] = [];
  for (const [key, value] of Object.entries(environment)) {
    if (!key.startsWith(ENVIRONMENT_PREFIX) || OTHER_VARIABLES.includes(key)) continue;
    const isLink = SERVICE_LINK_NAME.test(key) || SERVICE_LINK_VALUE.test(value ?? '');
    if (isLink) continue;
    const name = nameOf.get(key);
    if (name === undefined && others.has(key)) continue;
    // An unknown variable keeps its meaning in camel case, so that a near name can be suggested.
    given.push({ name: name ?? camelCase(key), key, value, origin: 'environment' });
  }
  return given;
}

function camelCase(variable: string): string {
  return variable
    .slice(ENVIRONMENT_PREFIX.length)
    .toLowerCase()
    .replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

type FileContent = {
  readonly given: readonly GivenValue[];
  readonly ignored: readonly string[];
  readonly problems: readonly string[];
};

function readConfigFile<Config>(path: string, rules: SettingRules<Config>): FileContent {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `the configuration file ${JSON.stringify(path)} cannot be read: ${(error as Error).message}`,
      { cause: error, hint: 'Check the path; it starts in the working directory.' },
    );
  }
  if (content.length > CONFIG_FILE_BYTES_MAX) {
    const text = `the configuration file ${JSON.stringify(path)} has ${content.length} bytes; allowed: ${CONFIG_FILE_BYTES_MAX} (64 KiB)`;
    const hint = 'Keep settings only in this file; all of them together take a few KiB.';
    throw new SluiceError('INVALID_ARGUMENT', text, { hint });
  }
  const text = content.toString('utf8');
  return isProperties(path, text) ? readConf(text, path, rules) : readYaml(text, path);
}

/** By its name where that says it; else by its first line that is no comment. */
function isProperties(path: string, text: string): boolean {
  if (/\.properties$/i.test(path)) return true;
  if (/\.(ya?ml|json)$/i.test(path)) return false;
  const first = text.split(/\r\n|\r|\n/).find((line) => !/^\s*([#!].*)?$/.test(line)) ?? '';
  return /^\s*[\w.]+\s*=/.test(first);
}

/** YAML, and JSON with it: every JSON text is a YAML text. */
function readYaml(text: string, path: string): FileContent {
  // Seventy modules that most starts need nothing of.
  const { parseDocument } = require('yaml') as typeof import('yaml');
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw notReadable(path, firstLine(error.message));
  // A Map: a key such as __proto__ is then a key like any other.
  let content: unknown;
  try {
    content = document.toJS({ mapAsMap: true });
  } catch (aliasError) {
    throw notReadable(path, firstLine((aliasError as Error).message));
  }
  if (content === null) return { given: [], ignored: [], problems: [] };
  if (!(content instanceof Map)) throw notReadable(path, 'it is not a list of keys and values');
  const given = [...content].map(([key, value]: [unknown, unknown]) => {
    const name = String(key);
    return { name, key: name, value, origin: path };
  });
  return { given, ignored: [], problems: [] };
}

/** Without the excerpt of the file that follows it: there may be a token in it. For the same reason there is no cause. */
function firstLine(message: string): string {
  return (message.split('\n')[0] ?? '').replace(/:$/, '');
}

function notReadable(path: string, reason: string): SluiceError {
  return new SluiceError(
    'INVALID_ARGUMENT',
    `the configuration file ${JSON.stringify(path)} is not readable as YAML or JSON: ${reason}`,
    { hint: 'Write one "key: value" a line; a RocketMQ file has "key=value".' },
  );
}

/** The one warning about everything that was written in vain. */
function warnOfNoEffect(
  unused: readonly GivenValue[],
  ignored: readonly string[],
): string | undefined {
  const keys = [...new Set([...unused.map(({ key }) => key), ...ignored])];
  if (keys.length === 0) return undefined;
  return `these keys have no effect here: ${keys.join(', ')}`;
}
