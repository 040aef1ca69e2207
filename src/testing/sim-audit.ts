/**
 * The end of a simulated run: faults stop, everything finishes, then all that is stored is read twice, by offset and by a
 * fresh group, and held against what clients were told. Liveness is judged here too: what does not finish is a failure.
 */
import * as envelope from '../protocol/envelope-layout.ts';
import type { GroupStatus } from '../protocol/shard-control.ts';
import { checkHistory } from './history-checker.ts';
import type { HistoryEvent } from './history-events.ts';
import { type CheckReport, QUIET_RUN } from './history-report.ts';
import type { SimChaos } from './sim-chaos.ts';
import { type Member, newMember, type SimGroup } from './sim-groups.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Answer } from './sim-link.ts';
import { idOf, type SimMessage } from './sim-messages.ts';
import { record } from './sim-pullers.ts';
import type { SiteTopic } from './sim-site.ts';
import type { SimTopic, World } from './sim-world.ts';
import type { Workload } from './workload.ts';

/** Rounds that everything has to finish in, once faults have stopped. */
const ROUNDS_MAX = 6000;
/** Every so many rounds a long time passes, so that leases end and retries come. */
const LONG_ROUND = 12;
/** At the end everything is acked in large pieces. */
const RUNS_AT_END = 8;
const RUN_AT_END_MAX = 100;
const AUDIT_GROUP_ID = 900;
const CREDIT_ALL = 100_000;
/** Milliseconds on top of the flush interval within which ASYNC_FLUSH may lose: slow calls of one flusher cycle. */
const SLOW_FLUSH_MS = 1000;

type Fetched = Extract<Answer, { kind: 'fetched' }>;

export class SimAudit {
  private readonly world: World;
  private readonly workload: Workload;
  private readonly chaos: SimChaos;
  private readonly beforeStep: () => void;
  private hasRestarted = false;
  /** Topic and queue → ids found there by offset. */
  private readonly found = new Map<string, Map<number, string>>();

  constructor(world: World, workload: Workload, chaos: SimChaos, beforeStep: () => void) {
    this.world = world;
    this.workload = workload;
    this.chaos = chaos;
    this.beforeStep = beforeStep;
  }

  /** Lets everything finish, reads all, and judges. @throws SimViolation */
  run(): CheckReport {
    const { world } = this;
    this.chaos.stop();
    world.recorder.phase('heal');
    this.finishWork();
    this.flushAll();
    this.restart();
    world.recorder.phase('drain', 'audit');
    for (const topic of world.liveTopics()) if (!isTimed(topic)) this.readTopic(topic);
    this.readByGroup();
    this.workload.timed.judge((topic) => this.bodiesOf(topic));
    world.recorder.phase('end');
    this.checkLedger();
    for (const group of this.workload.groups.groups) this.checkGroup(group);
    return this.judge();
  }

  private step(ms: number): void {
    this.beforeStep();
    this.world.clock.advance(ms);
    for (const part of ['agent', 'flusher', 'job'] as const) this.world.shard.step(part);
    this.chaos.observe();
    this.world.link.take(this.world.rig);
    if (this.world.rig.agent.context.fenced === undefined) return;
    // The last faults may show themselves now: after one restart there is none left.
    if (this.hasRestarted) throw new SimViolation('the shard is fenced although no fault is left');
    this.restart();
  }

  private restart(): void {
    this.hasRestarted = true;
    this.chaos.endLife(this.world.prng.chance(0.5) ? 'kill' : 'power-loss');
    this.workload.groups.lose();
    this.chaos.restartIfDead();
    this.workload.timed.restarted();
    this.workload.resume(this.world.flushMode === 'SYNC_FLUSH');
  }

