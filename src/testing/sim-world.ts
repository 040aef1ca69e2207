/**
 * What the parts of a simulated run share: the shard, the link to it, the messages and topics that exist, the history that
 * is written, and what was counted. Made in `sim-run.ts`; one per seed.
 */
import type { Prng } from '../base/prng.ts';
import type { FlushMode } from '../commit/commit-policy.ts';
import type { ShardControlRequest, TopicRecord } from '../protocol/shard-control.ts';
import { COPY_GROWTH_BYTES } from '../shard/message-copier.ts';
import { HistoryLog, HistoryRecorder } from './history-recorder.ts';
import type { ShardRig } from './shard-rig.ts';
import type { SimClock } from './sim-clock.ts';
import { type Answer, SimLink } from './sim-link.ts';
import { MessageLedger, type SimMessage, type SizePlan } from './sim-messages.ts';
import type { SimShard } from './sim-shard.ts';
import { type IsHeld, NO_SITE_COUNTS, type SiteCounts } from './sim-site.ts';

/** Headers, producer id, key and tag of a batch of one message, and alignment. */
const BATCH_OVERHEAD_BYTES: number = 64 + 56 + 8 + 16 + 20 + 8 + COPY_GROWTH_BYTES;

/** `asked`: sent to the shard, not confirmed. `gone`: deleted, or never confirmed and not there after a restart. */
export type TopicState = 'asked' | 'live' | 'leaving' | 'gone';

export type SimTopic = {
  readonly record: TopicRecord;
  readonly name: string;
  readonly topicId: number;
  /**
   * Who writes it: producers whose resends are recognised, plain ones, whose messages may be dead-lettered, or those of
   * messages that are not seen at once, which have an audit of their own (sim-timed.ts).
   */
  readonly writers: 'dedup' | 'plain' | 'nobody' | 'timers';
  state: TopicState;
  /** Confirmed on the disk at least once. */
  isConfirmed: boolean;
};

/** What happened, for the check that a run was not empty. */
export type SimCounts = SiteCounts & {
  kills: number;
  powerLosses: number;
  crashesInRecovery: number;
  diskErrors: number;
  fences: number;
  rotBatches: number;
  rotReports: number;
  duplicates: number;
  gapsRefused: number;
  staleLeases: number;
  deadLetters: number;
  redriven: number;
  topicsDeleted: number;
  expired: number;
  fullRefusals: number;
  unreadable: number;
};

export class World {
  readonly prng: Prng;
  readonly clock: SimClock;
  readonly shard: SimShard;
  readonly sizes: SizePlan;
  readonly link: SimLink = new SimLink();
  readonly ledger: MessageLedger = new MessageLedger();
  readonly history: HistoryLog = new HistoryLog();
  readonly recorder: HistoryRecorder;
  readonly topics: SimTopic[] = [];
  readonly counts: SimCounts = zeroCounts();
  /** Log positions where bits were turned over. */
  readonly rotPositions: number[] = [];
  /** The wall clock was set by somebody: ages of messages mean nothing any more. */
  hasWallJumped = false;
  /** The disk was full at some time: messages of topics that allow it went before their time. */
  hasBeenFull = false;
  /** Told when something may be gone. */
  onLoss: ((isHeld: IsHeld) => void) | undefined;
  /** Highest ids ever used, so that none is used again. */
  topicIdMax = 0;
  subscriptionMax = 0;

  constructor(prng: Prng, shard: SimShard, sizes: SizePlan) {
    this.prng = prng;
    this.clock = shard.clock;
    this.shard = shard;
    this.sizes = sizes;
    this.recorder = new HistoryRecorder(shard.clock, this.history);
  }

  get flushMode(): FlushMode {
    return this.shard.config.flushMode;
  }

  /** The shard while it lives: whoever acts has checked. */
  get rig(): ShardRig {
    const { rig } = this.shard;
    if (rig === undefined) throw new Error('nobody acts while the shard is down');
    return rig;
  }

  /** Largest body whose batch the log takes. */
  get bodyBytesMax(): number {
    return this.rig.agent.context.log.batchBytesMax - BATCH_OVERHEAD_BYTES;
  }

  /** Sends a control request. @returns false when the ring was full */
  control(request: ShardControlRequest, onAnswer: (answer: Answer) => void): boolean {
    return this.link.expect(this.rig.control(request), onAnswer);
  }

  /** What lies above may be gone: in a power loss, or with pages that a failed sync has dropped. */
  lose(flushed: number): void {
    const mayLose = this.flushMode === 'ASYNC_FLUSH';
    this.ledger.powerLoss(flushed, mayLose);
    if (mayLose) this.onLoss?.(({ end }) => end <= flushed);
  }

  liveTopics(writers?: SimTopic['writers']): SimTopic[] {
    return this.topics.filter(
      (topic) => topic.state === 'live' && (writers === undefined || topic.writers === writers),
    );
  }

  topic(topicId: number): SimTopic | undefined {
    return this.topics.find((topic) => topic.topicId === topicId);
  }

  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[this.prng.integer(items.length)];
  }

  /** A message was found at a slot: by its body, which must be one that was sent. */
  known(id: string): SimMessage | undefined {
    return this.ledger.messages.get(id);
  }

  /** Positions, as one event: sampled after steps that may have moved them. */
  sampleWatermarks(): void {
    const { memory } = this.rig;
    this.recorder.watermark({
      node: 'broker',
      shard: 0,
      epoch: this.shard.lives,
      written: memory.written.observe(),
      synced: memory.flushed.observe(),
      replicated: 0,
      visible: memory.commit.observe(),
      mode: this.flushMode === 'SYNC_FLUSH' ? 'disk' : 'memory',
    });
  }
}

function zeroCounts(): SimCounts {
  return {
    ...{ kills: 0, powerLosses: 0, crashesInRecovery: 0, diskErrors: 0, fences: 0, rotBatches: 0 },
    ...{ rotReports: 0, duplicates: 0, gapsRefused: 0, staleLeases: 0, deadLetters: 0 },
    ...{ redriven: 0, topicsDeleted: 0, expired: 0, fullRefusals: 0, unreadable: 0 },
    ...NO_SITE_COUNTS,
  };
}
