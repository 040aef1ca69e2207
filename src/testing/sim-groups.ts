/**
 * Consumer groups of a simulated run: members that come and go, ack, nack, let leases end, give back, seek. What the broker
 * says is settled must stay settled; what it delivered under an earlier life must not be settled in a later one.
 */

import * as envelope from '../protocol/envelope-layout.ts';
import type { StartPoint } from '../protocol/shard-control.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Delivery } from './sim-link.ts';
import { idOf } from './sim-messages.ts';
import type { SimTopic, World } from './sim-world.ts';

/** Messages that a member holds at most. */
const CREDIT = 40;
/** Messages of one range that is settled. */
const RUN_MAX = 8;
/** Deliveries of earlier lives that are remembered, to try their leases. */
const GHOSTS_MAX = 6;

export type SimGroup = {
  readonly groupId: number;
  readonly name: string;
  readonly maxAttempts: number;
  readonly filter: readonly string[] | null;
  readonly topicId: number;
  /** Ids of messages that it asked to ack, whatever the answer. */
  readonly acked: Set<string>;
  /** It was set forward: messages may have been passed over. */
  hasSkipped: boolean;
  /** Settle requests and seeks under way: while there are any, no seek is made, so that their order is known. */
  busy: number;
  /** Slots → number that the next delivery has at least: one more than that of the delivery whose refusal was confirmed. */
  readonly attempts: Map<string, number>;
  /** Slots that were given back, and queues that were set back: where order may begin anew, when it comes to that. */
  readonly mayRestart: Map<string, number>;
};

/** A message in a member's hands. */
type Held = {
  readonly id: string;
  readonly queueId: number;
  readonly offset: number;
  readonly leaseId: number;
  readonly attempt: number;
  /** Not for this member by its filter, or unreadable: settled without a word, as the front door does. */
  readonly isSilent: boolean;
};

export type Member = {
  readonly name: string;
  readonly group: SimGroup;
  /** 0: not attached. */
  subscription: number;
  hand: Held[];
  /** Messages that it was ever willing to hold at one time. */
  credit: number;
  /** Queue → last offset that came for the first time, since the session began. */
  readonly last: Map<number, number>;
};

/** A member that is not attached. */
export function newMember(name: string, group: SimGroup): Member {
  return { name, group, subscription: 0, hand: [], credit: 0, last: new Map() };
}

export class SimGroups {
  readonly groups: SimGroup[] = [];
  readonly members: Member[] = [];
  private readonly world: World;
  private ghosts: { group: SimGroup; held: Held }[] = [];

  constructor(world: World) {
    this.world = world;
  }

  create(group: SimGroup, members: number): void {
    this.groups.push(group);
    for (let index = 0; index < members; index += 1) {
      const name = `${group.name}-${index}`;
      this.members.push(newMember(name, group));
    }
  }

  attach(member: Member, leaseMs: number, credit: number = CREDIT): void {
    const { world } = this;
    const { group } = member;
    if (member.subscription !== 0 || this.topicOf(group)?.state !== 'live') return;
    world.subscriptionMax += 1;
    const subscription = world.subscriptionMax;
    const { groupId, topicId, filter } = group;
    const isSent = world.control(
      {
        op: 'attach',
        subscription,
        groupId,
        topicId,
        filter,
        from: { kind: 'earliest' },
        credit,
        leaseMs,
      },
      (answer) => {
        if (answer?.kind === 'failed') member.subscription = 0;
      },
    );
    if (!isSent) return;
    member.subscription = subscription;
    member.credit = credit;
    this.assign(group);
  }

  detach(member: Member): void {
    const { subscription } = member;
    if (subscription === 0) return;
    this.world.link.take(this.world.rig);
    if (!this.world.control({ op: 'detach', subscription }, () => {})) return;
    member.subscription = 0;
    member.hand = [];
    this.assign(member.group);
  }

  /** Divides the queues among the attached members. */
  assign(group: SimGroup): void {
    const { world } = this;
    const topic = this.topicOf(group);
    if (topic === undefined) return;
    const attached = this.members.filter((one) => one.group === group && one.subscription !== 0);
    const queues: [number, number][] = [];
    for (let q = 0; q < topic.record.queues && attached.length > 0; q += 1)
      queues.push([q, (attached[q % attached.length] as Member).subscription]);
    this.startSessions(group);
    const { groupId, topicId } = group;
    world.control({ op: 'assign', groupId, topicId, queues }, () => {});
  }

