/**
 * Damage to files of the simulated disk at rest: what ageing media, firmware and people do to bytes that were synced.
 * Every kind changes medium and cache alike, so that the next reader meets it.
 */
import { invariant } from '../base/assert.ts';
import type { Prng } from '../base/prng.ts';
import type { SimDirectory } from './sim-directory.ts';
import type { SimInode } from './sim-inode.ts';
import { SECTOR_BYTES } from './sim-page.ts';

/** What was done to which file: enough to do it again. */
export type DamageReport = {
  readonly kind: 'flip' | 'zero-sector' | 'misdirected-sector' | 'truncate';
  readonly name: string;
  /** First byte that differs or may differ. */
  readonly byteOffset: number;
  readonly byteCount: number;
};

/** Damages the files of one simulated disk. */
export class SimDamage {
  private readonly directory: SimDirectory;

  constructor(directory: SimDirectory) {
    this.directory = directory;
  }

  /** Turns one bit over. @param bit - 0 to 7 */
  flipBit(name: string, byteOffset: number, bit: number): void {
    this.inode(name).damage(byteOffset, 1, (bytes) => {
      bytes[0] = (bytes[0] as number) ^ (1 << bit);
    });
  }

  /** The medium forgot a sector: it reads as zeros. */
  zeroSector(name: string, sector: number): void {
    const inode = this.inode(name);
    inode.damage(sector * SECTOR_BYTES, sectorBytes(inode, sector), (bytes) => bytes.fill(0));
  }

  /** A write meant for sector `from` landed on sector `to` too. */
  misdirectSector(name: string, from: number, to: number): void {
    const inode = this.inode(name);
    const source = new Uint8Array(SECTOR_BYTES);
    inode.read(source, from * SECTOR_BYTES);
    inode.damage(to * SECTOR_BYTES, sectorBytes(inode, to), (bytes) =>
      bytes.set(source.subarray(0, bytes.length)),
    );
  }

  /** The file ends early. @param size - bytes that are left */
  truncate(name: string, size: number): void {
    this.inode(name).truncate(size);
  }

  /** Each file lies under the other's name. */
  swap(a: string, b: string): void {
    this.inode(a);
    this.inode(b);
    this.directory.swap(a, b);
  }

  /** One piece of damage of a random kind at a random place of a file that is not empty. */
  random(prng: Prng, name: string): DamageReport {
    const { size } = this.inode(name);
    invariant(size > 0, 'an empty file cannot be damaged');
    const sectorCount = Math.ceil(size / SECTOR_BYTES);
    const sector = prng.integer(sectorCount);
    const sectorReport = { name, byteOffset: sector * SECTOR_BYTES, byteCount: SECTOR_BYTES };
    switch (prng.integer(4)) {
      case 0:
        this.zeroSector(name, sector);
        return { kind: 'zero-sector', ...sectorReport };
      case 1:
        this.misdirectSector(name, prng.integer(sectorCount), sector);
        return { kind: 'misdirected-sector', ...sectorReport };
      case 2: {
        const end = prng.integer(size);
        this.truncate(name, end);
        return { kind: 'truncate', name, byteOffset: end, byteCount: size - end };
      }
      default: {
        const byteOffset = prng.integer(size);
        this.flipBit(name, byteOffset, prng.integer(8));
        return { kind: 'flip', name, byteOffset, byteCount: 1 };
      }
    }
  }

  private inode(name: string): SimInode {
    const inode = this.directory.get(name);
    invariant(inode !== undefined, 'the file to damage exists');
    return inode;
  }
}

/** The last sector of a file may be cut by its end. */
function sectorBytes(inode: SimInode, sector: number): number {
  return Math.min(SECTOR_BYTES, inode.size - sector * SECTOR_BYTES);
}
