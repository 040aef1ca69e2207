/**
 * What the acceptor is given: settings as plain values, and the parts of the broker that it uses but does not own.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log-sink.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { JsonValue } from '../protocol/web/messages.ts';
import type { ShardPort } from './shard-port.ts';

/** The settings that the acceptor needs. */
export type AcceptorConfig = {
  /** Every request but the probes needs this bearer token; null: none is needed. */
  readonly authToken: string | null;
  /** Origins of browser pages that may connect, exact (`https://app.example:8443`); `null` and `*` are names like others. */
  readonly allowedOrigins: readonly string[];
  /** Host names beside the loopback ones that clients may call this broker by; `*`: any. */
  readonly allowedHosts: readonly string[];
  readonly autoCreateTopics: boolean;
  readonly autoCreateGroups: boolean;
  readonly defaultTopicQueues: number;
  readonly defaultMaxAttempts: number;
  /** Milliseconds before attempt 2, 3, …; the last one repeats. */
  readonly defaultRetryBackoffMs: readonly number[];
  /** Milliseconds that a message may be delayed at most. */
  readonly delayMsMax: number;
  /** Milliseconds of RocketMQ's delay levels 1, 2, … */
  readonly delayLevelsMs: readonly number[];
  /** Milliseconds after which the producer of a half message is asked what became of it. */
  readonly transactionTimeoutMs: number;
  /** Milliseconds of a lease when a subscription does not say. */
  readonly defaultLeaseMs: number;
  readonly topicsMax: number;
  readonly groupsMax: number;
  /** Bytes of one message body. */
  readonly bodyBytesMax: number;
  /** Unanswered requests of one connection. */
  readonly inFlightRequestsMax: number;
  /** Messages a second that one connection may send; 0: no limit. A second's worth may come at once. */
  readonly messagesPerSecondMax: number;
  /** Bytes a second that one connection may send; 0: no limit. */
  readonly bytesPerSecondMax: number;
};

/**
 * Reads one stored batch from its segment file. Any committed extent can be read.
 *
 * @returns the stored batch with its 64-byte header, its checksums verified, owned by the receiver
 * @throws RECORD_CORRUPT, STORAGE_IO, MESSAGE_NOT_FOUND when retention was quicker
 */
export type ColdReader = (shard: number, position: number, bytes: number) => Promise<Uint8Array>;

/** The replication of this broker, as operators see it. */
export interface ReplicationControl {
  /** @returns role and epoch @throws INVALID_ARGUMENT, SHARD_RESTARTING */
  promote(wish: {
    readonly isForced: boolean;
    readonly ack: 'ASYNC_MASTER' | 'SYNC_MASTER';
  }): Promise<object>;
  /** @throws INVALID_ARGUMENT */
  resumeWrites(): object;
  /** Role, epoch, and of each shard the slaves or the master. */
  facts(): Promise<object>;
}

export type AcceptorOptions = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: AcceptorConfig;
  /** Shard n at index n. */
  readonly shards: readonly ShardPort[];
  readonly readCold: ColdReader;
  /** Told everything that shards report; dead-letter topics the acceptor makes by itself. */
  readonly onShardEvent: (shard: number, event: ShardEvent) => void;
  /** The text of `/metrics`. */
  readonly metricsText: () => string | Promise<string>;
  /** Reasons beside shards and drain why the broker is not ready; empty when it is. */
  readonly unreadyReasons: () => readonly string[];
  /** Where the master is, for what a slave refuses; undefined: not known, or this is no slave. */
  readonly masterText?: () => string | undefined;
  /** What operators may do to the role of this broker; undefined: it has no replication. */
  readonly replication?: ReplicationControl | undefined;
  /** Facts beside the reasons in `/readyz`: what does not keep the broker from its work. */
  readonly readyFacts?: () => Readonly<Record<string, JsonValue>>;
  /** Facts of `/api/broker` that the acceptor does not know: name, version, uptime, transport, flush mode. */
  readonly brokerFacts: () => Readonly<Record<string, JsonValue>>;
};
