/** The Go client of RocketMQ under test: builds test/interop/go and runs its scenarios in one process. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Asking, runScenarioProgram, type ScenarioResult } from './client-scenarios.ts';
import { projectRoot } from './source-tree.ts';

/** Milliseconds that the Go module proxy and the compiler may take. */
const BUILD_MS_MAX = 300_000;
const PROJECT: string = join(projectRoot(), 'test/interop/go');

/** A program, or why there is none. */
export type Built = { readonly program: string } | { readonly obstacle: string };

export type GoRun = {
  readonly program: string;
  readonly namesrv: string;
  /** `host:port` of the broker's remoting port: topics are made there. */
  readonly brokerAddress: string;
  readonly scenarios: readonly string[];
  /** A directory for its local offsets. */
  readonly home: string;
  readonly asking?: Asking;
};

/** Builds the scenarios; what Go has built is not built again. */
export function buildGoClients(): Built {
  const program = join(PROJECT, 'target/interop');
  const { error, status, stderr } = spawnSync('go', ['build', '-o', program, '.'], {
    ...{ cwd: PROJECT, encoding: 'utf8', timeout: BUILD_MS_MAX },
    env: { ...process.env, CGO_ENABLED: '0' },
  });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT')
    return { obstacle: 'go is not installed' };
  if (error !== undefined) return { obstacle: `go did not build the client: ${error.message}` };
  if (status === 0) return { program };
  // A fault of ours must not be skipped; a module that cannot be fetched is not one.
  if (!/dial|proxy|lookup|no required module|timeout/i.test(stderr)) throw new Error(stderr);
  return { obstacle: `go did not get its modules: ${stderr.trim().split('\n')[0]}` };
}

/** Runs scenarios in one process. @returns by the scenario's name; one that said nothing is missing */
export function runGoScenarios(run: GoRun): Promise<ReadonlyMap<string, ScenarioResult>> {
  const { program, namesrv, brokerAddress, scenarios, home } = run;
  const words = [namesrv, brokerAddress, String(process.pid), ...scenarios];
  // Else below the user's home, where a process that had this number before has left its own.
  const environment = { 'rocketmq.client.localOffsetStoreDir': home };
  return runScenarioProgram(program, words, run.asking, environment);
}
