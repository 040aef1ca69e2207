/**
 * Apache RocketMQ itself, for tests that hold ours against it: fetched by Maven into test/interop/java/target, started
 * with Java. Says what is missing instead of failing.
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './source-tree.ts';
import { spawnTied } from './tied-process.ts';
import { ensureWhole } from './whole-folder.ts';

/** Milliseconds that Maven may take for one artifact, and Java for one session. */
const FETCH_MS_MAX = 180_000;
const SESSION_MS_MAX = 300_000;
/** Where the programs for Java are, and what Maven is told. */
export const JAVA_PROJECT: string = join(projectRoot(), 'test/interop/java');

/**
 * RocketMQ's clients that share the processor with others. By default one request that is answered too late takes the connection
 * away from all others: sends that were under way are sent again, and a consumer is no member of its group until its next heartbeat.
 */
const JVM_PATIENCE: readonly string[] = [
  '-Dcom.rocketmq.remoting.client.closeSocketIfTimeout=false',
  '-Dcom.rocketmq.remoting.client.connect.timeout=30000',
];
/** What a Java program gets beside its class: small, and quick to start. */
export const JVM: readonly string[] = [
  ...['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
  ...JVM_PATIENCE,
];
/** What RocketMQ's store opens in the modules of Java 17. */
const JVM_STORE: readonly string[] = [
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
  ...['java.nio', 'sun.nio.ch', 'jdk.internal.ref'].map(
    (name) => `--add-opens=java.base/${name}=ALL-UNNAMED`,
  ),
];

/** Something of Java that is not to be had here. */
export class Unavailable extends Error {}

/** @throws Unavailable without this program */
function checkInstalled(program: string): void {
  const { error } = spawnSync(program, ['-version'], { stdio: 'ignore' });
  if (error !== undefined) throw new Unavailable(`${program} is not installed`);
}

/** A class path, or why there is none. */
export type Fetched = { readonly classPath: string } | { readonly obstacle: string };

const fetched = new Map<string, Fetched>();
/** Set once Maven gave no answer in time: it is not asked again, and everything else is skipped too. */
let unreachable: string | undefined;

/** Fetches an artifact of RocketMQ and what it needs, once; what Maven has is not fetched again. */
export function fetchRocketmq(artifact: string, version: string): Fetched {
  const key = `${artifact}-${version}`;
  const found =
    fetched.get(key) ?? javaOrFetch(artifact, version, join(JAVA_PROJECT, 'target', key));
  fetched.set(key, found);
  return found;
}

function javaOrFetch(artifact: string, version: string, folder: string): Fetched {
  try {
    checkInstalled('java');
    ensureWhole(folder, (beside) => fetchInto(beside, artifact, version));
    return { classPath: join(folder, '*') };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { obstacle: error.message };
  }
}

/** @throws Unavailable with what Maven says */
function fetchInto(folder: string, artifact: string, version: string): void {
  checkInstalled('mvn');
  if (unreachable !== undefined) throw new Unavailable(unreachable);
  const { status, error, stdout, stderr } = spawnSync(
    'mvn',
    [
      ...['-B', '-q', `-Drocketmq.artifact=${artifact}`, `-Drocketmq.version=${version}`],
      ...['dependency:copy-dependencies', `-DoutputDirectory=${folder}`],
    ],
    { cwd: JAVA_PROJECT, encoding: 'utf8', timeout: FETCH_MS_MAX },
  );
  if (status === 0 && readdirSync(folder).length > 0) return;
  const first = `${stdout}${stderr}`.split('\n').find((line) => line.includes('[ERROR]'));
  const reason = first?.replace(/^.*\[ERROR\] */, '').replace(/ -> .*$/, '');
  const what = `Maven did not give ${artifact} ${version}`;
  // Its own shell turns the signal into an exit code.
  if (status === null || error !== undefined)
    unreachable = `${what} within ${FETCH_MS_MAX / 1000} s`;
  throw new Unavailable(unreachable ?? `${what}: ${reason ?? 'it said nothing'}`);
}

/** The log configurations that 4.9 does not start without: they log nothing. */
function prepareHome(home: string): void {
  mkdirSync(join(home, 'conf'), { recursive: true });
  for (const name of ['tools', 'broker', 'namesrv'])
    writeFileSync(join(home, 'conf', `logback_${name}.xml`), '<configuration/>\n');
}

/** Header form of a Java process. */
export type JavaForm = 'JSON' | 'ROCKETMQ';

/**
 * Runs mqadmin commands one after the other in one Java process.
 *
 * @param home - a directory for its logs and settings
 * @returns the output of each command, in their order
 */
export function runMqadmin(
  classPath: string,
  commands: readonly string[],
  home: string,
  form: JavaForm,
): Promise<readonly string[]> {
  prepareHome(home);
  const words = commands.flatMap((command, index) =>
    index === 0 ? command.split(' ') : ['--', ...command.split(' ')],
  );
  const child = spawnTied(
    'java',
    [
      ...[...JVM, `-Duser.home=${home}`, `-Drocketmq.serialize.type=${form}`, '-cp', classPath],
      ...[join(JAVA_PROJECT, 'MqAdminSession.java'), ...words],
    ],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, ROCKETMQ_HOME: home },
      timeout: SESSION_MS_MAX,
    },
  );
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const parts = output.split(/^== .*$/m).slice(1);
      if (code === 0 && parts.length === commands.length) resolve(parts);
      else reject(new Error(`mqadmin ended with ${code}:\n${output}`));
    });
  });
}

/** Gives a program of test/interop/java lines on its input. @returns the lines of its answer */
export function runJavaLines(
  classPath: string,
  program: string,
  lines: readonly string[],
): Promise<readonly string[]> {
  const child = spawnTied('java', [...JVM, '-cp', classPath, join(JAVA_PROJECT, program)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: SESSION_MS_MAX,
  });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stdin?.end(lines.map((line) => `${line}\n`).join(''));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output.trimEnd().split('\n'));
      else reject(new Error(`${program} ended with ${code}`));
    });
  });
}

/** Starts a broker of RocketMQ with these settings; it dies with the test at the latest. */
export function startJavaBroker(
  classPath: string,
  settings: Readonly<Record<string, string>>,
  home: string,
  form: JavaForm,
  jvm: readonly string[] = JVM,
): ChildProcess {
  const words = [...JVM_STORE, `-Drocketmq.serialize.type=${form}`];
  return startJava('broker.BrokerStartup', classPath, settings, home, words, jvm);
}

/** Starts a NameServer of RocketMQ, as `startJavaBroker` starts a broker. */
export function startJavaNameServer(classPath: string, port: number, home: string): ChildProcess {
  const settings = { listenPort: String(port), bindAddress: '127.0.0.1' };
  return startJava('namesrv.NamesrvStartup', classPath, settings, home, []);
}

/** @param main - class in `org.apache.rocketmq` @param words - further options of Java */
function startJava(
  main: string,
  classPath: string,
  settings: Readonly<Record<string, string>>,
  home: string,
  words: readonly string[],
  jvm: readonly string[] = JVM,
): ChildProcess {
  prepareHome(home);
  const file = join(home, 'settings.properties');
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(file, lines.join(''));
  const child = spawnTied(
    'java',
    [
      ...[...jvm, ...words, `-Duser.home=${home}`],
      ...['-cp', classPath, `org.apache.rocketmq.${main}`, '-c', file],
    ],
    { stdio: 'ignore', env: { ...process.env, ROCKETMQ_HOME: home } },
  );
  return child;
}
