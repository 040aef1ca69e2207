/** What runs messages against a broker, and what it is told to run. Both ends are plain data, so that a thread may lie between. */
import type { Histogram } from 'node:perf_hooks';
import type { AckedPart } from './message-ledger.ts';

/** A topic of the run. */
export type LoadTopic = {
  readonly topic: string;
  readonly topicId: number;
  readonly queues: number;
};

/** Who makes the batches: our client from single messages, or the generator, which has them ready. */
export type LoadKind = 'client' | 'prepared';

export type LoadPlan = {
  readonly kind: LoadKind;
  readonly url: string;
  readonly token: string | undefined;
  readonly topics: readonly LoadTopic[];
  /** Begins every producer id: two runs never share one. */
  readonly runId: string;
  /** Numbers of the producers of this load, one a connection; there may be others elsewhere. */
  readonly producers: readonly number[];
  readonly producersInAll: number;
  readonly bodyBytes: number;
  readonly batchBytes: number;
  /** Records of a prepared batch; 1 where the client batches by itself. */
  readonly recordsPerBatch: number;
  /** Unanswered frames a connection. */
  readonly window: number;
  /** Messages a second of this load, from planned times; undefined: as fast as it goes. */
  readonly ratePerSecond: number | undefined;
  readonly seed: number;
};

/** Counted so far. */
export type LoadSnapshot = { readonly messages: number; readonly bytes: number };

export type LoadOutcome = LoadSnapshot & {
  /** Of what lay in the measured time, microseconds. */
  readonly latency: Histogram;
  readonly refusals: number;
  readonly duplicateAnswers: number;
  readonly acked: readonly AckedPart[];
};

export interface Load {
  /** Connects, and stores a first batch wherever one is needed. @throws what stands in the way */
  open(): Promise<void>;
  /** Starts to send. */
  begin(): Promise<void>;
  /** Starts or ends the measured time. */
  measure(isOn: boolean): Promise<LoadSnapshot>;
  /** Sends nothing new, and resolves when everything is answered. @throws what stopped it earlier */
  stop(): Promise<LoadOutcome>;
  close(): Promise<void>;
}
