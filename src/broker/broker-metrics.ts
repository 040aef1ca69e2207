/** What `/metrics` shows: positions, rings, flush latency, connections, refusals, event loop, memory. Main thread, per scrape. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Acceptor } from '../acceptor/acceptor.ts';
import {
  type HistogramSnapshot,
  latencyMetric,
  type MetricSnapshot,
  metricsText,
} from '../observe/metrics-text.ts';
import type { ReplicationStatus } from '../replication/replication-messages.ts';
import type { FrontDoor } from '../transport/transport.ts';
import type { RegistrationStatus } from './registration-core.ts';
import type { ShardHost } from './shard-host.ts';
import type { ShardNews } from './shard-news.ts';

const NS_PER_SECOND = 1e9;
const LOOP_RESOLUTION_MS = 10;

type Delay = ReturnType<typeof monitorEventLoopDelay>;

export class BrokerMetrics {
  private readonly delay: Delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });

  constructor() {
    this.delay.enable();
  }

  close(): void {
    this.delay.disable();
  }

  async text(parts: {
    acceptor: Acceptor;
    shards: readonly ShardHost[];
    news: ShardNews;
    frontDoor: FrontDoor | undefined;
    /** Of the port of RocketMQ's clients. */
    remoting: readonly MetricSnapshot[];
    version: string;
    replication: ReplicationStatus | undefined;
    registrations: readonly RegistrationStatus[];
  }): Promise<string> {
    const { acceptor, shards, news, frontDoor, remoting, version, replication, registrations } =
      parts;
    const groups = await acceptor.groupMetrics();
    const metrics: MetricSnapshot[] = [
      gauge('sluice_build_info', 'Version and transport of this broker; always 1.', 1, {
        version,
        transport: frontDoor?.transport ?? 'none',
      }),
      ...shards.flatMap((shard) => shardMetrics(shard, news)),
      ...acceptor.metrics(),
      ...groups,
      ...remoting,
      ...(replication === undefined ? [] : replicationMetrics(replication)),
      ...registrations.map(({ address, registered }) =>
        gauge(
          'sluice_namesrv_registered',
          '1 while this NameServer knows the broker.',
          registered ? 1 : 0,
          { namesrv: address },
        ),
      ),
      ...this.processMetrics(),
    ];
    const histograms: HistogramSnapshot[] = [
      ...shards.map((shard) =>
        latencyMetric(
          'sluice_flush_seconds',
          'How long each disk barrier took.',
          { shard: shard.config.shard },
          shard.flushLatency.snapshot(),
        ),
      ),
      ...shards.map((shard) =>
        latencyMetric(
          'sluice_delayed_lateness_seconds',
          'How long behind its time each batch of delayed messages became visible.',
          { shard: shard.config.shard },
          shard.deferred.lateness.snapshot(),
        ),
      ),
    ];
    return metricsText(metrics, histograms);
  }

  private processMetrics(): MetricSnapshot[] {
    const memory = process.memoryUsage();
    const quantile = (percentile: number): MetricSnapshot =>
      gauge(
        'sluice_event_loop_delay_seconds',
        'Delay of the event loop since the last scrape.',
        this.delay.percentile(percentile) / NS_PER_SECOND,
        {
          quantile: percentile / 100,
        },
      );
    const metrics = [
      quantile(50),
      quantile(99),
      gauge('process_resident_memory_bytes', 'Resident memory of the broker.', memory.rss),
      gauge('sluice_heap_used_bytes', 'JavaScript heap of the main thread.', memory.heapUsed),
      gauge(
        'sluice_array_buffers_bytes',
        'Buffers outside the JavaScript heap, shared memory included.',
        memory.arrayBuffers,
      ),
      counter(
        'process_cpu_seconds_total',
        'Processor time used.',
        (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
      ),
      gauge('sluice_uptime_seconds', 'Time since the start.', process.uptime()),
    ];
    this.delay.reset();
    return metrics;
  }
}

function shardMetrics(host: ShardHost, news: ShardNews): MetricSnapshot[] {
  const { logMemory, port, config } = host;
  const labels = { shard: config.shard };
  const position = (kind: string, value: number): MetricSnapshot =>
    gauge('sluice_position_bytes', 'Positions of the shard log.', value, { ...labels, kind });
  return [
    position('appended', logMemory.appended.observe()),
    position('written', logMemory.written.observe()),
    position('flushed', logMemory.flushed.observe()),
    position('commit', logMemory.commit.observe()),
    gauge(
      'sluice_deferred_messages',
      'Messages that wait for their time or for the end of their transaction.',
      host.deferred.waitingCount,
      labels,
    ),
    counter(
      'sluice_deferred_released_total',
      'Messages that waited and can be seen now.',
      host.deferred.releasedCount,
      labels,
    ),
    gauge(
      'sluice_request_ring_used_bytes',
      'Requests that wait for the shard.',
      port.requests.usedBytes(),
      labels,
    ),
    gauge(
      'sluice_request_ring_capacity_bytes',
      'Size of the request ring.',
      port.requests.capacityBytes,
      labels,
    ),
    gauge(
      'sluice_shard_up',
      '1 while the shard runs, 0 while it restarts or is fenced.',
      port.state === 'running' ? 1 : 0,
      labels,
    ),
    gauge(
      'sluice_unreadable_segments',
      'Segments whose entries the disk does not give, and 1 while dead letters wait for it.',
      news.unreadableSegments(config.shard),
      labels,
    ),
  ];
}

function replicationMetrics({
  role,
  epoch,
  refusals,
  shards,
}: ReplicationStatus): MetricSnapshot[] {
  return [
    gauge('sluice_replication_master', '1 on a master, 0 on a slave.', role === 'master' ? 1 : 0),
    gauge('sluice_replication_epoch', 'Number of the reign.', epoch),
    counter(
      'sluice_replication_refusals_total',
      'What replication refused, or was refused.',
      refusals,
    ),
    ...shards.flatMap(({ shard, replicated, slaves }) => [
      gauge('sluice_position_bytes', 'Positions of the shard log.', replicated, {
        shard,
        kind: 'replicated',
      }),
      ...slaves.map(({ name, lagBytes }) =>
        gauge('sluice_replication_lag_bytes', 'Bytes that a slave has not confirmed.', lagBytes, {
          shard,
          slave: name,
        }),
      ),
    ]),
  ];
}

function gauge(
  name: string,
  help: string,
  value: number,
  labels: Record<string, string | number> = {},
): MetricSnapshot {
  return { name, help, type: 'gauge', value, labels };
}

function counter(
  name: string,
  help: string,
  value: number,
  labels: Record<string, string | number> = {},
): MetricSnapshot {
  return { name, help, type: 'counter', value, labels };
}