  /** What arrives for a member; for nobody when it was detached meanwhile. */
  deliver(delivery: Delivery): void {
    const member = this.members.find((one) => one.subscription === delivery.subscription);
    if (member === undefined || member.subscription === 0) return;
    const topic = this.world.topic(delivery.topicId);
    if (topic === undefined || topic.topicId !== member.group.topicId)
      throw new SimViolation(`topic ${delivery.topicId} was delivered to ${member.name}`);
    const { queueId, leaseId } = delivery;
    for (const extent of delivery.extents) {
      if (extent.unreadable === undefined) continue;
      this.world.counts.unreadable += 1;
      // Damaged is for ever; anything else is the disk's mood: the lease ends, and the message comes again.
      if (extent.unreadable !== 'RECORD_CORRUPT') continue;
      for (let index = 0; index < extent.count; index += 1) {
        const offset = extent.firstOffset + index;
        member.hand.push({ id: '', queueId, offset, leaseId, attempt: 0, isSilent: true });
      }
    }
    for (const record of delivery.records) {
      const id = idOf(record.body);
      const { filter } = member.group;
      const isSilent = filter !== null && !filter.includes(record.tag);
      const { attempt } = delivery;
      member.hand.push({ id, queueId, offset: record.offset, leaseId, attempt, isSilent });
      this.checkAttempt(member.group, slotName(queueId, record.offset), attempt);
      const off = record.offset;
      const crc = this.world.ledger.note(topic.name, queueId, off, id, record.body);
      if (isSilent) continue;
      if (attempt === 1) this.checkRestart(member, topic, queueId, off);
      const slot = { topic: topic.name, q: queueId, off };
      const [c, g] = [member.name, member.group.name];
      this.world.recorder.deliver({ id, c, g, ...slot, attempt, crc, via: 'push' });
    }
    if (member.hand.length > member.credit)
      throw new SimViolation(
        `${member.name} holds ${member.hand.length} messages with a credit of ${member.credit}`,
      );
  }

  /** Acks, nacks, extends or gives back a run of what a member holds. */
  settle(member: Member, action: number, argument = 0, runs = 1, runMax: number = RUN_MAX): void {
    const { world } = this;
    const { group } = member;
    const topic = this.topicOf(group);
    if (topic === undefined || member.hand.length === 0 || member.subscription === 0) return;
    const taken: Held[][] = [];
    for (let run = 0; run < runs && member.hand.length > 0; run += 1)
      taken.push(this.takeRun(member, action !== envelope.SETTLE_EXTEND, runMax));
    const isAck = action === envelope.SETTLE_ACK;
    const held = taken.flat();
    if (isAck) this.recordAck('invoke', member, topic, held);
    const ranges = taken.map((run) => {
      const { queueId, offset, leaseId } = run[0] as Held;
      return { queueId, offset, leaseId, count: run.length };
    });
    if (action === envelope.SETTLE_RELEASE)
      for (const { queueId, offset } of held) allowRestart(group, slotName(queueId, offset));
    group.busy += 1;
    const { groupId, topicId } = group;
    const reason = action === envelope.SETTLE_NACK ? 'no stock' : '';
    const correlation = world.rig.settleRanges(action, groupId, topicId, ranges, argument, reason);
    const isNack = action === envelope.SETTLE_NACK;
    const isSent = world.link.expect(correlation, (answer) => {
      group.busy -= 1;
      if (isNack && answer?.kind === 'settled') noteRefused(group, held);
      if (isAck) this.recordAck(answer?.kind === 'settled' ? 'ok' : 'info', member, topic, held);
    });
    if (!isSent) {
      group.busy -= 1;
      if (isAck) this.recordAck('info', member, topic, held);
    } else if (action !== envelope.SETTLE_EXTEND) {
      world.rig.flow(member.subscription, envelope.FLOW_ADD, held.length);
    }
  }

  /** An ack with a lease of an earlier life must be refused. */
  ackGhost(): void {
    const ghost = this.ghosts.pop();
    if (ghost === undefined) return;
    const { groupId, topicId, name } = ghost.group;
    const range = { ...ghost.held, count: 1 };
    const correlation = this.world.rig.settleRange(envelope.SETTLE_ACK, groupId, topicId, range);
    this.world.link.expect(correlation, (answer) => {
      if (answer?.kind === 'settled')
        throw new SimViolation(`${name} could ack offset ${range.offset} with a lease of before`);
      if (answer?.kind === 'failed') this.world.counts.staleLeases += 1;
    });
  }

  /** Sets a group somewhere else; not while something of it is under way, so that the history stays readable. */
  seek(group: SimGroup, to: StartPoint): void {
    const { world } = this;
    const topic = this.topicOf(group);
    world.link.take(world.rig);
    if (topic?.state !== 'live' || group.busy > 0) return;
    for (let q = 0; q < topic.record.queues; q += 1) {
      world.recorder.reset({ g: group.name, topic: topic.name, q, off: 0 });
      allowRestart(group, slotName(q, -1));
    }
    for (const member of this.members) if (member.group === group) member.hand = [];
    group.attempts.clear();
    if (to.kind !== 'earliest') group.hasSkipped = true;
    const { groupId, topicId } = group;
    group.busy += 1;
    const isSent = world.control({ op: 'seek', groupId, topicId, to, dryRun: false }, () => {
      group.busy -= 1;
    });
    if (!isSent) group.busy -= 1;
  }

