/** What the paths of a shard share. One object per shard, made in `open-shard.ts`; shard thread only. */
import type { Clock } from '../base/clock.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import type { PendingReplies } from '../commit/pending-replies.ts';
import type { ConsumeQueue } from '../log/consume-queue.ts';
import type { ControlWriter } from '../log/control-record.ts';
import type { LogMemory } from '../log/log-memory.ts';
import type { ShardLog } from '../log/shard-log.ts';
import type { SideJobInput, SideJobResult } from '../log/side-job.ts';
import type { TailWindow } from '../log/tail-window.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { GroupLog } from './group-log.ts';
import type { SettledJournal } from './settled-journal.ts';
import type { ShardConfig } from './shard-config.ts';
import type { ShardPort } from './shard-port.ts';
import type { ShardState } from './shard-state.ts';

/** Why a shard takes no messages; `undefined` while it does. */
export type Refusal = { readonly code: ErrorCode; readonly text: string };

/** What a waiting reply is about: the queue that a batch went to, or a result to send. */
export type ReplySubject = ConsumeQueue | ControlResult;
/** The answer of a control request that waits for its records to be safe. */
export type ControlResult = { readonly result: unknown };

export type ShardContext = {
  readonly config: ShardConfig;
  readonly clock: Clock;
  readonly memory: LogMemory;
  readonly log: ShardLog;
  readonly tail: TailWindow;
  readonly state: ShardState;
  readonly ports: readonly ShardPort[];
  readonly pending: PendingReplies<ReplySubject>;
  /** Control records of this duty cycle; appended as one batch. */
  readonly control: ControlWriter;
  /** Where it is written down what groups do. */
  readonly groupLog: GroupLog;
  /** What was settled here while this broker was a slave without a master; undefined: nobody else has this log. */
  readonly journal: SettledJournal | undefined;
  /** Hands work to another thread; `done` runs in a later duty cycle. */
  readonly submit: (job: SideJobInput, done: (result: SideJobResult) => void) => void;
  /** @returns false when the reply ring was full: nobody was told */
  readonly emit: (event: ShardEvent) => boolean;
  /** Wall time that follows the monotonic clock: what is planned or kept by it does not jump when somebody sets the clock. */
  readonly steadyEpochMs: () => number;
  /** The commit position waits for others too: on a slave, and on a SYNC_MASTER. */
  readonly isBounded: boolean;
  /** Nothing is appended but what replication brings: on a slave, and on a master that must compare with its slaves first. */
  isFollowing: boolean;
  /** Commit position of the last duty cycle. */
  commit: number;
  /** End of the batch that says which boot this is; Infinity before it is in the log. */
  bootEnd: number;
  /** Set when sends are refused: disk full, or fenced. */
  refusal: Refusal | undefined;
  /** Set for good when nothing can be written any more. */
  fenced: Refusal | undefined;
};

/** Kinds of waiting replies. */
export const PENDING_SILENT = 0;
export const PENDING_PRODUCED = 1;
export const PENDING_DUPLICATE = 2;
export const PENDING_SETTLED = 3;
export const PENDING_CONTROL = 4;
/** Its sender was told that the outcome is unknown; there is nothing to show. */
export const PENDING_NOTHING = 5;
/** Like PRODUCED and DUPLICATE for a batch that cannot be seen yet: its base offset is its due time. */
export const PENDING_DEFERRED = 6;
export const PENDING_DEFERRED_DUPLICATE = 7;
