/**
 * One file of the simulated disk: what is on the medium, and above it the page cache that readers see. A page is what
 * the cache holds, a sector is what survives or is lost on its own.
 *
 *     read ──►  cache page (bytes, dirty sectors)  ──► else medium page ──► else zeros
 *     write ─►  cache page, sector becomes dirty
 *     sync ──►  dirty sectors move to the medium
 *     power loss: every dirty sector is kept, dropped or torn by itself; the cache is gone
 *
 * Pages on the medium are never changed in place, so that clones share them: `clone` costs one array of references.
 */
import { invariant } from '../base/assert.ts';
import type { Prng } from '../base/prng.ts';
import {
  ALL_SECTORS,
  type CachePage,
  type CrashProfile,
  copySectors,
  isZero,
  lastByteOf,
  ownBytes,
  PAGE_BYTES,
  PAGE_SECTORS,
  type ReadsAfterFailedSync,
  randomMask,
  SECTOR_BYTES,
  sectorCount,
  tornRange,
  ZERO_PAGE,
} from './sim-page.ts';

/** Content of a file; names lead to it, handles hold it. */
export class SimInode {
  private medium: (Uint8Array | undefined)[];
  private readonly cache: Map<number, CachePage>;
  private mediumSize: number;
  private cacheSize: number;
  private pagesAllocated: number;
  /** Open handles, and names in the live directory (0 or 1): without any the space is given back. */
  handleCount: number;
  linkCount: number;

  constructor() {
    this.medium = [];
    this.cache = new Map();
    this.mediumSize = 0;
    this.cacheSize = 0;
    this.pagesAllocated = 0;
    this.handleCount = 0;
    this.linkCount = 0;
  }

  get size(): number {
    return this.cacheSize;
  }

  /** Bytes of the volume that this file occupies: pages ever written, not its size. */
  get allocatedBytes(): number {
    return this.pagesAllocated * PAGE_BYTES;
  }

  /** Sectors that a power loss could take now. */
  get dirtySectorCount(): number {
    let count = 0;
    for (const page of this.cache.values()) count += sectorCount(page.dirty);
    return count;
  }

  read(target: Uint8Array, byteOffset: number): number {
    const count = Math.max(0, Math.min(target.length, this.cacheSize - byteOffset));
    for (let done = 0; done < count; ) {
      const start = (byteOffset + done) % PAGE_BYTES;
      const length = Math.min(count - done, PAGE_BYTES - start);
      const bytes = this.visible(Math.floor((byteOffset + done) / PAGE_BYTES));
      target.set(length === PAGE_BYTES ? bytes : bytes.subarray(start, start + length), done);
      done += length;
    }
    return count;
  }

  /** Does a write to this page need new space on the volume? */
  isAllocated(pageIndex: number): boolean {
    return this.cache.has(pageIndex) || this.medium[pageIndex] !== undefined;
  }

  write(source: Uint8Array, byteOffset: number): void {
    for (let done = 0; done < source.length; ) {
      const start = (byteOffset + done) % PAGE_BYTES;
      const length = Math.min(source.length - done, PAGE_BYTES - start);
      const part = source.subarray(done, done + length);
      this.writePage(Math.floor((byteOffset + done) / PAGE_BYTES), part, start);
      done += length;
    }
    if (source.length > 0) this.cacheSize = Math.max(this.cacheSize, byteOffset + source.length);
  }

  /** Everything dirty, and the size, is on the medium. */
  sync(): void {
    for (const [index, page] of this.cache) this.persist(index, page, page.dirty);
    this.dropClean();
    this.mediumSize = this.cacheSize;
  }

