/**
 * A production shard in the calling thread for tests of the acceptor: it can be left without turns, stopped, and opened
 * again on what it had stored.
 */
import type { ShardPort, ShardState } from '../acceptor/shard-port.ts';
import { KIB } from '../base/units.ts';
import { FlusherAgent } from '../commit/flusher-agent.ts';
import type { Storage } from '../log/storage.ts';
import { readStoredBatch } from '../log/stored-read.ts';
import type { ShardMetadata } from '../protocol/shard-control.ts';
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
import type { SimClock } from './sim-clock.ts';

/** Reply rings are as large as these at least, so requests are what gets tight. */
export const RIG_RING_BYTES: number = 64 * KIB;

export class RigShard {
  readonly port: ShardPort & { state: ShardState };
  readonly metadata: ShardMetadata;
  /** False: it gets no turns, as if its thread hung. */
  isScheduled = true;
  wakes = 0;
  private readonly storage: Storage;
  private readonly config: ShardConfig;
  private readonly agent: ShardAgent;
  private readonly flusher: FlusherAgent;

  constructor(config: ShardConfig, storage: Storage, clock: SimClock, ringBytes: number) {
    this.storage = storage;
    this.config = config;
    const memory = allocateShardMemory(config.tailBytes, ringBytes, 1);
    const logMemory = logMemoryOf(memory);
    const tail = tailOf(memory);
    const side = shardRings(memory, 0);
    const opened = openShard({
      config,
      storage,
      clock,
      memory: logMemory,
      tail,
      ports: [new ShardSide(side.requests, side.replies, tail, () => {})],
      jobs: new InlineJobs(storage),
      epoch: 1,
      wakeFlusher: () => {},
    });
    this.agent = opened.agent;
    this.metadata = opened.metadata;
    this.flusher = new FlusherAgent({
      storage,
      tail,
      memory: logMemory,
      clock,
      mode: config.flushMode,
      flushIntervalMs: config.flushIntervalMs,
      shardSyncMicrosMax: config.shardSyncMicrosMax,
      segmentBytes: config.segmentBytes,
      epoch: 1,
      position: opened.position,
    });
    this.port = {
      shard: config.shard,
      ...acceptorRings(memory, 0),
      wake: () => {
        this.wakes += 1;
      },
      tailView: (position, bytes) => tail.at(position, bytes),
      state: 'running',
    };
  }

  doWork(): number {
    return this.isScheduled ? this.agent.doWork() + this.flusher.doWork() : 0;
  }

  readCold(position: number, bytes: number): Uint8Array {
    return readStoredBatch(this.storage, position, bytes, this.config.segmentBytes);
  }
}
