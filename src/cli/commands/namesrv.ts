/** `sluice namesrv`: a NameServer, from its configuration to its orderly end. */
import type { Command } from 'commander';
import { startInterval } from '../../base/clock.ts';
import { type LoadedConfig, loadNamesrvConfig } from '../../config/config-load.ts';
import {
  NAMESRV_SETTING_NAMES,
  NAMESRV_SETTINGS,
  type NamesrvConfig,
} from '../../config/namesrv-schema.ts';
import {
  createNameServer,
  type NameServer,
  type NameServerOptions,
  type NameServerStatistics,
} from '../../nameserver/nameserver.ts';
import { createLogger } from '../../observe/logger.ts';
import { Output } from '../output.ts';
import { asUsage, errorBody, reportError, UsageError } from '../report-error.ts';
import { leaveOnCrash, settingOption, settingsAmong, stopSignal } from '../serve-process.ts';
import { whenPipeCloses } from '../stdout-pipe.ts';
import { paint } from '../terminal.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** Milliseconds between two lines of counters, where something was counted. */
const STATISTICS_INTERVAL_MS = 60_000;

type NamesrvOptions = Readonly<Record<string, unknown>> & {
  readonly config?: string;
  readonly json?: boolean;
  readonly port?: string;
  readonly host?: string;
};

export function addNamesrvCommand(program: Command): void {
  const command = program
    .command('namesrv')
    .summary('start a NameServer: brokers register with it, clients ask it where topics are')
    .description(
      'Starts a NameServer for RocketMQ clients, tools and brokers. It keeps nothing on disk and talks to no other: ' +
        'start as many as you like, and name them all to brokers and clients.',
    )
    .option('-c, --config <file>', 'YAML, JSON or namesrv.properties (SLUICE_CONFIG)')
    .option('--port <n>', 'port (9876); 0 picks a free one')
    .option('--host <address>', 'address to listen on (127.0.0.1)')
    .option('--json', 'print events as JSON, the first of them "ready"')
    .optionsGroup('Settings (docs/CONFIG.md; also in the file and as SLUICE_… variables):');
  for (const name of NAMESRV_SETTING_NAMES)
    command.addOption(settingOption(name, NAMESRV_SETTINGS[name]));
  command.action((options: NamesrvOptions) => serve(options));
}

/** The settings among the options. @throws UsageError for one that is given twice */
function flagsOf(options: NamesrvOptions): Record<string, unknown> {
  const flags = settingsAmong(options, NAMESRV_SETTING_NAMES);
  const short = [
    ['port', 'listenPort', '--listen-port'] as const,
    ['host', 'bindAddress', '--bind-address'] as const,
  ];
  for (const [word, name, flag] of short) {
    if (options[word] === undefined) continue;
    if (flags[name] !== undefined)
      throw new UsageError(`--${word} and ${flag} mean the same`, 'Give one of them.');
    flags[name] = options[word];
  }
  return flags;
}

async function serve(options: NamesrvOptions): Promise<void> {
  const output = new Output(options);
  whenPipeCloses(() => {});
  try {
    const loaded = asUsage(() =>
      loadNamesrvConfig({
        flags: flagsOf(options),
        environment: process.env,
        file: options.config,
      }),
    );
    await run(loaded, output);
  } catch (error) {
    if (output.isJson) output.json({ event: 'error', error: errorBody(error) });
    else reportError(error, false);
    process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
  }
}

async function run(loaded: LoadedConfig<NamesrvConfig>, output: Output): Promise<void> {
  const { config, warnings } = loaded;
  const secrets = [config.registrationToken, config.secretKey].filter((one) => one !== undefined);
  const log = createLogger({
    level: config.logLevel,
    ...(output.isJson ? { pretty: false } : {}),
    secrets,
  });
  for (const warning of warnings) log.warn('config', { warning });
  leaveOnCrash(log);
  const stop = stopSignal();
  const nameServer = await createNameServer({ ...optionsOf(config), log: log.child('nameserver') });
  output.json({ event: 'ready', ...nameServer.ready });
  output.text(bannerText(nameServer.ready.namesrv));
  const told = tellStatistics(nameServer, (statistics) => {
    log.info('statistics', statistics);
    output.json({ event: 'statistics', ...statistics });
  });
  const signal = await stop;
  told();
  output.json({ event: 'draining', signal });
  await nameServer.close();
  output.json({ event: 'closed', statistics: nameServer.statistics() });
}

/** Tells the counters now and then, if any changed. @returns what stops it */
function tellStatistics(
  nameServer: NameServer,
  tell: (statistics: NameServerStatistics) => void,
): () => void {
  let before = JSON.stringify(nameServer.statistics());
  return startInterval(STATISTICS_INTERVAL_MS, () => {
    const statistics = nameServer.statistics();
    const now = JSON.stringify(statistics);
    if (now !== before) tell(statistics);
    before = now;
  });
}

function optionsOf(config: NamesrvConfig): NameServerOptions {
  return {
    host: config.bindAddress,
    port: config.listenPort,
    insecureIUnderstand: config.insecureIUnderstand,
    registrationToken: config.registrationToken,
    accessKey: config.accessKey,
    secretKey: config.secretKey,
    tls: config,
    brokerTimeoutMs: config.brokerTimeoutMs,
    scanIntervalMs: config.scanNotActiveBrokerInterval,
    idleTimeoutMs: config.serverChannelMaxIdleTimeSeconds * 1000,
    connectionsMax: config.connectionsMax,
    connectionsPerAddressMax: config.connectionsPerAddressMax,
    waitForServiceMs: config.needWaitForService ? config.waitSecondsForService * 1000 : 0,
    allowedOrigins: config.allowedOrigins,
    allowedHosts: config.allowedHosts,
    switches: {
      orderMessageEnable: config.orderMessageEnable,
      returnOrderTopicConfigToBroker: config.returnOrderTopicConfigToBroker,
      enableAllTopicList: config.enableAllTopicList,
      enableTopicList: config.enableTopicList,
      deleteTopicWithBrokerRegistration: config.deleteTopicWithBrokerRegistration,
      supportActingMaster: config.supportActingMaster,
    },
  };
}

function bannerText(namesrv: string): string {
  return [
    '',
    paint(process.stdout, 'bold', `A NameServer listens on ${namesrv}`),
    '  It knows the brokers that register with it, and forgets them when they are gone.',
    `  Brokers and clients of RocketMQ find it by: namesrvAddr=${namesrv}`,
    '',
    'Ctrl-C stops it.',
  ].join('\n');
}
