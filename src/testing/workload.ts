/**
 * What clients do in a simulated run: a table of actions with weights, of which each seed has its own mixture. They act on
 * a living shard only; answers come later, or never.
 */
import { type Prng, seededPrng } from '../base/prng.ts';
import { KIB } from '../base/units.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { StartPoint } from '../protocol/shard-control.ts';
import { type Member, type SimGroup, SimGroups } from './sim-groups.ts';
import { SimInspections } from './sim-inspections.ts';
import { SimViolation } from './sim-invariants.ts';
import { SimProducers } from './sim-producers.ts';
import { SimPullers } from './sim-pullers.ts';
import { ShardSite, type SiteTopic, siteTopicOf } from './sim-site.ts';
import { SimTimed, type TimedPlan } from './sim-timed.ts';
import { KEEP_ALL, SimTopics } from './sim-topics.ts';
import type { World } from './sim-world.ts';

type Action = { readonly name: string; weight: number; readonly run: () => void };

/** Redrives of one run: each multiplies what the history must allow. */
const REDRIVES_MAX = 2;
/** Copies that one redrive may make of a message: of itself and of each copy of an earlier one, twice after a crash. */
const COPIES_MAX = 8;
/** Topics made beside the first ones. */
const EXTRA_TOPICS_MAX = 4;

export class Workload {
  readonly topics: SimTopics;
  readonly groups: SimGroups;
  readonly producers: SimProducers;
  readonly pullers: SimPullers;
  readonly timed: SimTimed;
  private readonly inspections: SimInspections;
  private readonly world: World;
  private readonly actions: readonly Action[];
  private readonly weightSum: number;
  private readonly leaseMs: number;
  private redrives = 0;
  private extraTopics = 0;

  /** @param timedPrng - chance of what has a time, apart from what the others do */
  constructor(world: World, timedPrng: Prng = seededPrng(1)) {
    this.world = world;
    this.topics = new SimTopics(world);
    this.groups = new SimGroups(world);
    this.producers = new SimProducers(world);
    this.pullers = new SimPullers(world);
    this.timed = new SimTimed(new ShardSite(world), timedPrng);
    world.onLoss = (isHeld) => {
      this.timed.lose(isHeld);
      this.groups.forgetAttempts();
    };
    this.inspections = new SimInspections(world);
    this.leaseMs = 500 + world.prng.integer(3000);
    world.link.onDeliver = (delivery) => this.groups.deliver(delivery);
    world.link.onEvent = (event) => {
      this.timed.onEvent(event);
      if (event.event === 'rot') this.noteRot(event.message);
      if (event.event !== 'needs-dead-letter-topic') return;
      const group = this.groups.groups.find((one) => one.groupId === event.groupId);
      if (group !== undefined) this.topics.onDeadLetterTopicNeeded(group);
    };
    this.actions = mixture(world.prng, this.table());
    this.weightSum = this.actions.reduce((sum, action) => sum + action.weight, 0);
  }

  /** The first topics and groups. */
  begin(): void {
    const { prng } = this.world;
    const orders = this.topics.create('orders', 1 + prng.integer(2), 'dedup');
    const events = this.topics.create('events', 1 + prng.integer(2), 'plain');
    const short = this.topics.create('short', 1, 'dedup', {
      retentionMs: 2000 + prng.integer(8000),
      retentionBytes: prng.chance(0.3) ? 24 * KIB : null,
      whenFull: prng.chance(0.5) ? 'drop-oldest' : 'drop-consumed',
    });
    const plans = [
      { name: 'billing', topic: orders, maxAttempts: 1000, filter: null },
      { name: 'red', topic: orders, maxAttempts: 1000, filter: ['red'] },
      { name: 'stock', topic: events, maxAttempts: 1 + prng.integer(3), filter: null },
      { name: 'audit-short', topic: short, maxAttempts: 1000, filter: null },
    ];
    plans.forEach(({ name, topic, maxAttempts, filter }, index) => {
      const identity = { groupId: index + 1, name, topicId: topic.topicId, maxAttempts, filter };
      const group = {
        ...identity,
        acked: new Set<string>(),
        hasSkipped: false,
        busy: 0,
        attempts: new Map<string, number>(),
        mayRestart: new Map<string, number>(),
      };
      this.groups.create(group, 1 + prng.integer(2));
      this.topics.putGroup(group, [20, 60]);
    });
  }

