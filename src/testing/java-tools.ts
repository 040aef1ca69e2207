/**
 * Apache RocketMQ itself, for tests that hold ours against it: fetched by Maven into test/interop/java/target, started
 * with Java. Says what is missing instead of failing.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './source-tree.ts';

/** Milliseconds that Maven may take for one artifact, and Java for one session. */
const FETCH_MS_MAX = 60_000;
const SESSION_MS_MAX = 120_000;
const PROJECT: string = join(projectRoot(), 'test/interop/java');

/** What a Java program gets beside its class: small, and quick to start. */
const JVM: readonly string[] = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
/** What RocketMQ's store opens in the modules of Java 17. */
const JVM_STORE: readonly string[] = [
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
  ...['java.nio', 'sun.nio.ch', 'jdk.internal.ref'].map(
    (name) => `--add-opens=java.base/${name}=ALL-UNNAMED`,
  ),
];

/** Why Java programs cannot be fetched and started here; undefined when they can. */
export function javaObstacle(): string | undefined {
  for (const program of ['java', 'mvn']) {
    const { error } = spawnSync(program, ['-version'], { stdio: 'ignore' });
    if (error !== undefined) return `${program} is not installed`;
  }
  return undefined;
}

/** A class path, or why there is none. */
export type Fetched = { readonly classPath: string } | { readonly obstacle: string };

const fetched = new Map<string, Fetched>();
/** Set once Maven gave no answer in time: it is not asked again, and everything else is skipped too. */
let unreachable: string | undefined;

/** Fetches an artifact of RocketMQ and what it needs, once; what Maven has is not fetched again. */
export function fetchRocketmq(artifact: string, version: string): Fetched {
  const key = `${artifact}-${version}`;
  const found = fetched.get(key) ?? javaOrFetch(artifact, version, join(PROJECT, 'target', key));
  fetched.set(key, found);
  return found;
}

function javaOrFetch(artifact: string, version: string, folder: string): Fetched {
  const obstacle = javaObstacle() ?? unreachable;
  if (obstacle !== undefined) return { obstacle };
  const done = join(folder, 'complete');
  const classPath = join(folder, '*');
  if (existsSync(done)) return { classPath };
  mkdirSync(folder, { recursive: true });
  const { status, stdout, stderr } = spawnSync(
    'mvn',
    [
      ...['-B', '-q', `-Drocketmq.artifact=${artifact}`, `-Drocketmq.version=${version}`],
      ...['dependency:copy-dependencies', `-DoutputDirectory=${folder}`],
    ],
    { cwd: PROJECT, encoding: 'utf8', timeout: FETCH_MS_MAX },
  );
  if (status !== 0 || readdirSync(folder).length === 0) {
    const first = `${stdout}${stderr}`.split('\n').find((line) => line.includes('[ERROR]'));
    const reason = first?.replace(/^.*\[ERROR\] */, '').replace(/ -> .*$/, '');
    const what = `Maven did not give ${artifact} ${version}`;
    if (status === null) unreachable = `${what} within ${FETCH_MS_MAX / 1000} s`;
    return { obstacle: unreachable ?? `${what}: ${reason ?? 'it said nothing'}` };
  }
  writeFileSync(done, '');
  return { classPath };
}

/** The log configurations that 4.9 does not start without: they log nothing. */
function prepareHome(home: string): void {
  mkdirSync(join(home, 'conf'), { recursive: true });
  for (const name of ['tools', 'broker'])
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
  const child = spawn(
    'java',
    [
      ...[...JVM, `-Duser.home=${home}`, `-Drocketmq.serialize.type=${form}`, '-cp', classPath],
      ...[join(PROJECT, 'MqAdminSession.java'), ...words],
    ],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, ROCKETMQ_HOME: home },
      timeout: SESSION_MS_MAX,
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
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

/** Starts a broker of RocketMQ with these settings; it dies with the test at the latest. */
export function startJavaBroker(
  classPath: string,
  settings: Readonly<Record<string, string>>,
  home: string,
  form: JavaForm,
): ChildProcess {
  prepareHome(home);
  const file = join(home, 'broker.properties');
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(file, lines.join(''));
  const child = spawn(
    'java',
    [
      ...[...JVM, ...JVM_STORE, `-Duser.home=${home}`, `-Drocketmq.serialize.type=${form}`],
      ...['-cp', classPath, 'org.apache.rocketmq.broker.BrokerStartup', '-c', file],
    ],
    { stdio: 'ignore', env: { ...process.env, ROCKETMQ_HOME: home } },
  );
  process.once('exit', () => child.kill('SIGKILL'));
  return child;
}
