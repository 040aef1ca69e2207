/**
 * Golden bytes: files in test/golden that say what every version so far has written. A difference fails with the first bytes
 * that differ; `UPDATE_GOLDEN=1 npm test -- golden` writes the files anew, and the change of bytes is then seen in the diff.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listFiles, projectRoot } from './source-tree.ts';

/** From the project's root. */
export const GOLDEN_FOLDER = 'test/golden';
const UPDATE_VARIABLE = 'UPDATE_GOLDEN';
const LINE_BYTES = 16;
/** Lines of a dump before and after the one that differs. */
const CONTEXT_LINES = 1;

/** Bytes by the name of their file below test/golden: `frames/settle-nack-v1.bin`. */
export type GoldenSamples = Readonly<Record<string, Uint8Array>>;

/** Frames that RocketMQ's own programs wrote: captured, not made here, and compared by the tests of that protocol. */
const CAPTURED_FOLDER: string = `${GOLDEN_FOLDER}/remoting/`;

/** Names of the files that are there, of those that this project writes. */
export function goldenNames(): readonly string[] {
  const isOurs = (path: string): boolean =>
    path.endsWith('.bin') && !path.startsWith(CAPTURED_FOLDER);
  return listFiles(projectRoot(), GOLDEN_FOLDER, isOurs).map((path) =>
    path.slice(GOLDEN_FOLDER.length + 1),
  );
}

/** The bytes of a golden file. */
export function readGolden(name: string): Uint8Array {
  return new Uint8Array(readFileSync(pathOf(name)));
}

/**
 * Compares with the golden file, or writes it when asked to.
 *
 * @throws Error with the first difference as a hex dump
 */
export function checkGolden(name: string, bytes: Uint8Array): void {
  const path = pathOf(name);
  if (process.env[UPDATE_VARIABLE] === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    return;
  }
  if (!existsSync(path))
    throw new Error(`${GOLDEN_FOLDER}/${name} is missing: run with ${UPDATE_VARIABLE}=1 once`);
  const difference = describeDifference(readGolden(name), bytes);
  if (difference === undefined) return;
  const hint = `A deliberate change? Raise the version, and run with ${UPDATE_VARIABLE}=1.`;
  throw new Error(`${GOLDEN_FOLDER}/${name}: ${difference}\n${hint}`);
}

/** Where two byte strings differ first, with both dumped around that place; undefined when they are the same. */
export function describeDifference(expected: Uint8Array, actual: Uint8Array): string | undefined {
  const common = Math.min(expected.length, actual.length);
  let at = 0;
  while (at < common && expected[at] === actual[at]) at += 1;
  if (at === expected.length && at === actual.length) return undefined;
  const lengths =
    expected.length === actual.length ? '' : `, ${expected.length} bytes became ${actual.length}`;
  return [
    `differs from byte ${at} on${lengths}`,
    `golden:\n${dumpAround(expected, at)}`,
    `now:\n${dumpAround(actual, at)}`,
  ].join('\n');
}

function dumpAround(bytes: Uint8Array, at: number): string {
  const line = Math.floor(at / LINE_BYTES);
  const lines: string[] = [];
  for (let index = line - CONTEXT_LINES; index <= line + CONTEXT_LINES; index += 1) {
    const start = index * LINE_BYTES;
    if (start < 0 || start > bytes.length) continue;
    const part = [...bytes.subarray(start, start + LINE_BYTES)];
    const cells = part.map((byte, place) => {
      const hex = byte.toString(16).padStart(2, '0');
      return start + place === at ? `[${hex}]` : ` ${hex} `;
    });
    const end = start + part.length === at && part.length < LINE_BYTES ? '[end]' : '';
    lines.push(`  ${start.toString(16).padStart(6, '0')} ${cells.join('')}${end}`);
  }
  return lines.join('\n');
}

function pathOf(name: string): string {
  return join(projectRoot(), GOLDEN_FOLDER, name);
}