  /** The kernel writes some pages back early: each dirty sector from `start` to `end` with this probability. */
  writeBack(prng: Prng, chance: number, start = 0, end: number = this.cacheSize): void {
    for (const [index, page] of this.cache) {
      let mask = 0;
      for (let sector = 0; sector < PAGE_SECTORS; sector += 1) {
        const byteOffset = index * PAGE_BYTES + sector * SECTOR_BYTES;
        if (byteOffset + SECTOR_BYTES <= start || byteOffset >= end) continue;
        if ((page.dirty & (1 << sector)) !== 0 && prng.chance(chance)) mask |= 1 << sector;
      }
      this.persist(index, page, mask);
      // The inode follows the data it describes: sectors beyond the size on the medium would not be found again.
      if (mask !== 0)
        this.mediumSize = Math.max(
          this.mediumSize,
          Math.min(this.cacheSize, lastByteOf(index, mask)),
        );
    }
    this.dropClean();
  }

  /**
   * A sync that fails: each sector reaches the medium or not, and all are marked clean, so that the next sync
   * succeeds without writing them. Then readers see the cache (`new`), the medium (`old`), or either per page.
   */
  failSync(prng: Prng, reads: ReadsAfterFailedSync, persistedChance: number): void {
    for (const [index, page] of [...this.cache]) {
      const lost = page.dirty & ~randomMask(prng, persistedChance);
      this.persist(index, page, page.dirty & ~lost);
      if (lost === 0) continue;
      page.dirty = 0;
      page.stale = true;
      if (reads === 'old' || (reads === 'mixed' && prng.chance(0.5))) this.evict(index);
    }
    this.dropClean();
    if (prng.chance(persistedChance)) this.mediumSize = this.cacheSize;
  }

  /** Memory pressure: what the cache believes to be clean is read from the medium from now on. */
  dropCache(): void {
    for (const [index, page] of [...this.cache]) {
      if (page.dirty === 0) this.evict(index);
      else if (page.stale) this.reloadClean(index, page);
    }
  }

  /** Power loss: the cache is gone, and the medium has what `profile` and chance left. */
  crash(prng: Prng, profile: CrashProfile): void {
    const size = this.crashSize(prng, profile);
    for (const [index, page] of [...this.cache]) {
      this.crashPage(prng, profile, index, page);
      this.evict(index);
    }
    this.cacheSize = size;
    this.mediumSize = size;
    this.trim(size);
  }

  /** Replaces bytes on the medium and in the cache alike: damage shows whether or not the page is cached. */
  damage(byteOffset: number, byteCount: number, change: (bytes: Uint8Array) => void): void {
    invariant(
      byteOffset >= 0 && byteOffset + byteCount <= this.cacheSize,
      'damage within the file',
      byteOffset,
    );
    for (let done = 0; done < byteCount; ) {
      const start = (byteOffset + done) % PAGE_BYTES;
      const length = Math.min(byteCount - done, PAGE_BYTES - start);
      const index = Math.floor((byteOffset + done) / PAGE_BYTES);
      const copy = this.mediumCopy(index);
      change(copy.subarray(start, start + length));
      const cached = this.cache.get(index);
      if (cached !== undefined) change(ownBytes(cached).subarray(start, start + length));
      done += length;
    }
  }

  /** The file ends here, on the medium too. */
  truncate(size: number): void {
    invariant(size >= 0 && size <= this.cacheSize, 'truncate within the file', size);
    this.sync();
    for (const index of [...this.cache.keys()]) this.evict(index);
    this.cacheSize = size;
    this.mediumSize = size;
    this.trim(size);
  }

  /** An independent file with the same content; handles and names are the caller's. */
  clone(): SimInode {
    const copy = new SimInode();
    copy.medium = this.medium.slice();
    copy.mediumSize = this.mediumSize;
    copy.cacheSize = this.cacheSize;
    copy.pagesAllocated = this.pagesAllocated;
    for (const [index, page] of this.cache) {
      const bytes = page.bytes === ZERO_PAGE ? ZERO_PAGE : page.bytes.slice();
      copy.cache.set(index, { bytes, dirty: page.dirty, stale: page.stale });
    }
    return copy;
  }

  private visible(index: number): Uint8Array {
    return this.cache.get(index)?.bytes ?? this.medium[index] ?? ZERO_PAGE;
  }