  /** What was not flushed may be gone, where the mode allows it: nobody knows how often messages came. */
  forgetAttempts(): void {
    for (const group of this.groups) group.attempts.clear();
  }

  /** The shard is gone: so are all subscriptions and leases. */
  lose(): void {
    const { world } = this;
    for (const member of this.members) {
      member.subscription = 0;
      const held = world.pick(member.hand);
      if (held !== undefined) this.ghosts.push({ group: member.group, held });
      member.hand = [];
    }
    this.ghosts = this.ghosts.slice(-GHOSTS_MAX);
  }

  topicOf(group: SimGroup): SimTopic | undefined {
    return this.world.topic(group.topicId);
  }

  /** Order starts anew for everybody in the group: queues change hands. */
  private startSessions(group: SimGroup): void {
    const { world } = this;
    const topic = this.topicOf(group);
    if (topic === undefined) return;
    world.link.take(world.rig);
    for (const member of this.members)
      if (member.group === group && member.subscription !== 0) this.startSession(member, topic);
  }

  private startSession(member: Member, topic: SimTopic): void {
    member.last.clear();
    const assigned = Array.from({ length: topic.record.queues }, (_, q) => `${topic.name}/${q}`);
    this.world.recorder.session(member.name, member.group.name, assigned);
  }

  /**
   * What was given back, or lies behind a seek, comes for the first time once more. Requests wait in the ring while
   * deliveries go on, so only the delivery itself shows when that begins.
   */
  private checkRestart(member: Member, topic: SimTopic, q: number, offset: number): void {
    const { group } = member;
    const last = member.last.get(q) ?? -1;
    const wasReleased = takeRestart(group, slotName(q, offset));
    if (offset <= last && (wasReleased || takeRestart(group, slotName(q, -1))))
      this.startSession(member, topic);
    member.last.set(q, Math.max(offset, member.last.get(q) ?? -1));
  }

  /** How often a message came is not forgotten, and nobody is given one whose attempts are used up. */
  private checkAttempt(group: SimGroup, slot: string, attempt: number): void {
    if (attempt > group.maxAttempts)
      throw new SimViolation(`${group.name} gets ${slot} for the ${attempt}th time`);
    if (attempt < (group.attempts.get(slot) ?? 0) && this.world.rotPositions.length === 0)
      throw new SimViolation(
        `${slot} comes to ${group.name} as attempt ${attempt}, at least ${group.attempts.get(slot)} is next`,
      );
  }

  /** A run of consecutive messages of one lease, from anywhere in the hand. */
  private takeRun(member: Member, removes: boolean, runMax: number): Held[] {
    const { prng } = this.world;
    const from = prng.integer(member.hand.length);
    const first = member.hand[from] as Held;
    let length = 1;
    const wanted = 1 + prng.integer(runMax);
    for (; length < wanted; length += 1) {
      const next = member.hand[from + length];
      const follows =
        next?.leaseId === first.leaseId &&
        next.queueId === first.queueId &&
        next.offset === first.offset + length;
      if (!follows) break;
    }
    return removes ? member.hand.splice(from, length) : member.hand.slice(from, from + length);
  }

  private recordAck(
    type: 'invoke' | 'ok' | 'info',
    member: Member,
    topic: SimTopic,
    held: readonly Held[],
  ): void {
    for (const { id, queueId, offset, isSilent } of held) {
      if (isSilent) continue;
      member.group.acked.add(id);
      const [c, g] = [member.name, member.group.name];
      this.world.recorder.ack(type, { topic: topic.name, q: queueId, off: offset, c, g });
    }
  }
}

function noteRefused({ attempts }: SimGroup, held: readonly Held[]): void {
  for (const { queueId, offset, attempt } of held) {
    const slot = slotName(queueId, offset);
    attempts.set(slot, Math.max(attempt + 1, attempts.get(slot) ?? 0));
  }
}

/** A slot of the group's topic; offset -1 stands for the queue. */
function slotName(q: number, offset: number): string {
  return `${q}@${offset}`;
}

function allowRestart({ mayRestart }: SimGroup, slot: string): void {
  mayRestart.set(slot, (mayRestart.get(slot) ?? 0) + 1);
}

/** @returns true when order may begin anew here, once */
function takeRestart({ mayRestart }: SimGroup, slot: string): boolean {
  const left = mayRestart.get(slot) ?? 0;
  if (left > 0) mayRestart.set(slot, left - 1);
  return left > 0;
}
