/** What people get wrong in SQL filters, and what they are told: the place, what was expected, and how to write it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import {
  SQL_FILTER_COST_MAX,
  SQL_FILTER_DEPTH_MAX,
  SQL_FILTER_LENGTH_MAX,
} from '../../src/base/limits.ts';
import { SqlMatcher } from '../../src/filter/record-matcher.ts';

function refusal(sql: string, isStrict = true): SluiceError {
  try {
    new SqlMatcher(sql, isStrict);
  } catch (error) {
    assert.ok(error instanceof SluiceError, String(error));
    assert.equal(error.code, 'INVALID_ARGUMENT');
    return error;
  }
  return assert.fail(`${sql} was taken`);
}

/** Expression, index of the character that the caret is below, what the message says, what the hint says. */
const MISTAKES: readonly (readonly [string, number, RegExp, RegExp?])[] = [
  ['', 0, /expected the name of a property.*found the end/],
  ['price > ', 8, /expected the name of a property, a number, .*found the end/],
  ['price > )', 8, /found \)/],
  ["region == 'eu'", 8, /expected .*found =/, /one =/],
  ["region != 'eu'", 7, /"!" means nothing/, /Write <>/],
  ['region = "eu"', 9, /means nothing/, /single quotes/],
  ["region = 'eu", 9, /a text begins and does not end/],
  ['price > 1 /* cheap', 10, /a comment begins and does not end/],
  ["name LIKE 'x%'", 5, /expected AND, OR or the end, found LIKE/, /There is no LIKE/],
  ['price + 1 > 2', 6, /expected AND, OR or the end, found \+/, /no arithmetic/],
  ['price * 2 > 2', 6, /"\*" means nothing/, /no arithmetic/],
  ['a = 1 && b = 2', 6, /means nothing/, /Write AND/],
  ['created || paid', 8, /means nothing/, /plain string/],
  ['price > 05', 8, /does not begin with 0/, /Write 5/],
  ['price > 5x', 9, /the number 5 goes on with "x"/],
  ['order.price > 5', 5, /"\." means nothing/, /letters a to z/],
  ['contains = 1', 0, /found contains/, /word of the language/],
  ['price > 9223372036854775808', 8, /at most 9223372036854775807/],
  ['price > 1e999', 8, /too large/],
  ['price > 1e-999', 8, /too small/],
  ["region > 'eu'", 9, /texts have no order/, /= <> IN/],
  ['price > TRUE', 8, /no order/],
  ['price = NULL', 8, /nothing is equal to NULL/, /IS NULL/],
  ["TRUE = 'x'", 7, /TRUE and FALSE are compared/],
  ['price', 0, /the property price alone is no condition/, /price = TRUE/],
  ['price = 1 AND paid', 14, /the property paid alone/],
  ["NOT region = 'eu'", 11, /never matches/, /NOT \(region = 'eu'\)/],
  ['5', 0, /a condition is needed/],
  ['price BETWEEN 5 AND 1', 14, /above the second/],
  ['price BETWEEN 1', 15, /expected AND/],
  ['price NOT 5', 10, /expected BETWEEN, IN/, /AND NOT/],
  ['price IS 5', 9, /expected NULL or NOT NULL/],
  ['region IN (1)', 11, /expected a text in single quotes/],
  ["region IN ('a' 'b')", 15, /expected ',' or '\)'/],
  ["'x' IN ('x')", 0, /for properties only/],
  ['(price > 1', 10, /expected '\)', AND or OR, found the end/],
  ['price\n  > 1\n  > ?', 16, /line 3, character 5/],
];

describe('a wrong SQL filter', () => {
  it('is pointed at', () => {
    for (const [sql, at, message, hint] of MISTAKES) {
      const error = refusal(sql);
      assert.match(error.message, message, sql);
      if (hint !== undefined) assert.match(error.hint, hint, sql);
      const [, line = '', caret = ''] = error.message.split('\n');
      const lineStart = sql.lastIndexOf('\n', at - 1) + 1;
      assert.equal(caret.indexOf('^'), 2 + at - lineStart, error.message);
      assert.equal(line.slice(2), sql.slice(lineStart).split('\n')[0], error.message);
    }
  });

  it('is shown in part when it is long', () => {
    const sql = `${"region = 'somewhere' AND ".repeat(20)}price > ! AND ${"a = 'b' AND ".repeat(20)}x = 1`;
    const [, line = '', caret = ''] = refusal(sql).message.split('\n');
    assert.ok(line.length < 100, line);
    assert.equal(line[caret.indexOf('^')], '!');
  });

  it('is refused for its length, its depth and its cost', () => {
    const long = `a = '${'x'.repeat(SQL_FILTER_LENGTH_MAX)}'`;
    assert.match(refusal(long).message, /longer than 8192 characters/);
    const nested = (depth: number): string => `${'('.repeat(depth)}a = 1${')'.repeat(depth)}`;
    new SqlMatcher(nested(SQL_FILTER_DEPTH_MAX - 1), true);
    assert.match(refusal(nested(SQL_FILTER_DEPTH_MAX)).message, /values are nested/);
    assert.match(refusal('NOT '.repeat(200)).message, /values are nested/);
    // A property and a comparison.
    const chain = (parts: number): string =>
      Array.from({ length: parts }, () => 'a=1').join(' OR ');
    new SqlMatcher(chain(SQL_FILTER_COST_MAX / 2), true);
    assert.match(refusal(chain(SQL_FILTER_COST_MAX / 2 + 1)).message, /costs more than 1024/);
    const searches = Array.from({ length: 40 }, () => "a CONTAINS 'x'").join(' OR ');
    assert.match(refusal(searches).message, /costs more than 1024/);
  });

  it('is taken from clients of RocketMQ where it only has no sense', () => {
    for (const sql of ['price', "NOT region = 'eu'", 'a OR b = 5']) {
      new SqlMatcher(sql, false);
      refusal(sql);
    }
  });
});
