/**
 * Two result files side by side: `node dist/native-free-bench/compare.js BEFORE.jsonl AFTER.jsonl`. Where a file has a
 * case more than once, the last line counts. Exit code 1 when a digest differs: then the two did not do the same work.
 */

import { keyOf, parametersText, type ResultLine, readResults } from './results-file.ts';
import { formatCount, markdownTable } from './table.ts';

const EXIT_USAGE = 2;
/** Within this part of each other two figures are called equal: what runs on one machine differ by. */
const NOISE = 0.05;

/** One case of both files. */
export type Comparison = {
  readonly line: ResultLine;
  readonly before: number;
  readonly after: number;
  /** Above 1 is an improvement. */
  readonly ratio: number;
  /** False when the digests differ. */
  readonly sameWork: boolean;
};

/** What one line is judged by. */
export function figureOf(line: ResultLine): number {
  return 'operationsPerSecond' in line ? line.operationsPerSecond : line.value;
}

/** After ÷ before, turned round where less is better: above 1 is an improvement. */
function ratioOf(line: ResultLine, before: number, after: number): number {
  const lessIsBetter = 'aim' in line && line.aim.at === 'most';
  return lessIsBetter ? before / after : after / before;
}

export function compareResults(
  before: readonly ResultLine[],
  after: readonly ResultLine[],
): readonly Comparison[] {
  const earlier = new Map(before.map((line) => [keyOf(line), line]));
  const latest = new Map(after.map((line) => [keyOf(line), line]));
  return [...latest].flatMap(([key, line]) => {
    const old = earlier.get(key);
    if (old === undefined) return [];
    const [was, is] = [figureOf(old), figureOf(line)];
    return [
      {
        line,
        before: was,
        after: is,
        ratio: ratioOf(line, was, is),
        sameWork: isSameWork(old, line),
      },
    ];
  });
}

/** Digests are only promised for the same seed; macro benchmarks have none. */
function isSameWork(before: ResultLine, after: ResultLine): boolean {
  if (!('digest' in before) || !('digest' in after) || before.seed !== after.seed) return true;
  return before.digest === after.digest;
}

export function comparisonTable(comparisons: readonly Comparison[]): string {
  const rows = comparisons.map(({ line, before, after, ratio, sameWork }) => [
    line.benchmark,
    line.case,
    parametersText(line.parameters),
    formatCount(before),
    formatCount(after),
    sameWork ? verdict(ratio) : 'OTHER DIGEST',
  ]);
  return markdownTable(['benchmark', 'case', 'parameters', 'before', 'after', 'change'], rows);
}

function verdict(ratio: number): string {
  if (Math.abs(ratio - 1) <= NOISE) return 'same';
  return `${ratio > 1 ? '+' : ''}${((ratio - 1) * 100).toFixed(0)} %`;
}

function run(files: readonly string[]): number {
  const [before, after] = files;
  if (before === undefined || after === undefined || files.length !== 2) {
    console.error('Usage: compare BEFORE.jsonl AFTER.jsonl');
    return EXIT_USAGE;
  }
  const comparisons = compareResults(readResults(before), readResults(after));
  if (comparisons.length === 0) {
    console.error('The two files have no case in common: same size and parameters are needed.');
    return 1;
  }
  console.log(comparisonTable(comparisons));
  return comparisons.every(({ sameWork }) => sameWork) ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = run(process.argv.slice(2));
