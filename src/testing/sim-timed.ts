/**
 * What clients of a simulation do beside sending and reading: delayed messages, transactions, ordered consumption under locks,
 * messages that are sent back. Each run has some of it, by chance, so that each is also met alone.
 */
import type { Prng } from '../base/prng.ts';
import type { ShardEvent } from '../protocol/shard-control.ts';
import { SimDelayed } from './sim-delayed.ts';
import { SimHalves } from './sim-halves.ts';
import { SimLocks } from './sim-locks.ts';
import { SimSendBacks } from './sim-send-backs.ts';
import type { IsHeld, SimSite, SitePart, SiteTopic } from './sim-site.ts';

/** Topics by name; the source is the one that others send to. */
export const TIMED_TOPICS = ['delayed', 'halves', '%RETRY%pool', '%DLQ%pool'] as const;
export type TimedTopic = (typeof TIMED_TOPICS)[number];

/** Which parts a run has. */
export type TimedPlan = {
  readonly delayed: boolean;
  readonly halves: boolean;
  readonly locks: boolean;
  readonly sendBacks: boolean;
};

export function randomPlan(prng: Prng, share: number): TimedPlan {
  return {
    ...{ delayed: prng.chance(share), halves: prng.chance(share) },
    ...{ locks: prng.chance(share), sendBacks: prng.chance(share) },
  };
}

export class SimTimed {
  readonly parts: SitePart[] = [];
  delayed: SimDelayed | undefined;
  halves: SimHalves | undefined;
  private readonly site: SimSite;
  private readonly prng: Prng;

  constructor(site: SimSite, prng: Prng) {
    this.site = site;
    this.prng = prng;
  }

  /** @param topic - makes a topic, or finds it @param source - to which others send, in order */
  begin(plan: TimedPlan, topic: (name: TimedTopic) => SiteTopic, source: SiteTopic): void {
    const { site, prng, parts } = this;
    if (plan.delayed) this.beginDelayed(topic('delayed'));
    if (plan.halves) this.beginHalves(topic('halves'));
    if (plan.locks) parts.push(new SimLocks(site, prng, source));
    if (!plan.sendBacks) return;
    const topics = { source, retry: topic('%RETRY%pool'), dead: topic('%DLQ%pool') };
    parts.push(new SimSendBacks(site, prng, topics));
  }

  beginDelayed(topic: SiteTopic): SimDelayed {
    this.delayed = new SimDelayed(this.site, this.prng, topic);
    this.parts.push(this.delayed);
    return this.delayed;
  }

  beginHalves(topic: SiteTopic): SimHalves {
    this.halves = new SimHalves(this.site, this.prng, topic);
    this.parts.push(this.halves);
    return this.halves;
  }

  /** One thing by chance. */
  act(): void {
    if (this.parts.length === 0 || this.site.broker() === undefined) return;
    const part = this.parts[this.prng.integer(this.parts.length)] as SitePart;
    if (part.isLive) part.act();
  }

  onEvent(event: ShardEvent): void {
    for (const part of this.parts) part.onEvent(event);
  }

  /** The broker is gone, or another one reigns. */
  restarted(): void {
    for (const part of this.parts) part.restarted();
  }

  /** What is not held any more may be lost by right. */
  lose(isHeld: IsHeld): void {
    for (const part of this.parts) part.lose(isHeld);
  }

  /** Goes on without troubles. @returns true while something is not done, or still waits for its time */
  finish(): boolean {
    if (this.parts.length === 0) return false;
    const waiting = this.parts.filter((part) => part.isLive && part.finish());
    const rig = this.site.broker()?.rig;
    return (
      rig === undefined || waiting.length > 0 || rig.agent.context.state.deferred.table.size > 0
    );
  }

  /** What is not done, for messages to people. */
  describeWaiting(): string {
    const table = this.site.broker()?.rig.agent.context.state.deferred.table;
    const rows = table === undefined ? [] : [...table.rows()].map((row) => table.get(row));
    const waiting = rows.map(({ topicId, origin, dueAtMs, checks }) =>
      [topicId, origin, dueAtMs, checks].join('/'),
    );
    const parts = this.parts.filter((part) => part.finish()).map((part) => part.constructor.name);
    return `${parts}; rows at ${this.site.clock.epochMs()}: ${waiting.slice(0, 5)}`;
  }

  /** Everything is due from now on. */
  hurry(): void {
    const { clock } = this.site;
    const leftMs =
      Math.max(0, ...this.parts.map(({ lastDueAtMs }) => lastDueAtMs)) - clock.epochMs();
    if (leftMs <= 0) return;
    this.site.hasWallJumped = true;
    clock.jumpEpoch(leftMs);
  }

  /** @param read - all bodies of a topic, as they lie there in the end @throws SimViolation */
  judge(read: (topic: SiteTopic) => readonly string[]): void {
    if (this.site.isDamaged) return;
    for (const part of this.parts) if (part.isLive) part.judge(read);
  }
}
