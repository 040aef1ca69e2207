/** What crosses between the broker and its replication thread by message: at start, at changes, and when somebody asks. */
import type { MessagePort } from 'node:worker_threads';
import type { ShardMemory } from '../shard/shard-memory.ts';

export type HostAndPort = { readonly host: string; readonly port: number };

/** What the thread is for, from its start to its end: another role is another thread. */
export type ReplicationWorkerData = {
  readonly role: 'master' | 'slave';
  /** Of this reign; of a slave the newest that it has heard of. */
  readonly epoch: number;
  /** How this broker calls itself when it is a slave. */
  readonly name: string;
  /** Empty: only connections of this machine are taken. */
  readonly secret: string;
  /** Directory of shard n at index n. */
  readonly directories: readonly string[];
  readonly segmentBytes: number;
  readonly chunkBytes: number;
  readonly isSyncMaster: boolean;
  readonly inSyncReplicas: number;
  readonly isSyncFlush: boolean;
  readonly fallBehindBytesMax: number;
  /** Where a master listens. */
  readonly listen: HostAndPort;
  /** A slave's master; on a master the broker that may reign instead. Undefined: not known. */
  readonly peer: HostAndPort | undefined;
};

export type ToReplication =
  /** The shard is open, with memory of its own. */
  | {
      readonly kind: 'attach';
      readonly shard: number;
      readonly memory: ShardMemory;
      /** Of the shard and of its flusher: each says by a message that there is news. */
      readonly ports: readonly MessagePort[];
    }
  /** The shard is closed: it stopped, or replication has asked for it. */
  | { readonly kind: 'detach'; readonly shard: number }
  /** Where clients find this broker: told to slaves. */
  | { readonly kind: 'address'; readonly address: string }
  /** The master is here now. */
  | { readonly kind: 'follow'; readonly peer: HostAndPort }
  /** A person says that no slave has more than this master. */
  | { readonly kind: 'resumeWrites' }
  | { readonly kind: 'status'; readonly id: number }
  /** Ends the thread, at the latest after `waitMs`, which slaves have to take what is left. */
  | { readonly kind: 'stop'; readonly waitMs: number };

export type FromReplication =
  /** @shape `newerEpoch` is 0 unless the peer reigns under a newer epoch than this broker, which then must not be master */
  | { readonly kind: 'started'; readonly port: number; readonly newerEpoch: number }
  | { readonly kind: 'refused-start'; readonly message: string }
  /** Close the shard, and say `detach`: its log is cut or replaced. */
  | { readonly kind: 'close'; readonly shard: number }
  /** Open the shard. */
  | { readonly kind: 'open'; readonly shard: number }
  /** Another broker reigns under this epoch. */
  | { readonly kind: 'fenced'; readonly epoch: number }
  /** A shard follows its master, which reigns under this epoch and is found by clients there; empty: it did not say. */
  | { readonly kind: 'following'; readonly epoch: number; readonly address: string }
  /** For the log. */
  | {
      readonly kind: 'notice';
      readonly level: 'info' | 'warn' | 'error';
      readonly event: string;
      readonly facts: Readonly<Record<string, string | number>>;
    }
  | { readonly kind: 'status'; readonly id: number; readonly status: ReplicationStatus }
  | { readonly kind: 'stopped' };

/** One slave as its master sees it. */
export type SlaveStatus = {
  readonly name: string;
  readonly phase: string;
  /** Sent on this connection, and confirmed on it; -1: nothing yet. */
  readonly sent: number;
  readonly acked: number;
  /** Bytes that are safe here and not confirmed there. */
  readonly lagBytes: number;
};

export type ShardReplicationStatus = {
  readonly shard: number;
  /** `detached` while the shard does not run; of a master its gate, of a slave how far its connection is. */
  readonly state: string;
  /** Of a master what enough slaves have, of a slave the master's commit position. */
  readonly replicated: number;
  /** Newest epoch in the log; -1 while it is not known. */
  readonly logEpoch: number;
  /** On a master. */
  readonly slaves: readonly SlaveStatus[];
  /** What was refused last, for a person; empty: nothing. */
  readonly refusal: string;
};

export type ReplicationStatus = {
  readonly role: 'master' | 'slave';
  readonly epoch: number;
  /** Where the slave finds its master's HA port. */
  readonly peer: string | null;
  readonly refusals: number;
  readonly shards: readonly ShardReplicationStatus[];
};
