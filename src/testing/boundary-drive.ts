/**
 * What scripted runs are written in: short verbs on a simulated shard and its clients. Everything that a script does leaves
 * the same world behind as a seeded run, so the same audit judges it.
 */
import { seededPrng } from '../base/prng.ts';
import { KIB, MIB } from '../base/units.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { StartPoint } from '../protocol/shard-control.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import { RIG_CONFIG } from './shard-rig.ts';
import { CALM, SimChaos } from './sim-chaos.ts';
import { SimClock } from './sim-clock.ts';
import type { DiskFault, DiskOperation } from './sim-faults.ts';
import type { Member, SimGroup } from './sim-groups.ts';
import { type EndOfLife, type ShardPart, SimShard } from './sim-shard.ts';
import { SimStorage } from './sim-storage.ts';
import { KEEP_ALL, type TopicPlan } from './sim-topics.ts';
import { type SimTopic, World } from './sim-world.ts';
import { Workload } from './workload.ts';

const CAPACITY_BYTES: number = 8 * MIB;
const LEASE_MS = 1000;
const CREDIT = 1000;
/** Rounds after which a script that does not come to rest is wrong. */
const ROUNDS_MAX = 400;
const PARTS: readonly ShardPart[] = ['agent', 'flusher', 'job'];

/** Thrown through a script when its shard dies. */
export class ScriptCut extends Error {}

/** A small shard: segments of a few batches. */
export const SCRIPT_CONFIG: ShardConfig = {
  ...RIG_CONFIG,
  segmentBytes: 16 * KIB,
  tailBytes: 32 * KIB,
};

export class Drive {
  readonly world: World;
  readonly workload: Workload;
  readonly chaos: SimChaos;

  /** @param seed - of the disk's chance only: the script itself has none */
  constructor(config: Partial<ShardConfig>, seed: number) {
    const clock = new SimClock();
    const prng = seededPrng(seed);
    const storage = new SimStorage({ prng, clock, capacityBytes: CAPACITY_BYTES });
    const shard = new SimShard(storage, clock, { ...SCRIPT_CONFIG, ...config });
    this.world = new World(seededPrng(1), shard, 'fixed');
    this.chaos = new SimChaos(this.world, CALM, CAPACITY_BYTES, prng);
    this.workload = new Workload(this.world);
    this.world.recorder.phase('run');
  }

  /** Opens the shard, for the first time or again. */
  open(): void {
    const { shard } = this.world;
    if (!shard.open()) throw new ScriptCut();
    this.workload.resume(this.world.flushMode === 'SYNC_FLUSH');
    this.settle();
  }

  /** The process dies, or the power does; then the shard is opened again. */
  restart(how: EndOfLife): void {
    this.chaos.endLife(how);
    this.workload.groups.lose();
    this.open();
  }

  /** Topic with one or more queues, confirmed. */
  topic(
    name: string,
    writers: 'dedup' | 'plain',
    queues = 1,
    plan: TopicPlan = KEEP_ALL,
  ): SimTopic {
    const topic = this.workload.topics.create(name, queues, writers, plan);
    this.settle();
    return topic;
  }

  /** Group with one member that is attached. */
  group(name: string, topic: SimTopic, maxAttempts = 1000): Member {
    const { groups, topics } = this.workload;
    const identity = { groupId: groups.groups.length + 1, name, topicId: topic.topicId };
    const group: SimGroup = {
      ...{ ...identity, maxAttempts, filter: null, acked: new Set<string>() },
      ...{ hasSkipped: false, busy: 0, mayRestart: new Map<string, number>() },
    };
    groups.create(group, 1);
    topics.putGroup(group, [20, 60]);
    this.settle();
    const member = groups.members.at(-1) as Member;
    this.attach(member);
    return member;
  }

  attach(member: Member): void {
    this.workload.groups.attach(member, LEASE_MS, CREDIT);
    this.settle();
  }

  /** Sends batches of one message each; nothing runs in between. */
  send(topic: SimTopic, batches = 1, bodyBytes = 168, q = 0): void {
    for (let batch = 0; batch < batches; batch += 1)
      this.workload.producers.sendTo(topic, q, [bodyBytes]);
  }

  /** Sends and waits for each ack. */
  sendAll(topic: SimTopic, batches: number, bodyBytes = 168, q = 0): void {
    for (let batch = 0; batch < batches; batch += 1) {
      this.send(topic, 1, bodyBytes, q);
      this.settle();
    }
  }

  /** Connections break: every answer under way is lost, and producers send again what was not acknowledged. */
  loseAnswers(): void {
    this.world.link.lose();
    this.workload.producers.resend();
  }

  ack(member: Member, count = 1000): void {
    this.settleSome(member, envelope.SETTLE_ACK, count);
  }

  nack(member: Member, count = 1000, delayMs = 10): void {
    this.settleSome(member, envelope.SETTLE_NACK, count, delayMs);
  }

  release(member: Member, count = 1000): void {
    this.settleSome(member, envelope.SETTLE_RELEASE, count);
  }

  seek(member: Member, to: StartPoint): void {
    this.workload.groups.seek(member.group, to);
  }

  /** The next call of this kind fails, once. */
  failNext(operation: DiskOperation, fault: DiskFault = 'STORAGE_IO'): void {
    const { faults } = this.world.shard.storage;
    faults.failNth(operation, faults.count(operation), fault);
  }

  /** Other programs leave this much of the disk. */
  leave(freeBytes: number): void {
    const { storage } = this.world.shard;
    const { totalBytes, freeBytes: free } = storage.space();
    storage.setCapacity(totalBytes - free + freeBytes);
  }

  /** Space enough again. */
  makeRoom(): void {
    this.world.shard.storage.setCapacity(CAPACITY_BYTES);
  }

  /** One duty cycle of one part. */
  step(part: ShardPart): number {
    const { shard } = this.world;
    const work = shard.step(part);
    this.chaos.observe();
    if (!shard.isAlive) throw new ScriptCut();
    return work;
  }

  /** Time passes, then everything runs until nothing has work. */
  pass(ms: number): void {
    this.world.clock.advance(ms);
    this.settle();
  }

  /** Runs everything until nothing has work, two milliseconds a round. */
  settle(): void {
    const { link, clock } = this.world;
    let idle = 0;
    for (let round = 0; round < ROUNDS_MAX && idle < 3; round += 1) {
      clock.advance(2);
      let work = 0;
      for (const part of PARTS) work += this.step(part);
      link.take(this.world.rig);
      idle = work === 0 ? idle + 1 : 0;
    }
  }

  private settleSome(member: Member, action: number, count: number, argument = 0): void {
    const { groups } = this.workload;
    for (let done = 0; done < count && member.hand.length > 0; done += 1)
      groups.settle(member, action, argument, 1, 1);
    this.settle();
  }
}
