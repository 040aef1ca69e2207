import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LATENCY_HISTOGRAM_BYTES, LatencyHistogram } from '../../src/observe/latency-histogram.ts';
import {
  latencyMetric,
  METRICS_CONTENT_TYPE,
  type MetricSnapshot,
  metricsText,
} from '../../src/observe/metrics-text.ts';

const appended = (shard: number, value: number): MetricSnapshot => ({
  name: 'sluice_appended_bytes_total',
  help: 'Bytes appended to the log.',
  type: 'counter',
  labels: { shard },
  value,
});

describe('the text for Prometheus', () => {
  it('has each name once, with its help, its type and all its values', async () => {
    const text = await metricsText([
      appended(0, 5),
      { name: 'sluice_connections', help: 'Open.', type: 'gauge', value: 2 },
      appended(1, 7.5),
    ]);
    assert.equal(
      text,
      [
        '# HELP sluice_appended_bytes_total Bytes appended to the log.',
        '# TYPE sluice_appended_bytes_total counter',
        'sluice_appended_bytes_total{shard="0"} 5',
        'sluice_appended_bytes_total{shard="1"} 7.5',
        '',
        '# HELP sluice_connections Open.',
        '# TYPE sluice_connections gauge',
        'sluice_connections 2',
        '',
      ].join('\n'),
    );
    assert.match(METRICS_CONTENT_TYPE, /^text\/plain; version=0\.0\.4/);
  });

  it('sums the buckets of a histogram up', async () => {
    const text = await metricsText(
      [],
      [
        {
          name: 'sluice_flush_seconds',
          help: 'Time of a flush.',
          labels: { shard: 0 },
          bounds: [0.001, 0.01],
          counts: [3, 0, 2],
          sum: 0.5,
        },
      ],
    );
    assert.equal(
      text,
      [
        '# HELP sluice_flush_seconds Time of a flush.',
        '# TYPE sluice_flush_seconds histogram',
        'sluice_flush_seconds_bucket{shard="0",le="0.001"} 3',
        'sluice_flush_seconds_bucket{shard="0",le="0.01"} 3',
        'sluice_flush_seconds_bucket{shard="0",le="+Inf"} 5',
        'sluice_flush_seconds_sum{shard="0"} 0.5',
        'sluice_flush_seconds_count{shard="0"} 5',
        '',
      ].join('\n'),
    );
  });

  it('gives a latency histogram in seconds, with every record in a bucket', async () => {
    const histogram = new LatencyHistogram(new SharedArrayBuffer(LATENCY_HISTOGRAM_BYTES), 0);
    for (const us of [1, 16, 17, 2_000_000, 1e12]) histogram.record(us);
    const metric = latencyMetric('sluice_ack_seconds', 'Time.', {}, histogram.snapshot());
    assert.equal(metric.bounds[0], 0.000016);
    assert.deepEqual(metric.counts.slice(0, 2), [2, 1]);
    assert.equal(metric.counts.at(-1), 1);
    const text = await metricsText([], [metric]);
    assert.match(text, /sluice_ack_seconds_bucket\{le="2\.097152"\} 4\n/);
    assert.match(text, /sluice_ack_seconds_count 5\n/);
    assert.ok(text.split('\n').length < 30, text);
  });

  it('escapes what stands in labels', async () => {
    const text = await metricsText([
      { name: 'a', help: 'b\nc', type: 'gauge', labels: { topic: 'x"\\\ny' }, value: 1 },
    ]);
    assert.match(text, /# HELP a b\\nc\n/);
    assert.match(text, /a\{topic="x\\"\\\\\\ny"\} 1\n/);
  });

  it('is empty without numbers', async () => {
    assert.equal((await metricsText([])).trim(), '');
  });

  it('refuses what would make Prometheus drop the scrape', () => {
    const gauge = (name: string, more: Partial<MetricSnapshot> = {}): MetricSnapshot => ({
      ...{ name, help: 'h', type: 'gauge', value: 1 },
      ...more,
    });
    const refused = (metrics: readonly MetricSnapshot[], message: RegExp): void => {
      assert.throws(() => metricsText(metrics), message);
    };
    refused([gauge('a b')], /"a b" is no name of a metric/);
    refused([gauge('a', { labels: { 'b-c': 1 } })], /"b-c" is no label of a/);
    refused([appended(1, 1), appended(1, 2)], /two values with the labels \[\["shard",1\]\]/);
    refused([gauge('a'), gauge('a', { help: 'x', labels: { b: 1 } })], /described in two ways/);
    const counts = { name: 'a', help: 'h', bounds: [1, 2], counts: [1, 2], sum: 1 };
    assert.throws(() => metricsText([], [counts]), /2 counts for 2 bounds; allowed: one more/);
  });
});
