/**
 * A broker in the process of the test, whose insides the test may break: its shard threads can be crashed in the ways in
 * which threads crash, and its log is at hand.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { ShardPort } from '../acceptor/shard-port.ts';
import { type RecordedLine, recordingLogger } from '../base/log-sink.ts';
import { type Broker, type BrokerOptions, createBroker } from '../broker/create-broker.ts';
import { REQUEST_CONTROL } from '../protocol/envelope-layout.ts';
import { RING_RECORD_HEADER_BYTES, RING_RECORD_LENGTH } from '../ring/ring-layout.ts';

/** The parts of a running broker that tests reach for: the type of what is private there. */
type Insides = {
  readonly shards: readonly {
    readonly port: ShardPort;
    readonly life: { readonly shard: Worker; readonly flusher: Worker };
  }[];
  readonly reign?: { readonly host?: { readonly worker: Worker } };
};

export type Embedded = {
  readonly broker: Broker;
  readonly dataDir: string;
  /** What the broker logged. */
  readonly lines: readonly RecordedLine[];
  /** Closes the broker and removes its files. */
  readonly remove: () => Promise<void>;
};

/** Starts a broker on a directory of its own. */
export async function startEmbedded(options: BrokerOptions = {}): Promise<Embedded> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'sluice-embedded-'));
  const { logger, lines } = recordingLogger();
  const broker = await createBroker({ dataDir, log: logger, ...options });
  const remove = async (): Promise<void> => {
    await broker.close();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { broker, dataDir, lines, remove };
}

/** The acceptor's end of a shard, as it is now: another one after each restart. */
export function portOf(broker: Broker, shard: number): ShardPort {
  return partOf(broker, shard).port;
}

/** Writes a record with an impossible length into the shard's request ring: its thread fails an assertion. */
export function crashByGarbage(broker: Broker, shard: number): void {
  const { requests, wake } = portOf(broker, shard);
  const at = requests.claim(REQUEST_CONTROL, 0);
  requests.view.setInt32(at - RING_RECORD_HEADER_BYTES + RING_RECORD_LENGTH, 3, true);
  requests.publish();
  wake();
}

/** Ends the shard's thread from outside, as running out of memory would. */
export function crashByTermination(broker: Broker, shard: number): void {
  void partOf(broker, shard).life.shard.terminate();
}

/** Ends the flusher's thread from outside. */
export function crashFlusher(broker: Broker, shard: number): void {
  void partOf(broker, shard).life.flusher.terminate();
}

/** Ends the replication thread from outside. */
export function crashReplication(broker: Broker): void {
  void (broker as unknown as Insides).reign?.host?.worker.terminate();
}

function partOf(broker: Broker, shard: number): Insides['shards'][number] {
  const part = (broker as unknown as Insides).shards[shard];
  if (part === undefined) throw new Error(`the broker has no shard ${shard}`);
  return part;
}
