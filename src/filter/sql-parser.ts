/**
 * The grammar of RocketMQ's SQL filters, by recursive descent, bounded in length, depth and cost. Takes what RocketMQ takes,
 * with these differences: what follows a whole expression is an error, not passed over; `0.0` is a number; a comment may
 * end with the expression.
 *
 * ```
 * or         = and ( OR and )*                     and = equality ( AND equality )*
 * equality   = comparison ( ( "=" | "<>" ) comparison | IS [NOT] NULL )*
 * comparison = unary ( ( ">" | ">=" | "<" | "<=" ) unary | [NOT] BETWEEN unary AND unary
 *                    | [NOT] IN "(" text ( "," text )* ")" | [NOT] ( CONTAINS | STARTSWITH | ENDSWITH ) text )*
 * unary      = ( "+" | "-" | NOT ) unary | text | number | TRUE | FALSE | NULL | name | "(" or ")"
 * ```
 *
 * @source RocketMQ SelectorParser.jj, ComparisonExpression, UnaryExpression, ConstantExpression
 */
import {
  SQL_FILTER_COST_MAX,
  SQL_FILTER_DEPTH_MAX,
  SQL_FILTER_LENGTH_MAX,
  SQL_FILTER_SEARCH_COST,
} from '../base/limits.ts';
import { mustBeBoolean, mustBeEquatable, mustBeOrderable, mustNotFall } from './sql-checks.ts';
import { sqlError } from './sql-error.ts';
import { type Keyword, type Token, tokensOf } from './sql-lexer.ts';
import { doubleNode, integerNode, negated } from './sql-numbers.ts';
import type { CompareOperator, SearchKind, SqlNode, TextNode } from './sql-tree.ts';

const ORDERS: readonly string[] = ['<', '<=', '>', '>='];
const SEARCHES: readonly string[] = ['CONTAINS', 'STARTSWITH', 'ENDSWITH'];
const VALUE = "the name of a property, a number, a text in quotes, TRUE, FALSE, NULL, NOT or '('";

/** @throws INVALID_ARGUMENT that points at what is wrong */
export function parseSql(sql: string): SqlNode {
  if (sql.length > SQL_FILTER_LENGTH_MAX) {
    throw sqlError(
      sql,
      SQL_FILTER_LENGTH_MAX,
      `it is longer than ${SQL_FILTER_LENGTH_MAX} characters`,
      'Put what messages are chosen by into one property, or choose in the consumer.',
    );
  }
  return new SqlParser(sql).parse();
}

class SqlParser {
  private readonly sql: string;
  private readonly tokens: readonly Token[];
  private index = 0;
  private depth = 0;
  private cost = 0;

  constructor(sql: string) {
    this.sql = sql;
    this.tokens = tokensOf(sql);
  }

  parse(): SqlNode {
    const node = mustBeBoolean(this.sql, this.or());
    const rest = this.token;
    if (rest.kind !== 'end') throw this.unexpected('AND, OR or the end', restHint(rest));
    return node;
  }

  private or(): SqlNode {
    return this.chain('OR', () => this.chain('AND', () => this.equality()));
  }

  /** Parts side by side make one node, so that a long chain is not a deep tree. */
  private chain(word: 'AND' | 'OR', part: () => SqlNode): SqlNode {
    const first = part();
    if (!this.isKeyword(word)) return first;
    const parts = [mustBeBoolean(this.sql, first)];
    while (this.takeKeyword(word)) parts.push(mustBeBoolean(this.sql, part()));
    return { kind: word === 'AND' ? 'and' : 'or', parts, at: first.at };
  }

  private equality(): SqlNode {
    let left = this.comparison();
    for (;;) {
      const { at } = this.token;
      const operator = this.takeSign('=', '<>');
      if (operator !== undefined) {
        const right = this.comparison();
        mustBeEquatable(this.sql, left, right);
        left = this.compare(operator, left, right, at);
      } else if (this.takeKeyword('IS')) {
        const isNot = this.takeKeyword('NOT');
        if (!this.takeKeyword('NULL')) throw this.unexpected(isNot ? 'NULL' : 'NULL or NOT NULL');
        left = this.costs(1, { kind: 'is-null', of: left, isNot, at });
      } else return left;
    }
  }

  private comparison(): SqlNode {
    let left = this.unary();
    for (;;) {
      const { at } = this.token;
      const operator = this.takeSign(...ORDERS);
      if (operator !== undefined) {
        left = this.ordered(operator, left, this.unary(), at);
        continue;
      }
      const isNot = this.isKeyword('NOT') && this.takeKeyword('NOT');
      const word = this.token.kind === 'keyword' ? this.token.value : '';
      if (SEARCHES.includes(word)) left = this.search(word as SearchKind, left, isNot);
      else if (word === 'BETWEEN') left = this.between(left, isNot);
      else if (word === 'IN') left = this.among(left, isNot);
      else if (isNot)
        throw this.unexpected(
          'BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH',
          'As an operator NOT stands before one of these; elsewhere write: AND NOT (…).',
        );
      else return left;
    }
  }

  private search(how: SearchKind, of: SqlNode, isNot: boolean): SqlNode {
    const { at } = this.advance();
    const { text } = this.text();
    return this.costs(SQL_FILTER_SEARCH_COST, { kind: 'search', how, of, text, isNot, at });
  }

