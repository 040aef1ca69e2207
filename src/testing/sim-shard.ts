/**
 * One shard on a simulated disk over all its lives: opened, run part by part, killed or cut from power, opened again. It
 * carries out what the seed decides and checks the invariants after every step; what clients do is `workload.ts`.
 */
import { SluiceError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import { ShardRig } from './shard-rig.ts';
import type { SimClock } from './sim-clock.ts';
import { SimCrash } from './sim-faults.ts';
import { ShardInvariants } from './sim-invariants.ts';
import type { CrashProfile } from './sim-page.ts';
import type { SimStorage } from './sim-storage.ts';

/** The parts that have a thread of their own in a broker: the seed decides whose turn it is. */
export type ShardPart = 'agent' | 'flusher' | 'job';

/** How a life ends: the page cache survives, or only what the disk has. */
export type EndOfLife = 'kill' | 'power-loss';

export class SimShard {
  readonly storage: SimStorage;
  readonly clock: SimClock;
  readonly config: ShardConfig;
  readonly invariants: ShardInvariants;
  /** The shard's thread has a turn in the middle of each sync of its flusher, and sees what is written and not flushed. */
  isOverlapping = false;
  /** The shard while it lives. */
  rig: ShardRig | undefined;
  /** Why the last attempt to open failed. */
  lastError: unknown;
  /** Lives so far. */
  lives = 0;
  /** Attempts to open that failed: crashes and errors during recovery. */
  failedOpens = 0;

  constructor(storage: SimStorage, clock: SimClock, config: ShardConfig) {
    this.storage = storage;
    this.clock = clock;
    this.config = config;
    this.invariants = new ShardInvariants(clock, config);
  }

  /** Recovers the shard. @returns false when the process died or gave up on the way: `end` it and try again */
  open(): boolean {
    try {
      this.rig = new ShardRig(this.storage, this.clock, this.config);
    } catch (error) {
      if (!isDiskTrouble(error)) throw error;
      this.lastError = error;
      this.failedOpens += 1;
      return false;
    }
    this.lives += 1;
    this.invariants.begin(this.rig);
    return true;
  }

  /** One duty cycle of one part. @returns work done; 0 as well when the process died in it, see `isAlive` */
  step(part: ShardPart): number {
    const { rig } = this;
    if (rig === undefined) return 0;
    let work = 0;
    const startedAtMs = this.clock.monotonicMs();
    try {
      if (part === 'agent') work = rig.agent.doWork();
      else if (part === 'flusher') work = this.flush(rig, startedAtMs);
      else work = rig.stepJob() ? 1 : 0;
    } catch (error) {
      if (!(error instanceof SimCrash)) throw error;
    }
    this.invariants.check(rig, part, startedAtMs);
    return work;
  }

  private flush(rig: ShardRig, startedAtMs: number): number {
    if (!this.isOverlapping) return rig.flusher.doWork();
    // The flusher takes whatever is thrown in a sync for an error of the disk, so it is kept until it is done.
    let broken: unknown;
    this.storage.duringSync = () => {
      try {
        rig.agent.doWork();
        this.invariants.check(rig, 'agent', startedAtMs);
      } catch (error) {
        broken ??= error;
      }
    };
    const work = rig.flusher.doWork();
    this.storage.duringSync = undefined;
    if (broken !== undefined) throw broken;
    return work;
  }

  /** Is there a process, and has its disk not killed it? */
  get isAlive(): boolean {
    return this.rig !== undefined && !this.storage.isDown;
  }

  /** Ends this life, or an attempt to begin one. @param profile - what a power loss takes; by chance when it is not given */
  end(how: EndOfLife, prng: Prng, profile?: CrashProfile): void {
    this.rig = undefined;
    if (how === 'kill') this.storage.kill();
    else this.storage.crash(prng, profile);
  }
}

/** The disk's doing: the simulated crash itself, or an error that recovery passes on. */
function isDiskTrouble(error: unknown): boolean {
  if (error instanceof SimCrash) return true;
  return (
    error instanceof SluiceError && (error.code === 'STORAGE_IO' || error.code === 'STORAGE_FULL')
  );
}
