/**
 * A log at rest that somebody damages: built once by clients of a shard, copied for each piece of damage, recovered, read.
 * Whatever the damage is, what is served must be what was sent, and only what was damaged may be missing.
 */
import { invariant } from '../base/assert.ts';
import { seededPrng } from '../base/prng.ts';
import { segmentName } from '../log/file-names.ts';
import type { InspectedBatch } from '../log/log-inspect.ts';
import { runSideJob } from '../log/run-side-job.ts';
import { BODY_TEXT, STORED_HEADER_BYTES } from '../protocol/batch/batch-layout.ts';
import type { GroupStatus } from '../protocol/shard-control.ts';
import { chunkBytesOf, type ShardConfig } from '../shard/shard-config.ts';
import { Drive } from './boundary-drive.ts';
import type { RigReply } from './rig-replies.ts';
import { ShardRig } from './shard-rig.ts';
import { SimClock } from './sim-clock.ts';
import type { SimDamage } from './sim-damage.ts';
import { SimViolation } from './sim-invariants.ts';
import { readLog } from './sim-rot.ts';
import type { SimStorage } from './sim-storage.ts';
import type { SimTopic } from './sim-world.ts';
import { contentOf } from './storage-probe.ts';

/** What a damaged copy of the log said about itself. */
export type RotFinding = {
  /** It named damage: at recovery, to a reader, or in a scrub. */
  readonly isReported: boolean;
  /** Batches of the log of which some byte differs. */
  readonly damagedBatches: number;
  /** Records that were not served. */
  readonly missing: number;
};

/** A place in a queue, as text. */
type Slot = string;
type Served = { readonly records: Map<Slot, string>; readonly unreadable: number };

/** Milliseconds after which a snapshot and a checkpoint are due. */
const UPKEEP_MS = 6000;
const GROUP = 'g';

export class RottenLog {
  readonly config: ShardConfig;
  readonly batches: readonly InspectedBatch[];
  /** Files that are there, segments first. */
  readonly files: readonly string[];
  private readonly storage: SimStorage;
  private readonly topics: readonly SimTopic[];
  private readonly nowMs: number;
  private readonly sealed: readonly number[];
  private readonly records: ReadonlyMap<Slot, string>;
  private readonly lag: string;
  private readonly segments = new Map<string, Uint8Array>();

  /** Sealed segments with indexes, two snapshots, a tail that only the log has. */
  constructor() {
    const drive = new Drive({}, 1);
    const { world } = drive;
    this.topics = buildLog(drive);
    const { shard, clock } = world;
    this.config = shard.config;
    this.nowMs = clock.monotonicMs();
    shard.end('power-loss', seededPrng(1));
    this.storage = shard.storage;
    const { batches, flushed, end, snapshotPosition } = readLog(this.storage, this.config);
    // What is not known to be flushed may be cut: then damage would be no damage.
    invariant(flushed === end, 'all of the log is known to be flushed', flushed, end);
    invariant(snapshotPosition < end, 'the log has a tail behind the snapshot', snapshotPosition);
    this.batches = batches;
    this.files = this.storage.list().sort((a, b) => a.localeCompare(b));
    this.sealed = this.files
      .filter((name) => name.endsWith('.idx'))
      .map((name) => Number(name.slice(4, -4)));
    for (const name of this.files)
      if (name.endsWith('.seg')) this.segments.set(name, contentOf(this.storage, name));
    const copy = this.recover(this.storage.clone(seededPrng(1)));
    this.records = copy.served.records;
    this.lag = copy.lag;
  }

  get recordCount(): number {
    return this.records.size;
  }

  sizeOf(name: string): number {
    return contentOf(this.storage, name).length;
  }

  /** The segment file of a log position, and the place in it. */
  placeOf(position: number): readonly [name: string, byteOffset: number] {
    const { segmentBytes } = this.config;
    return [segmentName(Math.floor(position / segmentBytes)), position % segmentBytes];
  }

  /**
   * Recovers a copy that was damaged, and reads all of it.
   *
   * @throws SimViolation when something else was served than what was sent, or something undamaged was not
   */
  check(change: (damage: SimDamage) => void): RotFinding {
    const storage = this.storage.clone(seededPrng(1));
    change(storage.damage);
    const damaged = this.damagedIn(storage);
    const { served, events, lag, scrubbed, rig } = this.recover(storage);
    let missing = 0;
    for (const [slot, body] of this.records) {
      const found = served.records.get(slot);
      if (found === undefined) missing += 1;
      else if (found !== body) throw new SimViolation(`${slot} is served with another body`);
      if (found === undefined && !damaged.slots.has(slot))
        throw new SimViolation(`${slot} is undamaged and not served`);
    }
    for (const slot of served.records.keys())
      if (!this.records.has(slot)) throw new SimViolation(`${slot} is served, nobody sent it`);
    if (damaged.count === 0 && lag !== this.lag)
      throw new SimViolation(`the groups are at ${lag}, not at ${this.lag}`);
    this.checkNewOffsets(rig);
    const isReported = events > 0 || served.unreadable > 0 || scrubbed > 0;
    if (damaged.count > 0 && !isReported) throw new SimViolation('damage is not reported');
    return { isReported, damagedBatches: damaged.count, missing };
  }

