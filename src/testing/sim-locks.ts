/**
 * Clients of a group that consume queues in order, each under its lock: they take it, pull from where the group stands, say where
 * they are, give it up, fall asleep and wake when it is long another's. Never do two of them have a queue; who has lost it does not
 * move the group; messages come in order, none is passed over, and the group never goes back but when an operator sets it.
 */
import { QUEUE_LOCK_MS } from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import type {
  CommitResult,
  GroupOffset,
  LockAnswer,
  SeekResult,
} from '../protocol/shard-control.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import {
  askSite,
  ensureGroup,
  type IsHeld,
  type LogPlace,
  type SimSite,
  type SitePart,
  type SiteTopic,
} from './sim-site.ts';

const GROUP_ID = 20;
const GROUP = 'in-order';
const CLIENTS = 3;
const FETCH_MAX = 5;

type Client = {
  readonly name: string;
  /** Where it goes on; undefined: it has not asked yet. Its own belief, whoever has the lock. */
  next: number | undefined;
  /** As it was told, counted from when it asked. */
  untilMs: number;
  /** How often it gave the queue up: what it asked for before says nothing. */
  unlocks: number;
};

/** A lock as it was confirmed. */
type Grant = {
  readonly client: string;
  readonly fence: number;
  readonly untilMs: number;
  readonly place: LogPlace;
};

type LockedQueue = {
  readonly q: number;
  readonly clients: readonly Client[];
  grant: Grant | undefined;
  fenceMax: number;
  /** Where the lock with that number is in the log. */
  fencePlace: LogPlace;
  /** All messages below were consumed; undefined: nobody knows any more. */
  frontier: number | undefined;
  frontierPlace: LogPlace;
  /** The group was confirmed to stand here. */
  floor: { readonly offset: number; readonly place: LogPlace } | undefined;
  /** The highest offset that anybody has said. */
  saidMax: number;
  /** How often it was set by an operator: what was said before says nothing. */
  resets: number;
};

type Fetched = Extract<Answer, { kind: 'fetched' }>;

export class SimLocks implements SitePart {
  private readonly site: SimSite;
  private readonly prng: Prng;
  private readonly topic: SiteTopic;
  private readonly queues: readonly LockedQueue[];
  readonly lastDueAtMs = 0;

  constructor(site: SimSite, prng: Prng, topic: SiteTopic) {
    this.site = site;
    this.prng = prng;
    this.topic = topic;
    this.queues = Array.from({ length: topic.queues }, (_, q) => ({
      q,
      clients: Array.from({ length: CLIENTS }, (__, index) => ({
        ...{ name: `c${index}`, next: undefined, untilMs: 0, unlocks: 0 },
      })),
      ...{ fencePlace: { end: 0, epoch: 0 }, frontierPlace: { end: 0, epoch: 0 } },
      ...{ grant: undefined, fenceMax: 0, frontier: undefined, floor: undefined, saidMax: 0 },
      resets: 0,
    }));
  }

  get isLive(): boolean {
    return this.topic.isLive;
  }

  act(): void {
    const { prng, site } = this;
    const broker = site.broker();
    if (broker === undefined || !ensureGroup(broker, GROUP_ID, GROUP)) return;
    const queue = this.queues[prng.integer(this.queues.length)] as LockedQueue;
    const client = queue.clients[prng.integer(CLIENTS)] as Client;
    const choice = prng.integer(40);
    const holder = queue.clients.find((one) => one.untilMs > site.clock.monotonicMs());
    if (choice < 8) this.lock(queue, client);
    else if (choice < 10) this.unlock(queue, holder);
    else if (choice < 12) this.wakeLate(queue);
    else if (choice < 13) this.reset(queue);
    else if (choice < 30) this.pull(queue, holder);
    else this.commit(queue, holder);
  }

  onEvent(): void {
    // Nothing is told of locks.
  }

  restarted(): void {
    // Clients go on in what they believe.
  }

  lose(isHeld: IsHeld): void {
    for (const queue of this.queues) {
      const { grant, floor, fencePlace, frontierPlace } = queue;
      const places = [grant?.place, floor?.place, fencePlace, frontierPlace];
      const isLost = places.some((place) => place !== undefined && place.end > 0 && !isHeld(place));
      if (!isLost) continue;
      Object.assign(queue, {
        grant: undefined,
        fenceMax: 0,
        frontier: undefined,
        floor: undefined,
      });
      for (const client of queue.clients) Object.assign(client, { next: undefined, untilMs: 0 });
    }
  }

  finish(): boolean {
    return false;
  }

  judge(): void {
    // All is judged as it happens.
  }

  /** Nobody can tell what is confirmed when bits were turned over. */
  private get isExact(): boolean {
    return !this.site.isDamaged;
  }

