/** Reads everything that a run stored, by a fresh group, into its ledger. */
import { endOffsets } from './bench-topics.ts';
import { GroupReader, type ReadBack } from './group-reader.ts';
import type { MessageLedger } from './message-ledger.ts';
import type { BenchRun } from './run-bench.ts';

export type TimedReadBack = ReadBack & { readonly ms: number };

/** @param groups - takes the name of the group, so that it is deleted with the topics */
export async function readBack(
  run: BenchRun,
  ledger: MessageLedger,
  groups: string[],
): Promise<TimedReadBack> {
  const { broker, topics, runId, clock, onProgress } = run;
  const startMs = clock.monotonicMs();
  const ends = await endOffsets(broker.client, topics);
  const expected = ends.reduce((total, end) => total + end, 0);
  const group = `${runId}-check`;
  groups.push(group);
  const reader = new GroupReader({
    url: broker.url,
    token: broker.token,
    topics,
    group,
    ledger,
    endOffsets: ends,
    clock,
    onProgress: (messages) => onProgress(`reading back, ${messages} messages`, messages / expected),
  });
  const found = await reader.read();
  return { ...found, ms: clock.monotonicMs() - startMs };
}