  /** Batches whose bytes differ from what they were, and the slots in them. */
  private damagedIn(storage: SimStorage): { count: number; slots: ReadonlySet<Slot> } {
    const now = new Map<string, Uint8Array>();
    for (const [name, was] of this.segments) {
      const bytes = new Uint8Array(was.length);
      if (storage.exists(name)) bytes.set(contentOf(storage, name).subarray(0, was.length));
      now.set(name, bytes);
    }
    const slots = new Set<Slot>();
    let count = 0;
    for (const { position, topicId, queueId, baseOffset, recordCount, ...batch } of this.batches) {
      const [name, at] = this.placeOf(position);
      // Padding has a header only: nobody ever reads what stands behind it.
      const bytes = batch.kind === 'padding' ? STORED_HEADER_BYTES : batch.bytes;
      const was = this.segments.get(name)?.subarray(at, at + bytes) ?? new Uint8Array(0);
      const is = now.get(name)?.subarray(at, at + bytes) ?? new Uint8Array(0);
      if (Buffer.compare(was, is) === 0) continue;
      count += 1;
      for (let index = 0; index < recordCount; index += 1)
        slots.add(slotOf(topicId, queueId, baseOffset + index));
    }
    return { count, slots };
  }

  private recover(storage: SimStorage): {
    rig: ShardRig;
    served: Served;
    events: number;
    lag: string;
    scrubbed: number;
  } {
    const clock = new SimClock();
    clock.advance(this.nowMs);
    const rig = new ShardRig(storage, clock, this.config);
    const replies = rig.settle();
    const events = replies.filter(({ kind, ...rest }) => kind === 'event' && isRot(rest)).length;
    const served = this.readAll(rig);
    rig.control({ op: 'groupStatus', groupId: 1 });
    const status = rig.settle().find((reply) => reply.kind === 'control')?.result as GroupStatus;
    const lag = status.queues.map((queue) => `${queue.queueId}: ${queue.lag}`).join(', ');
    return { rig, served, events, lag, scrubbed: this.scrub(storage) };
  }

  private readAll(rig: ShardRig): Served {
    const records = new Map<Slot, string>();
    let unreadable = 0;
    for (const { topicId, record } of this.topics)
      for (let q = 0; q < record.queues; q += 1) {
        for (let next = 0; ; ) {
          const answer = fetchFrom(rig, topicId, q, next);
          for (const { offset, body } of answer.records)
            records.set(slotOf(topicId, q, offset), body);
          unreadable += answer.extents.filter((one) => one.unreadable !== undefined).length;
          if (answer.next <= next) break;
          next = answer.next;
        }
      }
    return { records, unreadable };
  }

  /** Places of damage that a scrub of the sealed segments finds. */
  private scrub(storage: SimStorage): number {
    const { segmentBytes } = this.config;
    const shape = { segmentBytes, chunkBytes: chunkBytesOf(this.config) };
    let count = 0;
    for (const segment of this.sealed) {
      const { damaged } = runSideJob(storage, { kind: 'scrub', job: 0, segment, ...shape });
      count += damaged?.length ?? 0;
    }
    return count;
  }

  /** Offsets that were given out are not given out again, whatever became of their messages. */
  private checkNewOffsets(rig: ShardRig): void {
    for (const { topicId } of this.topics) {
      rig.produce(topicId, 0, [{ body: 'new', bodyKind: BODY_TEXT }]);
      const produced = rig.settle().find((reply) => reply.kind === 'produced');
      if (produced?.kind !== 'produced') throw new SimViolation('nothing new is taken');
      for (const slot of this.records.keys())
        if (slot === slotOf(topicId, 0, produced.baseOffset))
          throw new SimViolation(`${slot} is given out again`);
    }
  }
}

/** Two topics, a group that is half way, sealed segments, snapshots in between and work behind the last one. */
function buildLog(drive: Drive): SimTopic[] {
  drive.open();
  const topics = [drive.topic('a', 'dedup', 2), drive.topic('b', 'plain')];
  const [first, second] = topics as [SimTopic, SimTopic];
  const member = drive.group(GROUP, first);
  for (let round = 0; round < 5; round += 1) {
    drive.sendAll(first, 4, 168, round % 2);
    drive.sendAll(first, 1, 3000);
    drive.sendAll(second, 3, 1000 + round * 200);
    drive.ack(member, 4);
    if (round === 1 || round === 3) drive.pass(UPKEEP_MS);
  }
  drive.sendAll(second, 3, 2500);
  drive.sendAll(first, 3);
  drive.pass(UPKEEP_MS);
  drive.sendAll(first, 6, 300, 1);
  drive.ack(member, 2);
  drive.sendAll(second, 2, 700);
  drive.detach(member);
  // Long enough for a checkpoint, too short for a snapshot.
  drive.pass(1100);
  drive.pass(1100);
  return topics;
}

function fetchFrom(
  rig: ShardRig,
  topicId: number,
  q: number,
  next: number,
): Extract<RigReply, { kind: 'fetched' }> {
  rig.fetch(topicId, q, next);
  const answer = rig.settle().find((reply) => reply.kind === 'fetched' || reply.kind === 'failed');
  if (answer?.kind === 'fetched') return answer;
  throw new SimViolation(`${slotOf(topicId, q, next)}: ${JSON.stringify(answer)}`);
}

function isRot(reply: unknown): boolean {
  return (reply as { event: { event: string } }).event.event === 'rot';
}

function slotOf(topicId: number, queueId: number, offset: number): Slot {
  return `topic ${topicId} queue ${queueId} @${offset}`;
}
