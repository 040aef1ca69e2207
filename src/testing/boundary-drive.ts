/**
 * What scripted runs are written in: short verbs on a simulated shard and its clients. Everything that a script does leaves
 * the same world behind as a seeded run, so the same audit judges it.
 */
import { seededPrng } from '../base/prng.ts';
import { KIB, MIB } from '../base/units.ts';
import * as envelope from '../protocol/envelope-layout.ts';
import type { StartPoint } from '../protocol/shard-control.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import type { CheckReport } from './history-report.ts';
import { RIG_CONFIG } from './shard-rig.ts';
import { SimAudit } from './sim-audit.ts';
import { CALM, SimChaos } from './sim-chaos.ts';
import { SimClock } from './sim-clock.ts';
import { type DiskFault, type DiskOperation, WORST_CRASH } from './sim-faults.ts';
import type { Member, SimGroup } from './sim-groups.ts';
import { CHECKS } from './sim-halves.ts';
import { SimViolation } from './sim-invariants.ts';
import { SECTOR_BYTES } from './sim-page.ts';
import { RetentionWatch } from './sim-retention.ts';
import { type EndOfLife, type ShardPart, SimShard } from './sim-shard.ts';
import { SimStandings } from './sim-standings.ts';
import { SimStorage } from './sim-storage.ts';
import { KEEP_ALL, type TopicPlan } from './sim-topics.ts';
import { type SimTopic, World } from './sim-world.ts';
import { Workload } from './workload.ts';

const CAPACITY_BYTES: number = 8 * MIB;
const LEASE_MS = 1000;
const CREDIT = 1000;
/** More than a segment. */
const GO_ON_BATCHES = 6;
const GO_ON_BYTES = 3000;
/** Rounds after which a script that does not come to rest is wrong. */
const ROUNDS_MAX = 400;
const PARTS: readonly ShardPart[] = ['agent', 'flusher', 'job'];

/** Thrown through a script when its shard dies. */
export class ScriptCut extends Error {}

/** A small shard: segments of a few batches. */
export const SCRIPT_CONFIG: ShardConfig = {
  ...RIG_CONFIG,
  ...CHECKS,
  segmentBytes: 16 * KIB,
  tailBytes: 32 * KIB,
};

export class Drive {
  readonly world: World;
  readonly workload: Workload;
  readonly chaos: SimChaos;
  /** Groups that pull. */
  readonly standings: SimStandings;
  private readonly retention: RetentionWatch;

  /** @param seed - of the disk's chance only: the script itself has none */
  constructor(config: Partial<ShardConfig>, seed: number) {
    const clock = new SimClock();
    const prng = seededPrng(seed);
    const storage = new SimStorage({ prng, clock, capacityBytes: CAPACITY_BYTES });
    const shard = new SimShard(storage, clock, { ...SCRIPT_CONFIG, ...config });
    this.world = new World(seededPrng(1), shard, 'fixed');
    this.chaos = new SimChaos(this.world, CALM, CAPACITY_BYTES, prng);
    this.chaos.profile = WORST_CRASH;
    this.workload = new Workload(this.world);
    this.standings = new SimStandings(this.world);
    this.retention = new RetentionWatch(this.world);
    this.world.recorder.phase('run');
  }

  /** Opens the shard, for the first time or again. */
  open(): void {
    this.openOnly();
    this.settle();
  }

  /** The process dies, or the power does; then the shard is opened again. */
  restart(how: EndOfLife): void {
    this.reopen(how);
    this.settle();
  }

  /** The same, but nothing runs yet: the first record of the new life waits for what comes with it. */
  reopen(how: EndOfLife): void {
    this.chaos.endLife(how);
    this.workload.groups.lose();
    this.workload.timed.restarted();
    this.openOnly();
  }

  private openOnly(): void {
    const { world, chaos, workload } = this;
    if (!world.shard.open()) throw new ScriptCut();
    chaos.opened();
    this.standings.check();
    workload.resume(world.flushMode === 'SYNC_FLUSH');
  }

  /** A member of a group that pulls says where it is. */
  commit(topic: SimTopic, q: number, offset: number): void {
    this.standings.commit(topic, q, offset);
    this.settle();
  }

  /** A client locks a queue, or gives it up. */
  lock(topic: SimTopic, q: number, client: string): void {
    this.standings.lock(topic, q, client);
    this.settle();
  }

