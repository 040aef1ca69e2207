/**
 * Java's .properties text: `key=value`, `key: value` or `key value`, comments with # or !, a backslash that continues a
 * line or escapes a character. Pure.
 *
 * @source java.util.Properties.load
 */

/** One entry; `line` counts from 1. */
export type Property = { readonly key: string; readonly value: string; readonly line: number };

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['t', '\t'],
  ['n', '\n'],
  ['r', '\r'],
  ['f', '\f'],
]);

/** All entries in the order of the text; a key that stands there twice is there twice. Never throws. */
export function parseProperties(text: string): readonly Property[] {
  const found: Property[] = [];
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  for (let index = 0; index < lines.length; index += 1) {
    const line = index + 1;
    let logical = (lines[index] ?? '').replace(/^[ \t\f]+/, '');
    if (logical === '' || logical.startsWith('#') || logical.startsWith('!')) continue;
    const parts: string[] = [];
    while (continues(logical)) {
      index += 1;
      parts.push(logical.slice(0, -1));
      logical = (lines[index] ?? '').replace(/^[ \t\f]+/, '');
    }
    found.push({ ...splitEntry(parts.join('') + logical), line });
  }
  return found;
}

/** An odd number of backslashes at the end: the last one is not escaped itself. */
function continues(line: string): boolean {
  let slashes = 0;
  while (line[line.length - 1 - slashes] === '\\') slashes += 1;
  return slashes % 2 === 1;
}

function splitEntry(line: string): { key: string; value: string } {
  const [, key = '', value = ''] =
    /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)$/s.exec(line) ?? [];
  // Java keeps blanks at the end of a value, and then fails to read the number before them.
  return { key: unescaped(key), value: unescaped(value.trimEnd()) };
}

function unescaped(text: string): string {
  return text.replace(/\\(u[0-9a-f]{4}|.?)/gis, (_, escaped: string) => {
    if (escaped.length === 5) return String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    return ESCAPES.get(escaped) ?? escaped;
  });
}
