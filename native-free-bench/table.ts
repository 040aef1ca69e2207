/** Numbers and Markdown tables for people. */

const SUFFIXES: readonly (readonly [number, string])[] = [
  [1e9, ' G'],
  [1e6, ' M'],
  [1e3, ' k'],
];

/** `5120000` → `5.12 M`. */
export function formatCount(value: number): string {
  for (const [size, suffix] of SUFFIXES) {
    if (Math.abs(value) >= size) return `${(value / size).toPrecision(3)}${suffix}`;
  }
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

/** Columns padded, so that it can be read as it is. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const lineOf = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [lineOf(head), rule, ...rows.map(lineOf)].join('\n');
}
