/**
 * The simulated disk: `Storage` with a page cache, power loss, process crashes, errors, a capacity, slowness and
 * damage, all from one seed. Bytes are in `sim-inode.ts`, names in `sim-directory.ts`, the plan of what goes wrong in
 * `sim-faults.ts`, bit rot in `sim-damage.ts`. One thread; nothing here waits for real time.
 */
import { invariant } from '../base/assert.ts';
import type { Prng } from '../base/prng.ts';
import type { Storage, StorageFile, VolumeSpace } from '../log/storage.ts';
import { checkStorageName, storageFullError, storageIoError } from '../log/storage-rules.ts';
import type { SimClock } from './sim-clock.ts';
import { SimDamage } from './sim-damage.ts';
import { SimDirectory } from './sim-directory.ts';
import {
  type DiskOperation,
  type DiskVerdict,
  randomCrashProfile,
  SimCrash,
  SimFaults,
} from './sim-faults.ts';
import { SimFile, type SimFileHost } from './sim-file.ts';
import type { SimInode } from './sim-inode.ts';
import { type CrashProfile, PAGE_BYTES } from './sim-page.ts';

const CAPACITY_BYTES_DEFAULT = 1_073_741_824;

/** Where a simulated disk gets chance, time and space from. */
export type SimStorageOptions = {
  readonly prng: Prng;
  /** Slow calls advance it; without one nothing is slow. */
  readonly clock?: SimClock | undefined;
  /** Default 1 GiB; pages are allocated on first write, so a large disk costs nothing. */
  readonly capacityBytes?: number;
  readonly location?: string;
};

/** What a crash could have taken: with zeros everywhere it proved nothing. */
export type CrashReport = { readonly sectorsAtRisk: number; readonly namesAtRisk: number };

export class SimStorage implements Storage, SimFileHost {
  readonly location: string;
  /** What will go wrong. */
  readonly faults: SimFaults;
  /** Called while a sync is under way, with nothing of it done: other threads go on meanwhile. */
  duringSync: (() => void) | undefined;
  /** Counts the programs that used this disk: handles of an earlier one are dead. */
  generation: number;
  private readonly prng: Prng;
  private directory: SimDirectory;
  /** Files that occupy space: with a name or with an open handle. */
  private held: Set<SimInode>;
  private capacityBytes: number;
  private down: boolean;

  constructor(options: SimStorageOptions) {
    this.location = options.location ?? 'sim';
    this.prng = options.prng;
    this.faults = new SimFaults(options.prng, options.clock);
    this.duringSync = undefined;
    this.generation = 0;
    this.directory = new SimDirectory();
    this.held = new Set();
    this.capacityBytes = options.capacityBytes ?? CAPACITY_BYTES_DEFAULT;
    this.down = false;
  }

  list(): string[] {
    this.checkAlive(this.generation);
    return this.directory.names();
  }

  exists(name: string): boolean {
    checkStorageName(name);
    this.checkAlive(this.generation);
    return this.directory.get(name) !== undefined;
  }

  open(name: string, create: boolean): StorageFile {
    checkStorageName(name);
    this.checkAlive(this.generation);
    let inode = this.directory.get(name);
    if (inode === undefined) {
      if (!create) throw storageIoError('open', this.pathOf(name), 'ENOENT');
      this.changeNames('create', name, () => {
        inode = this.directory.create(name);
        this.held.add(inode);
      });
    }
    invariant(inode !== undefined, 'a created file exists');
    return new SimFile(this, name, inode);
  }

  rename(from: string, to: string): void {
    checkStorageName(from);
    checkStorageName(to);
    const inode = this.existing('rename', from);
    if (from === to) return;
    this.changeNames('rename', from, () => {
      const replaced = this.directory.rename(from, to, inode);
      if (replaced !== undefined) this.release(replaced);
    });
  }

  remove(name: string): void {
    checkStorageName(name);
    const inode = this.existing('remove', name);
    this.changeNames('remove', name, () => {
      this.directory.remove(name, inode);
      this.release(inode);
    });
  }

  syncDirectory(): void {
    this.checkAlive(this.generation);
    const verdict = this.decide('syncDirectory', '');
    if (verdict === 'crash') {
      this.directory.writeBack(this.prng, this.prng.next());
      this.die('syncDirectory', '');
    }
    if (this.faults.ignoreSync) return;
    if (verdict === 'done') {
      this.directory.sync();
      return;
    }
    this.directory.failSync(this.prng, this.faults.failedSyncPersisted);
    throw storageIoError('sync directory', this.location, 'EIO');
  }

  space(): VolumeSpace {
    this.checkAlive(this.generation);
    return { freeBytes: this.freeBytes(), totalBytes: this.capacityBytes };
  }

  /** The volume grows or shrinks: another program on the same disk removes or writes files. */
  setCapacity(capacityBytes: number): void {
    this.capacityBytes = capacityBytes;
  }

  get damage(): SimDamage {
    return new SimDamage(this.directory);
  }

  /**
   * Power loss and restart: open handles are dead, the page cache is gone, of what was not synced each sector, size
   * and name survives by chance. Call it after `SimCrash`, or at any other moment.
   */
  crash(prng: Prng, profile: CrashProfile = randomCrashProfile(prng)): CrashReport {
    const report = this.atRisk();
    for (const inode of this.directory.inodes()) inode.crash(prng, profile);
    this.directory.crash(prng, profile.namesKept);
    this.restart();
    return report;
  }

  /** Process crash and restart: open handles are dead, the page cache and everything in it survives. */
  kill(): void {
    this.directory.leave();
    this.restart();
  }

