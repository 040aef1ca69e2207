/**
 * What all micro benchmarks share: sizes, seed, digest, and one way of measuring (tinybench), so that their lines can be
 * compared. A measurement is of whole calls of many operations each; percentiles are those of the calls, divided.
 */
import { createHash } from 'node:crypto';
import { Bench } from 'tinybench';

/** Small runs in the tests, in seconds all together; full is for figures. */
export type Size = 'small' | 'full';

export type Parameters = Readonly<Record<string, string | number | boolean>>;

/** What a benchmark is given. */
export type Plan = {
  readonly size: Size;
  /** The same seed makes the same input, and so the same digests. */
  readonly seed: number;
};

/** One line of a result, without the machine. */
export type Measurement = {
  readonly benchmark: string;
  readonly case: string;
  readonly parameters: Parameters;
  readonly seed: number;
  /** Of what was computed: two runs that differ here did not do the same work. */
  readonly digest: string;
  /** What operations are: `records`, `frames`. */
  readonly operation: string;
  /** By the median call: what else the machine does at times does not count. */
  readonly operationsPerSecond: number;
  readonly nsPerOperation: number;
  readonly meanNs: number;
  /** Present where bytes are what counts. */
  readonly bytesPerSecond?: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly maxNs: number;
  /** Calls measured. */
  readonly samples: number;
};

/** A benchmark by name; `run` measures all of its cases. */
export type MicroBenchmark = {
  readonly name: string;
  /** One sentence: what is compared with what. */
  readonly about: string;
  readonly run: (plan: Plan) => Promise<readonly Measurement[]>;
};

/** One thing to measure. */
export type Case = {
  readonly name: string;
  readonly parameters: Parameters;
  readonly operation: string;
  /** Operations of one call: enough that a call takes microseconds and not the clock's resolution. */
  readonly operations: number;
  /** Bytes that one call moves, where that is the point. */
  readonly bytes?: number;
  readonly call: () => void | Promise<void>;
  /** Bytes or numbers that the work produced, taken from a pass of its own and not from the timed ones. */
  readonly digest: () => string;
  /** Calls at least; default 10 small, 64 full. */
  readonly calls?: number;
};

const CALL_BUDGET_MS: Readonly<Record<Size, number>> = { small: 10, full: 500 };
const CALLS_MIN: Readonly<Record<Size, number>> = { small: 10, full: 64 };
const NS_PER_MS = 1_000_000;
const MS_PER_SECOND = 1000;

/** Where results go that nobody needs, so that the compiler cannot leave the work out. */
let kept: unknown;

/** Uses a value as far as the compiler can tell. */
export function keep(value: unknown): void {
  kept = value;
}

/** The last value kept. */
export function lastKept(): unknown {
  return kept;
}

/** The value for this size. */
export function bySize<Value>(plan: Plan, small: Value, full: Value): Value {
  return plan.size === 'small' ? small : full;
}

/** 16 hex digits of a SHA-256. */
export function digestOf(...parts: readonly (Uint8Array | string | number)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(typeof part === 'number' ? String(part) : part);
  return hash.digest('hex').slice(0, 16);
}

/** Measures the cases one after another, each warmed up by a part of its budget. */
export async function measureCases(
  benchmark: string,
  plan: Plan,
  cases: readonly Case[],
): Promise<readonly Measurement[]> {
  const measurements: Measurement[] = [];
  for (const one of cases) measurements.push(await measureCase(benchmark, plan, one));
  return measurements;
}

async function measureCase(benchmark: string, plan: Plan, one: Case): Promise<Measurement> {
  const digest = one.digest();
  const iterations = one.calls ?? CALLS_MIN[plan.size];
  const bench = new Bench({
    time: CALL_BUDGET_MS[plan.size],
    iterations,
    warmupTime: CALL_BUDGET_MS[plan.size] / 4,
    warmupIterations: Math.min(iterations, 4),
    throws: true,
  });
  bench.add(one.name, one.call);
  const [task] = await bench.run();
  const result = task?.result;
  if (result?.state !== 'completed') throw new Error(`${benchmark}, ${one.name}: not completed`);
  const { latency } = result;
  const ns = (ms: number): number => round((ms * NS_PER_MS) / one.operations);
  const perSecond = (count: number): number => Math.round((count / latency.p50) * MS_PER_SECOND);
  return {
    benchmark,
    case: one.name,
    parameters: one.parameters,
    seed: plan.seed,
    digest,
    operation: one.operation,
    operationsPerSecond: perSecond(one.operations),
    nsPerOperation: ns(latency.p50),
    meanNs: ns(latency.mean),
    ...(one.bytes === undefined ? {} : { bytesPerSecond: perSecond(one.bytes) }),
    p99Ns: ns(latency.p99),
    p999Ns: ns(latency.p999),
    maxNs: ns(latency.max),
    samples: latency.samplesCount,
  };
}

/** Three digits that mean something; more would only look exact. */
function round(value: number): number {
  return value >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
}
