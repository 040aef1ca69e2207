/**
 * What is done to a shard in a simulated run: it is killed, cut from power, its disk refuses, fills up, slows down or lies,
 * also while it recovers, also several times in a row. Each seed has a temper of its own: which faults, and how often.
 */
import type { Prng } from '../base/prng.ts';
import { type DiskOperation, SimCrash } from './sim-faults.ts';
import { SimViolation } from './sim-invariants.ts';
import type { CrashProfile } from './sim-page.ts';
import { rotBatch, rotDerived, rotTail } from './sim-rot.ts';
import type { EndOfLife } from './sim-shard.ts';
import type { World } from './sim-world.ts';

/** Chances per step, and switches, of one seed. */
export type Temper = {
  readonly crash: number;
  /** Share of crashes that are power losses. */
  readonly powerShare: number;
  readonly plannedCrash: number;
  readonly recoveryCrash: number;
  readonly diskError: number;
  readonly diskFull: number;
  readonly slow: number;
  readonly writeBack: number;
  readonly wallJump: number;
  readonly rot: number;
  /** One kind a seed: damage to a batch and to what would tell its age are two faults. */
  readonly rotKind: 'messages' | 'tail' | 'derived';
};

/** Nothing happens by itself. */
export const CALM: Temper = {
  ...{ crash: 0, powerShare: 0.5, plannedCrash: 0, recoveryCrash: 0, diskError: 0, diskFull: 0 },
  ...{ slow: 0, writeBack: 0, wallJump: 0, rot: 0, rotKind: 'messages' },
};

/** Attempts to open a shard of which the first may be disturbed. */
const OPENS_MAX = 24;
const DISTURBED_OPENS_MAX = 6;
/** Milliseconds that one slow call takes at most; five of them are one cycle of the flusher. */
const SLOW_MS_MAX = 60;
const FAILING: readonly DiskOperation[] = [
  ...(['sync', 'sync', 'sync', 'write', 'read', 'rename', 'remove', 'create'] as const),
  'syncDirectory',
];

/** A temper by chance: most kinds of trouble are off in most seeds, so that each is also met alone. */
export function randomTemper(prng: Prng): Temper {
  const some = (share: number, chance: number): number =>
    prng.chance(share) ? chance * (0.3 + prng.next()) : 0;
  return {
    crash: some(0.8, 0.006),
    powerShare: [0, 0.5, 0.5, 1][prng.integer(4)] as number,
    plannedCrash: some(0.6, 0.008),
    recoveryCrash: some(0.5, 0.5),
    diskError: some(0.3, 0.004),
    diskFull: some(0.25, 0.006),
    slow: some(0.2, 0.01),
    writeBack: some(0.4, 0.5),
    wallJump: some(0.1, 0.005),
    rot: some(0.25, 0.4),
    rotKind: (['messages', 'tail', 'derived'] as const)[prng.integer(3)] ?? 'messages',
  };
}

export class SimChaos {
  private readonly world: World;
  private readonly temper: Temper;
  private readonly capacityBytes: number;
  /** Decides what a power loss takes. */
  private readonly crashPrng: Prng;
  /** Flushed position of the last life: what a power loss must leave. */
  private flushed = 0;
  /** A sync failed since the shard was opened: pages that were not flushed may be gone without a power loss. */
  private hasLostPages = false;
  private hasRottenCopy = false;
  /** A recovery was begun since the last life: it may have confirmed more than that life had flushed. */
  private hasTriedToOpen = false;
  private isStopped = false;
  /** What the power losses of `endLife` take; by chance when it is not set. */
  profile: CrashProfile | undefined = undefined;

  constructor(world: World, temper: Temper, capacityBytes: number, crashPrng: Prng = world.prng) {
    this.world = world;
    this.crashPrng = crashPrng;
    this.temper = temper;
    this.capacityBytes = capacityBytes;
    world.shard.storage.faults.writeBackChance = temper.writeBack;
  }

