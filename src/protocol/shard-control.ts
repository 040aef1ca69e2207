/**
 * The rare requests between acceptor and shard, as JSON in CONTROL records: metadata, subscriptions, status. Only the
 * broker writes these, so they are types and no decoder. Queue q of topic t lives on shard `shardOf(t, q, shards)`.
 */

/** What happens to a send when the disk is full: refuse it, make room by the oldest, or by what every group has consumed. */
export type WhenFull = 'refuse' | 'drop-oldest' | 'drop-consumed';

/** A topic; stored in the log of every shard, and decided by shard 0. */
export type TopicRecord = {
  readonly topicId: number;
  readonly topic: string;
  /** Number of queues. */
  readonly queues: number;
  /** Milliseconds that messages are kept; null: the broker's default. */
  readonly retentionMs: number | null;
  /** Bytes kept per queue; null: no limit of its own. */
  readonly retentionBytes: number | null;
  readonly whenFull: WhenFull;
  /** Group whose dead letters these are; null for an ordinary topic. */
  readonly deadLetterOf: number | null;
};

/** A consumer group; stored in the log of every shard, and decided by shard 0. */
export type GroupRecord = {
  readonly groupId: number;
  readonly group: string;
  /** Deliveries before a message goes to the dead-letter topic. */
  readonly maxAttempts: number;
  /** Milliseconds before attempt 2, 3, …; the last one repeats. */
  readonly retryBackoffMs: readonly number[];
};

/** Where a group begins, or is set to. */
export type StartPoint =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'time'; readonly epochMs: number }
  | { readonly kind: 'offsets'; readonly offsets: Readonly<Record<string, number>> };

/** @shape one JSON object per request; the comment after each names the `result` of its answer */
export type ShardControlRequest =
  | { readonly op: 'putTopic'; readonly topic: TopicRecord } // {} once committed
  | { readonly op: 'deleteTopic'; readonly topicId: number } // {}
  | { readonly op: 'putGroup'; readonly group: GroupRecord } // {}
  | { readonly op: 'deleteGroup'; readonly groupId: number } // {}
  | {
      readonly op: 'attach';
      /** Number of the subscription, unique in the broker. */
      readonly subscription: number;
      readonly groupId: number;
      readonly topicId: number;
      /** Tags, or null for all messages. */
      readonly filter: readonly string[] | null;
      /** Used where the group has no position yet. */
      readonly from: StartPoint;
      /** Messages it may be sent. */
      readonly credit: number;
      readonly leaseMs: number;
    } // {}
  | { readonly op: 'detach'; readonly subscription: number } // {}: its leases end at once
  | {
      readonly op: 'assign';
      readonly groupId: number;
      readonly topicId: number;
      /** This shard's queues and the subscription that gets each; a queue that is missing goes to nobody. */
      readonly queues: readonly (readonly [queueId: number, subscription: number])[];
    } // {}
  | {
      readonly op: 'seek';
      readonly groupId: number;
      readonly topicId: number;
      readonly to: StartPoint;
      readonly dryRun: boolean;
    } // SeekResult
  | { readonly op: 'topicStatus'; readonly topicId: number } // TopicStatus
  | { readonly op: 'groupStatus'; readonly groupId: number } // GroupStatus
  | { readonly op: 'shardStatus' } // ShardStatus
  | { readonly op: 'redrive'; readonly groupId: number; readonly max: number } // {redriven: number}
  | { readonly op: 'locate'; readonly position: number } // MessageLocation or null
  | { readonly op: 'findKey'; readonly topicId: number; readonly key: string; readonly max: number } // MessageLocation[]
  | { readonly op: 'replicaState' } // ReplicaState
  /** A slave of this name is about to be sent the log. Answered with the position behind the record that says so. */
  | { readonly op: 'putReplica'; readonly name: string } // {end: number}
  | { readonly op: 'drain' }; // {} once all is flushed and the snapshot is written

/** What replication has to know of a shard's log. */
export type ReplicaState = {
  readonly logId: string;
  readonly epochs: readonly { readonly epoch: number; readonly first: number }[];
  readonly replicas: readonly string[];
  readonly appended: number;
  /** Position of the newest batch header; -1 in an empty log. */
  readonly lastHeaderAt: number;
  /** Is nothing appended but what replication brings? */
  readonly isFollowing: boolean;
};

export type QueueStatus = {
  readonly queueId: number;
  readonly minOffset: number;
  /** One past the last visible message. */
  readonly maxOffset: number;
  readonly lastStoredAtMs: number | null;
};
export type TopicStatus = { readonly queues: readonly QueueStatus[] };

export type GroupQueueStatus = {
  readonly topicId: number;
  readonly queueId: number;
  /** All messages below are settled. */
  readonly ackedThrough: number;
  readonly maxOffset: number;
  /** Messages not settled yet: waiting, in flight and retrying. */
  readonly lag: number;
  readonly inFlight: number;
  readonly retrying: number;
  readonly dead: number;
  /** Subscription that has the queue, or null. */
  readonly owner: number | null;
};
export type GroupStatus = { readonly queues: readonly GroupQueueStatus[] };

export type SeekResult = {
  readonly queues: readonly {
    readonly queueId: number;
    readonly before: number;
    readonly after: number;
  }[];
};

export type ShardStatus = {
  readonly shard: number;
  readonly appended: number;
  readonly written: number;
  readonly flushed: number;
  readonly commit: number;
  readonly logStart: number;
  readonly state: 'running' | 'read-only' | 'fenced';
  readonly reason: string | null;
};

/** Where one message is, as an extent of the log. */
export type MessageLocation = {
  readonly topicId: number;
  readonly queueId: number;
  readonly position: number;
  readonly baseOffset: number;
  readonly batchBytes: number;
  readonly index: number;
  readonly cold: boolean;
};

/** What a shard remembers of a former run, told to the acceptor when it is ready. */
export type ShardMetadata = {
  readonly topics: readonly TopicRecord[];
  readonly groups: readonly GroupRecord[];
  /** The highest ids ever given, deleted ones included: an id is never used again. */
  readonly topicIdMax?: number;
  readonly groupIdMax?: number;
};

/** The shard that owns a queue. */
export function shardOf(topicId: number, queueId: number, shards: number): number {
  return (topicId + queueId) % shards;
}

/** On a slave: what has come or gone in the log that it follows. */
export type MetadataChange =
  | { readonly put: 'topic'; readonly topic: TopicRecord }
  | { readonly put: 'group'; readonly group: GroupRecord }
  | { readonly drop: 'topic'; readonly topicId: number }
  | { readonly drop: 'group'; readonly groupId: number };

/** Something that operators or the acceptor must act on. */
export type ShardEvent =
  | { readonly event: 'needs-dead-letter-topic'; readonly groupId: number }
  | { readonly event: 'fenced'; readonly code: string; readonly message: string }
  | { readonly event: 'read-only'; readonly message: string }
  | { readonly event: 'writable' }
  | { readonly event: 'rot'; readonly from: number; readonly to: number; readonly message: string }
  | { readonly event: 'metadata'; readonly change: MetadataChange }
  | { readonly event: 'recovered'; readonly message: string };
