/**
 * A consumer group of a simulated cluster, at masters and, while they are away, at slaves: it acks, refuses and forgets what it is
 * given, and the checker holds brokers to it. What a slave has acknowledged as settled must not come again once the slave has
 * handed over, must be in the end's state, and nothing else may be there.
 */
import { GATE_ALONE } from '../log/log-memory.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import { type ClusterWatcher, type ClusterWorld, QUEUES, TOPIC_ID } from './cluster-world.ts';
import type { ShardRig } from './shard-rig.ts';
import { SimViolation } from './sim-invariants.ts';
import type { Delivery } from './sim-link.ts';
import type { SimNode } from './sim-node.ts';
import type { LogPlace } from './sim-site.ts';

export const CONSUMERS_ID = 2;
const CREDIT = 20;
const LEASE_MS = 300;
/** Steps in which the rest must be consumed once faults have stopped. */
const STEPS_MAX = 20_000;

/** An ack that a broker has answered. */
type Acked = {
  readonly what: string;
  readonly q: number;
  readonly offset: number;
  /** Where the batch of its message ends in the log. */
  readonly end: number;
  /** Who answered. */
  readonly by: string;
  /** Where its record ends at the latest in the log of a master; undefined: it is in the journal of a slave only. */
  logged: LogPlace | undefined;
  /** The log of the slave itself has that record: its journal need not have it any more. */
  isBack: boolean;
};

export class ClusterConsumers implements ClusterWatcher {
  private readonly world: ClusterWorld;
  private readonly acked = new Map<string, Acked>();
  /** Of those, what the log of a slave does not have yet. */
  private readonly away = new Set<Acked>();
  /** Ids of all messages for which an ack was sent, whatever came of it. */
  private readonly sent = new Set<string>();
  /** The subscription of each broker's process. */
  private readonly attached = new Map<SimNode, { rig: ShardRig; subscription: number }>();
  private readonly handedOver = new WeakSet<object>();
  private lastSubscription = 0;
  /** What has happened in this step with something that was settled at a slave: the moment for a fault. */
  moment: 'settled' | 'sent' | 'confirmed' | undefined;
  /** The slave that it is about. */
  momentOf: SimNode | undefined;
  private readonly sentBy = new WeakSet<object>();
  private readonly confirmedTo = new WeakSet<object>();
  /** The rest is consumed: everything is acked. */
  private isFinishing = false;

  constructor(world: ClusterWorld) {
    this.world = world;
    world.watchers.push(this);
    for (const node of world.nodes) node.link.onDeliver = (delivery) => this.take(node, delivery);
  }

  /** One thing that a consumer does. */
  act(): void {
    const { world } = this;
    const alone = world.nodes.filter(({ rig }) => rig?.memory.gate() === GATE_ALONE);
    const from = alone.length > 0 && world.prng.chance(0.6) ? alone : world.nodes;
    const node = world.pick(from) as SimNode;
    if (node.rig === undefined || !node.isAlive) return;
    if (!this.knowsGroup(world.master)) this.putGroup();
    else if (this.attached.get(node)?.rig !== node.rig || world.prng.chance(0.2))
      this.attach(node, node.rig);
    else this.giveCredit(node, node.rig);
  }

  /** What replication has come to. After each step of a node. */
  observe(node: SimNode): void {
    const { world } = this;
    for (const acked of this.away) {
      const { by, logged } = acked;
      if (by !== node.name || logged === undefined || node.flushed < logged.end) continue;
      acked.isBack = true;
      this.away.delete(acked);
    }
    for (const link of node.master?.links ?? []) {
      if (!link.hasHandedOver || this.handedOver.has(link) || node !== world.master) continue;
      this.handedOver.add(link);
      const end = node.rig?.memory.appended.observe() ?? 0;
      for (const acked of this.acked.values())
        if (acked.by === link.name && acked.logged === undefined) {
          acked.logged = { end, epoch: node.reign.epoch };
          world.counts.handedOver += 1;
        }
    }
    this.noteMoment(node);
  }

  private noteMoment(node: SimNode): void {
    const { slave } = node;
    const handingOver = slave?.handingOver;
    if (slave === undefined || handingOver === undefined || handingOver.records === 0) return;
    this.momentOf = node;
    if (!this.sentBy.has(slave)) this.moment = 'sent';
    this.sentBy.add(slave);
    if (!handingOver.isOver) return;
    if (!this.confirmedTo.has(slave)) this.moment = 'confirmed';
    this.confirmedTo.add(slave);
  }