  /** Memory pressure: readers see the medium wherever the cache believes to be clean. */
  dropCache(): void {
    for (const inode of this.directory.inodes()) inode.dropCache();
  }

  /** The kernel writes `byteCount` bytes from `byteOffset` back early, as `sync_file_range` would; nothing is promised. */
  writeBack(name: string, byteOffset: number, byteCount: number): void {
    this.existing('write back', name).writeBack(this.prng, 1, byteOffset, byteOffset + byteCount);
  }

  /** Has the process died, so that only `crash` or `kill` help? Programs that catch everything do not notice. */
  get isDown(): boolean {
    return this.down;
  }

  /** What a power loss could take now. */
  atRisk(): CrashReport {
    let sectorsAtRisk = 0;
    for (const inode of this.directory.inodes()) sectorsAtRisk += inode.dirtySectorCount;
    return { sectorsAtRisk, namesAtRisk: this.directory.pendingCount };
  }

  /**
   * The same disk once more, as it is now, for another future: no handle is open on it, no fault planned. Pages are
   * shared until written, so this costs microseconds.
   */
  clone(prng: Prng, clock?: SimClock): SimStorage {
    const { capacityBytes, location } = this;
    const copy = new SimStorage({ prng, clock, capacityBytes, location });
    copy.directory = this.directory.clone();
    copy.restart();
    return copy;
  }

  checkAlive(generation: number): void {
    if (this.down)
      throw new SimCrash('the process has crashed; call crash() or kill() to restart the disk');
    if (generation !== this.generation)
      throw new SimCrash('the file was opened by a process that has crashed');
  }

  readInode(inode: SimInode, name: string, target: Uint8Array, byteOffset: number): number {
    if (this.decide('read', name) !== 'done')
      throw storageIoError('read', this.pathOf(name), 'EIO');
    return inode.read(target, byteOffset);
  }

  writeInode(inode: SimInode, name: string, source: Uint8Array, byteOffset: number): void {
    const verdict = this.decide('write', name);
    let length = source.length;
    if (verdict !== 'done') length = this.prng.integer(source.length + 1);
    const fitting = this.fittingBytes(inode, length, byteOffset);
    inode.write(source.subarray(0, fitting), byteOffset);
    const { writeBackChance } = this.faults;
    if (writeBackChance > 0) inode.writeBack(this.prng, writeBackChance);
    if (verdict === 'crash') this.die('write', name);
    if (verdict === 'STORAGE_IO') throw storageIoError('write', this.pathOf(name), 'EIO');
    if (verdict === 'STORAGE_FULL' || fitting < length) {
      throw storageFullError('write', this.pathOf(name), this.location, this.freeBytes());
    }
  }

  syncInode(inode: SimInode, name: string): void {
    this.duringSync?.();
    const verdict = this.decide('sync', name);
    if (verdict === 'crash') {
      if (!this.faults.ignoreSync) inode.writeBack(this.prng, this.prng.next());
      this.die('sync', name);
    }
    if (this.faults.ignoreSync) return;
    if (verdict === 'done') {
      inode.sync();
      return;
    }
    inode.failSync(this.prng, this.faults.readsAfterFailedSync, this.faults.failedSyncPersisted);
    throw storageIoError('sync', this.pathOf(name), 'EIO');
  }

  release(inode: SimInode): void {
    if (inode.linkCount === 0 && inode.handleCount === 0) this.held.delete(inode);
  }

  private changeNames(
    operation: 'create' | 'rename' | 'remove',
    name: string,
    change: () => void,
  ): void {
    const verdict = this.decide(operation, name);
    if (verdict === 'STORAGE_IO') throw storageIoError(operation, this.pathOf(name), 'EIO');
    if (verdict === 'STORAGE_FULL') {
      throw storageFullError(operation, this.pathOf(name), this.location, this.freeBytes());
    }
    if (verdict === 'done' || this.prng.chance(0.5)) change();
    if (verdict === 'crash') this.die(operation, name);
  }

  private decide(operation: DiskOperation, name: string): DiskVerdict {
    try {
      return this.faults.decide(operation, name);
    } catch (error) {
      if (error instanceof SimCrash) this.down = true;
      throw error;
    }
  }

  private die(operation: DiskOperation, name: string): never {
    this.down = true;
    throw new SimCrash(`crash in the middle of ${operation} ${name}`);
  }

  private restart(): void {
    this.generation += 1;
    this.down = false;
    this.held = new Set();
    for (const inode of this.directory.inodes()) {
      inode.handleCount = 0;
      if (inode.linkCount > 0) this.held.add(inode);
    }
  }

  private existing(operation: string, name: string): SimInode {
    this.checkAlive(this.generation);
    const inode = this.directory.get(name);
    if (inode !== undefined) return inode;
    throw storageIoError(operation, this.pathOf(name), 'ENOENT');
  }

  private pathOf(name: string): string {
    return `${this.location}/${name}`;
  }

  private freeBytes(): number {
    let used = 0;
    for (const inode of this.held) used += inode.allocatedBytes;
    return Math.max(0, this.capacityBytes - used);
  }

  /** Bytes of a write for which there is space: overwriting needs none, so a preallocated file never runs out. */
  private fittingBytes(inode: SimInode, byteCount: number, byteOffset: number): number {
    let free = -1;
    const end = byteOffset + byteCount;
    for (let page = Math.floor(byteOffset / PAGE_BYTES); page * PAGE_BYTES < end; page += 1) {
      if (inode.isAllocated(page)) continue;
      if (free === -1) free = this.freeBytes();
      if (free < PAGE_BYTES) return Math.max(0, page * PAGE_BYTES - byteOffset);
      free -= PAGE_BYTES;
    }
    return byteCount;
  }
}