  /** `a BETWEEN b AND c` is `a >= b AND a <= c`. */
  private between(left: SqlNode, isNot: boolean): SqlNode {
    const { at } = this.advance();
    const low = this.unary();
    if (!this.takeKeyword('AND')) throw this.unexpected('AND', 'Write: price BETWEEN 1 AND 5');
    const high = this.unary();
    if (!isNot) mustNotFall(this.sql, low, high);
    const parts = isNot
      ? [this.ordered('<', left, low, at), this.ordered('>', left, high, at)]
      : [this.ordered('>=', left, low, at), this.ordered('<=', left, high, at)];
    return { kind: isNot ? 'or' : 'and', parts, at };
  }

  private among(left: SqlNode, isNot: boolean): SqlNode {
    const { at } = this.advance();
    if (left.kind !== 'property') throw sqlError(this.sql, left.at, 'IN is for properties only');
    if (this.takeSign('(') === undefined) throw this.unexpected("'('", "Write: region IN ('eu')");
    const texts = [this.text().text];
    while (this.takeSign(',') !== undefined) texts.push(this.text().text);
    if (this.takeSign(')') === undefined) throw this.unexpected("',' or ')'");
    return this.costs(1, { kind: 'in', property: left, texts: [...new Set(texts)], isNot, at });
  }

  private ordered(operator: string, left: SqlNode, right: SqlNode, at: number): SqlNode {
    mustBeOrderable(this.sql, left);
    mustBeOrderable(this.sql, right);
    return this.compare(operator, left, right, at);
  }

  private compare(operator: string, left: SqlNode, right: SqlNode, at: number): SqlNode {
    return this.costs(1, {
      kind: 'compare',
      operator: operator as CompareOperator,
      ...{ left, right, at },
    });
  }

  private unary(): SqlNode {
    const { at } = this.token;
    this.depth += 1;
    if (this.depth > SQL_FILTER_DEPTH_MAX)
      throw sqlError(this.sql, at, `more than ${SQL_FILTER_DEPTH_MAX} values are nested`);
    const node = this.unaryOf(at);
    this.depth -= 1;
    return node;
  }

  private unaryOf(at: number): SqlNode {
    if (this.takeSign('+') !== undefined) return this.unary();
    if (this.takeSign('-') !== undefined) return negated(this.unary(), at);
    if (this.takeKeyword('NOT'))
      return this.costs(1, { kind: 'not', of: mustBeBoolean(this.sql, this.unary()), at });
    if (this.takeSign('(') !== undefined) {
      const inner = this.or();
      if (this.takeSign(')') === undefined) throw this.unexpected("')', AND or OR");
      return inner;
    }
    return this.primary();
  }

  private primary(): SqlNode {
    const { kind, value, at } = this.token;
    if (kind === 'text') return this.text();
    if (kind !== 'name' && kind !== 'integer' && kind !== 'float' && !isConstant(this.token))
      throw this.unexpected(VALUE, valueHint(this.token));
    this.advance();
    if (kind === 'name') return this.costs(1, { kind: 'property', name: value, at });
    if (kind === 'integer') return integerNode(this.sql, value, at);
    if (kind === 'float') return doubleNode(this.sql, value, at);
    return { kind: 'constant', value: value === 'NULL' ? null : value === 'TRUE', at };
  }

  private text(): TextNode {
    const { kind, value, at } = this.token;
    if (kind !== 'text') throw this.unexpected("a text in single quotes, such as 'eu'");
    this.advance();
    return { kind: 'text', text: value, at };
  }

  private costs<Node extends SqlNode>(cost: number, node: Node): Node {
    this.cost += cost;
    if (this.cost <= SQL_FILTER_COST_MAX) return node;
    throw sqlError(
      this.sql,
      node.at,
      `it costs more than ${SQL_FILTER_COST_MAX}: 1 for each property and operator, ${SQL_FILTER_SEARCH_COST} for each search in a text`,
      "Many texts are cheap in one IN ('a', 'b', …).",
    );
  }

  private get token(): Token {
    return this.tokens[this.index] as Token;
  }

  private advance(): Token {
    const { token } = this;
    if (token.kind !== 'end') this.index += 1;
    return token;
  }

  private isKeyword(word: Keyword): boolean {
    return this.token.kind === 'keyword' && this.token.value === word;
  }

  private takeKeyword(word: Keyword): boolean {
    if (!this.isKeyword(word)) return false;
    this.index += 1;
    return true;
  }

  private takeSign(...signs: readonly string[]): string | undefined {
    const { kind, value } = this.token;
    if (kind !== 'sign' || !signs.includes(value)) return undefined;
    this.index += 1;
    return value;
  }

  private unexpected(expected: string, hint?: string): Error {
    const { kind, at, end } = this.token;
    const found = kind === 'end' ? 'the end' : this.sql.slice(at, Math.min(end, at + 40));
    return sqlError(this.sql, at, `expected ${expected}, found ${found}`, hint);
  }
}

function isConstant({ kind, value }: Token): boolean {
  return kind === 'keyword' && ['TRUE', 'FALSE', 'NULL'].includes(value);
}

function valueHint({ kind, value }: Token): string | undefined {
  if (kind === 'keyword')
    return `${value} is a word of the language and cannot be the name of a property.`;
  return kind === 'sign' && value === '=' ? 'Equality is written with one =.' : undefined;
}

function restHint({ kind, value }: Token): string | undefined {
  if (kind === 'name' && value.toUpperCase() === 'LIKE')
    return "There is no LIKE. Write: name CONTAINS 'x', name STARTSWITH 'x' or name ENDSWITH 'x'";
  if (kind === 'sign' && (value === '+' || value === '-')) return 'There is no arithmetic.';
  return undefined;
}
