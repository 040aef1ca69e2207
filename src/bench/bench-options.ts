/** What a run of the load generator is asked to do, checked once. */
import { checkArgument } from '../base/assert.ts';
import {
  BATCH_BYTES_MAX,
  BODY_BYTES_MAX,
  IN_FLIGHT_REQUESTS_MAX,
  TOPIC_QUEUES_MAX,
  TOPICS_MAX,
} from '../base/limits.ts';
import { webSocketUrls } from '../client/servers.ts';
import { STAMP_BYTES } from './message-stamp.ts';

/** Unanswered frames a connection: as many batches as a broker remembers of a producer. */
export const DEFAULT_WINDOW = 64;
/** Where a frame holds one message: as many as wait for one barrier of the disk. */
export const FRAME_PER_MESSAGE_WINDOW = 512;

export type BenchMode = 'produce' | 'consume' | 'latency';

export type BenchOptions = {
  readonly mode: BenchMode;
  /** Broker to measure; undefined: one of our own, in a process and a directory of its own. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  /** Directory of the own broker; undefined: a temporary one. */
  readonly dataDir: string | undefined;
  /** Bytes of a body. */
  readonly size: number;
  /** Length of the measured time. */
  readonly seconds: number;
  readonly connections: number;
  readonly batchBytes: number;
  /** Messages a second from planned times; undefined: as fast as it goes. */
  readonly rate: number | undefined;
  /** Batches encoded beforehand instead of our client. */
  readonly prepared: boolean;
  /** A frame, and an acknowledgement, for every message. */
  readonly framePerMessage: boolean;
  /** `consume`: at the tail, while producers send. */
  readonly whileProducing: boolean;
  /** `consume`: messages that wait when it begins. */
  readonly messages: number;
  readonly queues: number;
  /** Unanswered frames a connection. */
  readonly window: number;
  readonly flush: 'sync' | 'async';
  readonly transport: 'auto' | 'uws' | 'ws';
  /** Segments that the own broker has prepared when the load begins, as one whose retention recycles them. */
  readonly segmentsAhead: number;
  /** Threads that run the connections. */
  readonly generators: number;
  /** Seconds for each limit of the machine; 0: they are not measured. */
  readonly limitSeconds: number;
  readonly seed: number;
};

/** @throws INVALID_ARGUMENT naming the option, its value and what is allowed */
export function checkBenchOptions(options: BenchOptions): void {
  const { prepared, framePerMessage, mode, whileProducing, rate, url } = options;
  if (url !== undefined) webSocketUrls(url);
  range('--size', options.size, STAMP_BYTES, BODY_BYTES_MAX);
  range('--seconds', options.seconds, 0.1, 86_400);
  range('--connections', options.connections, 1, 1000);
  range('--batch-bytes', options.batchBytes, 1024, BATCH_BYTES_MAX);
  range('--messages', options.messages, 1, 10_000_000_000);
  range('--queues', options.queues, 1, TOPIC_QUEUES_MAX * TOPICS_MAX);
  range('--window', options.window, 1, IN_FLIGHT_REQUESTS_MAX);
  range('--segments-ahead', options.segmentsAhead, 1, 1024);
  range('--generators', options.generators, 1, options.connections);
  range('--limit-seconds', options.limitSeconds, 0, 60);
  if (rate !== undefined) range('--rate', rate, 1, 100_000_000);
  checkArgument(
    !(prepared && framePerMessage),
    '--prepared and --frame-per-message exclude each other',
    'A frame a message is always prepared; leave --prepared out.',
  );
  checkArgument(
    mode === 'consume' || !whileProducing,
    `--while-producing belongs to consume, not to ${mode}`,
  );
}

function range(name: string, value: number, min: number, max: number): void {
  const isInside = value >= min && value <= max;
  checkArgument(isInside, `${name} is ${value}; it must be from ${min} to ${max}`);
}
