/**
 * All benchmarks in their small sizes, so that they never rot: micro ones in this process, macro ones as a user runs
 * them, with brokers and generators in processes of their own. Figures are not judged here; that nothing is lost is.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { compareResults, comparisonTable } from '../native-free-bench/compare.ts';
import type { Measurement } from '../native-free-bench/harness.ts';
import { describeMachine, machineSlug } from '../native-free-bench/machine.ts';
import { MACRO_BENCHMARKS } from '../native-free-bench/macro/all-macro.ts';
import { MICRO_BENCHMARKS } from '../native-free-bench/micro/all-micro.ts';
import { appendResults, type ResultLine, readResults } from '../native-free-bench/results-file.ts';
import { SMALL_SEGMENTS } from '../src/testing/tied-process.ts';

Object.assign(process.env, SMALL_SEGMENTS);

const PLAN = { size: 'small', seed: 1 } as const;
const QUIET = { size: 'small', say: () => {} } as const;

function assertMeasured(lines: readonly Measurement[], benchmark: string): void {
  assert.ok(lines.length > 0);
  for (const line of lines) {
    assert.equal(line.benchmark, benchmark);
    assert.ok(line.operationsPerSecond > 0, line.case);
    assert.ok(line.nsPerOperation >= 0 && line.maxNs >= line.nsPerOperation, line.case);
    assert.match(line.digest, /^[0-9a-f]{8,16}$/);
  }
  const cases = lines.map((line) => `${line.case} ${JSON.stringify(line.parameters)}`);
  assert.equal(new Set(cases).size, cases.length, 'no case has the name of another');
}

describe('micro benchmarks', () => {
  for (const benchmark of MICRO_BENCHMARKS) {
    it(`run: ${benchmark.name}`, async () => {
      assertMeasured(await benchmark.run(PLAN), benchmark.name);
    });
  }

  it('do the same work for the same seed, and other work for another', async () => {
    const [codec] = MICRO_BENCHMARKS.filter(({ name }) => name === 'batch-codec');
    const digests = async (seed: number): Promise<readonly string[] | undefined> =>
      (await codec?.run({ ...PLAN, seed }))?.map(({ digest }) => digest);
    const first = await digests(1);
    assert.deepEqual(await digests(1), first);
    assert.notDeepEqual(await digests(2), first);
  });
});

describe('macro benchmarks', () => {
  for (const benchmark of MACRO_BENCHMARKS) {
    it(`run, and lose nothing: ${benchmark.name}`, async () => {
      const figures = await benchmark.run(QUIET);
      assert.ok(figures.length > 0);
      for (const figure of figures) {
        assert.equal(figure.benchmark, benchmark.name);
        assert.notEqual(figure.flawless, false, JSON.stringify(figure));
        // Nothing need be acknowledged in the third of a second that is measured here: a ratio of nothing is no number.
        assert.ok(figure.value >= 0 || Number.isNaN(figure.value), JSON.stringify(figure));
      }
    });
  }
});

describe('results', () => {
  const machine = describeMachine();
  const line: ResultLine = {
    benchmark: 'ring',
    case: 'a',
    parameters: { messages: 1 },
    seed: 1,
    digest: 'aaaaaaaa',
    operation: 'messages',
    operationsPerSecond: 1000,
    nsPerOperation: 1,
    meanNs: 1,
    p99Ns: 1,
    p999Ns: 1,
    maxNs: 1,
    samples: 1,
    size: 'small',
    machine,
    day: '2026-01-31',
  };

  it('say on what machine they were taken, and not on whose', () => {
    assert.match(machineSlug(machine), /^[a-z0-9-]+-\d+-cores$/);
    assert.equal(
      machineSlug({ ...machine, cpu: 'A(R) B(TM) 9 CPU @ 2.30GHz', cores: 8 }),
      'a-b-9-8-cores',
    );
  });

  it('come back from their file, and are refused with their line where they are none', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
    try {
      const file = join(folder, 'results', 'x.jsonl');
      appendResults(file, [line]);
      appendResults(file, [line]);
      assert.deepEqual(readResults(file), [line, line]);
      writeFileSync(file, `${JSON.stringify(line)}\n{"no":1}\n`);
      assert.throws(() => readResults(file), /x\.jsonl:2 is not a result/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('are compared case by case; another digest is no improvement', () => {
    const [faster] = compareResults([line], [{ ...line, operationsPerSecond: 2000 }]);
    assert.equal(faster?.ratio, 2);
    assert.equal(faster?.sameWork, true);
    const other = compareResults([line], [{ ...line, operationsPerSecond: 2000, digest: 'b' }]);
    assert.equal(other[0]?.sameWork, false);
    assert.match(comparisonTable(other), /OTHER DIGEST/);
    assert.deepEqual(compareResults([line], [{ ...line, parameters: { messages: 2 } }]), []);
  });

  it('where less is better are better when there is less', () => {
    const latency: ResultLine = {
      benchmark: 'latency',
      case: 'p99',
      parameters: {},
      value: 4,
      unit: 'ms',
      aim: { at: 'most', value: 5 },
      ratioToLimit: null,
      flawless: true,
      details: {},
      size: 'small',
      machine,
      day: '2026-01-31',
    };
    assert.equal(compareResults([latency], [{ ...latency, value: 2 }])[0]?.ratio, 2);
  });
});
