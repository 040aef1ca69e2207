/** Which limits of the machine count for a run, and measuring them: with the sizes and the connections of the run itself. */

import type { Clock } from '../base/clock.ts';
import { STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import { DELIVER_HEADER_BYTES, SEND_HEADER_BYTES } from '../protocol/web/frames-layout.ts';
import type { BenchOptions } from './bench-options.ts';
import { frameBytesOf, planOf, recordsOf, windowOf } from './load-plans.ts';
import {
  type MachineLimits,
  measureDisk,
  measureDiskRead,
  measureLoopback,
  measurePour,
  startEchoServer,
} from './machine-limits.ts';
import { newThreadedLoad } from './new-load.ts';
import type { TargetBroker } from './target-broker.ts';

/** Milliseconds between barriers of ASYNC_FLUSH: the broker's default. */
const ASYNC_INTERVAL_MS = 500;
const RUN_ID = 'bench-limits';

type Watch = { readonly clock: Clock; readonly onProgress: (text: string) => void };

export async function measureLimits(
  options: BenchOptions,
  broker: TargetBroker,
  watch: Watch,
): Promise<MachineLimits> {
  if (options.limitSeconds === 0) return { disk: undefined, loopback: undefined };
  watch.onProgress('measuring the disk');
  const disk = diskLimit(options, broker, watch.clock);
  watch.onProgress('measuring loopback');
  return { disk, loopback: await loopbackLimit(options, broker, watch.clock) };
}

/** A broker elsewhere has a disk that is not ours to measure. */
function diskLimit(options: BenchOptions, broker: TargetBroker, clock: Clock): number | undefined {
  const { directory, flush } = broker;
  const { limitSeconds: seconds, mode, whileProducing } = options;
  if (directory === undefined) return undefined;
  if (mode === 'consume' && !whileProducing) return measureDiskRead({ directory, seconds, clock });
  // All that can be unanswered at a time: more than that, no broker can make durable with one barrier.
  const groupBytes =
    options.connections * windowOf(options, RUN_ID) * frameBytesOf(options, RUN_ID);
  const syncIntervalMs = flush === 'sync' ? 0 : ASYNC_INTERVAL_MS;
  return measureDisk({ directory, groupBytes, syncIntervalMs, seconds, clock });
}

async function loopbackLimit(
  options: BenchOptions,
  broker: TargetBroker,
  clock: Clock,
): Promise<number> {
  const { limitSeconds: seconds, connections, mode } = options;
  const server = await startEchoServer(broker.transport === 'uws' ? 'uws' : 'ws');
  const url = String(server.ready['ws']);
  try {
    if (mode === 'consume')
      return await measurePour(url, deliverFrameBytes(options), connections, seconds, clock);
    const topics = [{ topic: RUN_ID, topicId: 1, queues: connections }];
    const target = { url, token: undefined, topics, runId: RUN_ID };
    const plan = {
      ...planOf(options, target),
      kind: 'prepared' as const,
      ratePerSecond: undefined,
    };
    const recordsPerBatch = recordsOf({ ...options, prepared: true }, RUN_ID);
    const load = newThreadedLoad({ ...plan, recordsPerBatch }, options.generators, clock);
    return await measureLoopback(load, seconds, clock);
  } finally {
    await server.stop();
  }
}

/** Bytes of the DELIVER frame that brings such a batch to a consumer. */
export function deliverFrameBytes(options: BenchOptions): number {
  return (
    frameBytesOf(options, RUN_ID) - SEND_HEADER_BYTES + STORED_HEADER_BYTES + DELIVER_HEADER_BYTES
  );
}
