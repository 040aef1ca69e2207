/**
 * SQL filters against RocketMQ's own: random expressions and messages, each answered by both. Needs Java and Maven; without
 * them everything is skipped and says why.
 *
 *   npm run test:interop
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { seededPrng } from '../../src/base/prng.ts';
import { fuzzPlan } from '../../src/testing/fuzz-plan.ts';
import { fetchRocketmq, runJavaLines } from '../../src/testing/java-tools.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';
import { randomFilter, randomProperties } from '../../src/testing/sql-generator.ts';

const VERSION = '5.3.3';
const filters = fetchRocketmq('rocketmq-filter', VERSION);
const { numRuns, seed } = fuzzPlan(5000);

describe(`SQL filters of RocketMQ ${VERSION}`, {
  skip: 'obstacle' in filters && filters.obstacle,
}, () => {
  it('answer as the second evaluator does that ours is tested with', async () => {
    assert.ok('classPath' in filters);
    const prng = seededPrng(seed);
    const expected: string[] = [];
    const lines: string[] = [];
    for (let round = 0; round < numRuns; round += 1) {
      const filter = randomFilter(prng);
      const properties = randomProperties(prng);
      // A tab would divide the line; the language makes no difference between white space.
      const text = filter.text.replaceAll('\t', ' ').replaceAll('\n', '\\n');
      lines.push([text, ...[...properties].flat()].join('\t'));
      expected.push(String(filter.evaluate(properties)));
    }
    const answers = await runJavaLines(filters.classPath, 'SqlFilterSession.java', lines);
    for (const [index, answer] of answers.entries())
      assert.equal(expected[index], answer, `seed ${seed}: ${lines[index]}`);
    assert.equal(answers.length, lines.length);
  });

  it('still give the answers that are our golden file', async () => {
    assert.ok('classPath' in filters);
    const file = join(projectRoot(), `test/golden/sql/rocketmq-${VERSION}.tsv`);
    const golden = readFileSync(file, 'utf8').replace(/\n$/, '').split('\n');
    const lines = golden.map((line) => line.slice(line.indexOf('\t') + 1));
    const answers = await runJavaLines(filters.classPath, 'SqlFilterSession.java', lines);
    assert.deepEqual(
      answers.map((answer, index) => `${answer}\t${lines[index]}`),
      golden,
    );
  });
});
