/**
 * `npm run bench -- NAME… [--small] [--out FILE] [--seed N]`: measures, prints Markdown tables, and keeps every figure as a
 * line of JSON. NAME is a benchmark, `micro`, `macro` or `all`. Exit code 1 when something acknowledged was lost.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Measurement, Size } from './harness.ts';
import { describeMachine, machineSlug } from './machine.ts';
import { MACRO_BENCHMARKS } from './macro/all-macro.ts';
import { isReached, type MacroMeasurement } from './macro/macro-benchmark.ts';
import { MICRO_BENCHMARKS } from './micro/all-micro.ts';
import { appendResults, parametersText } from './results-file.ts';
import { formatCount, markdownTable } from './table.ts';

const EXIT_USAGE = 2;
const SEED_DEFAULT = 1;

type Request = {
  readonly names: readonly string[];
  readonly size: Size;
  readonly seed: number;
  readonly out: string | undefined;
};

const ALL_NAMES: readonly string[] = [...MICRO_BENCHMARKS, ...MACRO_BENCHMARKS].map(
  ({ name }) => name,
);

function readRequest(words: readonly string[]): Request {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      small: { type: 'boolean' },
      out: { type: 'string' },
      seed: { type: 'string' },
    },
  });
  const groups: Readonly<Record<string, readonly string[]>> = {
    all: ALL_NAMES,
    micro: MICRO_BENCHMARKS.map(({ name }) => name),
    macro: MACRO_BENCHMARKS.map(({ name }) => name),
  };
  const names = positionals.flatMap((word) => groups[word] ?? [word]);
  const unknown = names.find((name) => !ALL_NAMES.includes(name));
  if (unknown !== undefined) throw new Error(`there is no benchmark ${unknown}`);
  if (names.length === 0) throw new Error('name a benchmark, or all');
  const seed = Number(values.seed ?? SEED_DEFAULT);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed ${values.seed} is no whole number`);
  return { names, size: values.small === true ? 'small' : 'full', seed, out: values.out };
}

function usage(problem: string): number {
  console.error(`${problem}\n\nUsage: npm run bench -- NAME… [--small] [--out FILE] [--seed N]\n`);
  for (const { name, about } of [...MICRO_BENCHMARKS, ...MACRO_BENCHMARKS])
    console.error(`  ${name.padEnd(16)} ${about}`);
  console.error('  micro, macro, all');
  return EXIT_USAGE;
}

/** Figures of full size are kept beside the sources, by kind of machine; small ones only where they are asked for. */
function resultsFile(request: Request): string | undefined {
  if (request.out !== undefined || request.size === 'small') return request.out;
  return join(sourceFolder(), 'results', `${machineSlug(describeMachine())}.jsonl`);
}

/** `native-free-bench` of the checkout above the compiled file. */
function sourceFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return join(folder, 'native-free-bench');
}

async function run(words: readonly string[]): Promise<number> {
  let request: Request;
  try {
    request = readRequest(words);
  } catch (error) {
    return usage((error as Error).message);
  }
  const machine = describeMachine();
  const out = resultsFile(request);
  const keep = (lines: readonly (Measurement | MacroMeasurement)[]): void => {
    if (out === undefined) return;
    const day = new Date().toISOString().slice(0, 10);
    appendResults(
      out,
      lines.map((line) => ({ ...line, size: request.size, machine, day })),
    );
  };
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${machine.commit}\n`);
  for (const benchmark of MICRO_BENCHMARKS) {
    if (!request.names.includes(benchmark.name)) continue;
    const measurements = await benchmark.run(request);
    keep(measurements);
    console.log(`### ${benchmark.name}: ${benchmark.about}\n\n${microTable(measurements)}\n`);
  }
  const figures: MacroMeasurement[] = [];
  for (const benchmark of MACRO_BENCHMARKS) {
    if (!request.names.includes(benchmark.name)) continue;
    const plan = { size: request.size, say: (text: string) => console.error(`… ${text}`) };
    const measurements = await benchmark.run(plan);
    keep(measurements);
    figures.push(...measurements);
  }
  if (figures.length > 0) console.log(macroTable(figures));
  return figures.some(({ flawless }) => flawless === false) ? 1 : 0;
}

function microTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map((line) => [
    line.case,
    parametersText(line.parameters),
    `${formatCount(line.operationsPerSecond)} ${line.operation}/s`,
    `${formatCount(line.nsPerOperation)} ns`,
    `${formatCount(line.p99Ns)} ns`,
    line.bytesPerSecond === undefined ? '' : `${formatCount(line.bytesPerSecond)}B/s`,
    line.digest,
  ]);
  return markdownTable(['case', 'parameters', 'rate', 'each', 'p99', 'bytes', 'digest'], rows);
}

function macroTable(figures: readonly MacroMeasurement[]): string {
  const rows = figures.map((line) => {
    // Milliseconds and mebibytes are read as they are; only large counts need a suffix.
    const shown = (value: number): string =>
      `${line.unit === 'messages/s' ? formatCount(value) : value} ${line.unit}`.trim();
    const sign = line.aim.at === 'least' ? '≥' : '≤';
    return [
      line.case,
      shown(line.value),
      `${sign} ${shown(line.aim.value)}`,
      isReached(line) ? 'yes' : 'no',
      line.ratioToLimit === null ? '' : String(line.ratioToLimit),
      line.flawless === null ? '' : line.flawless ? 'nothing' : 'SOMETHING',
    ];
  });
  return markdownTable(['measure', 'figure', 'aim', 'reached', '÷ limit', 'lost'], rows);
}

process.exitCode = await run(process.argv.slice(2));
