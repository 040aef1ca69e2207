/**
 * Programs that use a client of RocketMQ and say in JSON lines what came of each scenario: run here as child processes. A
 * program may ask for something ("kill", "restart") and waits for the same word on its input.
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { spawnTied } from './tied-process.ts';

/** Milliseconds for all scenarios of one run. */
const RUN_MS_MAX = 800_000;

/** What one scenario found out. */
export type ScenarioResult = {
  readonly scenario: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly error?: string;
};

/** What scenarios may ask for while they run. */
export type Asking = Readonly<Record<string, () => Promise<void>>>;

/**
 * Runs a program to its end.
 *
 * @returns by the scenario's name; one that said nothing is missing
 */
export async function runScenarioProgram(
  command: string,
  words: readonly string[],
  asking: Asking = {},
  environment: Readonly<Record<string, string>> = {},
): Promise<ReadonlyMap<string, ScenarioResult>> {
  const child = spawnTied(command, words, {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', process.env['INTEROP_STDERR'] === '1' ? 'inherit' : 'ignore'],
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve());
  });
  const [results] = await Promise.all([readResults(child, asking), ended]);
  return results;
}

async function readResults(
  child: ChildProcess,
  asking: Asking,
): Promise<ReadonlyMap<string, ScenarioResult>> {
  const results = new Map<string, ScenarioResult>();
  // One that ends early does not read its answer.
  child.stdin?.on('error', () => {});
  for await (const text of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const line = JSON.parse(text) as ScenarioResult | { readonly ask: string };
    if ('ask' in line) {
      await asking[line.ask]?.();
      child.stdin?.write(`${line.ask}\n`);
    } else {
      results.set(line.scenario, line);
    }
  }
  return results;
}

/** What is wrong with a scenario, held against the facts that it must have found; undefined when nothing is. */
export function faultOf(
  results: ReadonlyMap<string, ScenarioResult>,
  scenario: string,
  facts: Readonly<Record<string, unknown>>,
): string | undefined {
  const result = results.get(scenario);
  if (result === undefined) return `${scenario} did not end`;
  if (!result.ok) return result.error ?? `${scenario} failed and says nothing`;
  for (const [name, expected] of Object.entries(facts)) {
    const found = result.facts[name];
    if (found !== expected) return `${name}: expected ${String(expected)}, got ${String(found)}`;
  }
  return undefined;
}