  /** The topics of what has a time, and whoever works with them. Behind `begin`. */
  beginTimed(plan: TimedPlan): void {
    const orders = this.world.topics.find(({ name }) => name === 'orders');
    if (orders !== undefined)
      this.timed.begin(plan, (name) => this.timedTopic(name, 1), siteTopicOf(orders));
  }

  /** A topic that only those write who work with what has a time. */
  timedTopic(name: string, queues: number): SiteTopic {
    return siteTopicOf(this.topics.create(name, queues, 'timers'));
  }

  /** Nothing is called damaged that nobody has damaged. */
  private noteRot(text: string): void {
    this.world.counts.rotReports += 1;
    if (this.world.rotPositions.length > 0) return;
    throw new SimViolation(`damage is reported, and there was none: ${text}`);
  }

  /** One action by chance. */
  act(): void {
    let ticket = this.world.prng.next() * this.weightSum;
    for (const action of this.actions) {
      ticket -= action.weight;
      if (ticket >= 0) continue;
      action.run();
      return;
    }
  }

  /** After a restart: learns what is there, and asks again for what was not confirmed. */
  resume(isExact: boolean): void {
    this.topics.learn(isExact);
    this.askAgain();
  }

  askAgain(): void {
    for (const topic of this.world.topics) if (topic.state === 'asked') this.topics.ask(topic);
    for (const group of this.groups.groups)
      if (!this.topics.isGroupKnown(group.groupId)) this.topics.putGroup(group, [20, 60]);
  }

  /** Attaches a member that is not. */
  attach(member: Member, credit?: number): void {
    if (!this.topics.isGroupKnown(member.group.groupId)) return;
    this.groups.attach(member, this.leaseMs, credit);
  }

  /**
   * Dead letters go back: copies of messages that the history knows once. It is told that they are sent again.
   *
   * @returns false when the group has no dead letters
   */
  redrive(group: SimGroup, max: number): boolean {
    const { world } = this;
    const hasLetters = world.topics.some(
      ({ record, state }) => record.deadLetterOf === group.groupId && state === 'live',
    );
    if (!hasLetters) return false;
    const from = this.groups.topicOf(group)?.name;
    for (const message of world.ledger.messages.values()) {
      if (message.topic !== from || message.isRefused) continue;
      const { id, producer, topic, crc } = message;
      for (let copy = 0; copy < COPIES_MAX; copy += 1) {
        world.recorder.sendInvoke({ id, p: producer, topic, crc });
        world.recorder.sendInfo(id);
      }
    }
    world.control({ op: 'redrive', groupId: group.groupId, max }, (answer) => {
      if (answer?.kind !== 'control') return;
      world.counts.redriven += (answer.result as { redriven: number }).redriven;
    });
    return true;
  }

