/**
 * Numbers as the text that Prometheus scrapes. The counters themselves live in shared memory and know nothing of it:
 * whoever answers /metrics takes snapshots of them and hands them in. prom-client writes the text. Main thread.
 */
import type { Metric } from 'prom-client';
import { checkArgument } from '../base/assert.ts';
import { LATENCY_BOUNDS_US, type LatencySnapshot } from './latency-histogram.ts';

/** What tells numbers of one name apart. */
export type MetricLabels = Readonly<Record<string, string | number>>;

/** One number at one moment. */
export type MetricSnapshot = {
  /** With its unit, in base units, and `_total` for counters: `sluice_flush_seconds`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels?: MetricLabels;
  readonly value: number;
};

/** A distribution at one moment. */
export type HistogramSnapshot = {
  readonly name: string;
  readonly help: string;
  readonly labels?: MetricLabels;
  /** Upper bounds, inclusive, growing; in the unit of the name. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not summed up: one more than bounds, for what is above them all. */
  readonly counts: readonly number[];
  readonly sum: number;
};

/** The Content-Type of the text. @source prom-client, Registry.PROMETHEUS_CONTENT_TYPE */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const US_PER_SECOND = 1_000_000;

type Value = {
  readonly value: number;
  readonly labels: MetricLabels;
  readonly metricName?: string;
};

/** All numbers of one name, in the form that prom-client asks a metric for. */
class Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  private readonly values: Value[] = [];
  private readonly labelSets = new Set<string>();

  constructor(name: string, help: string, type: Family['type']) {
    checkArgument(NAME.test(name), `${JSON.stringify(name)} is no name of a metric`);
    this.name = name;
    this.help = help;
    this.type = type;
  }

  /** @throws INVALID_ARGUMENT: Prometheus drops a whole scrape that has the same number twice */
  add(labels: MetricLabels, values: readonly Value[]): void {
    for (const label of Object.keys(labels)) {
      checkArgument(LABEL.test(label), `${JSON.stringify(label)} is no label of ${this.name}`);
    }
    const labelSet = JSON.stringify(Object.entries(labels).sort());
    checkArgument(
      !this.labelSets.has(labelSet),
      `${this.name} has two values with the labels ${labelSet}`,
    );
    this.labelSets.add(labelSet);
    this.values.push(...values);
  }

  get(): Promise<{ name: string; help: string; type: string; values: readonly Value[] }> {
    return Promise.resolve({
      name: this.name,
      help: this.help,
      type: this.type,
      values: this.values,
    });
  }
}

/** Families by name, in the order in which they come first. */
class Families {
  private readonly byName = new Map<string, Family>();

  family(name: string, help: string, type: Family['type']): Family {
    let family = this.byName.get(name);
    if (family === undefined) {
      family = new Family(name, help, type);
      this.byName.set(name, family);
    }
    checkArgument(family.type === type && family.help === help, `${name} is described in two ways`);
    return family;
  }

  async text(): Promise<string> {
    // Loaded with the first scrape: it is ninety modules, and a start waits for none of them.
    const { Registry } = await import('prom-client');
    const registry = new Registry();
    for (const family of this.byName.values()) {
      // A registry asks a metric for nothing but its name and get(); its classes would count by themselves.
      registry.registerMetric(family as unknown as Metric);
    }
    return registry.metrics();
  }
}

/**
 * The text of one scrape.
 *
 * @throws INVALID_ARGUMENT when a name or label is not allowed, described in two ways, or there twice
 */
export function metricsText(
  metrics: readonly MetricSnapshot[],
  histograms: readonly HistogramSnapshot[] = [],
): Promise<string> {
  const families = new Families();
  for (const { name, help, type, labels = {}, value } of metrics) {
    families.family(name, help, type).add(labels, [{ value, labels }]);
  }
  for (const histogram of histograms) {
    const { name, help, labels = {} } = histogram;
    families.family(name, help, 'histogram').add(labels, histogramValues(histogram));
  }
  return families.text();
}

function histogramValues(histogram: HistogramSnapshot): Value[] {
  const { name, labels = {}, bounds, counts, sum } = histogram;
  checkArgument(
    counts.length === bounds.length + 1,
    `${name} has ${counts.length} counts for ${bounds.length} bounds; allowed: one more`,
  );
  let below = 0;
  const values: Value[] = counts.map((count, bucket) => {
    below += count;
    const le = bounds[bucket] ?? '+Inf';
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
  });
  values.push({ metricName: `${name}_sum`, labels, value: sum });
  values.push({ metricName: `${name}_count`, labels, value: below });
  return values;
}

/** Buckets of a latency histogram that end at a power of two, from 16 µs on: enough for a chart, half the text. */
const SCRAPED_BUCKETS: readonly number[] = [...LATENCY_BOUNDS_US.keys()].filter(
  (bucket) => bucket % 2 === 1 && (LATENCY_BOUNDS_US[bucket] ?? 0) >= 16,
);

/** A latency histogram for a scrape, in seconds and one bucket to each power of two. */
export function latencyMetric(
  name: string,
  help: string,
  labels: MetricLabels,
  snapshot: LatencySnapshot,
): HistogramSnapshot {
  const counts: number[] = [];
  let next = 0;
  for (const bucket of SCRAPED_BUCKETS) {
    counts.push(sumOf(snapshot.counts.slice(next, bucket + 1)));
    next = bucket + 1;
  }
  counts.push(sumOf(snapshot.counts.slice(next)));
  const bounds = SCRAPED_BUCKETS.map((bucket) => (LATENCY_BOUNDS_US[bucket] ?? 0) / US_PER_SECOND);
  return { name, help, labels, bounds, counts, sum: snapshot.sumUs / US_PER_SECOND };
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
