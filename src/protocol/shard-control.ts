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
      /** One message of a queue at a time. */
      readonly ordered?: boolean;
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
  /** Members that pull say where they are: set as they say, but not by one whose queue another client has locked. */
  | { readonly op: 'commitOffsets'; readonly positions: readonly PositionEntry[] } // CommitResult
  | {
      readonly op: 'groupOffset';
      readonly groupId: number;
      readonly topicId: number;
      readonly queueId: number;
    } // GroupOffset, or null when there is no such queue
  /** A client of a group wants to consume queues in order, or no more. */
  | {
      readonly op: 'lockQueues';
      readonly groupId: number;
      readonly client: string;
      readonly queues: readonly QueuePlace[];
    } // {locks: LockAnswer[]}
  | {
      readonly op: 'unlockQueues';
      readonly groupId: number;
      readonly client: string;
      readonly queues: readonly QueuePlace[];
    } // {}
  | { readonly op: 'topicStatus'; readonly topicId: number } // TopicStatus
  /** The first message of a queue that was stored at a time or later; one past the last visible one when there is none. */
  | {
      readonly op: 'offsetAtTime';
      readonly topicId: number;
      readonly queueId: number;
      readonly epochMs: number;
    } // {offset: number}
  | { readonly op: 'groupStatus'; readonly groupId: number } // GroupStatus
  | { readonly op: 'shardStatus' } // ShardStatus
  | { readonly op: 'redrive'; readonly groupId: number; readonly max: number } // {redriven: number}
  | { readonly op: 'locate'; readonly position: number } // MessageLocation or null
  /** Whose message is at a place, seen or not seen yet (its index counts): of a delayed one, a half one, where it was first stored. */
  | { readonly op: 'topicAt'; readonly place: number } // {topicId: number | null}
  | { readonly op: 'findKey'; readonly topicId: number; readonly key: string; readonly max: number } // MessageLocation[]
  /** Delayed messages of a topic that wait, with a key or whatever their key. */
  | {
      readonly op: 'listDelayed';
      readonly topicId: number;
      readonly key: string | null;
      readonly max: number;
    } // DelayedList
  | {
      readonly op: 'cancelDelayed';
      readonly topicId: number;
      /** By key, or the one whose batch was stored at `place` minus its index in it. */
      readonly key: string | null;
      readonly place: number;
    } // CancelResult
  /** Ends the transaction of the half message whose batch was stored at `place` (its index counts). */
  | {
      readonly op: 'endTransaction';
      readonly place: number;
      readonly isCommit: boolean;
      /** Producer group of who ends it; left out: an operator, who may end any. */
      readonly group?: string;
    } // EndResult
  /** Half messages that are not ended; only those that nobody is asked about any more, or all. */
  | { readonly op: 'listHalf'; readonly max: number; readonly onlyParked: boolean } // HalfList
  | { readonly op: 'replicaState' } // ReplicaState
  /** A slave of this name is about to be sent the log. Answered with the position behind the record that says so. */
  | { readonly op: 'putReplica'; readonly name: string } // {end: number}
  /** On a slave: a part of what was settled with it, from a record on; 0: from the beginning, and nothing is settled with it any more. */
  | { readonly op: 'settledPage'; readonly from: number } // SettledPage
  /** On a slave: the master's log has all of it, below `end`. */
  | { readonly op: 'settledLogged'; readonly end: number } // {}
  /** On a master: what was settled with a slave. Answered with the position behind the records that say so. */
  | { readonly op: 'takeSettled'; readonly records: SettledPage['records'] } // {end: number}
  /** On a master: no slave is waited for any more that may have settled something: messages may go out. */
  | { readonly op: 'slavesHeard' } // {}
  | { readonly op: 'drain' }; // {} once all is flushed and the snapshot is written

/** A part of the journal of a slave (log/settled-file.ts). */
export type SettledPage = {
  readonly records: readonly {
    readonly kind: number;
    readonly groupId: number;
    readonly topicId: number;
    readonly queueId: number;
    readonly start: number;
    readonly count: number;
  }[];
  readonly isLast: boolean;
};

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

/** Where a group stands on a queue: the offset of the next message that it wants. */
export type PositionEntry = readonly [
  groupId: number,
  topicId: number,
  queueId: number,
  offset: number,
  /** Who says so; absent or null: an operator, or somebody who is no member, and no lock counts. */
  client?: string | null,
];

