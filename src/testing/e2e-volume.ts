/**
 * Small volumes of their own for tests that fill, slow or cut them: a tmpfs, or ext4 in an image over a loop device. Both
 * need root on Linux; who has not skips with the reason that `volumeObstacle` gives.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SluiceError } from '../base/errors.ts';

export type VolumeKind = 'tmpfs' | 'ext4';

/** Bytes of a page of the kernel's cache. */
export const PAGE = 4096;

const obstacles = new Map<VolumeKind, string | undefined>();

/** Runs a program of the system. @throws STORAGE_IO with what it said */
function run(command: string, ...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, words, { encoding: 'utf8' });
  if (status === 0) return;
  const said = error?.message ?? stderr.trim();
  throw new SluiceError('STORAGE_IO', `${command} ${words.join(' ')}: ${said}`);
}

/** Why a volume of this kind cannot be had here, in words for a skipped test; undefined when it can. */
export function volumeObstacle(kind: VolumeKind): string | undefined {
  if (!obstacles.has(kind)) obstacles.set(kind, findObstacle(kind));
  return obstacles.get(kind);
}

function findObstacle(kind: VolumeKind): string | undefined {
  if (process.platform !== 'linux') return `needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'needs root to mount a file system';
  try {
    new Volume(kind, 16).remove();
    return undefined;
  } catch (error) {
    return `mounting ${kind} does not work here: ${(error as Error).message}`;
  }
}

/** Why this program cannot be used here; undefined when it can. */
export function programObstacle(command: string, ...words: readonly string[]): string | undefined {
  const { error, status } = spawnSync(command, words, { stdio: 'ignore' });
  if (error !== undefined) return `needs ${command}, which is not installed`;
  return status === 0 ? undefined : `${command} ${words.join(' ')} does not work here`;
}

/** A mounted volume. */
export class Volume {
  /** Where it is mounted. */
  readonly path: string;
  private readonly kind: VolumeKind;
  private readonly directory: string;
  private readonly sizeMib: number;
  private isMounted = false;

  /** Makes and mounts it. @throws STORAGE_IO with what the system said */
  constructor(kind: VolumeKind, sizeMib: number) {
    this.kind = kind;
    this.sizeMib = sizeMib;
    this.directory = mkdtempSync(join(tmpdir(), 'sluice-volume-'));
    this.path = join(this.directory, 'mount');
    mkdirSync(this.path);
    try {
      if (kind === 'ext4') {
        writeFileSync(this.image, '');
        truncateSync(this.image, sizeMib * 1024 * 1024);
        run('mkfs.ext4', '-q', '-F', '-m', '0', this.image);
      }
      this.mount();
    } catch (error) {
      this.remove();
      throw error;
    }
    process.once('exit', this.removeAtExit);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Writes a file that leaves so many bytes free, as a neighbour on the same disk would. */
  fill(leaveBytes: number): void {
    const piece = Buffer.alloc(64 * 1024, 1);
    this.unfill();
    let left = this.freeBytes - leaveBytes;
    for (; left > 0; left -= piece.length) {
      try {
        writeFileSync(this.filler, piece.subarray(0, Math.min(left, piece.length)), { flag: 'a' });
      } catch (error) {
        // As full as it gets.
        if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
        throw error;
      }
    }
  }

  unfill(): void {
    rmSync(this.filler, { force: true });
  }

  /**
   * Cuts the power: from now on nothing reaches the image, and what was not synced never will. Who used it gets errors;
   * end them, then `remount`. @source xfs_io(8), shutdown: XFS_IOC_GOINGDOWN, which ext4 knows too
   */
  cutPower(): void {
    run('xfs_io', '-x', '-c', 'shutdown', this.path);
  }

  /**
   * Has the kernel write some pages of a file, in the order given, while others around them stay in memory: what a disk
   * that reorders its writes leaves behind after a power cut. @source sync_file_range(2)
   */
  persistPages(file: string, pages: readonly number[]): void {
    const words = pages.flatMap((page) => ['-c', `sync_range -w -a ${page * PAGE} ${PAGE}`]);
    run('xfs_io', ...words, file);
  }

  /** The power is back: the journal is replayed, the page cache is gone. */
  remount(): void {
    this.unmount();
    this.mount();
  }

  remove(): void {
    process.off('exit', this.removeAtExit);
    this.unmount();
    rmSync(this.directory, { recursive: true, force: true });
  }

  private readonly removeAtExit = (): void => {
    // Whoever still uses it is about to end, too.
    if (this.isMounted) spawnSync('umount', ['-l', this.path]);
    rmSync(this.directory, { recursive: true, force: true });
  };

  private get image(): string {
    return join(this.directory, 'image');
  }

  private get filler(): string {
    return join(this.path, 'filler');
  }

  private mount(): void {
    if (this.kind === 'ext4') run('mount', '-o', 'loop', this.image, this.path);
    else run('mount', '-t', 'tmpfs', '-o', `size=${this.sizeMib}m`, 'tmpfs', this.path);
    this.isMounted = true;
  }

  private unmount(): void {
    if (!this.isMounted || !existsSync(this.path)) return;
    run('umount', this.path);
    this.isMounted = false;
  }
}
