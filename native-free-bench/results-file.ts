/** Results as lines of JSON: a measurement, and where it was taken. Written by `main.ts`, read by `compare.ts`. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Measurement, Parameters, Size } from './harness.ts';
import type { Machine } from './machine.ts';
import type { MacroMeasurement } from './macro/macro-benchmark.ts';

/** One line. */
export type ResultLine = (Measurement | MacroMeasurement) & {
  readonly size: Size;
  readonly machine: Machine;
  /** Day of the run, ISO 8601. */
  readonly day: string;
};

export function appendResults(file: string, lines: readonly ResultLine[]): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** @throws Error naming file and line when one is not a result */
export function readResults(file: string): readonly ResultLine[] {
  if (!existsSync(file)) throw new Error(`there is no results file ${file}`);
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((text, index) => {
    if (text.trim() === '') return [];
    return [parseLine(text, `${file}:${index + 1}`)];
  });
}

function parseLine(text: string, where: string): ResultLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${where} is not JSON`);
  }
  const isLine = typeof value === 'object' && value !== null && 'benchmark' in value;
  if (!isLine) throw new Error(`${where} is not a result: it names no benchmark`);
  return value as ResultLine;
}

/** What two lines must share to be compared: benchmark, case, size and parameters. */
export function keyOf(line: ResultLine): string {
  return `${line.benchmark} / ${line.case} / ${parametersText(line.parameters)} / ${line.size}`;
}

export function parametersText(parameters: Parameters): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
