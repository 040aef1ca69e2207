/**
 * A shard in the broker's own thread, over memory instead of files: `createBroker({ memory: true })`. The same agents as
 * in threads, run by the broker's pump.
 */
import type { ShardPort } from '../acceptor/shard-port.ts';
import type { Clock } from '../base/clock.ts';
import { FlusherAgent } from '../commit/flusher-agent.ts';
import type { OnFlush } from '../commit/log-writer.ts';
import type { LogMemory } from '../log/log-memory.ts';
import { MemoryStorage } from '../log/memory-storage.ts';
import { readStoredBatch } from '../log/stored-read.ts';
import { LATENCY_HISTOGRAM_BYTES, LatencyHistogram } from '../observe/latency-histogram.ts';
import type { ShardMetadata } from '../protocol/shard-control.ts';
import { DEFERRED_METER_BYTES, SharedDeferredMeter } from '../shard/deferred-meter.ts';
import { InlineJobs } from '../shard/inline-jobs.ts';
import { openShard } from '../shard/open-shard.ts';
import type { ShardAgent } from '../shard/shard-agent.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import {
  acceptorRings,
  allocateShardMemory,
  logMemoryOf,
  shardRings,
  tailOf,
} from '../shard/shard-memory.ts';
import { ShardPort as ShardSide } from '../shard/shard-port.ts';
import type { ShardHost } from './shard-host.ts';

export class InlineShard implements ShardHost {
  readonly config: ShardConfig;
  readonly port: ShardPort;
  readonly acceptorWord: undefined;
  readonly logMemory: LogMemory;
  readonly flushLatency: LatencyHistogram;
  readonly deferred: SharedDeferredMeter = new SharedDeferredMeter(
    new ArrayBuffer(DEFERRED_METER_BYTES),
  );
  private readonly storage: MemoryStorage;
  private readonly agent: ShardAgent;
  private readonly flusher: FlusherAgent;
  private readonly metadata: ShardMetadata;

  /** @param schedule - called when there is work for `doWork` */
  constructor(options: {
    config: ShardConfig;
    ringBytes: number;
    capacityBytes: number;
    clock: Clock;
    schedule: () => void;
  }) {
    const { config, clock } = options;
    this.config = config;
    this.storage = new MemoryStorage(options.capacityBytes);
    const memory = allocateShardMemory(config.tailBytes, options.ringBytes, 1);
    this.logMemory = logMemoryOf(memory);
    const tail = tailOf(memory);
    const shardSide = shardRings(memory, 0);
    this.flushLatency = new LatencyHistogram(new ArrayBuffer(LATENCY_HISTOGRAM_BYTES), 0);
    const onFlush: OnFlush = (durationMs) => this.flushLatency.record(durationMs * 1000);
    const opened = openShard({
      config,
      storage: this.storage,
      clock,
      memory: this.logMemory,
      tail,
      ports: [new ShardSide(shardSide.requests, shardSide.replies, tail, options.schedule)],
      jobs: new InlineJobs(this.storage),
      epoch: 1,
      wakeFlusher: () => {},
      onFlush,
      meter: this.deferred,
    });
    this.agent = opened.agent;
    this.metadata = opened.metadata;
    this.flusher = new FlusherAgent({
      storage: this.storage,
      tail,
      memory: this.logMemory,
      clock,
      mode: config.flushMode,
      flushIntervalMs: config.flushIntervalMs,
      shardSyncMicrosMax: config.shardSyncMicrosMax,
      segmentBytes: config.segmentBytes,
      epoch: 1,
      position: opened.position,
      onFlush,
    });
    this.port = {
      shard: config.shard,
      ...acceptorRings(memory, 0),
      wake: options.schedule,
      tailView: (position, bytes) => tail.at(position, bytes),
      state: 'running',
    };
  }

  start(): Promise<ShardMetadata> {
    return Promise.resolve(this.metadata);
  }

  async readCold(position: number, bytes: number): Promise<Uint8Array> {
    return readStoredBatch(this.storage, position, bytes, this.config.segmentBytes);
  }

  doWork(): number {
    // The flusher right after the shard: what was appended is acknowledged in the next round.
    return this.agent.doWork() + this.flusher.doWork();
  }

  msUntilDue(): number {
    return Math.min(this.agent.msUntilDue(), this.flusher.msUntilDue());
  }

  stop(): Promise<void> {
    this.flusher.close();
    return Promise.resolve();
  }
}