  private lock(queue: LockedQueue, client: Client): void {
    const { site, topic } = this;
    const queues = [[topic.topicId, queue.q]] as const;
    const request = { op: 'lockQueues', groupId: GROUP_ID, client: client.name, queues } as const;
    const askedAtMs = site.clock.monotonicMs();
    const { unlocks } = client;
    askSite(
      site,
      (rig) => rig.control(request),
      (answer, place) => {
        if (answer?.kind !== 'control') return;
        const [lock] = (answer.result as { locks: readonly LockAnswer[] }).locks;
        if (lock === undefined || !this.isExact) return;
        site.counts.locks += 1;
        this.checkLock(queue, client, lock);
        if (!lock.isHeld || client.unlocks !== unlocks) return;
        const untilMs = askedAtMs + QUEUE_LOCK_MS;
        if (queue.grant?.fence !== lock.fence) client.next = undefined;
        queue.grant = { client: client.name, fence: lock.fence, untilMs, place };
        if (lock.fence > queue.fenceMax)
          Object.assign(queue, { fenceMax: lock.fence, fencePlace: place });
        client.untilMs = untilMs;
      },
    );
  }

  private checkLock({ q, grant, fenceMax }: LockedQueue, client: Client, lock: LockAnswer): void {
    const { isHeld, holder, fence, leftMs } = lock;
    const says = `queue ${q}: ${client.name} is told that ${holder} has the lock, fence ${fence}`;
    if (fence < fenceMax) throw new SimViolation(`${says}, and it was ${fenceMax}`);
    if (isHeld !== (holder === client.name) || !(leftMs > 0 && leftMs <= QUEUE_LOCK_MS))
      throw new SimViolation(`${says}: ${JSON.stringify(lock)}`);
    if (grant === undefined) return;
    if (holder !== grant.client && fence <= grant.fence)
      throw new SimViolation(`${says}, and ${grant.client} had it with ${grant.fence}`);
    if (holder !== grant.client && this.isRunning(grant))
      throw new SimViolation(`${says}, and ${grant.client} has it for a while yet`);
  }

  private isRunning({ untilMs }: Grant): boolean {
    return this.site.clock.monotonicMs() < untilMs;
  }

  private unlock(queue: LockedQueue, client: Client | undefined): void {
    if (client === undefined) return;
    const queues = [[this.topic.topicId, queue.q]] as const;
    const { name } = client;
    const request = { op: 'unlockQueues', groupId: GROUP_ID, client: name, queues } as const;
    if (
      !askSite(
        this.site,
        (rig) => rig.control(request),
        () => {},
      )
    )
      return;
    queue.grant = undefined;
    client.untilMs = 0;
    client.unlocks += 1;
  }

  /** Reads on, if it knows from where. */
  private pull(queue: LockedQueue, client: Client | undefined): void {
    if (client === undefined) return;
    const { next } = client;
    const { topicId } = this.topic;
    if (next === undefined) {
      this.askWhere(queue, client);
      return;
    }
    askSite(
      this.site,
      (rig) => rig.fetch(topicId, queue.q, next, FETCH_MAX),
      (answer, place) => {
        const isOver = client.untilMs <= this.site.clock.monotonicMs() || client.next !== next;
        if (isOver || answer === undefined) return;
        if (answer.kind === 'failed') client.next = undefined;
        else if (answer.kind === 'fetched') this.consume(queue, client, answer, place);
      },
    );
  }

  private askWhere(queue: LockedQueue, client: Client): void {
    const { topicId } = this.topic;
    const { resets, floor } = queue;
    const until = client.untilMs;
    const request = { op: 'groupOffset', groupId: GROUP_ID, topicId, queueId: queue.q } as const;
    askSite(
      this.site,
      (rig) => rig.control(request),
      (answer, place) => {
        if (answer?.kind !== 'control' || answer.result === null || client.untilMs !== until)
          return;
        if (queue.resets !== resets) return;
        const { offset, minOffset } = answer.result as GroupOffset;
        const start = Math.max(offset ?? 0, minOffset);
        const isSame = queue.floor === floor && this.isExact;
        if (isSame && floor !== undefined && (offset ?? 0) < floor.offset)
          throw new SimViolation(
            `queue ${queue.q}: the group stood at ${floor.offset}, is at ${offset}`,
          );
        if (isSame && start > Math.max(queue.saidMax, minOffset))
          throw new SimViolation(`queue ${queue.q}: nobody has set the group to ${offset}`);
        client.next = start;
        // What is not confirmed yet, such as a reset, may be taken back: it says nothing about what was consumed.
        if (queue.frontier !== undefined || this.isAllConfirmed())
          this.advance(queue, Math.max(queue.frontier ?? start, minOffset), place);
      },
    );
  }