  /** Producers get their acks, groups get everything and ack it. */
  private finishWork(): void {
    const { workload, world } = this;
    for (let round = 1; round <= ROUNDS_MAX; round += 1) {
      this.step(round % LONG_ROUND === 0 ? 1500 : 2);
      workload.producers.resend();
      if (round % 10 === 0) workload.askAgain();
      for (const member of workload.groups.members) this.consume(member);
      if (round % LONG_ROUND !== LONG_ROUND - 1) continue;
      workload.timed.hurry();
      // While something is under way nobody can tell whether more comes of it.
      const isAnswered = world.link.openCount === 0 && !workload.producers.isWaiting;
      const isQuiet = !workload.timed.finish() && isAnswered && world.link.openCount === 0;
      if (isQuiet && workload.groups.groups.every((group) => this.hasFinished(group))) return;
    }
    const open = `${world.link.openCount} answers open, producers: ${workload.producers.describeWaiting()}`;
    const groups = workload.groups.groups.map((group) => `${group.name} ${this.lagOf(group)}`);
    throw new SimViolation(
      `not finished after ${ROUNDS_MAX} rounds: ${open}; ${workload.timed.describeWaiting()}; lags: ${groups}`,
    );
  }

  private consume(member: Member): void {
    const { groups } = this.workload;
    if (groups.topicOf(member.group)?.state !== 'live') return;
    if (member.subscription === 0) this.workload.attach(member, CREDIT_ALL);
    if (member.subscription === 0) return;
    this.world.rig.flow(member.subscription, envelope.FLOW_RESUME);
    this.world.rig.flow(member.subscription, envelope.FLOW_SET, CREDIT_ALL);
    member.credit = CREDIT_ALL;
    while (member.hand.length > 0)
      groups.settle(member, envelope.SETTLE_ACK, 0, RUNS_AT_END, RUN_AT_END_MAX);
  }

  private hasFinished(group: SimGroup): boolean {
    if (this.workload.groups.topicOf(group)?.state !== 'live') return true;
    return this.lagOf(group) === 0 && group.busy === 0;
  }

  private lagOf(group: SimGroup): number {
    const status = this.ask((onAnswer) =>
      this.world.control({ op: 'groupStatus', groupId: group.groupId }, onAnswer),
    );
    if (status?.kind !== 'control') return -1;
    return (status.result as GroupStatus).queues.reduce((sum, queue) => sum + queue.lag, 0);
  }

  /** Sends one request and runs the shard until it is answered. */
  private ask(send: (onAnswer: (answer: Answer) => void) => boolean): Answer {
    let answer: Answer;
    let isAnswered = false;
    const onAnswer = (given: Answer): void => {
      answer = given;
      isAnswered = true;
    };
    let isSent = send(onAnswer);
    for (let round = 0; round < ROUNDS_MAX && !isAnswered; round += 1) {
      this.step(1);
      if (!isSent) isSent = send(onAnswer);
    }
    if (!isAnswered) throw new SimViolation('a request is not answered although no fault is left');
    return answer;
  }

