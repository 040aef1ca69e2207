/**
 * Pages and sectors of the simulated disk: sizes, masks of sectors, and the settings of what happens to them when the
 * power or a sync fails.
 */
import type { Prng } from '../base/prng.ts';

export const SECTOR_BYTES = 512;
export const PAGE_BYTES = 4096;
export const PAGE_SECTORS: number = PAGE_BYTES / SECTOR_BYTES;
export const ALL_SECTORS: number = 2 ** PAGE_SECTORS - 1;
if (PAGE_SECTORS !== 8) throw new Error('sim-inode: the dirty mask of a page is one byte');

/** Preallocation writes zeros by the megabyte: all those pages are this one, until something else is written. */
export const ZERO_PAGE: Uint8Array = new Uint8Array(PAGE_BYTES);

/** How much of what was not synced a power loss leaves behind; each is a probability. */
export type CrashProfile = {
  /** An unsynced sector is on the medium as a whole. */
  readonly sectorKept: number;
  /** An unsynced sector is cut at some byte: new bytes on one side, old ones on the other. */
  readonly sectorTorn: number;
  /** The unsynced part of a file's size survives as a whole. */
  readonly sizeKept: number;
  /** An unsynced creation, rename or removal survives. */
  readonly namesKept: number;
};

/** What readers find after a failed sync where the medium did not take the bytes. */
export type ReadsAfterFailedSync = 'new' | 'old' | 'mixed';

/** A page as the cache holds it. */
export type CachePage = {
  bytes: Uint8Array;
  /** One bit per sector that the medium does not have yet. */
  dirty: number;
  /** Clean sectors of this page may differ from the medium, because a sync failed and the cache forgot it. */
  stale: boolean;
};

/** Only zeros? At most a page. */
export function isZero(part: Uint8Array): boolean {
  return part[0] === 0 && Buffer.compare(part, ZERO_PAGE.subarray(0, part.length)) === 0;
}

/** Each sector of a page with this probability. */
export function randomMask(prng: Prng, chance: number): number {
  let mask = 0;
  for (let sector = 0; sector < PAGE_SECTORS; sector += 1)
    if (prng.chance(chance)) mask |= 1 << sector;
  return mask;
}

/** End of the last sector of `mask` in page `index`. */
export function lastByteOf(index: number, mask: number): number {
  return index * PAGE_BYTES + (32 - Math.clz32(mask)) * SECTOR_BYTES;
}

export function sectorCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** Copies the sectors of `mask` from one page to another. */
export function copySectors(from: Uint8Array, to: Uint8Array, mask: number): void {
  for (let sector = 0; sector < PAGE_SECTORS; sector += 1) {
    if ((mask & (1 << sector)) === 0) continue;
    const start = sector * SECTOR_BYTES;
    to.set(from.subarray(start, start + SECTOR_BYTES), start);
  }
}

/** The bytes of a page that are about to be changed: never the shared page of zeros. */
export function ownBytes(page: CachePage): Uint8Array {
  if (page.bytes === ZERO_PAGE) page.bytes = new Uint8Array(PAGE_BYTES);
  return page.bytes;
}

/** The part of a torn sector that is new: it begins or ends at a byte in the middle. */
export function tornRange(prng: Prng, sector: number): readonly [from: number, to: number] {
  const start = sector * SECTOR_BYTES;
  const cut = start + 1 + prng.integer(SECTOR_BYTES - 1);
  return prng.chance(0.5) ? [start, cut] : [cut, start + SECTOR_BYTES];
}