  private isAllConfirmed(): boolean {
    const rig = this.site.broker()?.rig;
    if (rig === undefined || rig.agent.context.fenced !== undefined) return false;
    return rig.memory.appended.observe() === rig.memory.commit.observe();
  }

  private advance(queue: LockedQueue, frontier: number, place: LogPlace): void {
    queue.frontier = Math.max(queue.frontier ?? frontier, frontier);
    queue.frontierPlace = place;
  }

  private consume(queue: LockedQueue, client: Client, answer: Fetched, place: LogPlace): void {
    // Where the disk does not read now, it is asked again; what is damaged is passed over.
    if (
      answer.extents.some(
        ({ unreadable }) => unreadable !== undefined && unreadable !== 'RECORD_CORRUPT',
      )
    )
      return;
    let next = Math.max(client.next ?? 0, answer.min);
    for (const { offset } of answer.records) {
      if (offset !== next && this.isExact)
        throw new SimViolation(`queue ${queue.q}: ${client.name} gets ${offset} after ${next - 1}`);
      if (
        this.isExact &&
        queue.frontier !== undefined &&
        offset > Math.max(queue.frontier, answer.min)
      )
        throw new SimViolation(`queue ${queue.q}: ${offset} is consumed before ${queue.frontier}`);
      next = offset + 1;
      this.advance(queue, next, place);
    }
    client.next = answer.next;
  }

  /** The holder says where it is. */
  private commit(queue: LockedQueue, client: Client | undefined): void {
    if (client?.next !== undefined) this.say(queue, client, client.next);
  }

  /** One that has lost the queue long ago wakes, and says where it was. */
  private wakeLate(queue: LockedQueue): void {
    const { grant } = queue;
    if (grant === undefined || !this.isRunning(grant)) return;
    const late = queue.clients.find(
      ({ name, next }) => name !== grant.client && next !== undefined,
    );
    if (late?.next !== undefined) this.say(queue, late, late.next);
  }

  private say(queue: LockedQueue, client: Client, offset: number): void {
    const { site } = this;
    const { resets, grant } = queue;
    const entry = [GROUP_ID, this.topic.topicId, queue.q, offset, client.name] as const;
    queue.saidMax = Math.max(queue.saidMax, offset);
    askSite(
      site,
      (rig) => rig.control({ op: 'commitOffsets', positions: [entry] }),
      (answer, place) => {
        // Whoever was late may have been heard after all, when the lock was free again.
        if (answer === undefined && grant?.client !== client.name) queue.floor = undefined;
        if (answer?.kind !== 'control' || !this.isExact || queue.resets !== resets) return;
        const isRefused = (answer.result as CommitResult).refused !== undefined;
        const isSame = grant !== undefined && queue.grant?.fence === grant.fence;
        const isHolder = grant?.client === client.name;
        if (isSame && this.isRunning(grant) && isRefused === isHolder)
          throw new SimViolation(
            `queue ${queue.q}: ${client.name} ${isRefused ? 'may not' : 'may'} set the group to ${offset}, ${grant.client} has the lock`,
          );
        if (isRefused) site.counts.fencedCommits += 1;
        else this.note(queue, offset, place);
      },
    );
  }

  private note(queue: LockedQueue, offset: number, place: LogPlace): void {
    this.site.counts.positions += 1;
    queue.floor = { offset, place };
  }

  /** An operator sets the group back or forward. */
  private reset(queue: LockedQueue): void {
    const { site, topic, prng } = this;
    const offset = prng.integer(queue.saidMax + 1);
    const to = { kind: 'offsets', offsets: { [queue.q]: offset } } as const;
    const where = { groupId: GROUP_ID, topicId: topic.topicId } as const;
    // Queues that are not named stay where they are; those where the group was never begin at the front.
    const isSent = askSite(
      site,
      (rig) => rig.control({ op: 'seek', ...where, to, dryRun: false }),
      (answer) => {
        // Somebody may have seen it before it was safe, and it is not after a crash.
        if (answer?.kind !== 'control') {
          queue.frontier = undefined;
          for (const client of queue.clients) client.next = undefined;
          return;
        }
        for (const one of (answer.result as SeekResult).queues) this.raise(one.queueId, one.after);
      },
    );
    if (!isSent) return;
    const state = site.broker()?.rig.agent.context.state;
    for (const { q } of this.queues) this.raise(q, state?.queue(topic.topicId, q)?.minOffset ?? 0);
    queue.resets += 1;
    queue.floor = undefined;
    queue.frontier = undefined;
    for (const client of queue.clients) client.next = undefined;
  }

  private raise(q: number, offset: number): void {
    const queue = this.queues[q];
    if (queue !== undefined) queue.saidMax = Math.max(queue.saidMax, offset);
  }
}
