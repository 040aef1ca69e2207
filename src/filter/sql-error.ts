/** What is wrong in an SQL filter, with its place pointed at. */
import { SluiceError } from '../base/errors.ts';

/** Characters of the expression that an error shows on each side of the place. */
const SHOWN_CHARACTERS = 40;

/**
 * INVALID_ARGUMENT whose text ends in the line that is wrong and a caret below the place.
 *
 * @param at - index of the character in `sql`
 */
export function sqlError(sql: string, at: number, problem: string, hint?: string): SluiceError {
  const lineStart = sql.lastIndexOf('\n', at - 1) + 1;
  const lineBreak = sql.indexOf('\n', at);
  const lineEnd = lineBreak < 0 ? sql.length : lineBreak;
  const line = sql.slice(0, lineStart).split('\n').length;
  const column = at - lineStart + 1;
  const from = Math.max(lineStart, at - SHOWN_CHARACTERS);
  const to = Math.min(lineEnd, at + SHOWN_CHARACTERS);
  const before = from > lineStart ? '…' : '';
  const shown = `${before}${plain(sql.slice(from, to))}${to < lineEnd ? '…' : ''}`;
  const caret = `${' '.repeat(before.length + at - from)}^`;
  const where = line === 1 ? `character ${column}` : `line ${line}, character ${column}`;
  return new SluiceError(
    'INVALID_ARGUMENT',
    `the SQL filter: ${problem}, at ${where}\n  ${shown}\n  ${caret}`,
    { hint: hint ?? GRAMMAR_HINT, facts: { line, column } },
  );
}

const GRAMMAR_HINT =
  "Filters are written as: price > 10.0 AND region IN ('eu', 'us') OR NOT (name STARTSWITH 'x')";

/** One character for one character, so that the caret stays below its place. */
function plain(text: string): string {
  return text.replace(/[^\P{Cc}]/gu, ' ');
}
