/**
 * What must hold of a shard after every step, whatever was done to it: positions grow and keep their order, nothing is
 * visible that is not safe, everything that waits is bounded. It looks inside; what clients may see is the checker's.
 */
import { MIB } from '../base/units.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import type { ShardRig } from './shard-rig.ts';
import type { SimClock } from './sim-clock.ts';
import type { ShardPart } from './sim-shard.ts';

/** A promise that was broken, in words. */
export class SimViolation extends Error {
  override readonly name = 'SimViolation';
}

/** Side jobs that may wait at one time: each kind has at most a few under way. */
const JOBS_MAX = 24;
/** Control records that may wait for room in the log: the limit, and what one duty cycle adds before it is looked at. */
const CONTROL_BYTES_MAX: number = MIB;

type Positions = { appended: number; written: number; flushed: number; commit: number };

const NOWHERE: Positions = { appended: 0, written: 0, flushed: 0, commit: 0 };

export class ShardInvariants {
  private readonly clock: SimClock;
  private readonly config: ShardConfig;
  private last: Positions = NOWHERE;
  /** When the oldest byte that is written and not flushed was first seen so. */
  private unflushedSinceMs: number = Number.POSITIVE_INFINITY;

  constructor(clock: SimClock, config: ShardConfig) {
    this.clock = clock;
    this.config = config;
  }

  /** A new life: positions may have fallen to what the disk has. */
  begin(rig: ShardRig): void {
    this.last = positionsOf(rig);
    this.unflushedSinceMs = Number.POSITIVE_INFINITY;
    const { appended, written, flushed, commit } = this.last;
    if (appended !== written || written !== flushed || flushed !== commit)
      throw new SimViolation(`a recovered shard starts with ${JSON.stringify(this.last)}`);
  }

  /** @throws SimViolation @param startedAtMs - when the step began: a slow disk makes it last */
  check(rig: ShardRig, part: ShardPart, startedAtMs: number): void {
    const now = positionsOf(rig);
    this.checkPositions(now);
    this.checkBounds(rig, now);
    this.noteFlushed(now);
    if (part === 'flusher') this.checkFlushDelay(rig, now, startedAtMs);
    this.last = now;
  }

  private checkPositions(now: Positions): void {
    for (const name of ['appended', 'written', 'flushed', 'commit'] as const) {
      if (now[name] < this.last[name])
        throw new SimViolation(`${name} fell from ${this.last[name]} to ${now[name]}`);
    }
    const safe = this.config.flushMode === 'SYNC_FLUSH' ? now.flushed : now.written;
    if (now.commit > safe)
      throw new SimViolation(`commit ${now.commit} is above ${safe}, which is safe`);
    if (now.flushed > now.written || now.written > now.appended)
      throw new SimViolation(`positions are out of order: ${JSON.stringify(now)}`);
  }

  private checkBounds(rig: ShardRig, now: Positions): void {
    const { context } = rig.agent;
    if (now.appended - now.written > this.config.tailBytes)
      throw new SimViolation(`${now.appended - now.written} unwritten bytes overrun the window`);
    if (rig.jobs.length > JOBS_MAX)
      throw new SimViolation(
        `${rig.jobs.length} side jobs wait: ${rig.jobs.map((job) => job.kind)}`,
      );
    if (context.control.bytes > CONTROL_BYTES_MAX)
      throw new SimViolation(`${context.control.bytes} bytes of control records wait`);
  }

  /** What comes after a barrier waits anew. */
  private noteFlushed(now: Positions): void {
    const nowMs = this.clock.monotonicMs();
    if (now.flushed === now.written) this.unflushedSinceMs = Number.POSITIVE_INFINITY;
    else if (now.flushed > this.last.flushed || this.unflushedSinceMs > nowMs)
      this.unflushedSinceMs = nowMs;
  }

  /** Under ASYNC_FLUSH a barrier comes at the latest when the interval is over and the flusher has its turn. */
  private checkFlushDelay(rig: ShardRig, now: Positions, startedAtMs: number): void {
    if (rig.flusher.failure !== undefined) return;
    const delay = startedAtMs - this.unflushedSinceMs;
    if (delay >= this.config.flushIntervalMs && now.flushed < now.written)
      throw new SimViolation(`written bytes wait for ${delay} ms to be flushed`);
  }
}

function positionsOf({ memory }: ShardRig): Positions {
  return {
    appended: memory.appended.observe(),
    written: memory.written.observe(),
    flushed: memory.flushed.observe(),
    commit: memory.commit.observe(),
  };
}
