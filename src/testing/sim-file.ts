/**
 * An open file of the simulated disk. It only checks that it is open and that its process lives; what a call does, and
 * what goes wrong in it, is the disk's.
 */
import { invariant } from '../base/assert.ts';
import type { StorageFile } from '../log/storage.ts';
import type { SimInode } from './sim-inode.ts';

/** The disk, as a handle needs it. */
export interface SimFileHost {
  /** Counts the processes that used the disk. */
  readonly generation: number;
  /** @throws SimCrash when the process of that generation is dead */
  checkAlive(generation: number): void;
  readInode(inode: SimInode, name: string, target: Uint8Array, byteOffset: number): number;
  writeInode(inode: SimInode, name: string, source: Uint8Array, byteOffset: number): void;
  syncInode(inode: SimInode, name: string): void;
  /** Gives the space of a file back once neither a name nor a handle leads to it. */
  release(inode: SimInode): void;
}

/** A handle: dies with the process that opened it. */
export class SimFile implements StorageFile {
  readonly name: string;
  private readonly host: SimFileHost;
  private readonly inode: SimInode;
  private readonly generation: number;
  private open: boolean;

  constructor(host: SimFileHost, name: string, inode: SimInode) {
    this.host = host;
    this.name = name;
    this.inode = inode;
    this.generation = host.generation;
    this.open = true;
    inode.handleCount += 1;
  }

  size(): number {
    this.checkOpen(0);
    return this.inode.size;
  }

  read(target: Uint8Array, byteOffset: number): number {
    this.checkOpen(byteOffset);
    return this.host.readInode(this.inode, this.name, target, byteOffset);
  }

  write(source: Uint8Array, byteOffset: number): void {
    this.checkOpen(byteOffset);
    this.host.writeInode(this.inode, this.name, source, byteOffset);
  }

  sync(): void {
    this.checkOpen(0);
    this.host.syncInode(this.inode, this.name);
  }

  close(): void {
    // A handle of a dead process is closed already; clean-up code of the program that "died" ends here in silence.
    if (!this.open || this.generation !== this.host.generation) return;
    this.open = false;
    this.inode.handleCount -= 1;
    this.host.release(this.inode);
  }

  private checkOpen(byteOffset: number): void {
    invariant(this.open, 'the file is open');
    invariant(Number.isSafeInteger(byteOffset) && byteOffset >= 0, 'a byte offset', byteOffset);
    this.host.checkAlive(this.generation);
  }
}
