/** What a command has to say: for programs one JSON value a line on stdout, for people text and tables. */
import { escapeControl } from '../observe/log-text.ts';
import { paint } from './terminal.ts';

/** A column of a table: its heading and what stands in it. */
export type Column<Row> = {
  readonly title: string;
  readonly value: (row: Row) => string | number | boolean | null | undefined;
};

const GAP = '  ';
/** What stands where nothing is known. */
const NOTHING = '-';

export class Output {
  readonly isJson: boolean;

  constructor(options: { readonly json?: boolean | undefined }) {
    this.isJson = options.json === true;
  }

  /** One value for programs; people get nothing of it. */
  json(value: unknown): void {
    if (this.isJson) process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** A line for people. */
  text(line: string): void {
    if (!this.isJson) process.stdout.write(`${line}\n`);
  }

  /** A remark for people beside the result. */
  note(line: string): void {
    if (!this.isJson) process.stderr.write(`${line}\n`);
  }

  /** A line for whoever looks after it, in both forms. */
  warn(line: string): void {
    process.stderr.write(`${paint(process.stderr, 'yellow', 'warning')} ${escapeControl(line)}\n`);
  }

  /** Rows: a table for people, a line each for programs. */
  rows<Row>(columns: readonly Column<Row>[], rows: readonly Row[], nothing: string): void {
    for (const row of rows) this.json(row);
    if (rows.length === 0) this.text(nothing);
    else if (!this.isJson) this.text(tableText(columns, rows));
  }
}

/** Columns side by side; numbers stand on the right. */
export function tableText<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const [head = '', ...body] = tableLines(columns, rows);
  return [paint(process.stdout, 'bold', head), ...body].join('\n');
}

/** The same, a line each and without colours: the headings, then the rows. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): readonly string[] {
  const cells = rows.map((row) => columns.map((column) => cellText(column.value(row))));
  const isNumber = columns.map((column) =>
    rows.every((row) => {
      const value = column.value(row);
      return typeof value === 'number' || value === null || value === undefined;
    }),
  );
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((row) => (row[index] ?? '').length)),
  );
  const lineOf = (texts: readonly string[]): string =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        return isNumber[index] === true ? text.padStart(width) : text.padEnd(width);
      })
      .join(GAP)
      .trimEnd();
  const head = lineOf(columns.map(({ title }) => title));
  return [head, ...cells.map(lineOf)];
}

function cellText(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined || value === '') return NOTHING;
  return typeof value === 'string' ? escapeControl(value) : String(value);
}

const SIZE_UNITS: readonly string[] = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1536` → `1.5 KiB`. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || Number.isInteger(value) ? value : value.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

/** A time in ISO 8601, or nothing for one that is no time. */
export function timeText(epochMs: number | null | undefined): string | undefined {
  if (epochMs === null || epochMs === undefined || !(epochMs > 0) || epochMs > 8.64e15)
    return undefined;
  return new Date(epochMs).toISOString();
}

/** `1 message`, `2 messages`, `2 batches`, `2 entries`. */
export function countText(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  if (noun.endsWith('y')) return `${count} ${noun.slice(0, -1)}ies`;
  return `${count} ${noun}${noun.endsWith('ch') ? 'es' : 's'}`;
}