  /** Makes some trouble, or none. Crashes are left to `restartIfDead`. */
  disturb(): void {
    const { world, temper } = this;
    const { prng } = world;
    const { storage } = world.shard;
    if (prng.chance(temper.crash)) this.endLife();
    if (prng.chance(temper.plannedCrash)) this.planCrash(30);
    if (prng.chance(temper.diskError)) this.planError();
    if (prng.chance(temper.diskFull)) this.changeCapacity();
    if (prng.chance(temper.slow)) this.changeSpeed();
    if (prng.chance(temper.wallJump)) {
      world.hasWallJumped = true;
      world.clock.jumpEpoch((prng.next() - 0.5) * 100_000_000);
    }
    if (prng.chance(temper.writeBack * 0.02)) storage.dropCache();
  }

  /** To be called after every step: sees what the disk has done to the shard. */
  observe(): void {
    const { world } = this;
    const { rig } = world.shard;
    if (rig === undefined) return;
    this.flushed = Math.max(this.flushed, rig.memory.flushed.observe());
    if (rig.flusher.failure === undefined || this.hasLostPages || world.shard.storage.isDown)
      return;
    world.counts.fences += 1;
    world.link.take(rig);
    this.losePages();
  }

  /** Opens the shard again when it is dead, through crashes and errors of the recovery. @returns true when it was */
  restartIfDead(): boolean {
    const { world } = this;
    if (world.shard.isAlive) return false;
    if (world.shard.rig !== undefined) this.endLife();
    for (let attempt = 0; attempt < OPENS_MAX; attempt += 1) {
      const isDisturbed = attempt < DISTURBED_OPENS_MAX && !this.isStopped;
      if (isDisturbed) this.disturbRecovery();
      else this.calm();
      if (world.shard.open()) {
        this.opened();
        return true;
      }
      world.counts.crashesInRecovery += 1;
      this.hasTriedToOpen = true;
      this.endAttempt();
    }
    const { lastError } = world.shard;
    throw new SimViolation(`the shard does not open after ${OPENS_MAX} attempts: ${lastError}`);
  }

  /** No more trouble from now on. */
  stop(): void {
    this.isStopped = true;
    this.calm();
  }

  /** Kills the shard or cuts the power, now. */
  endLife(how: EndOfLife = this.chooseEnd()): void {
    const { world } = this;
    const { rig, storage } = world.shard;
    if (rig !== undefined) {
      // What the process had handed to the network may have arrived, or not.
      if (!storage.isDown || world.prng.chance(0.5)) this.takeLast();
      this.flushed = Math.max(this.flushed, rig.memory.flushed.observe());
    }
    this.lose(how);
    world.link.lose();
  }

  private calm(): void {
    const { storage } = this.world.shard;
    storage.faults.clear();
    storage.setCapacity(this.capacityBytes);
  }

  private takeLast(): void {
    const { rig } = this.world.shard;
    try {
      if (rig !== undefined) this.world.link.take(rig);
    } catch (error) {
      if (!(error instanceof SimCrash)) throw error;
    }
  }

  /** An attempt to recover has failed: the process is gone, with or without the power. */
  private endAttempt(): void {
    const { storage } = this.world.shard;
    if (storage.isDown) this.lose(this.chooseEnd());
    else {
      this.world.counts.diskErrors += 1;
      this.losePages();
      this.lose(this.world.prng.chance(0.8) ? 'kill' : 'power-loss');
    }
  }

  private lose(how: EndOfLife): void {
    const { world } = this;
    const isLossy = how === 'power-loss' || this.hasLostPages;
    if (isLossy) world.lose(this.flushed);
    if (how === 'kill') world.counts.kills += 1;
    else world.counts.powerLosses += 1;
    world.recorder.fault(how, 'broker', true);
    world.shard.end(how, this.crashPrng, this.profile);
    this.damageAtRest();
  }

