/**
 * Reporter of Node's test runner for test/run.ts: one JSON line per test that failed, with the file it stands in; and which of these
 * files a gate may run a second time.
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export type FailedTest = { readonly file: string; readonly name: string; readonly message: string };

/** Programs that are not ours, with races of their own: Java's clients, a browser, the system's processes, sockets and timers. */
const FOREIGN_FOLDERS: readonly string[] = [
  ...['interop/', 'browser/', 'cli/', 'client/', 'cluster/', 'transport/', 'bench'],
  ...[
    'acceptor/',
    'agent/',
    'broker/',
    'nameserver/',
    'observe/',
    'remoting/',
    'examples/',
    'docs',
  ],
];
/** Of these folders, what counts lost messages all the same. */
const PROOFS: readonly string[] = ['interop/java-kill', 'interop/java-slave', 'cli/cluster-drill'];
/** More than that is no accident. */
const FILES_MAX = 3;

/** A suite fails because a test in it did, which has its own line. */
const OF_A_PART = /^\d+ subtests? failed/;

// biome-ignore lint/style/noDefaultExport: the test runner takes a reporter as the default export of its module.
export default async function* failedFiles(
  events: AsyncIterable<TestEvent>,
): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:fail') continue;
    const { name, file, details } = event.data;
    const { cause } = details.error;
    const message = cause instanceof Error ? cause.message : String(cause ?? details.error.message);
    if (OF_A_PART.test(message)) continue;
    yield `${JSON.stringify({ file: file ?? name, name, message } satisfies FailedTest)}\n`;
  }
}

/** What a run wrote by this reporter. */
export function readFailed(path: string): readonly FailedTest[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as FailedTest);
}

/**
 * The files to run again, alone; none where that would hide something: what proves a promise (simulations, planted bugs, kills, races of
 * threads, logs, formats) holds every time or is broken.
 */
export function filesToRunAgain(
  failed: readonly FailedTest[],
  testRoot: string,
): readonly string[] {
  const files = [...new Set(failed.map((test) => test.file))];
  const foreign = files.every((file) => {
    const path = relative(testRoot, file);
    const begins = (beginning: string): boolean => path.startsWith(beginning);
    return path.endsWith('.test.js') && FOREIGN_FOLDERS.some(begins) && !PROOFS.some(begins);
  });
  return foreign && files.length <= FILES_MAX ? files : [];
}
