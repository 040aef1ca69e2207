/** `sluice up` and `sluice broker`: configuration, start, the ready event, and an orderly end. */
import type { Command } from 'commander';
import { type Broker, startBroker } from '../../broker/create-broker.ts';
import { type LoadedConfig, loadConfig } from '../../config/config-load.ts';
import {
  type BrokerConfig,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
} from '../../config/config-schema.ts';
import { flagNameOf } from '../../config/setting-names.ts';
import { createLogger } from '../../observe/logger.ts';
import { Output } from '../output.ts';
import { startOwnNameServer } from '../own-nameserver.ts';
import { asUsage, errorBody, reportError, UsageError } from '../report-error.ts';
import { bannerText } from '../serve-banner.ts';
import { leaveOnCrash, settingOption, settingsAmong, stopSignal } from '../serve-process.ts';
import { whenPipeCloses } from '../stdout-pipe.ts';

const EXIT_FAILED = 1;
/** Port of RocketMQ's clients, unless the configuration names another. */
const REMOTING_PORT = 10_911;
const EXIT_USAGE = 2;

type Role = 'all' | 'broker';

/** Short names of the options that most people need, and the settings they stand for. */
const SHORT_OPTIONS: Readonly<Record<string, SettingName>> = {
  data: 'storePathRootDir',
  port: 'frontDoorPort',
  host: 'listenAddress',
  flush: 'flushDiskType',
};

type ServeOptions = Readonly<Record<string, unknown>> & {
  readonly config?: string;
  readonly json?: boolean;
};

export function addUpCommand(program: Command): void {
  const command = program
    .command('up')
    .summary('start a broker here and now; topics come into being with their first message')
    .description(
      'Starts a broker in this terminal. Topics come into being with their first message; everything has a default.',
    )
    .option('-c, --config <file>', 'YAML, JSON or broker.conf (SLUICE_CONFIG)');
  addServeOptions(command);
  command.action((options: ServeOptions) => serve('all', options, { autoCreateTopicEnable: true }));
}

export function addBrokerCommand(program: Command): void {
  const command = program
    .command('broker')
    .summary('start a broker from a configuration file (YAML, JSON or broker.conf)')
    .description(
      'Starts a broker from a configuration file: YAML, JSON, or a RocketMQ broker.conf. Topics are made by ' +
        '"sluice admin topics create", unless the file says autoCreateTopicEnable.',
    )
    .option('-c, --config <file>', 'YAML, JSON or broker.conf (SLUICE_CONFIG)');
  addServeOptions(command);
  command.action(async (options: ServeOptions) => {
    if (options.config === undefined && !process.env['SLUICE_CONFIG'])
      throw new UsageError(
        'sluice broker needs a configuration file',
        'Give it with -c FILE; without one: sluice up',
      );
    await serve('broker', options, { autoCreateTopicEnable: false });
  });
}

function addServeOptions(command: Command): void {
  command
    .option('--data <dir>', 'directory of all files (./sluice-data)')
    .option('--port <n>', 'port of WebSocket and HTTP (8880); 0 picks a free one')
    .option('--host <address>', 'address to listen on (127.0.0.1)')
    .option(
      '--flush <mode>',
      'acknowledge when the disk has it (sync), or when memory has it (async)',
    )
    .option('--json', 'print events as JSON, the first of them "ready"')
    .optionsGroup('Settings (docs/CONFIG.md; also in the file and as SLUICE_… variables):');
  for (const name of SETTING_NAMES) command.addOption(settingOption(name, SETTINGS[name]));
}

/** The settings among the options, by the name of the setting. @throws UsageError for one that is given twice */
function flagsOf(options: ServeOptions): Record<string, unknown> {
  const flags = settingsAmong(options, SETTING_NAMES);
  for (const [short, name] of Object.entries(SHORT_OPTIONS)) {
    const value = options[short];
    if (value === undefined) continue;
    if (flags[name] !== undefined)
      throw new UsageError(`--${short} and ${flagNameOf(name)} mean the same`, 'Give one of them.');
    flags[name] = value;
  }
  return flags;
}

async function serve(
  role: Role,
  options: ServeOptions,
  defaults: Partial<BrokerConfig>,
): Promise<void> {
  const output = new Output(options);
  whenPipeCloses(() => {});
  try {
    const loaded = asUsage(() =>
      loadConfig({
        flags: flagsOf(options),
        environment: process.env,
        file: options.config,
        defaults,
      }),
    );
    await run(role, loaded, output);
  } catch (error) {
    if (output.isJson) output.json({ event: 'error', error: errorBody(error) });
    else reportError(error, false);
    process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
  }
}

async function run(role: Role, loaded: LoadedConfig, output: Output): Promise<void> {
  const { config, warnings } = loaded;
  const log = createLogger({
    level: config.logLevel,
    ...(output.isJson ? { pretty: false } : {}),
    secrets: [config.authToken, config.haToken].filter((secret) => secret !== undefined),
  });
  for (const warning of warnings) log.warn('config', { warning });
  leaveOnCrash(log);
  const stop = stopSignal();
  // Both at once: the broker's threads start meanwhile. It never rejects.
  const starting = role === 'all' ? startOwnNameServer(config, log) : undefined;
  let broker: Broker;
  try {
    const remotingPort = config.frontDoorPort === 0 ? 0 : REMOTING_PORT;
    broker = await startBroker(config, log.child('broker'), undefined, remotingPort);
  } catch (error) {
    await (await starting)?.close();
    throw error;
  }
  const nameServer = await starting;
  if (nameServer !== undefined) broker.registerWith([nameServer.ready.namesrv]);
  const { ready } = broker;
  const { pid, ws, http, remoting, dataDir, transport, shards, ha, epoch } = ready;
  const replication = ready.role === 'all' ? { role } : { role: ready.role, ha, epoch };
  const namesrv = nameServer?.ready.namesrv;
  output.json({
    ...{ event: 'ready', ...replication, pid, ws, http, dataDir, transport, shards },
    ...(remoting === null ? {} : { remoting }),
    ...(namesrv === undefined ? {} : { namesrv }),
  });
  output.text(bannerText(ready, config, namesrv));
  await end(broker, stop, output);
  await nameServer?.close();
}

async function end(broker: Broker, stop: Promise<string>, output: Output): Promise<void> {
  const signal = await Promise.race([stop, broker.closed.then(() => undefined)]);
  if (signal === undefined) {
    // Nobody asked for it; the log says why.
    output.json({ event: 'closed' });
    process.exitCode = EXIT_FAILED;
    return;
  }
  output.json({ event: 'draining', signal });
  output.note('Draining: what is under way is finished. Once more to stop at once.');
  await broker.drain();
  output.json({ event: 'closed' });
}