  /** A sync has failed. Under ASYNC_FLUSH that may cost what a power loss may. */
  private losePages(): void {
    this.hasLostPages = true;
    this.world.recorder.fault('lost-pages', 'broker', true);
    this.world.lose(this.flushed);
  }

  /** The shard was opened. */
  opened(): void {
    const { world } = this;
    // Everything that recovery found is on the disk now.
    this.flushed = world.rig.memory.flushed.observe();
    this.hasLostPages = false;
    this.hasTriedToOpen = false;
  }

  private chooseEnd(): EndOfLife {
    return this.world.prng.chance(this.temper.powerShare) ? 'power-loss' : 'kill';
  }

  private planCrash(within: number): void {
    const { faults } = this.world.shard.storage;
    const where = this.world.prng.chance(0.5) ? 'before' : 'middle';
    faults.crashAt(faults.boundary + this.world.prng.integer(within), where);
  }

  private planError(): void {
    const { prng, shard, counts } = this.world;
    const { faults } = shard.storage;
    const operation = FAILING[prng.integer(FAILING.length)] as DiskOperation;
    const fault = prng.chance(0.85) ? 'STORAGE_IO' : 'STORAGE_FULL';
    faults.readsAfterFailedSync = (['new', 'old', 'mixed'] as const)[prng.integer(3)] ?? 'mixed';
    faults.failNth(operation, faults.count(operation) + prng.integer(6), fault);
    counts.diskErrors += 1;
  }

  private disturbRecovery(): void {
    const { prng } = this.world;
    if (prng.chance(this.temper.recoveryCrash)) this.planCrash(12);
    if (this.temper.diskError > 0 && prng.chance(0.3)) this.planError();
  }

  private changeCapacity(): void {
    const { prng, shard } = this.world;
    const { freeBytes, totalBytes } = shard.storage.space();
    const used = totalBytes - freeBytes;
    const isFull = totalBytes < this.capacityBytes;
    this.world.hasBeenFull = true;
    const left = prng.integer(3) * shard.config.segmentBytes;
    shard.storage.setCapacity(isFull ? this.capacityBytes : used + left);
  }

  private changeSpeed(): void {
    const { prng, shard } = this.world;
    const { faults } = shard.storage;
    faults.latencyMs.sync = prng.chance(0.5) ? 0 : prng.integer(SLOW_MS_MAX);
    faults.latencyMs.write = prng.chance(0.8) ? 0 : prng.integer(4);
    faults.hiccupChance = prng.chance(0.5) ? 0 : 0.05;
    faults.hiccupMs = SLOW_MS_MAX;
  }

  /** Turns bits over while nobody looks. */
  private damageAtRest(): void {
    const { world } = this;
    const { prng } = world;
    const { storage, config } = world.shard;
    if (this.isStopped || !prng.chance(this.temper.rot)) return;
    switch (this.temper.rotKind) {
      case 'messages':
        this.rotMessages();
        break;
      case 'tail':
        if (config.flushMode === 'SYNC_FLUSH' && !this.hasTriedToOpen)
          rotTail(storage, config, prng, this.flushed);
        break;
      case 'derived':
        // Checkpoint and snapshots are kept twice: one copy may be damaged.
        if (!this.hasRottenCopy) this.hasRottenCopy = rotDerived(storage, prng) !== undefined;
        break;
    }
  }

  private rotMessages(): void {
    const { world } = this;
    const { storage, config } = world.shard;
    const batch = rotBatch(storage, config, world.prng, world.rotPositions);
    if (batch === undefined) return;
    world.counts.rotBatches += 1;
    world.rotPositions.push(batch.position);
    const topic = world.topic(batch.topicId);
    for (let index = 0; index < batch.recordCount && topic !== undefined; index += 1) {
      const message = world.ledger.at(topic.name, batch.queueId, batch.baseOffset + index);
      if (message !== undefined) message.excuse = 'rot';
    }
  }
}