  /** A shard has opened: what was settled above the end of its log it may have forgotten. */
  opened(node: SimNode): void {
    const end = node.rig?.memory.appended.observe() ?? 0;
    for (const [key, { by, logged, end: needed }] of this.acked)
      if (by === node.name && logged === undefined && needed > end) this.forget(key);
    if (node !== this.world.master) return;
    // Its confirmation was the last thing that was told, and a fault took it by right.
    if (!this.knowsGroup(node)) for (const key of this.acked.keys()) this.forget(key);
    // What it has settled as a slave goes into its log with the first of its own records.
    for (const acked of this.acked.values())
      if (acked.by === node.name && acked.logged === undefined)
        acked.logged = { end: Number.POSITIVE_INFINITY, epoch: node.reign.epoch };
  }

  /** A node has lost what it had behind its flushed position. Until a record is back, the slave's journal still has it. */
  lost(node: SimNode, flushed: number, isHeld: (place: LogPlace) => boolean): void {
    for (const [key, acked] of this.acked) {
      const isLogged = acked.logged !== undefined && isHeld(acked.logged);
      if (isLogged && acked.isBack) continue;
      const isDestroyed = acked.by === node.name && flushed === 0;
      if (isDestroyed || acked.isBack) this.forget(key);
      else if (!isLogged) acked.logged = undefined;
    }
  }

  /** Another broker reigns: it need not have what was logged and had not come back. @param has - is that in its log? */
  promoted(has: (place: LogPlace) => boolean): void {
    for (const [key, acked] of this.acked) {
      if (acked.logged === undefined) continue;
      const isOwn = acked.logged.end === Number.POSITIVE_INFINITY;
      if (!acked.isBack && !isOwn) acked.logged = undefined;
      else if (!has(acked.logged)) this.forget(key);
    }
  }

  /**
   * Faults have stopped: consumes what is left at the master.
   *
   * @param read - message by offset, as the queues of the master hold them
   */
  finish(read: readonly ReadonlyMap<number, string>[], step: () => void): void {
    this.isFinishing = true;
    const node = this.world.master;
    const rig = node.rig as ShardRig;
    // Retention goes on: what it has let go counts as settled.
    const ids = read.map(
      (queue, q) => new Map([...queue].filter(([offset]) => offset >= minOffset(rig, q))),
    );
    for (const { q, offset, what, by } of this.acked.values())
      if (ids[q]?.get(offset) === what && !this.isSettled(rig, q, offset))
        throw new SimViolation(`${what} at ${q}/${offset} was settled with ${by}, and is not`);
    this.checkSettled(rig, ids);
    if (!this.knowsGroup(node)) return;
    this.attach(node, rig);
    const isDone = (): boolean =>
      ids.every((queue, q) => [...queue.keys()].every((offset) => this.isSettled(rig, q, offset)));
    for (let turn = 0; turn < STEPS_MAX && !isDone(); turn += 1) {
      step();
      if (turn % 5 === 0) this.giveCredit(node, rig);
      // The group, or the subscription, may have come later than it was asked for.
      if (turn % 200 === 199) this.attach(node, rig);
    }
    if (!isDone()) throw new SimViolation('a group does not get all messages of its master');
    for (let turn = 0; turn < STEPS_MAX && !this.isEqual(node); turn += 1) step();
    for (const other of this.world.nodes) this.checkSame(node, other, ids);
  }

  /** Have all slaves the log of the master, down to the last record? */
  private isEqual({ rig }: SimNode): boolean {
    const end = rig?.memory.appended.observe();
    const isIdle = rig?.agent.context.control.isEmpty === true;
    return (
      isIdle && this.world.nodes.every((other) => other.rig?.memory.appended.observe() === end)
    );
  }

  /** What nobody has settled is not settled. */
  private checkSettled(rig: ShardRig, ids: readonly ReadonlyMap<number, string>[]): void {
    for (const [q, queue] of ids.entries())
      for (const [offset, what] of queue)
        if (this.isSettled(rig, q, offset) && !this.sent.has(what))
          throw new SimViolation(`${what} at ${q}/${offset} is settled, and nobody did that`);
  }

  /** What comes from one log is the same everywhere. */
  private checkSame(
    master: SimNode,
    other: SimNode,
    ids: readonly ReadonlyMap<number, string>[],
  ): void {
    const [mine, theirs] = [master.rig, other.rig];
    if (mine === undefined || theirs === undefined) return;
    for (const [q, queue] of ids.entries()) {
      // What the master's retention has let go meanwhile counts as settled there.
      const min = Math.max(minOffset(theirs, q), minOffset(mine, q));
      for (const [offset, what] of queue)
        if (offset >= min && this.isSettled(mine, q, offset) !== this.isSettled(theirs, q, offset))
          throw new SimViolation(
            `${what} at ${q}/${offset} is settled at one of ${master.name}, ${other.name} only`,
          );
    }
  }

