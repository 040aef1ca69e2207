/**
 * Records the golden frames of RocketMQ's clients: runs their scenarios against Apache RocketMQ through recording proxies
 * and keeps the first frame of each command, by client, version and header form. Needs Java, Maven and Go.
 *
 *   npm run record-golden                        what is not there yet
 *   npm run record-golden -- java-5.3.3-json     one client alone
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { claimPort } from '../cluster/claimed-port.ts';
import { CommandView } from '../protocol/remoting/command.ts';
import { decodeCommand } from '../protocol/remoting/command-decoder.ts';
import { FLAG_RESPONSE } from '../protocol/remoting/frame-layout.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { buildGoClients, runGoScenarios } from './go-clients.ts';
import { GOLDEN_FOLDER } from './golden.ts';
import { compileJavaClients, runJavaScenarios } from './java-clients.ts';
import type { JavaForm } from './java-tools.ts';
import { RecordingProxy } from './recording-proxy.ts';
import { RocketmqTarget } from './rocketmq-target.ts';
import { projectRoot } from './source-tree.ts';

/** A golden frame is to be read by people too. */
const FRAME_BYTES_MAX = 4096;

const JAVA_RUNS: readonly { readonly version: string; readonly form: JavaForm }[] = [
  { version: '4.9.8', form: 'JSON' },
  { version: '4.9.8', form: 'ROCKETMQ' },
  { version: '5.3.3', form: 'JSON' },
  { version: '5.3.3', form: 'ROCKETMQ' },
];

/** Scenarios that between them send every command of the client. */
const JAVA_SCENARIOS: readonly string[] = [
  ...['send-sync', 'send-batch', 'send-oneway', 'push-orderly', 'push-concurrently', 'push-sql92'],
  ...['transaction', 'request-reply', 'retry', 'lite-pull-assign', 'pull-offsets', 'lookup'],
];
const GO_SCENARIOS: readonly string[] = ['send', 'orderly', 'retry', 'transaction', 'pull'];

const GO_FILE = 'go-2-json';

const COMMANDS: ReadonlyMap<number, string> = new Map(
  Object.entries(REQUEST_CODES).map(([name, code]) => [
    code,
    name.toLowerCase().replaceAll('_', '-'),
  ]),
);

/** Keeps the first frame of each command, and the first answer that says yes. */
class Recorder {
  private readonly file: string;
  private readonly view = new CommandView();
  /** Requests by `opaque`, while they wait. */
  private readonly asked = new Map<number, string>();

  /** @param file - who writes, such as `java-5.3.3-json` */
  constructor(file: string) {
    this.file = file;
  }

  heard(frame: Uint8Array, isFromClient: boolean): void {
    if (decodeCommand(frame, this.view) !== 'ok') throw new Error('a frame is not understood');
    const { code, flag, opaque } = this.view;
    if ((flag & FLAG_RESPONSE) !== 0) {
      const command = this.asked.get(opaque);
      if (!isFromClient && code === 0 && command !== undefined)
        this.keep(`${command}-answer`, frame);
      return;
    }
    const command = COMMANDS.get(code) ?? `code-${code}`;
    if (isFromClient) this.asked.set(opaque, command);
    this.keep(isFromClient ? command : `${command}-from-broker`, frame);
  }

  private keep(command: string, frame: Uint8Array): void {
    if (frame.length > FRAME_BYTES_MAX) return;
    const path = join(projectRoot(), GOLDEN_FOLDER, 'remoting', command, `${this.file}.bin`);
    if (existsSync(path)) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, frame);
  }
}

/** Runs clients through proxies for the NameServer and the broker. */
async function recorded(
  target: RocketmqTarget,
  file: string,
  run: (namesrv: string, brokerAddress: string) => Promise<unknown>,
): Promise<void> {
  // One for each server: both count `opaque` of the same client.
  const [ofNameServer, ofBroker] = [new Recorder(file), new Recorder(file)];
  const [namesrvPort, brokerPort] = [await claimPort(), await claimPort()];
  const brokerAddress = `127.0.0.1:${brokerPort}`;
  const proxies = [
    await RecordingProxy.start({
      port: namesrvPort,
      targetPort: Number(target.namesrv.split(':')[1]),
      // What it says are our own bytes.
      heard: (frame, isFromClient) => isFromClient && ofNameServer.heard(frame, true),
      rewrite: [target.brokerAddress, brokerAddress],
    }),
    await RecordingProxy.start({
      port: brokerPort,
      targetPort: Number(target.brokerAddress.split(':')[1]),
      heard: (frame, isFromClient) => ofBroker.heard(frame, isFromClient),
    }),
  ];
  await run(`127.0.0.1:${namesrvPort}`, brokerAddress);
  for (const proxy of proxies) await proxy.close();
}

/** @param wanted - names of files; none: all */
async function record(wanted: readonly string[]): Promise<void> {
  const isWanted = (file: string): boolean => wanted.length === 0 || wanted.includes(file);
  const target = await RocketmqTarget.start('apache');
  for (const { version, form } of JAVA_RUNS) {
    const compiled = compileJavaClients(version);
    if ('obstacle' in compiled) throw new Error(compiled.obstacle);
    const file = `java-${version}-${form === 'JSON' ? 'json' : 'binary'}`;
    if (!isWanted(file)) continue;
    const home = target.home(file);
    const scenarios = JAVA_SCENARIOS;
    await recorded(target, file, (namesrv) =>
      runJavaScenarios({ ...compiled, namesrv, scenarios, form, home, threads: 6 }),
    );
  }
  if (isWanted(GO_FILE)) {
    const built = buildGoClients();
    if ('obstacle' in built) throw new Error(built.obstacle);
    const [scenarios, home] = [GO_SCENARIOS, target.home(GO_FILE)];
    await recorded(target, GO_FILE, (namesrv, brokerAddress) =>
      runGoScenarios({ ...built, namesrv, brokerAddress, scenarios, home }),
    );
  }
  await target.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await record(process.argv.slice(2));