  private flushAll(): void {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const { appended, flushed } = this.world.rig.memory;
      if (appended.observe() === flushed.observe()) return;
      this.step(5);
    }
    throw new SimViolation('what was appended is never flushed');
  }

  private readTopic(topic: SimTopic): void {
    for (let q = 0; q < topic.record.queues; q += 1) {
      const name = `${topic.name}/${q}`;
      const slots = new Map<number, string>();
      this.found.set(name, slots);
      this.world.recorder.session('audit', 'audit', [name]);
      const queue = this.world.rig.agent.context.state.queue(topic.topicId, q);
      let next = queue?.minOffset ?? 0;
      for (let end = next; ; ) {
        const answer = this.fetch(topic, q, next);
        record(this.world, 'audit', 'audit', topic, q, answer);
        for (const { offset, body } of answer.records) {
          this.checkNext(name, end, offset, slots.size);
          slots.set(offset, idOf(body));
          end = offset + 1;
        }
        this.checkUnreadable(name, answer);
        if (answer.next <= next) break;
        next = answer.next;
      }
    }
  }

  /** All bodies of a topic. */
  private bodiesOf(topic: SiteTopic): string[] {
    const bodies: string[] = [];
    for (let q = 0; q < topic.queues; q += 1) {
      const queue = this.world.rig.agent.context.state.queue(topic.topicId, q);
      for (let next = queue?.minOffset ?? 0; ; ) {
        const answer = this.fetch(topic, q, next);
        bodies.push(...answer.records.map(({ body }) => body));
        this.checkUnreadable(`${topic.name}/${q}`, answer);
        if (answer.next <= next) break;
        next = answer.next;
      }
    }
    return bodies;
  }

  private fetch(topic: Pick<SiteTopic, 'name' | 'topicId'>, q: number, next: number): Fetched {
    const { link, rig } = this.world;
    const answer = this.ask((onAnswer) =>
      link.expect(rig.fetch(topic.topicId, q, next, 100), onAnswer),
    );
    // Retention went on meanwhile.
    const minOffset = rig.agent.context.state.queue(topic.topicId, q)?.minOffset ?? 0;
    if (answer?.kind === 'failed' && next < minOffset) return this.fetch(topic, q, minOffset);
    if (answer?.kind !== 'fetched')
      throw new SimViolation(`${topic.name}/${q} from ${next}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Offsets of a queue follow each other: what lies behind a gap was cut once, or something of the middle is gone. */
  private checkNext(name: string, end: number, offset: number, foundCount: number): void {
    if (offset === end || foundCount === 0 || this.world.rotPositions.length > 0) return;
    throw new SimViolation(`${name} goes on at @${offset} after @${end - 1}`);
  }

  private checkUnreadable(name: string, { extents }: Fetched): void {
    for (const { unreadable, firstOffset } of extents) {
      if (unreadable === undefined || this.world.rotPositions.length > 0) continue;
      throw new SimViolation(`${name}@${firstOffset} cannot be read: ${unreadable}`);
    }
  }

  /** A group that never was before gets exactly what is there, dead letters included. */
  private readByGroup(): void {
    const { groups } = this.workload;
    const { world } = this;
    this.ask((onAnswer) => {
      const identity = { groupId: AUDIT_GROUP_ID, group: 'fresh', maxAttempts: 1000 };
      return world.control(
        { op: 'putGroup', group: { ...identity, retryBackoffMs: [] } },
        onAnswer,
      );
    });
    for (const topic of world.liveTopics().filter((one) => !isTimed(one))) {
      const seen = new Map<string, Set<number>>();
      const group: SimGroup = {
        ...{ groupId: AUDIT_GROUP_ID, name: 'fresh', topicId: topic.topicId, maxAttempts: 1000 },
        ...{
          filter: null,
          acked: new Set<string>(),
          hasSkipped: false,
          busy: 0,
          attempts: new Map<string, number>(),
          mayRestart: new Map<string, number>(),
        },
      };
      const member = newMember(`fresh-${topic.topicId}`, group);
      groups.members.push(member);
      groups.attach(member, 60_000, CREDIT_ALL);
      for (let round = 0; round < 200 && !this.isComplete(topic, seen); round += 1) {
        this.step(1);
        for (const { queueId, offset } of member.hand) {
          const name = `${topic.name}/${queueId}`;
          const offsets = seen.get(name) ?? new Set<number>();
          seen.set(name, offsets.add(offset));
        }
        while (member.hand.length > 0)
          groups.settle(member, envelope.SETTLE_ACK, 0, RUNS_AT_END, RUN_AT_END_MAX);
      }
      groups.members.pop();
    }
  }

  /** @throws SimViolation at the end of patience, through the caller's rounds */
  private isComplete(topic: SimTopic, seen: ReadonlyMap<string, ReadonlySet<number>>): boolean {
    for (let q = 0; q < topic.record.queues; q += 1) {
      const name = `${topic.name}/${q}`;
      for (const offset of this.found.get(name)?.keys() ?? [])
        if (seen.get(name)?.has(offset) !== true) return false;
    }
    return true;
  }

  /** What was acknowledged is there, unless there is a reason that is allowed. */
  private checkLedger(): void {
    const { world } = this;
    const there = new Set([...this.found.values()].flatMap((slots) => [...slots.values()]));
    for (const message of world.ledger.messages.values()) {
      if (message.ackedAtMs < 0 || there.has(message.id) || this.isExcused(message)) continue;
      const { id, topic, q, off, end } = message;
      throw new SimViolation(
        `${id} was acknowledged at ${topic}/${q}@${off}, end ${end}, and is lost`,
      );
    }
  }

  private isExcused(message: SimMessage): boolean {
    const topic = this.world.topics.find((one) => one.name === message.topic);
    if (topic?.state !== 'live' || message.excuse !== undefined || message.wasExpired) return true;
    const queue = this.world.rig.agent.context.state.queue(topic.topicId, message.q);
    return queue !== undefined && message.off < queue.minOffset;
  }

  /** What a group did not ack is a dead letter: nothing is passed over in silence. */
  private checkGroup(group: SimGroup): void {
    const { world } = this;
    const topic = this.workload.groups.topicOf(group);
    if (topic?.state !== 'live' || group.hasSkipped || world.rotPositions.length > 0) return;
    const letters = world.topics.find(
      ({ record: one, state }) => one.deadLetterOf === group.groupId && state === 'live',
    );
    const dead = new Set(this.found.get(`${letters?.name}/0`)?.values() ?? []);
    world.counts.deadLetters += dead.size;
    for (let q = 0; q < topic.record.queues; q += 1) {
      for (const [offset, id] of this.found.get(`${topic.name}/${q}`) ?? []) {
        const message = world.known(id);
        if (message === undefined || group.acked.has(id) || dead.has(id)) continue;
        // Retention had let it go, and a restart before the next snapshot brought it back.
        if (message.wasExpired) continue;
        if (group.filter !== null && !group.filter.includes(message.tag)) continue;
        throw new SimViolation(
          `${id} at ${topic.name}/${q}@${offset} was neither acked by ${group.name} nor is it a dead letter`,
        );
      }
    }
  }

  /** The history without what may be gone, through the checker. */
  private judge(): CheckReport {
    const { world } = this;
    const isAsync = world.flushMode === 'ASYNC_FLUSH';
    const excused = new Set<string>();
    for (const message of world.ledger.messages.values()) {
      const isOptional = message.excuse === 'rot' || message.wasExpired;
      if (isOptional || (message.excuse === undefined && this.isExcused(message)))
        excused.add(message.id);
    }
    const windowUs = (world.shard.config.flushIntervalMs + SLOW_FLUSH_MS) * 1000;
    const allowedLoss = { faultKinds: ['power-loss', 'lost-pages'], windowUs };
    return checkHistory(this.relevant(world.history.events, excused), {
      requirements: { ...QUIET_RUN, acked: 0, delivered: 0 },
      ...(isAsync ? { allowedLoss } : {}),
    });
  }

  private relevant(
    events: readonly HistoryEvent[],
    excused: ReadonlySet<string>,
  ): readonly HistoryEvent[] {
    if (excused.size === 0) return events;
    const slots = new Set<string>();
    for (const event of events)
      if (event.f === 'deliver' && excused.has(event.id))
        slots.add(`${event.topic}/${event.q}@${event.off}`);
    return events.filter((event) => {
      if (event.f === 'send' || event.f === 'deliver') return !excused.has(event.id);
      return event.f !== 'ack' || !slots.has(`${event.topic}/${event.q}@${event.off}`);
    });
  }
}

/** What has a time has an audit of its own. */
function isTimed({ writers }: SimTopic): boolean {
  return writers === 'timers';
}