  private isSettled(rig: ShardRig, q: number, offset: number): boolean {
    const one = rig.agent.context.state.groupQueue(CONSUMERS_ID, TOPIC_ID, q);
    return one !== undefined && (offset < one.settledThrough || one.settled.has(offset));
  }

  private putGroup(): void {
    const { master } = this.world;
    if (master.rig === undefined || !master.isAlive) return;
    const group = {
      ...{ groupId: CONSUMERS_ID, group: 'consumers', maxAttempts: 1000, retryBackoffMs: [50] },
    };
    master.rig.control({ op: 'putGroup', group });
  }

  private knowsGroup({ rig }: SimNode): boolean {
    return rig?.agent.context.state.groups.has(CONSUMERS_ID) === true;
  }

  private attach(node: SimNode, rig: ShardRig): void {
    const before = this.attached.get(node);
    if (before?.rig === rig) rig.control({ op: 'detach', subscription: before.subscription });
    this.lastSubscription += 1;
    const subscription = this.lastSubscription;
    const place = { groupId: CONSUMERS_ID, topicId: TOPIC_ID };
    const correlation = rig.control({
      op: 'attach',
      subscription,
      ...place,
      filter: null,
      from: { kind: 'earliest' },
      credit: CREDIT,
      leaseMs: LEASE_MS,
    });
    this.attached.delete(node);
    node.link.expect(correlation, (answer) => {
      if (answer?.kind !== 'control' || node.rig !== rig) return;
      this.attached.set(node, { rig, subscription });
      const queues = Array.from({ length: QUEUES }, (_, q) => [q, subscription] as const);
      rig.control({ op: 'assign', ...place, queues });
    });
  }

  private giveCredit(node: SimNode, rig: ShardRig): void {
    const one = this.attached.get(node);
    if (one?.rig === rig) rig.flow(one.subscription, envelope.FLOW_SET, CREDIT);
  }

  private take(node: SimNode, delivery: Delivery): void {
    const { world } = this;
    const { queueId, leaseId, records, extents } = delivery;
    const rig = node.rig as ShardRig;
    const ends = new Map<number, number>();
    for (const { firstOffset, count, end } of extents)
      for (let index = 0; index < count; index += 1) ends.set(firstOffset + index, end);
    const whats = records.map(({ body }) => body.split(' ')[0] as string);
    for (const [index, { offset }] of records.entries())
      this.checkDelivered(node, queueId, offset, whats[index] as string);
    const choice = world.prng.next();
    const [first] = records;
    if (first === undefined) return;
    const range = { queueId, offset: first.offset, count: records.length, leaseId };
    const settle = (action: number): number =>
      rig.settleRange(action, CONSUMERS_ID, TOPIC_ID, range);
    if (!this.isFinishing && choice < 0.1) settle(envelope.SETTLE_NACK);
    if (!this.isFinishing && choice < 0.25) return;
    for (const what of whats) this.sent.add(what);
    node.link.expect(settle(envelope.SETTLE_ACK), (answer) => {
      if (answer?.kind !== 'settled') return;
      const isMaster = node === world.master && node.isMaster;
      if (!isMaster && !node.isMaster) {
        world.counts.settledAtSlaves += records.length;
        this.moment = 'settled';
        this.momentOf = node;
      }
      // An old master's word counts for nothing that comes after it.
      if (node.isMaster && !isMaster) return;
      const logged = isMaster
        ? { end: node.rig?.memory.commit.observe() ?? 0, epoch: node.reign.epoch }
        : undefined;
      for (const [index, { offset }] of records.entries()) {
        const what = whats[index] as string;
        const end = ends.get(offset) ?? 0;
        const acked = { what, q: queueId, offset, end, by: node.name, logged, isBack: isMaster };
        const key = `${queueId} ${offset} ${what}`;
        if (this.acked.has(key)) continue;
        this.acked.set(key, acked);
        if (!isMaster) this.away.add(acked);
      }
    });
  }

  private forget(key: string): void {
    const acked = this.acked.get(key);
    if (acked !== undefined) this.away.delete(acked);
    this.acked.delete(key);
  }

  private checkDelivered(node: SimNode, q: number, offset: number, what: string): void {
    const { world } = this;
    const acked = this.acked.get(`${q} ${offset} ${what}`);
    if (acked?.logged === undefined || node !== world.master || !node.isMaster) return;
    // Deliveries may have been under way when the hand-over came.
    if (this.isSettled(node.rig as ShardRig, q, offset)) return;
    throw new SimViolation(
      `${what} at ${q}/${offset} was settled with ${acked.by}, and ${node.name} delivers it again`,
    );
  }
}

function minOffset({ agent }: ShardRig, q: number): number {
  return agent.context.state.queue(TOPIC_ID, q)?.minOffset ?? 0;
}
