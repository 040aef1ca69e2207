/**
 * Runs a script once for each call with which it changes the disk, and harms that call: the process dies there, the power
 * fails there, the call fails. Whatever it was, the shard must recover and keep its promises. Exhaustive, not by chance.
 */
import { invariant } from '../base/assert.ts';
import type { ShardConfig } from '../shard/shard-config.ts';
import { Drive, ScriptCut } from './boundary-drive.ts';
import { type DiskFault, type DiskOperation, WORST_CRASH } from './sim-faults.ts';
import type { ReadsAfterFailedSync } from './sim-page.ts';

/** What clients and the world do to one shard, from its first start on. */
export type Script = {
  readonly name: string;
  readonly config?: Partial<ShardConfig>;
  readonly run: (drive: Drive) => void;
};

/** One call that changes the disk. */
export type Boundary = {
  readonly operation: DiskOperation;
  readonly file: string;
  /** Calls of this kind before it. */
  readonly index: number;
};

/** What is done to a call. */
export type Harm =
  /** The process dies before the call; or in the middle of a write, which is then stored in part. */
  | 'kill'
  | 'kill-within'
  /** The power fails before the call, and nothing that was not synced survives; or in the middle, and chance decides. */
  | 'power'
  | 'power-within'
  /** The call fails. After a sync that failed readers see what was written, or what is on the medium. */
  | 'error'
  | 'error-old'
  /** The disk is full. */
  | 'full';

const HARMS: readonly Harm[] = [
  ...(['kill', 'kill-within', 'power', 'power-within', 'error', 'error-old', 'full'] as const),
];

/** Harms that an operation can meet: others would repeat one of these. */
export function harmsOf(operation: DiskOperation): readonly Harm[] {
  return HARMS.filter((harm) => {
    if (harm === 'kill-within') return operation === 'write';
    if (harm === 'error-old') return operation === 'sync';
    return harm !== 'full' || operation === 'write' || operation === 'create';
  });
}

/** Runs a script in peace. @returns the calls that changed the disk @throws when even then a promise is broken */
export function boundariesOf(script: Script): Boundary[] {
  const drive = new Drive(script.config ?? {}, 1);
  const counts = new Map<DiskOperation, number>();
  const boundaries: Boundary[] = [];
  const { faults } = drive.world.shard.storage;
  faults.onBoundary = (_, operation, file) => {
    const index = counts.get(operation) ?? 0;
    counts.set(operation, index + 1);
    boundaries.push({ operation, file, index });
  };
  script.run(drive);
  faults.onBoundary = undefined;
  drive.audit();
  return boundaries;
}

/** Runs a script and harms one call of it. @throws what was broken */
export function runHarmed(
  script: Script,
  boundaries: readonly Boundary[],
  k: number,
  harm: Harm,
): void {
  const drive = startHarmed(script, boundaries, k, harm);
  if (harm.startsWith('kill')) drive.goOn();
  drive.audit();
}

/**
 * The same, and the recovery is cut as well, before or within its `j`-th change of the disk.
 *
 * @returns false when the recovery has fewer
 */
export function runHarmedTwice(
  script: Script,
  boundaries: readonly Boundary[],
  k: number,
  harm: Harm,
  j: number,
): boolean {
  const drive = startHarmed(script, boundaries, k, harm);
  const { shard } = drive.world;
  const { faults } = shard.storage;
  faults.crashAt(faults.boundary + j, j % 2 === 0 ? 'before' : 'middle');
  const isCut = !shard.open();
  faults.clear();
  drive.workload.groups.lose();
  if (isCut) drive.chaos.endLife(harm === 'kill' ? 'kill' : 'power-loss');
  else {
    drive.chaos.opened();
    drive.workload.resume(drive.world.flushMode === 'SYNC_FLUSH');
  }
  drive.audit();
  return isCut;
}

/** @returns the drive after the harm, its shard dead unless an error was all it met */
function startHarmed(
  script: Script,
  boundaries: readonly Boundary[],
  k: number,
  harm: Harm,
): Drive {
  const drive = new Drive(script.config ?? {}, 1);
  arm(drive, boundaries[k] as Boundary, k, harm);
  const isCut = runUntilCut(script, drive);
  const { world, chaos } = drive;
  const { faults } = world.shard.storage;
  const isMet = faults.boundary > k;
  invariant(isMet, 'a script does the same each time it is run', k);
  if (isCut) {
    chaos.profile = harm === 'power-within' ? undefined : WORST_CRASH;
    chaos.endLife(harm.startsWith('kill') ? 'kill' : 'power-loss');
    chaos.profile = WORST_CRASH;
  }
  return drive;
}

function arm(drive: Drive, boundary: Boundary, k: number, harm: Harm): void {
  const { faults } = drive.world.shard.storage;
  switch (harm) {
    case 'kill':
    case 'power':
      faults.crashAt(k, 'before');
      break;
    case 'kill-within':
    case 'power-within':
      faults.crashAt(k, 'middle');
      break;
    case 'error':
      fail(drive, boundary, 'STORAGE_IO', 'new');
      break;
    case 'error-old':
      fail(drive, boundary, 'STORAGE_IO', 'old');
      break;
    case 'full':
      fail(drive, boundary, 'STORAGE_FULL', 'new');
      break;
  }
}

function fail(
  { world }: Drive,
  { operation, index }: Boundary,
  fault: DiskFault,
  reads: ReadsAfterFailedSync,
): void {
  const { faults } = world.shard.storage;
  faults.readsAfterFailedSync = reads;
  faults.failNth(operation, index, fault);
  world.counts.diskErrors += 1;
}

/** @returns true when the shard is dead */
function runUntilCut(script: Script, drive: Drive): boolean {
  try {
    script.run(drive);
  } catch (error) {
    if (!(error instanceof ScriptCut)) throw error;
    return true;
  }
  return !drive.world.shard.isAlive;
}
