/**
 * The Java client of RocketMQ under test: compiles the scenarios of test/interop/java/clients against one version of it and
 * runs them in one virtual machine.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Asking, runScenarioProgram, type ScenarioResult } from './client-scenarios.ts';
import {
  type Fetched,
  fetchRocketmq,
  JAVA_PROJECT,
  type JavaForm,
  JVM,
  Unavailable,
} from './java-tools.ts';
import { ensureWhole } from './whole-folder.ts';

const SOURCES: string = join(JAVA_PROJECT, 'clients');

export type JavaRun = {
  readonly classPath: string;
  readonly namesrv: string;
  readonly scenarios: readonly string[];
  readonly form: JavaForm;
  /** A directory for its logs and its local offsets. */
  readonly home: string;
  /** At once; default: all. */
  readonly threads?: number;
  readonly asking?: Asking;
  /** Further options of Java. */
  readonly properties?: readonly string[];
};

/**
 * Class path of the scenarios with one version of `rocketmq-client`.
 *
 * @param artifact - what they run with: it may have more than the client
 */
export function compileJavaClients(version: string, artifact = 'rocketmq-client'): Fetched {
  const client = fetchRocketmq('rocketmq-client', version);
  if ('obstacle' in client) return client;
  const running = fetchRocketmq(artifact, version);
  if ('obstacle' in running) return running;
  const sources = readdirSync(SOURCES).map((name) => join(SOURCES, name));
  const classes = join(JAVA_PROJECT, 'target', `clients-${version}-${digestOf(sources)}`);
  try {
    ensureWhole(classes, (beside) => compileInto(beside, version, client.classPath, sources));
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    return { obstacle: error.message };
  }
  return { classPath: [classes, running.classPath].join(delimiter) };
}

function compileInto(
  folder: string,
  version: string,
  classPath: string,
  sources: readonly string[],
): void {
  const { error, status, stderr } = spawnSync(
    'javac',
    ['-nowarn', '-encoding', 'UTF-8', '-d', folder, '-cp', classPath, ...sources],
    { encoding: 'utf8' },
  );
  if (error !== undefined) throw new Unavailable('javac is not installed');
  if (status !== 0) throw new Error(`the scenarios do not compile with ${version}:\n${stderr}`);
}

/** Other sources, other classes. */
function digestOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(readFileSync(path));
  return hash.digest('hex').slice(0, 12);
}

/** Runs scenarios in one Java process. @returns by the scenario's name; one that said nothing is missing */
export function runJavaScenarios(run: JavaRun): Promise<ReadonlyMap<string, ScenarioResult>> {
  const { classPath, namesrv, scenarios, form, home, properties = [] } = run;
  return runScenarioProgram(
    'java',
    [
      ...[...JVM, ...properties, `-Duser.home=${home}`, `-Drocketmq.serialize.type=${form}`],
      ...['-cp', classPath],
      ...['Suite', namesrv, String(run.threads ?? scenarios.length), String(process.pid)],
      ...scenarios,
    ],
    run.asking,
  );
}