/** Positions that were not set; absent when all were. */
export type CommitResult = { readonly refused?: readonly PositionRefusal[] };
export type PositionRefusal = {
  readonly groupId: number;
  readonly topicId: number;
  readonly queueId: number;
  /** Who has the lock. */
  readonly holder: string;
};

export type QueuePlace = readonly [topicId: number, queueId: number];

/** Who has the lock of a queue now. */
export type LockAnswer = {
  readonly topicId: number;
  readonly queueId: number;
  /** Has the client that asked it? */
  readonly isHeld: boolean;
  readonly holder: string;
  /** Rises whenever the holder changes. */
  readonly fence: number;
  /** Milliseconds until somebody else may have it. */
  readonly leftMs: number;
};

export type GroupOffset = {
  /** Null: the group has none there. */
  readonly offset: number | null;
  readonly minOffset: number;
  /** One past the last visible message. */
  readonly maxOffset: number;
  /** Is the queue's first message its very first, and no farther behind the end of the log than the window reaches? */
  readonly isYoung: boolean;
};

export type ShardStatus = {
  readonly shard: number;
  readonly appended: number;
  readonly written: number;
  readonly flushed: number;
  readonly commit: number;
  readonly logStart: number;
  readonly state: 'running' | 'read-only' | 'fenced';
  /** What keeps it from taking messages, or from reading old ones. */
  readonly reason: string | null;
  /** Segments whose entries cannot be read now. */
  readonly unreadableSegments: number;
};

/** Null: nothing is at that place, or not any more. */
export type TopicAt = { readonly topicId: number | null };

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

/** A message that waits for its time. */
export type DelayedLocation = {
  readonly queueId: number;
  /** Position at which its batch was first stored. */
  readonly origin: number;
  readonly index: number;
  readonly deliverAt: number;
  readonly key: string;
  readonly tag: string;
  readonly bornAt: number;
};
export type DelayedList = {
  /** What is due first, first. */
  readonly messages: readonly DelayedLocation[];
  /** Messages of the topic that wait. */
  readonly waiting: number;
};

/** `cancelled`: will not be delivered; `delivered`: can be seen already; `notFound`: nothing of the kind is known. */
export type CancelResult = {
  readonly outcome: 'cancelled' | 'delivered' | 'notFound';
  /** Those that this request has cancelled. */
  readonly cancelled: readonly { readonly origin: number; readonly index: number }[];
};

/**
 * How a transaction ended, now or before: `committed`, `rolledBack`; `notFound`: no half message waits there, and none was
 * ended there lately.
 */
export type EndOutcome = 'committed' | 'rolledBack' | 'notFound';
/** `wrongGroup`: the message is another group's, and nothing was decided. */
export type EndResult = { readonly outcome: EndOutcome | 'wrongGroup' };

/** A half message that waits for the end of its transaction. */
export type HalfLocation = {
  readonly topicId: number;
  readonly queueId: number;
  readonly origin: number;
  readonly group: string;
  readonly key: string;
  readonly tag: string;
  readonly bornAt: number;
  readonly checks: number;
  /** Wall time at which its producer is asked; null: it is not asked any more. */
  readonly nextCheckAt: number | null;
};
export type HalfList = { readonly messages: readonly HalfLocation[]; readonly waiting: number };

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
/** A half message whose producer is to be asked what became of its transaction. */
export type HalfCheck = {
  readonly topicId: number;
  readonly queueId: number;
  /** Position at which it was first stored: its name. */
  readonly origin: number;
  /** Where it stands now, and its bytes there. */
  readonly position: number;
  readonly bytes: number;
  /** How often it was asked about, this time counted. */
  readonly checks: number;
};

export type ShardEvent =
  | ({ readonly event: 'check-half' } & HalfCheck)
  | { readonly event: 'needs-dead-letter-topic'; readonly groupId: number }
  | { readonly event: 'fenced'; readonly code: string; readonly message: string }
  | { readonly event: 'read-only'; readonly message: string }
  | { readonly event: 'writable' }
  | { readonly event: 'rot'; readonly from: number; readonly to: number; readonly message: string }
  /** Entries of the segment at `position` cannot be read: said once, until `readable` says that it is over. */
  | {
      readonly event: 'unreadable';
      readonly position: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly event: 'readable'; readonly position: number; readonly message: string }
  | { readonly event: 'metadata'; readonly change: MetadataChange }
  | { readonly event: 'recovered'; readonly message: string };
