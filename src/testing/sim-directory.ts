/**
 * Names of the simulated disk: the live directory that programs see, the durable one on the medium, and the changes
 * between them in order. A change is atomic (a rename happened or not) but, until the directory is synced, each may be
 * lost on its own: what POSIX allows, and more than one file system with a journal does.
 */
import type { Prng } from '../base/prng.ts';
import { SimInode } from './sim-inode.ts';

/** `isLeft`: a process that is gone has made it. */
type NameChange = { readonly inode: SimInode; isLeft?: boolean } & (
  | { readonly kind: 'create'; readonly to: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly from: string }
);

/** Live and durable names. */
export class SimDirectory {
  private live: Map<string, SimInode>;
  private durable: Map<string, SimInode>;
  private pending: NameChange[];

  constructor() {
    this.live = new Map();
    this.durable = new Map();
    this.pending = [];
  }

  names(): string[] {
    return [...this.live.keys()];
  }

  /** Changes of names that a power loss could take now. */
  get pendingCount(): number {
    return this.pending.length;
  }

  get(name: string): SimInode | undefined {
    return this.live.get(name);
  }

  create(name: string): SimInode {
    const inode = new SimInode();
    this.link(name, inode);
    this.pending.push({ kind: 'create', to: name, inode });
    return inode;
  }

  /** @returns the file that lost its name to the renamed one */
  rename(from: string, to: string, inode: SimInode): SimInode | undefined {
    const replaced = this.unlink(to);
    this.unlink(from);
    this.link(to, inode);
    this.pending.push({ kind: 'rename', from, to, inode });
    return replaced;
  }

  remove(name: string, inode: SimInode): void {
    this.unlink(name);
    this.pending.push({ kind: 'remove', from: name, inode });
  }

  /** All pending changes are on the medium. */
  sync(): void {
    for (const change of this.pending) applyChange(this.durable, change);
    this.pending = [];
  }

  /** Each pending change reaches the medium with this probability, unless an older one of the same name waits. */
  writeBack(prng: Prng, chance: number): void {
    const waiting = new Set<string>();
    this.pending = this.pending.filter((change) => {
      const names = namesOf(change);
      const goes = prng.chance(chance) && !names.some((name) => waiting.has(name));
      if (goes) applyChange(this.durable, change);
      else for (const name of names) waiting.add(name);
      return !goes;
    });
  }

  /**
   * A sync that fails: changes reach the medium or not, and are forgotten either way, so that the next sync succeeds without them. A
   * file system without a journal (ext2, FAT) does that: a page of a directory whose write failed is clean afterwards, like one of a
   * file. One with a journal (ext4, XFS) stops, and nothing succeeds before it is mounted anew: that is a power loss here.
   *
   * Only what a process before this one has left waits for the next sync. Whoever starts cannot tell those names from others, and had
   * to write all of them anew to be sure: for a kill between a change and its sync, a sync that fails in the next start, one that
   * succeeds in the start after it and then a power loss, on a file system without a journal.
   */
  failSync(prng: Prng, persistedChance: number): void {
    const waiting = new Set<string>();
    this.pending = this.pending.filter((change) => {
      const names = namesOf(change);
      const isBehind = names.some((name) => waiting.has(name));
      const goes = prng.chance(persistedChance) && !isBehind;
      if (goes) applyChange(this.durable, change);
      const waits = !goes && (isBehind || change.isLeft === true);
      if (waits) for (const name of names) waiting.add(name);
      return waits;
    });
  }

  /** The process is gone; what it did not sync is there, and its successor does not know. */
  leave(): void {
    for (const change of this.pending) change.isLeft = true;
  }

  /** Power loss: the durable names, and of the pending changes those that chance keeps. */
  crash(prng: Prng, keptChance: number): void {
    for (const change of this.pending)
      if (prng.chance(keptChance)) applyChange(this.durable, change);
    this.pending = [];
    for (const inode of this.live.values()) inode.linkCount = 0;
    this.live = new Map();
    for (const [name, inode] of this.durable) this.link(name, inode);
  }

  /** Two files exchange their names, on the medium too. */
  swap(a: string, b: string): void {
    for (const names of [this.live, this.durable]) {
      const first = names.get(a);
      const second = names.get(b);
      if (first === undefined || second === undefined) continue;
      names.set(a, second);
      names.set(b, first);
    }
  }

  /** Files with a name, live or durable, each once. */
  inodes(): Set<SimInode> {
    const all = new Set([...this.live.values(), ...this.durable.values()]);
    for (const change of this.pending) all.add(change.inode);
    return all;
  }

  /** An independent copy of all names and the files behind them. */
  clone(): SimDirectory {
    const copies = new Map<SimInode, SimInode>();
    const copyOf = (inode: SimInode): SimInode => {
      const existing = copies.get(inode);
      if (existing !== undefined) return existing;
      const copy = inode.clone();
      copies.set(inode, copy);
      return copy;
    };
    const clone = new SimDirectory();
    for (const [name, inode] of this.live) clone.link(name, copyOf(inode));
    for (const [name, inode] of this.durable) clone.durable.set(name, copyOf(inode));
    clone.pending = this.pending.map((change) => ({ ...change, inode: copyOf(change.inode) }));
    return clone;
  }

  private link(name: string, inode: SimInode): void {
    this.live.set(name, inode);
    inode.linkCount += 1;
  }

  private unlink(name: string): SimInode | undefined {
    const inode = this.live.get(name);
    if (inode === undefined) return undefined;
    this.live.delete(name);
    inode.linkCount -= 1;
    return inode;
  }
}

function namesOf(change: NameChange): string[] {
  if (change.kind === 'rename') return [change.from, change.to];
  return [change.kind === 'create' ? change.to : change.from];
}

/** A change whose forerunner was lost does what it still can: a renamed file whose creation was lost appears. */
function applyChange(names: Map<string, SimInode>, change: NameChange): void {
  if (change.kind !== 'create' && names.get(change.from) === change.inode)
    names.delete(change.from);
  if (change.kind !== 'remove') names.set(change.to, change.inode);
}
