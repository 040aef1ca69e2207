/**
 * What goes wrong on the simulated disk, and when: the n-th call of a kind, a call by chance, a crash at a numbered
 * boundary, slowness. It only decides; `sim-storage.ts` does what was decided. Set the fields at any time.
 */
import { invariant } from '../base/assert.ts';
import type { Prng } from '../base/prng.ts';
import type { SimClock } from './sim-clock.ts';
import type { CrashProfile, ReadsAfterFailedSync } from './sim-page.ts';

/** Calls that faults are aimed at. All but `read` change the disk and are numbered as boundaries. */
export type DiskOperation =
  | 'read'
  | 'write'
  | 'sync'
  | 'create'
  | 'rename'
  | 'remove'
  | 'syncDirectory';

/** How an aimed call fails. */
export type DiskFault = 'STORAGE_IO' | 'STORAGE_FULL';

/** What happens to a call: nothing, an error, or the process dies half way. (Before it: `SimCrash` is thrown.) */
export type DiskVerdict = 'done' | 'crash' | DiskFault;

/** Thrown where the process would have died, and by every later call until `crash()` or `kill()` restarts the disk. */
export class SimCrash extends Error {
  override readonly name = 'SimCrash';
}

/** Called before each change of the disk; may clone the storage to try a crash there and go on. */
export type BoundaryListener = (boundary: number, operation: DiskOperation, name: string) => void;

/** Unsynced state of all kinds has even odds. */
export const EVEN_CRASH: CrashProfile = {
  sectorKept: 0.4,
  sectorTorn: 0.2,
  sizeKept: 0.5,
  namesKept: 0.5,
};
/** Nothing that was not synced survives. */
export const WORST_CRASH: CrashProfile = {
  sectorKept: 0,
  sectorTorn: 0,
  sizeKept: 0,
  namesKept: 0,
};

const SECTOR_KEPT_CHOICES: readonly number[] = [0, 0.02, 0.4, 0.9, 0.98, 1];
const SECTOR_TORN_CHOICES: readonly number[] = [0, 0.01, 0.1, 0.5];
const CHANCE_CHOICES: readonly number[] = [0, 0.5, 1];

function choose(prng: Prng, choices: readonly number[]): number {
  return choices[prng.integer(choices.length)] as number;
}

/** A profile for one crash. Even odds everywhere would hardly ever lose just one sector of many, or all but one. */
export function randomCrashProfile(prng: Prng): CrashProfile {
  return {
    sectorKept: choose(prng, SECTOR_KEPT_CHOICES),
    sectorTorn: choose(prng, SECTOR_TORN_CHOICES),
    sizeKept: choose(prng, CHANCE_CHOICES),
    namesKept: choose(prng, CHANCE_CHOICES),
  };
}

/** The plan of faults of one disk. */
export class SimFaults {
  /** Negative control: every sync reports success and does nothing, as under `eatmydata`. */
  ignoreSync: boolean;
  /** Milliseconds each call of a kind takes on the clock of the storage. */
  readonly latencyMs: Record<DiskOperation, number>;
  /** With this probability a call takes `hiccupMs` more. */
  hiccupChance: number;
  hiccupMs: number;
  /** Probability that a call of a kind fails with STORAGE_IO. */
  readonly errorChance: Record<DiskOperation, number>;
  /** What readers find where a failed sync lost bytes. */
  readsAfterFailedSync: ReadsAfterFailedSync;
  /** Probability that a sector of a failed sync is on the medium all the same. */
  failedSyncPersisted: number;
  /** After each write the kernel writes each dirty sector of the file back with this probability. */
  writeBackChance: number;
  /** Sees each boundary first. */
  onBoundary: BoundaryListener | undefined;

  private readonly prng: Prng;
  private readonly clock: SimClock | undefined;
  private readonly counts: Record<DiskOperation, number>;
  private readonly planned: Map<string, DiskFault>;
  private boundaryCount: number;
  private crashBoundary: number;
  private crashInTheMiddle: boolean;

  constructor(prng: Prng, clock: SimClock | undefined) {
    this.prng = prng;
    this.clock = clock;
    this.ignoreSync = false;
    this.latencyMs = zeros();
    this.hiccupChance = 0;
    this.hiccupMs = 0;
    this.errorChance = zeros();
    this.readsAfterFailedSync = 'mixed';
    this.failedSyncPersisted = 0.5;
    this.writeBackChance = 0;
    this.onBoundary = undefined;
    this.counts = zeros();
    this.planned = new Map();
    this.boundaryCount = 0;
    this.crashBoundary = -1;
    this.crashInTheMiddle = false;
  }

  /** Calls of this kind so far: the number that the next one has. */
  count(operation: DiskOperation): number {
    return this.counts[operation];
  }

  /** Changes of the disk so far: the boundary that the next one has. */
  get boundary(): number {
    return this.boundaryCount;
  }

  /** The call number `index` of this kind (0 is the first ever) fails, once. */
  failNth(operation: DiskOperation, index: number, fault: DiskFault): void {
    invariant(index >= this.counts[operation], 'the call is still to come', index);
    this.planned.set(`${operation} ${index}`, fault);
  }

  /**
   * The process dies at boundary number `boundary`, once.
   * @param where - `before`: the call does nothing; `middle`: a part of a write, of a sync or of the names of a
   *   directory sync happens, and a single change of a name happens or does not
   */
  crashAt(boundary: number, where: 'before' | 'middle'): void {
    invariant(boundary >= this.boundaryCount, 'the boundary is still to come', boundary);
    this.crashBoundary = boundary;
    this.crashInTheMiddle = where === 'middle';
  }

  /** No planned fault is left, no chance, no slowness; counts go on. */
  clear(): void {
    this.planned.clear();
    this.crashBoundary = -1;
    this.ignoreSync = false;
    this.hiccupChance = 0;
    this.writeBackChance = 0;
    Object.assign(this.latencyMs, zeros());
    Object.assign(this.errorChance, zeros());
  }

  /** Decides about one call. @throws SimCrash when the process dies before it */
  decide(operation: DiskOperation, name: string): DiskVerdict {
    const index = this.counts[operation];
    const crashes = operation !== 'read' && this.passBoundary(operation, name);
    this.counts[operation] = index + 1;
    const hiccupMs = this.prng.chance(this.hiccupChance) ? this.hiccupMs : 0;
    this.clock?.advance(this.latencyMs[operation] + hiccupMs);
    if (crashes) return 'crash';
    const key = `${operation} ${index}`;
    const fault = this.planned.get(key);
    if (fault !== undefined) {
      this.planned.delete(key);
      return fault;
    }
    return this.prng.chance(this.errorChance[operation]) ? 'STORAGE_IO' : 'done';
  }

  private passBoundary(operation: DiskOperation, name: string): boolean {
    const boundary = this.boundaryCount;
    this.onBoundary?.(boundary, operation, name);
    this.boundaryCount = boundary + 1;
    if (boundary !== this.crashBoundary) return false;
    this.crashBoundary = -1;
    if (this.crashInTheMiddle) return true;
    throw new SimCrash(`crash before boundary ${boundary}: ${operation} ${name}`);
  }
}

function zeros(): Record<DiskOperation, number> {
  return { read: 0, write: 0, sync: 0, create: 0, rename: 0, remove: 0, syncDirectory: 0 };
}
