/**
 * What the port of RocketMQ's clients counts: each request that has ended, by its command and by what it was answered with. A
 * table of numbers, so that counting is one addition; names are put to them when somebody looks. Main thread.
 */
import type { MetricSnapshot } from '../observe/metrics-text.ts';
import { REQUEST_CODES } from '../protocol/remoting/request-codes.ts';
import { RESPONSE_CODES } from '../protocol/remoting/response-codes.ts';
import type { TcpListener } from '../transport/tcp.ts';

/** What has no name: a client cannot make the metrics longer by making codes up. */
const OTHER = 'OTHER';
/** Codes below it are looked up in an array. */
const SMALL_CODES = 4096;

/** Code → row or column of the table. */
class CodeIndex {
  /** By row or column; the last one is OTHER. */
  readonly names: readonly string[];
  private readonly small: Uint8Array;
  private readonly large: ReadonlyMap<number, number>;

  constructor(codes: Readonly<Record<string, number>>) {
    const entries = Object.entries(codes);
    this.names = [...entries.map(([name]) => name), OTHER];
    this.small = new Uint8Array(SMALL_CODES).fill(entries.length);
    this.large = new Map(entries.map(([, code], index) => [code, index]));
    for (const [index, [, code]] of entries.entries())
      if (code >= 0 && code < SMALL_CODES) this.small[code] = index;
  }

  of(code: number): number {
    if (code >= 0 && code < SMALL_CODES) return this.small[code] as number;
    return this.large.get(code) ?? this.names.length - 1;
  }
}

const COMMANDS = new CodeIndex(REQUEST_CODES);
const OUTCOMES = new CodeIndex(RESPONSE_CODES);
const COLUMNS = OUTCOMES.names.length;

export class RemotingCounters {
  private readonly ended: Float64Array = new Float64Array(COMMANDS.names.length * COLUMNS);

  /** A request has ended. @param outcome - response code of its answer, sent or not */
  count(command: number, outcome: number): void {
    const at = COMMANDS.of(command) * COLUMNS + OUTCOMES.of(outcome);
    this.ended[at] = (this.ended[at] as number) + 1;
  }

  /** One number for each pair that has occurred. */
  metrics(): MetricSnapshot[] {
    const metrics: MetricSnapshot[] = [];
    for (const [at, value] of this.ended.entries()) {
      if (value === 0) continue;
      const command = COMMANDS.names[Math.floor(at / COLUMNS)] as string;
      const outcome = OUTCOMES.names[at % COLUMNS] as string;
      metrics.push(
        counter('requests_total', 'Requests ended, by what answered them.', value, {
          command,
          outcome,
        }),
      );
    }
    return metrics;
  }
}

/** What is under way now. */
export type RemotingNow = {
  readonly listener: TcpListener;
  readonly inFlight: number;
  /** Of those, pulls that wait for messages. */
  readonly parked: number;
};

/** Connections and bytes, kept by the listener. */
export function remotingMetrics({ listener, inFlight, parked }: RemotingNow): MetricSnapshot[] {
  const { statistics } = listener;
  const { receivedBytes, sentBytes } = listener.traffic();
  return [
    gauge('connections', 'Connections of RocketMQ clients open now.', listener.connectionCount),
    counter('connections_opened_total', 'Connections opened.', statistics.connectionsOpened),
    counter(
      'connections_refused_total',
      'Connections closed at once, because there were too many.',
      statistics.connectionsRefused,
    ),
    counter(
      'connections_idle_total',
      'Connections closed because nothing came.',
      statistics.idleClosed,
    ),
    counter(
      'frames_refused_total',
      'Connections closed because what came was no frame, or too large.',
      statistics.framesRefused,
    ),
    counter('received_bytes_total', 'Bytes that clients sent.', receivedBytes),
    counter('sent_bytes_total', 'Bytes sent to clients.', sentBytes),
    gauge('requests_in_flight', 'Requests that are not answered.', inFlight - parked),
    gauge('pulls_waiting', 'Pulls that wait for messages.', parked),
  ];
}

function counter(
  name: string,
  help: string,
  value: number,
  labels: Readonly<Record<string, string>> = {},
): MetricSnapshot {
  return { name: `sluice_remoting_${name}`, help, type: 'counter', value, labels };
}

function gauge(name: string, help: string, value: number): MetricSnapshot {
  return { name: `sluice_remoting_${name}`, help, type: 'gauge', value };
}
