/** An SQL filter cut into words, numbers, texts and signs, each with its place. Pure. */
import { sqlError } from './sql-error.ts';

/** Written in any case; none can be the name of a property. */
export type Keyword =
  | ('AND' | 'OR' | 'NOT' | 'BETWEEN' | 'IN' | 'IS' | 'NULL' | 'TRUE' | 'FALSE')
  | ('CONTAINS' | 'STARTSWITH' | 'ENDSWITH');
const KEYWORDS: ReadonlySet<string> = new Set<Keyword>([
  ...(['AND', 'OR', 'NOT', 'BETWEEN', 'IN', 'IS', 'NULL', 'TRUE', 'FALSE'] as const),
  ...(['CONTAINS', 'STARTSWITH', 'ENDSWITH'] as const),
]);

export type Token = {
  readonly kind: 'name' | 'keyword' | 'integer' | 'float' | 'text' | 'sign' | 'end';
  /** The name, the keyword in capitals, the number without its suffix, the text without its quotes, the sign. */
  readonly value: string;
  /** Where it is in the expression: first character, and the one behind the last. */
  readonly at: number;
  readonly end: number;
};

const SPACE = /(?:[ \t\n\r\f]+|--[^\n\r]*|\/\*[\s\S]*?\*\/)+/y;
const NAME = /[A-Za-z_$][A-Za-z0-9_$]*/y;
const FLOAT = /(?:\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)/y;
const INTEGER = /\d+/y;
const TEXT = /'(?:''|[^'])*'/y;
const SIGN = /<>|<=|>=|[()=<>,+-]/y;

/** What people write who know another SQL, and what it is here. */
const FOREIGN: readonly (readonly [string, string])[] = [
  ['!=', 'Write <> for "not equal".'],
  ['"', "Write texts in single quotes: 'x'. A quote in a text is two quotes."],
  ['`', 'Names of properties have no quotes.'],
  ['&&', 'Write AND.'],
  ['||', 'Write OR. For tags give the filter as a plain string: "a || b".'],
  ['!', 'Write NOT.'],
  ['*', 'There is no arithmetic. To get all messages, give no filter.'],
  ['/', 'There is no arithmetic. Comments are -- … or /* … */.'],
  ['%', 'There is no arithmetic and no LIKE; use CONTAINS, STARTSWITH or ENDSWITH.'],
];

/** @throws INVALID_ARGUMENT */
export function tokensOf(sql: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const cut = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(sql)?.[0];
  };
  for (;;) {
    at += cut(SPACE)?.length ?? 0;
    if (at >= sql.length) break;
    const token =
      nameToken(cut(NAME), at) ??
      numberToken(cut(FLOAT), 'float', at) ??
      numberToken(cut(INTEGER), 'integer', at) ??
      textToken(cut(TEXT), at) ??
      signToken(cut(SIGN), at);
    if (token === undefined) throw strange(sql, at);
    at = endOfNumber(sql, token);
    tokens.push({ ...token, end: at });
  }
  tokens.push({ kind: 'end', value: '', at, end: at });
  return tokens;
}

function nameToken(found: string | undefined, at: number): Token | undefined {
  if (found === undefined) return undefined;
  const end = at + found.length;
  const capitals = found.toUpperCase();
  if (KEYWORDS.has(capitals)) return { kind: 'keyword', value: capitals, at, end };
  return { kind: 'name', value: found, at, end };
}

function numberToken(
  found: string | undefined,
  kind: 'integer' | 'float',
  at: number,
): Token | undefined {
  return found === undefined ? undefined : { kind, value: found, at, end: at + found.length };
}

function textToken(found: string | undefined, at: number): Token | undefined {
  if (found === undefined) return undefined;
  return {
    kind: 'text',
    value: found.slice(1, -1).replaceAll("''", "'"),
    ...{ at, end: at + found.length },
  };
}

function signToken(found: string | undefined, at: number): Token | undefined {
  return found === undefined
    ? undefined
    : { kind: 'sign', value: found, at, end: at + found.length };
}

/** Numbers end where something else begins: RocketMQ reads `05` as 0 and passes over the rest in silence. */
function endOfNumber(sql: string, token: Token): number {
  let { end } = token;
  if (token.kind !== 'integer' && token.kind !== 'float') return end;
  if (token.kind === 'integer') {
    if (/^0\d/.test(token.value))
      throw sqlError(sql, token.at, 'a number does not begin with 0', 'Write 5, not 05.');
    if (sql[end] === 'l' || sql[end] === 'L') end += 1;
  }
  if (/[A-Za-z0-9_$.]/.test(sql[end] ?? ''))
    throw sqlError(sql, end, `the number ${token.value} goes on with ${JSON.stringify(sql[end])}`);
  return end;
}

function strange(sql: string, at: number): Error {
  const rest = sql.slice(at, at + 2);
  if (rest.startsWith("'"))
    return sqlError(sql, at, 'a text begins and does not end', 'A quote in a text is two quotes.');
  if (rest === '/*') return sqlError(sql, at, 'a comment begins and does not end');
  const hint = FOREIGN.find(([sign]) => rest.startsWith(sign))?.[1];
  const character = String.fromCodePoint(sql.codePointAt(at) ?? 0);
  return sqlError(
    sql,
    at,
    `${JSON.stringify(character)} means nothing here`,
    hint ?? 'Names of properties have letters a to z, digits, _ and $. Texts are in single quotes.',
  );
}
