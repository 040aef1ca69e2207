/**
 * The master of a simulated cluster as a place to work at: whoever reigns, if it lives. What another broker answers counts for
 * nothing, and what was confirmed is held as long as some broker has it that may reign.
 */
import type { ClusterClients } from './cluster-clients.ts';
import type { ClusterWatcher, ClusterWorld } from './cluster-world.ts';
import { QUEUES, TOPIC_ID } from './cluster-world.ts';
import type { SimClock } from './sim-clock.ts';
import type { SimNode } from './sim-node.ts';
import type { IsHeld, LogPlace, SimSite, SiteBroker, SiteCounts, SiteTopic } from './sim-site.ts';
import { type SimTimed, TIMED_TOPICS, type TimedTopic } from './sim-timed.ts';

export class ClusterSite implements SimSite {
  hasWallJumped = false;
  readonly isDamaged = false;
  private readonly world: ClusterWorld;
  private readonly clients: ClusterClients;

  constructor(world: ClusterWorld, clients: ClusterClients) {
    this.world = world;
    this.clients = clients;
  }

  get clock(): SimClock {
    return this.world.clock;
  }

  get counts(): SiteCounts {
    return this.world.counts;
  }

  broker(): SiteBroker | undefined {
    const { rig, link, isAlive } = this.world.master;
    if (rig === undefined || !isAlive || !this.clients.topicExists) return undefined;
    // One that has not compared its log with its slaves yet tells what it knows, which may be too little.
    return rig.agent.context.isFollowing ? undefined : { rig, link };
  }

  placeOf({ link, rig }: SiteBroker): LogPlace | undefined {
    const { master } = this.world;
    if (master.link !== link || master.rig !== rig || !master.isMaster) return undefined;
    return { end: rig.memory.commit.observe(), epoch: master.reign.epoch };
  }

  topicLost(): void {
    this.clients.onTopicLost();
  }

  topic(name: TimedTopic | undefined): SiteTopic {
    const { clients } = this;
    return {
      name: name ?? 'topic',
      topicId: name === undefined ? TOPIC_ID : TOPIC_ID + 1 + TIMED_TOPICS.indexOf(name),
      queues: name === undefined ? QUEUES : 1,
      get isLive(): boolean {
        return clients.topicExists;
      },
    };
  }
}

/** Tells those who work there what becomes of the brokers. */
export class TimedWatcher implements ClusterWatcher {
  private readonly world: ClusterWorld;
  private readonly timed: SimTimed;

  constructor(world: ClusterWorld, timed: SimTimed) {
    this.world = world;
    this.timed = timed;
    world.watchers.push(this);
    for (const node of world.nodes)
      node.link.onEvent = (event) => {
        if (node === world.master && node.isMaster) timed.onEvent(event);
      };
  }

  observe(): void {
    // All that is to be seen, readers see.
  }

  opened(node: SimNode): void {
    if (node === this.world.master) this.timed.restarted();
  }

  lost(_node: SimNode, _flushed: number, isHeld: IsHeld): void {
    this.timed.lose(isHeld);
  }

  promoted(has: IsHeld): void {
    this.timed.lose(has);
    this.timed.restarted();
  }
}
