/** The acceptor's numbers for `/metrics`. */
import type { MetricSnapshot } from '../observe/metrics-text.ts';
import type { GroupStatus } from '../protocol/shard-control.ts';
import type { AcceptorCore } from './acceptor-core.ts';

/** Groups whose lag is shown: a scrape must stay quick. */
const GROUPS_SHOWN_MAX = 200;

type Labels = Readonly<Record<string, string | number>>;

function counter(name: string, help: string, value: number, labels: Labels = {}): MetricSnapshot {
  return { name, help, type: 'counter', value, labels };
}

function gauge(name: string, help: string, value: number, labels: Labels = {}): MetricSnapshot {
  return { name, help, type: 'gauge', value, labels };
}

/** What the acceptor counts by itself. */
export function acceptorMetrics(core: AcceptorCore, httpInFlight: number): MetricSnapshot[] {
  const { counters, sessions, subscriptions, pending, backPressure, topics, groups } = core;
  const refusals = [...counters.refusals()].map(([code, count]) =>
    counter('sluice_refusals_total', 'Requests refused, by code.', count, { code }),
  );
  return [
    gauge('sluice_connections', 'WebSocket connections open now.', sessions.count),
    counter('sluice_connections_opened_total', 'WebSocket connections opened.', counters.opened),
    gauge('sluice_subscriptions', 'Subscriptions now, HTTP members included.', subscriptions.count),
    counter('sluice_http_requests_total', 'HTTP requests taken.', counters.httpRequests),
    gauge('sluice_http_requests_in_flight', 'HTTP requests under way.', httpInFlight),
    counter('sluice_frames_total', 'Frames taken.', counters.textFrames, { kind: 'text' }),
    counter('sluice_frames_total', 'Frames taken.', counters.binaryFrames, { kind: 'binary' }),
    counter('sluice_received_bytes_total', 'Bytes of frames taken.', counters.bytesIn),
    counter('sluice_batches_total', 'Batches handed to shards.', counters.batchesIn),
    counter('sluice_batches_stored_total', 'Batches that shards stored.', counters.batchesStored),
    gauge(
      'sluice_requests_in_flight',
      'Requests that shards have not answered.',
      pending.count + sessions.batchCount,
    ),
    counter('sluice_delivered_total', 'Messages handed to consumers.', counters.messagesDelivered),
    counter(
      'sluice_released_total',
      'Deliveries given back for want of credit or of a reader.',
      counters.messagesReleased,
    ),
    counter(
      'sluice_filter_failures_total',
      'Messages that an SQL filter could not be evaluated on, and that were not delivered.',
      counters.filterFailures,
    ),
    counter('sluice_cold_reads_total', 'Batches read from files.', counters.coldReads),
    counter(
      'sluice_cold_read_failures_total',
      'Batches that could not be read from files.',
      counters.coldReadFailures,
    ),
    gauge(
      'sluice_cold_reads_waiting',
      'Reads that wait for their turn.',
      core.coldReads.waitingCount,
    ),
    counter('sluice_ring_full_total', 'Sends that found the request ring full.', counters.ringFull),
    counter('sluice_pauses_total', 'Times that a sender was not read.', counters.pauses),
    gauge('sluice_connections_paused', 'Senders not read now.', backPressure.pausedCount),
    gauge(
      'sluice_connections_held',
      'Slow readers without deliveries now.',
      backPressure.heldCount,
    ),
    counter('sluice_internal_errors_total', 'Failures nobody expected.', counters.internalErrors),
    gauge('sluice_topics', 'Topics.', topics.records.count),
    gauge('sluice_groups', 'Consumer groups.', groups.records.count),
    ...refusals,
  ];
}

/** Lag, messages in flight, retries and dead letters per group and topic, as far as the shards answer. */
export async function groupMetrics(core: AcceptorCore): Promise<MetricSnapshot[]> {
  const metrics: MetricSnapshot[] = [];
  for (const group of core.groups.records.all().slice(0, GROUPS_SHOWN_MAX)) {
    const answers = await Promise.allSettled(
      core.links.all.map((link) =>
        link.control<GroupStatus>({ op: 'groupStatus', groupId: group.groupId }),
      ),
    );
    const sums = new Map<
      number,
      { lag: number; inFlight: number; retrying: number; dead: number }
    >();
    for (const answer of answers) {
      if (answer.status === 'rejected') continue;
      for (const queue of answer.value.queues) {
        const sum = sums.get(queue.topicId) ?? { lag: 0, inFlight: 0, retrying: 0, dead: 0 };
        sum.lag += queue.lag;
        sum.inFlight += queue.inFlight;
        sum.retrying += queue.retrying;
        sum.dead += queue.dead;
        sums.set(queue.topicId, sum);
      }
    }
    for (const [topicId, sum] of sums) {
      const labels = { group: group.group, topic: core.topics.nameOf(topicId) };
      metrics.push(
        gauge('sluice_group_lag', 'Messages of a group that are not settled.', sum.lag, labels),
        gauge('sluice_group_in_flight', 'Messages with consumers now.', sum.inFlight, labels),
        gauge(
          'sluice_group_retrying',
          'Messages that wait for another attempt.',
          sum.retrying,
          labels,
        ),
        gauge('sluice_group_dead', 'Dead letters of a group.', sum.dead, labels),
      );
    }
  }
  return metrics;
}