  unlock(topic: SimTopic, q: number, client: string): void {
    this.standings.unlock(topic, q, client);
    this.settle();
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
      ...{
        hasSkipped: false,
        busy: 0,
        attempts: new Map<string, number>(),
        mayRestart: new Map<string, number>(),
      },
    };
    groups.create(group, 1);
    topics.putGroup(group, [20, 60]);
    this.settle();
    const member = groups.members.at(-1) as Member;
    this.attach(member);
    return member;
  }

  /** The topic of delayed messages, confirmed. */
  delayedTopic(): void {
    this.workload.timed.beginDelayed(this.workload.timedTopic('delayed', 1));
    this.settle();
  }

  /** Sends delayed batches of some messages each. */
  delay(delayMs: number, batches = 1, messages = 1): void {
    const { delayed } = this.workload.timed;
    for (let batch = 0; batch < batches; batch += 1) delayed?.send(messages, delayMs);
    this.settle();
  }

  /** The topic of half messages, confirmed. */
  halfTopic(): void {
    this.workload.timed.beginHalves(this.workload.timedTopic('halves', 1));
    this.settle();
  }

  /** Sends half messages of transactions. */
  half(messages: number): void {
    for (let sent = 0; sent < messages; sent += 1) this.workload.timed.halves?.send();
    this.settle();
  }

  /** Ends the transaction of a half message, whichever. */
  end(): void {
    this.workload.timed.halves?.endSome();
    this.settle();
  }

  /** Cancels a delayed message, whichever. */
  cancel(): void {
    this.workload.timed.delayed?.cancelSome();
    this.settle();
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

  /** Connections break and come back: what was not acknowledged is sent again and answered. */
  resend(): void {
    this.workload.producers.resend();
    this.workload.timed.delayed?.resend();
    this.workload.timed.halves?.resend();
    this.settle();
  }

  /** Everything that a script left behind: recovered, finished, read, and judged. @throws what was broken */
  audit(): CheckReport {
    const { world, workload, chaos } = this;
    this.recover();
    this.standings.check();
    const audit = new SimAudit(world, workload, chaos, () => this.retention.look());
    const report = audit.run();
    if (report.verdict === 'valid') return report;
    const lines = report.anomalies
      .slice(0, 3)
      .map(({ kind, t, text }) => `${kind} at ${t}: ${text}`);
    throw new SimViolation(`the history is ${report.verdict}: ${lines.join('; ')}`);
  }

  /** Opens the shard when it is dead; nothing goes wrong any more. */
  private recover(): void {
    const { world, workload, chaos } = this;
    chaos.stop();
    if (world.shard.isAlive) return;
    chaos.restartIfDead();
    workload.groups.lose();
    workload.timed.restarted();
    workload.resume(world.flushMode === 'SYNC_FLUSH');
  }

  /** The shard finishes its work and writes a snapshot. */
  drain(): void {
    this.world.control({ op: 'drain' }, () => {});
    this.settle();
  }

  /** Deletes a topic. */
  remove(topic: SimTopic): void {
    this.workload.topics.remove(topic);
    this.settle();
  }

  /** The group's dead letters go back. */
  redrive(member: Member): void {
    this.workload.redrive(member.group, 1000);
    this.settle();
  }

  detach(member: Member): void {
    this.workload.groups.detach(member);
    this.settle();
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
    this.settle();
  }

  /** The next call of this kind fails, once. */
  failNext(operation: DiskOperation, fault: DiskFault = 'STORAGE_IO'): void {
    const { faults } = this.world.shard.storage;
    faults.failNth(operation, faults.count(operation), fault);
  }

  /**
   * The power fails before the next barrier of the flusher. Of what was written, the disk has everything but the sector in
   * which it begins: the hardest case for a recovery, because most of what must be cut is whole.
   */
  loseFirstSector(): void {
    const { world, chaos } = this;
    const { storage } = world.shard;
    const { faults } = storage;
    const from = world.rig.memory.written.observe() % world.shard.config.segmentBytes;
    const before = faults.onBoundary;
    faults.onBoundary = (boundary, operation, name) => {
      before?.(boundary, operation, name);
      if (operation !== 'sync') return;
      faults.onBoundary = before;
      storage.writeBack(name, from + SECTOR_BYTES - (from % SECTOR_BYTES), CAPACITY_BYTES);
      faults.crashAt(boundary, 'before');
    };
    world.shard.step('flusher');
    chaos.endLife('power-loss');
    this.workload.groups.lose();
  }

  /** After a recovery: goes on writing into the next segment, and then the power fails for good. */
  goOn(): void {
    const { world, workload, chaos } = this;
    this.recover();
    this.settle();
    this.resend();
    const topic = world
      .liveTopics()
      .find(({ writers }) => writers === 'dedup' || writers === 'plain');
    if (topic !== undefined) this.sendAll(topic, GO_ON_BATCHES, GO_ON_BYTES);
    chaos.endLife('power-loss');
    workload.groups.lose();
  }

  /** Other programs leave this much of the disk. */
  leave(freeBytes: number): void {
    const { storage } = this.world.shard;
    this.world.hasBeenFull = true;
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
      this.retention.look();
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