  private writePage(index: number, part: Uint8Array, start: number): void {
    let page = this.cache.get(index);
    if (page === undefined) {
      if (this.medium[index] === undefined) this.pagesAllocated += 1;
      page = { bytes: ZERO_PAGE, dirty: 0, stale: false };
      const whole = part.length === PAGE_BYTES;
      const before = whole ? undefined : this.medium[index];
      if (before !== undefined && before !== ZERO_PAGE) page.bytes = before.slice();
      this.cache.set(index, page);
    }
    if (page.bytes !== ZERO_PAGE || !isZero(part)) ownBytes(page).set(part, start);
    const first = Math.floor(start / SECTOR_BYTES);
    const end = Math.ceil((start + part.length) / SECTOR_BYTES);
    page.dirty |= (1 << end) - (1 << first);
  }

  /** Moves the sectors of `mask` to the medium; they are clean then. */
  private persist(index: number, page: CachePage, mask: number): void {
    if (mask === 0) return;
    page.dirty &= ~mask;
    if (page.dirty === 0 && !page.stale) {
      // All of the page is right, so the page itself becomes the medium's; a later write makes a copy.
      this.medium[index] = page.bytes;
      return;
    }
    copySectors(page.bytes, this.mediumCopy(index), mask);
  }

  /** Forgets pages that equal the medium. */
  private dropClean(): void {
    for (const [index, page] of this.cache) {
      if (page.dirty === 0 && !page.stale) this.cache.delete(index);
    }
  }

  private evict(index: number): void {
    this.cache.delete(index);
    if (this.medium[index] === undefined) this.pagesAllocated -= 1;
  }

  private reloadClean(index: number, page: CachePage): void {
    copySectors(this.medium[index] ?? ZERO_PAGE, ownBytes(page), ALL_SECTORS & ~page.dirty);
    page.stale = false;
  }

  private crashSize(prng: Prng, profile: CrashProfile): number {
    if (this.cacheSize === this.mediumSize || prng.chance(profile.sizeKept)) return this.cacheSize;
    if (prng.chance(0.5)) return this.mediumSize;
    return this.mediumSize + prng.integer(this.cacheSize - this.mediumSize);
  }

  private crashPage(prng: Prng, profile: CrashProfile, index: number, page: CachePage): void {
    let kept = 0;
    let torn = 0;
    for (let mask = page.dirty; mask !== 0; mask &= mask - 1) {
      const bit = mask & -mask;
      const fate = prng.next();
      if (fate < profile.sectorKept) kept |= bit;
      else if (fate < profile.sectorKept + profile.sectorTorn) torn |= bit;
    }
    for (let mask = torn; mask !== 0; mask &= mask - 1) {
      const [from, to] = tornRange(prng, 31 - Math.clz32(mask & -mask));
      this.mediumCopy(index).set(page.bytes.subarray(from, to), from);
    }
    if (kept === ALL_SECTORS) this.medium[index] = page.bytes;
    else this.persist(index, page, kept);
  }

  /** The medium's page, private to this file from now on and so free to be changed by the caller. */
  private mediumCopy(index: number): Uint8Array {
    if (this.medium[index] === undefined && !this.cache.has(index)) this.pagesAllocated += 1;
    const copy = (this.medium[index] ?? ZERO_PAGE).slice();
    this.medium[index] = copy;
    return copy;
  }

  /** No byte behind the end of the file may come back when it grows again. */
  private trim(size: number): void {
    const pageCount = Math.ceil(size / PAGE_BYTES);
    if (this.medium.length > pageCount) {
      for (let index = pageCount; index < this.medium.length; index += 1) {
        if (this.medium[index] !== undefined) this.pagesAllocated -= 1;
      }
      this.medium.length = pageCount;
    }
    const rest = size % PAGE_BYTES;
    const last = this.medium[pageCount - 1];
    if (rest !== 0 && last !== undefined && last !== ZERO_PAGE)
      this.mediumCopy(pageCount - 1).fill(0, rest);
  }
}
