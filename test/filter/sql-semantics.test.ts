/**
 * What SQL filters mean: the answers of Apache RocketMQ 5.3.3 itself to expressions chosen for their corners, and a second
 * evaluator for random ones. test/interop/filter.test.ts asks RocketMQ about the random ones as well.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { seededPrng } from '../../src/base/prng.ts';
import { PropertyValues } from '../../src/filter/property-values.ts';
import { SqlMatcher } from '../../src/filter/record-matcher.ts';
import { compileSql, FAILED, FALSE, TRUE, UNKNOWN } from '../../src/filter/sql-compiler.ts';
import { parseSql } from '../../src/filter/sql-parser.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';
import { randomFilter, randomProperties } from '../../src/testing/sql-generator.ts';
import { recordWith } from '../../src/testing/sql-records.ts';

const WORDS = { [TRUE]: 'true', [FALSE]: 'false', [UNKNOWN]: 'null', [FAILED]: 'error' } as const;

/** Where we differ on purpose: expression → our answer. */
const DIFFERENCES: ReadonlyMap<string, string> = new Map([
  // What follows a whole expression is refused, not passed over in silence.
  ["a = 'x' foo", 'refused'],
  ["a = 'x' )", 'refused'],
  ['a = 05', 'refused'],
  ['a = 1e5L', 'refused'],
  ['a = 5d', 'refused'],
  // Two minus signs begin a comment, wherever it ends.
  ['a = --5', 'refused'],
  // 0.0 is a number.
  ['a = 0.0', 'true'],
  ['a = 0.00', 'true'],
]);
/** Texts that only Java takes for numbers. */
const JAVA_ONLY: ReadonlySet<string> = new Set(['0x5p0', '１', '٥']);

function answer(sql: string, properties: ReadonlyMap<string, string>): string {
  const values = new PropertyValues();
  let condition: ReturnType<typeof compileSql>;
  try {
    condition = compileSql(parseSql(sql), values);
  } catch (error) {
    assert.ok(error instanceof SluiceError && error.code === 'INVALID_ARGUMENT', String(error));
    return 'refused';
  }
  values.load(recordWith(properties));
  return WORDS[condition()];
}

describe('an SQL filter', () => {
  it('answers as RocketMQ does', () => {
    const file = join(projectRoot(), 'test/golden/sql/rocketmq-5.3.3.tsv');
    const lines = readFileSync(file, 'utf8').replace(/\n$/, '').split('\n');
    assert.equal(lines.length, 279);
    const met = new Set<string>();
    for (const line of lines) {
      const [golden, escaped = '', ...fields] = line.split('\t');
      const sql = escaped.replaceAll('\\n', '\n');
      const properties = new Map<string, string>();
      for (let at = 0; at + 1 < fields.length; at += 2)
        properties.set(fields[at] as string, fields[at + 1] as string);
      if ([...properties.values()].some((value) => JAVA_ONLY.has(value))) continue;
      if (DIFFERENCES.has(sql)) met.add(sql);
      assert.equal(answer(sql, properties), DIFFERENCES.get(sql) ?? golden, line);
    }
    assert.equal(met.size, DIFFERENCES.size);
  });

  it('answers as a second evaluator does that knows what was meant', () => {
    const { numRuns, seed } = fuzzPlan(1500);
    const prng = seededPrng(seed);
    const seen = { true: 0, false: 0, null: 0, error: 0 };
    for (let round = 0; round < numRuns; round += 1) {
      const filter = randomFilter(prng);
      for (let record = 0; record < 4; record += 1) {
        const properties = randomProperties(prng);
        const expected = String(filter.evaluate(properties)) as keyof typeof seen;
        seen[expected] += 1;
        const shown = `seed ${seed}, round ${round}: ${filter.text} with ${JSON.stringify([...properties])}`;
        assert.equal(answer(filter.text, properties), expected, shown);
      }
    }
    // Were one of the answers never met, nothing would be known about it.
    for (const [word, count] of Object.entries(seen)) assert.ok(count > 0, `never ${word}`);
  });

  it('finds the properties of each record of a batch anew', () => {
    const matcher = new SqlMatcher("price > 10.0 AND region = 'eu'", true);
    const matches = (...pairs: readonly (readonly [string, string])[]): boolean =>
      matcher.matches(recordWith(new Map(pairs)));
    assert.equal(matches(['price', '12.50'], ['region', 'eu']), true);
    assert.equal(matches(['region', 'eu']), false);
    assert.equal(matches(['price', '9'], ['region', 'eu']), false);
    assert.equal(matches(['regio', 'eu'], ['price', '11'], ['region', 'eux']), false);
    assert.equal(matcher.failures, 0);
    assert.equal(matches(['price', 'cheap'], ['region', 'eu']), false);
    assert.equal(matcher.failures, 1);
  });
});
