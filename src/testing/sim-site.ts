/**
 * Where clients of a simulation work: one shard over its lives, or whoever is the master of a simulated cluster. What they are told
 * they remember with its place in the log, so that a fault that may take it by right is recognised, and any other is a violation.
 */
import type { ShardEvent } from '../protocol/shard-control.ts';
import type { ShardRig } from './shard-rig.ts';
import type { SimClock } from './sim-clock.ts';
import type { Answer, SimLink } from './sim-link.ts';
import type { SimTopic, World } from './sim-world.ts';

/** Where a record ends, and in which reign's log. */
export type LogPlace = { readonly end: number; readonly epoch: number };

/** A broker that lives. */
export type SiteBroker = { readonly rig: ShardRig; readonly link: SimLink };

export type SiteTopic = {
  readonly name: string;
  readonly topicId: number;
  readonly queues: number;
  readonly isLive: boolean;
};

/** What happened, for the check that a run was not empty. */
export type SiteCounts = {
  delayed: number;
  cancelled: number;
  ended: number;
  /** Questions to producers of half messages, and half messages that were settled by the list because nobody answered. */
  checks: number;
  parked: number;
  locks: number;
  /** Positions of clients that had lost their queue. */
  fencedCommits: number;
  positions: number;
  sentBack: number;
  buried: number;
};

export const NO_SITE_COUNTS: SiteCounts = {
  ...{ delayed: 0, cancelled: 0, ended: 0, checks: 0, parked: 0, locks: 0, fencedCommits: 0 },
  ...{ positions: 0, sentBack: 0, buried: 0 },
};

export interface SimSite {
  readonly clock: SimClock;
  readonly counts: SiteCounts;
  /** The broker that clients turn to; undefined: it is down. */
  broker(): SiteBroker | undefined;
  /** Where what it has just answered stands in the log at the latest; undefined: its word counts for nothing any more. */
  placeOf(broker: SiteBroker): LogPlace | undefined;
  /** Bits were turned over: what a message or a record said may be gone. */
  readonly isDamaged: boolean;
  /** Somebody has set the wall clock: times say nothing. */
  hasWallJumped: boolean;
  /** A topic is not known that was: by right, or this throws. */
  topicLost(): void;
}

/** Is what stands at this place still in some log that counts? */
export type IsHeld = (place: LogPlace) => boolean;

/** Clients whose work is more than sending and reading. */
export interface SitePart {
  /** Do its topics exist? Where a loss may take them, nothing more is done and judged. */
  readonly isLive: boolean;
  /** One thing by chance. */
  act(): void;
  onEvent(event: ShardEvent): void;
  /** The broker is gone, or another one reigns: what only a process knew is lost. */
  restarted(): void;
  /** What is not held any more may be lost by right. */
  lose(isHeld: IsHeld): void;
  /** Goes on without troubles. @returns true while something is not done */
  finish(): boolean;
  /** The latest wall time that it waits for. */
  readonly lastDueAtMs: number;
  /** @param read - all bodies of a topic, as they lie there in the end @throws SimViolation */
  judge(read: (topic: SiteTopic) => readonly string[]): void;
}

/**
 * Sends a request to the broker of now.
 *
 * @param send - hands it over; 0: there was no room
 * @param onAnswer - with undefined: nobody knows what became of it
 * @returns false when nothing was sent
 */
export function askSite(
  site: SimSite,
  send: (rig: ShardRig) => number,
  onAnswer: (answer: Answer, place: LogPlace) => void,
): boolean {
  const broker = site.broker();
  if (broker === undefined) return false;
  return broker.link.expect(send(broker.rig), (answer) => {
    const place = answer === undefined ? undefined : site.placeOf(broker);
    if (place === undefined) onAnswer(undefined, { end: 0, epoch: 0 });
    else onAnswer(answer, place);
  });
}

/** A group that the log may not have yet. @returns is it there? */
export function ensureGroup({ rig }: SiteBroker, groupId: number, group: string): boolean {
  if (rig.agent.context.state.groups.has(groupId)) return true;
  rig.control({ op: 'putGroup', group: { groupId, group, maxAttempts: 3, retryBackoffMs: [50] } });
  return false;
}

/** Has retention let go what was in a topic? Then nobody can tell any more whether it was there. */
export function isTrimmed(site: SimSite, { topicId, queues }: SiteTopic): boolean {
  const state = site.broker()?.rig.agent.context.state;
  return Array.from({ length: queues }, (_, q) => state?.queue(topicId, q)?.minOffset ?? 0).some(
    (minOffset) => minOffset > 0,
  );
}

/** Has it let go what stood at a position of the log? */
export function isLetGo(site: SimSite, position: number): boolean {
  return position < (site.broker()?.rig.source.start() ?? 0);
}

/** One shard and its disk. */
export class ShardSite implements SimSite {
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  get clock(): SimClock {
    return this.world.clock;
  }

  get counts(): SiteCounts {
    return this.world.counts;
  }

  get isDamaged(): boolean {
    return this.world.rotPositions.length > 0;
  }

  get hasWallJumped(): boolean {
    return this.world.hasWallJumped;
  }

  set hasWallJumped(value: boolean) {
    this.world.hasWallJumped = value;
  }

  broker(): SiteBroker | undefined {
    const { shard, link } = this.world;
    return shard.rig === undefined || !shard.isAlive ? undefined : { rig: shard.rig, link };
  }

  placeOf({ rig }: SiteBroker): LogPlace {
    return { end: rig.memory.commit.observe(), epoch: 1 };
  }

  topicLost(): void {
    // What is there after a restart is compared with what was confirmed elsewhere.
  }
}

/** A topic of the single shard's run. */
export function siteTopicOf(topic: SimTopic): SiteTopic {
  const { name, topicId, record } = topic;
  return {
    ...{ name, topicId, queues: record.queues },
    get isLive(): boolean {
      return topic.state === 'live';
    },
  };
}