  private table(): Action[] {
    const { world, groups, producers } = this;
    const { prng } = world;
    const member = (): Member => world.pick(groups.members) as Member;
    const settle = (action: number, argument = 0): void =>
      groups.settle(member(), action, argument, 1 + prng.integer(3));
    return [
      { name: 'send', weight: 30, run: () => producers.send() },
      { name: 'resend', weight: 8, run: () => producers.resend() },
      { name: 'duplicate', weight: 2, run: () => producers.sendDuplicate() },
      { name: 'wrong-sequence', weight: 2, run: () => producers.sendWrongSequence() },
      { name: 'epoch', weight: 0.5, run: () => producers.raiseEpoch() },
      { name: 'pull', weight: 6, run: () => this.pullers.pull() },
      { name: 'attach', weight: 6, run: () => this.attach(member()) },
      { name: 'detach', weight: 0.6, run: () => groups.detach(member()) },
      { name: 'ack', weight: 20, run: () => settle(envelope.SETTLE_ACK) },
      { name: 'nack', weight: 6, run: () => settle(envelope.SETTLE_NACK, this.nackDelay()) },
      { name: 'extend', weight: 1, run: () => settle(envelope.SETTLE_EXTEND, this.leaseMs) },
      { name: 'release', weight: 1.5, run: () => settle(envelope.SETTLE_RELEASE) },
      { name: 'ghost', weight: 1, run: () => groups.ackGhost() },
      { name: 'seek', weight: 0.5, run: () => this.seek() },
      { name: 'pause', weight: 0.6, run: () => this.pause(member()) },
      { name: 'ask', weight: 2, run: () => this.askAgain() },
      { name: 'new-topic', weight: 0.3, run: () => this.newTopic() },
      { name: 'drop-topic', weight: 0.2, run: () => this.dropTopic() },
      { name: 'redrive', weight: 0.5, run: () => this.redriveSome() },
      { name: 'status', weight: 0.6, run: () => this.inspections.status() },
      { name: 'find', weight: 0.6, run: () => this.inspections.find() },
      { name: 'locate', weight: 0.6, run: () => this.inspections.locate() },
      { name: 'drain', weight: 0.2, run: () => void world.control({ op: 'drain' }, () => {}) },
    ];
  }

  private nackDelay(): number {
    const { prng } = this.world;
    return prng.chance(0.4) ? envelope.SETTLE_DELAY_DEFAULT : prng.integer(80);
  }

  private seek(): void {
    const { prng } = this.world;
    const group = this.world.pick(this.groups.groups);
    if (group === undefined) return;
    const points: readonly StartPoint[] = [
      { kind: 'earliest' },
      { kind: 'latest' },
      { kind: 'time', epochMs: this.world.clock.epochMs() - prng.integer(3000) },
      { kind: 'offsets', offsets: { 0: prng.integer(200) } },
    ];
    this.groups.seek(group, points[prng.integer(points.length)] as StartPoint);
  }

  private pause({ subscription }: Member): void {
    if (subscription === 0) return;
    const isPause = this.world.prng.chance(0.4);
    const action = isPause ? envelope.FLOW_PAUSE : envelope.FLOW_RESUME;
    this.world.rig.flow(subscription, action);
  }

  private newTopic(): void {
    if (this.extraTopics >= EXTRA_TOPICS_MAX) return;
    this.extraTopics += 1;
    const writers = this.world.prng.chance(0.5) ? 'dedup' : 'plain';
    const queues = 1 + this.world.prng.integer(3);
    this.topics.create(`extra-${this.extraTopics}`, queues, writers, KEEP_ALL);
  }

  private dropTopic(): void {
    const extra = this.world.liveTopics().filter((topic) => topic.name.startsWith('extra-'));
    const topic = this.world.pick(extra);
    if (topic !== undefined) this.topics.remove(topic);
  }

  private redriveSome(): void {
    const group = this.groups.groups.find((one) => one.name === 'stock');
    if (group === undefined || this.redrives >= REDRIVES_MAX) return;
    if (this.redrive(group, 1 + this.world.prng.integer(50))) this.redrives += 1;
  }
}

/** Each seed leaves some actions out and does others more often, so that each is also met without the rest. */
function mixture(prng: Prng, table: readonly Action[]): readonly Action[] {
  const essential = new Set(['send', 'resend', 'attach', 'ack', 'ask']);
  return table.map((action) => {
    const factor = essential.has(action.name)
      ? 0.5 + prng.next()
      : ([0, 0.5, 1, 1, 3][prng.integer(5)] as number);
    return { ...action, weight: action.weight * factor };
  });
}
